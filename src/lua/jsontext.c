/* jsontext.c -- see jsontext.h; one pass, no recursion. */
#include "lua/jsontext.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/utf8.h"

#define FFFD "\xef\xbf\xbd"
#define LONGEST_NUMBER 60
#define BYTES(c) (UINT64_C(0x0101010101010101) * (c)) /* eight times c */

struct text {
    const char *p, *end;
    const char *kept; /* what `out` has not yet, once it has anything */
    struct kc_buf *out;
    const char **why;
    int depth;
};

static int refuse(struct text *t, const char *why)
{
    *t->why = why;
    return KC_EINVALID;
}

/* Writes `with` for the next `n` bytes, behind all that comes before them. */
static int replace(struct text *t, size_t n, const char *with)
{
    int err = kc_buf_add(t->out, t->kept, (size_t)(t->p - t->kept));
    t->p += n;
    t->kept = t->p;
    return err == KC_OK ? kc_buf_addstr(t->out, with) : err;
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

/* At a backslash. */
static int escape(struct text *t)
{
    if (t->end - t->p < 2)
        return refuse(t, "a string does not end");
    if (t->p[1] != 'u') {
        t->p += 2; /* which letters may follow the parser knows */
        return KC_OK;
    }
    int v = hex4(t->p + 2, t->end);
    if (v < 0)
        return refuse(t, "\\u without four hex digits");
    if (v == 0)
        return refuse(t, "\\u0000 in a string");
    size_t n = 6;
    bool lone = v >= 0xdc00 && v <= 0xdfff;
    if (v >= 0xd800 && v <= 0xdbff) {
        int low = t->end - t->p >= 12 && t->p[6] == '\\' && t->p[7] == 'u'
                      ? hex4(t->p + 8, t->end)
                      : -1;
        if (low >= 0xdc00 && low <= 0xdfff)
            n = 12;
        else
            lone = true;
    }
    if (lone)
        return replace(t, n, FFFD);
    t->p += n;
    return KC_OK;
}

/* At the opening quote. */
static int string(struct text *t)
{
    t->p++;
    while (t->p < t->end) {
        t->p += kc_json_plain(t->p, (size_t)(t->end - t->p));
        unsigned char c = (unsigned char)*t->p; /* the NUL, at the end */
        int err = KC_OK;
        if (t->p == t->end)
            break;
        if (c == '"') {
            t->p++;
            return KC_OK;
        }
        if (c == '\\') {
            err = escape(t);
        } else if (c < 0x20) {
            return refuse(t, "a control character in a string");
        } else if (c < 0x80) {
            t->p++;
        } else {
            size_t n = kc_utf8_len(t->p, (size_t)(t->end - t->p));
            if (n)
                t->p += n;
            else
                err = replace(t, 1, FFFD);
        }
        if (err != KC_OK)
            return err;
    }
    return refuse(t, "a string does not end");
}

static bool digit(const struct text *t, const char *p)
{
    return p < t->end && *p >= '0' && *p <= '9';
}

/* A number of more characters than cJSON reads (63) is written anew, as the
 * double that it means. */
static int end_number(struct text *t, const char *end)
{
    size_t n = (size_t)(end - t->p);
    char text[32];
    double d = strtod(t->p, NULL); /* it ends where JSON's does */
    if (isinf(d))
        return refuse(t, "a number too large");
    if (n <= LONGEST_NUMBER) {
        t->p = end;
        return KC_OK;
    }
    snprintf(text, sizeof text, "%.17g", d);
    return replace(t, n, text);
}

/* RFC 8259, section 6. */
static int number(struct text *t)
{
    const char *p = t->p;
    if (*p == '-')
        p++;
    if (!digit(t, p) || (*p == '0' && digit(t, p + 1)))
        return refuse(t, "a number that JSON does not know");
    while (digit(t, p))
        p++;
    if (p < t->end && *p == '.') {
        if (!digit(t, ++p))
            return refuse(t, "a number that JSON does not know");
        while (digit(t, p))
            p++;
    }
    if (p < t->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < t->end && (*p == '+' || *p == '-'))
            p++;
        if (!digit(t, p))
            return refuse(t, "a number that JSON does not know");
        while (digit(t, p))
            p++;
    }
    return end_number(t, p);
}

/* Anything outside of strings and numbers. */
static int structure(struct text *t)
{
    char c = *t->p++;
    if (c == '\0' || (c < 0x20 && c > 0 && !strchr("\t\n\r", c)))
        return refuse(t, "a control character");
    if ((c == '[' || c == '{') && ++t->depth > KC_JSON_DEPTH)
        return refuse(t, "nested too deep");
    if (c == ']' || c == '}')
        t->depth--;
    return KC_OK;
}

int kc_jsontext_clean(const char *text, size_t len, struct kc_buf *out,
                      const char **why)
{
    struct text t = {
        .p = text, .end = text + len, .kept = text, .out = out, .why = why};
    int err = KC_OK;
    *why = "";
    while (err == KC_OK && t.p < t.end) {
        char c = *t.p;
        if (c == '"')
            err = string(&t);
        else if (c == '-' || (c >= '0' && c <= '9'))
            err = number(&t);
        else
            err = structure(&t);
    }
    if (err == KC_OK && out->len > 0)
        err = kc_buf_add(out, t.kept, (size_t)(t.end - t.kept));
    return err;
}
