/* lz4.c -- see lz4.h. */
#include "util/lz4.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SHORTEST 4 /* match; a token tells how much longer it is */

/* Adds to a length of 15, which is as much as its half of the token can say,
 * what the bytes behind it say; false where these end too soon. */
static bool read_length(const unsigned char **in, const unsigned char *end,
                        size_t *n)
{
    if (*n < 15)
        return true;
    unsigned char more;
    do {
        if (*in == end || *n > SIZE_MAX - 255)
            return false;
        more = *(*in)++;
        *n += more;
    } while (more == 255);
    return true;
}

/* Bytes to copy as they are, then a match of earlier ones, which may overlap
 * what it makes; the last sequence has no match. */
int kc_lz4_decode(const unsigned char *in, size_t size, char *out, size_t len)
{
    const unsigned char *end = in + size;
    size_t done = 0;
    while (in < end) {
        size_t plain = *in >> 4, match = *in & 15;
        in++;
        if (!read_length(&in, end, &plain) || plain > (size_t)(end - in) ||
            plain > len - done)
            return KC_ECORRUPT;
        memcpy(out + done, in, plain);
        in += plain;
        done += plain;
        if (in == end)
            return match == 0 && done == len ? KC_OK : KC_ECORRUPT;
        if (end - in < 2)
            return KC_ECORRUPT;
        size_t offset = (size_t)(in[0] | in[1] << 8);
        in += 2;
        if (offset == 0 || offset > done || !read_length(&in, end, &match) ||
            len - done < SHORTEST || match > len - done - SHORTEST)
            return KC_ECORRUPT;
        for (size_t stop = done + match + SHORTEST; done < stop; done++)
            out[done] = out[done - offset];
    }
    return KC_ECORRUPT;
}
