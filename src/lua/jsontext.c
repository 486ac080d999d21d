/* jsontext.c -- see jsontext.h; one pass, no recursion. */
#include "lua/jsontext.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FFFD "\xef\xbf\xbd"
#define LONGEST_NUMBER 60

struct text {
    const char *p, *end;
    struct kc_buf *out;
    const char **why;
    int depth;
};

static int refuse(struct text *t, const char *why)
{
    *t->why = why;
    return KC_EINVALID;
}

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
        int err = kc_buf_add(t->out, t->p, 2);
        t->p += 2;
        return err;
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
    int err = lone ? kc_buf_addstr(t->out, FFFD) : kc_buf_add(t->out, t->p, n);
    t->p += n;
    return err;
}

/* Past the opening quote, which is copied already. */
static int string(struct text *t)
{
    while (t->p < t->end) {
        unsigned char c = (unsigned char)*t->p;
        int err;
        if (c == '"')
            return kc_buf_addch(t->out, *t->p++);
        if (c == '\\') {
            err = escape(t);
        } else if (c < 0x20) {
            return refuse(t, "a control character in a string");
        } else if (c < 0x80) {
            size_t n = 1; /* plain runs are most of every document */
            while (t->p + n < t->end && (unsigned char)t->p[n] >= 0x20 &&
                   (unsigned char)t->p[n] < 0x80 && t->p[n] != '"' &&
                   t->p[n] != '\\')
                n++;
            err = kc_buf_add(t->out, t->p, n);
            t->p += n;
        } else {
            size_t n = kc_utf8_len(t->p, (size_t)(t->end - t->p));
            err = n ? kc_buf_add(t->out, t->p, n) : kc_buf_addstr(t->out, FFFD);
            t->p += n ? n : 1;
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

/* Copies the number that ends at `end`. cJSON reads at most 63 characters of
 * one: a longer one is written anew, as the double that it means. */
static int copy_number(struct text *t, const char *end)
{
    size_t start = t->out->len, n = (size_t)(end - t->p);
    char text[32];
    int err = kc_buf_add(t->out, t->p, n);
    t->p = end;
    if (err != KC_OK)
        return err;
    double d = strtod(t->out->data + start, NULL);
    if (isinf(d))
        return refuse(t, "a number too large");
    if (n <= LONGEST_NUMBER)
        return KC_OK;
    snprintf(text, sizeof text, "%.17g", d);
    t->out->len = start;
    return kc_buf_addstr(t->out, text);
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
    return copy_number(t, p);
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
    return kc_buf_addch(t->out, c);
}

int kc_jsontext_clean(const char *text, size_t len, struct kc_buf *out,
                      const char **why)
{
    struct text t = {.p = text, .end = text + len, .out = out, .why = why};
    *why = "";
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        t.p += 3;
    int err = kc_buf_reserve(out, len);
    while (err == KC_OK && t.p < t.end) {
        char c = *t.p;
        if (c == '"') {
            err = kc_buf_addch(out, c);
            t.p++;
            if (err == KC_OK)
                err = string(&t);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            err = number(&t);
        } else {
            err = structure(&t);
        }
    }
    return err;
}
