/* utf8.c -- see utf8.h. */
#include "util/utf8.h"

#include <string.h>

size_t kc_utf8_len(const char *s, size_t left)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool kc_is_utf8(const char *s)
{
    size_t left = strlen(s);
    while (left > 0) {
        size_t n = kc_utf8_len(s, left);
        if (n == 0)
            return false;
        s += n;
        left -= n;
    }
    return true;
}
