/* jsontext.c -- see jsontext.h. */
#include "lua/jsontext.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BYTES(c) (UINT64_C(0x0101010101010101) * (c)) /* eight times c */

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

/* The value of the four hex digits at p, -1 when they are not there. */
static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static size_t put_utf8(char *out, int v)
{
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    size_t n = v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    static const int marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; v >>= 6)
        out[i] = (char)(0x80 | (v & 0x3f));
    out[0] = (char)(marks[n] | v);
    return n;
}

/* At "\u". */
static const char *unicode(const char *p, const char *end, char out[4],
                           size_t *len, const char **why)
{
    int v = hex4(p + 2, end);
    if (v <= 0) {
        *why = v == 0 ? "\\u0000 in a string" : "\\u without four hex digits";
        return NULL;
    }
    p += 6;
    if (v >= 0xd800 && v <= 0xdfff) {
        int low = v < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u'
                      ? hex4(p + 2, end)
                      : -1;
        if (low < 0xdc00 || low > 0xdfff) {
            v = 0xfffd; /* a lone one */
        } else {
            v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
            p += 6;
        }
    }
    *len = put_utf8(out, v);
    return p;
}

const char *kc_json_escape(const char *p, const char *end, char out[4],
                           size_t *len, const char **why)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2) {
        *why = "a string does not end";
        return NULL;
    }
    if (p[1] == 'u')
        return unicode(p, end, out, len, why);
    const char *at = p[1] ? strchr(letters, p[1]) : NULL;
    if (!at) {
        *why = "an escape that JSON does not know";
        return NULL;
    }
    out[0] = means[at - letters];
    *len = 1;
    return p + 2;
}

static const char *digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

const char *kc_json_number(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    const char *stop = digits(p, end);
    if (stop == p || (*p == '0' && stop > p + 1))
        return NULL;
    if (stop < end && *stop == '.') {
        p = stop + 1;
        stop = digits(p, end);
        if (stop == p)
            return NULL;
    }
    if (stop < end && (*stop == 'e' || *stop == 'E')) {
        p = stop + 1;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        stop = digits(p, end);
        if (stop == p)
            return NULL;
    }
    return stop;
}
