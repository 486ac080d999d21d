/* jsontext.c -- see jsontext.h. */
#include "lua/jsontext.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BYTES(c) (UINT64_C(0x0101010101010101) * (c)) /* eight times c */

static bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* The top bit of each byte that is zero; perhaps of bytes above one, too. */
static uint64_t zeros(uint64_t w)
{
    return (w - BYTES(1)) & ~w & BYTES(0x80);
}

size_t kc_json_plain(const char *s, size_t len)
{
    size_t n = 0;
    for (uint64_t w; len - n >= sizeof w; n += sizeof w) {
        memcpy(&w, s + n, sizeof w);
        uint64_t odd = (w & BYTES(0x80)) | ((w - BYTES(0x20)) & BYTES(0x80)) |
                       zeros(w ^ BYTES('"')) | zeros(w ^ BYTES('\\')) |
                       zeros(w ^ BYTES(0x7f));
        if (odd)
            break;
    }
    while (n < len && plain((unsigned char)s[n]))
        n++;
    return n;
}
