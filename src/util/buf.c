/* buf.c -- see buf.h; doubles from 64 bytes up to its maximum. */
#include "util/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64

void kc_buf_init(struct kc_buf *b, size_t max)
{
    /* Room for the NUL must be countable too. */
    *b = (struct kc_buf){.max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4};
}

void kc_buf_deinit(struct kc_buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

void kc_buf_wipe(struct kc_buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    kc_buf_deinit(b);
}

int kc_buf_reserve(struct kc_buf *b, size_t n)
{
    if (n > b->max || b->len > b->max - n)
        return KC_ETOOLARGE;
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return KC_OK;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need)
        cap *= 2;
    /* Not realloc: what it leaves behind could hold a key. */
    char *data = malloc(cap);
    if (!data)
        return KC_ENOMEM;
    if (b->data) {
        memcpy(data, b->data, b->len + 1);
        explicit_bzero(b->data, b->len);
        free(b->data);
    } else {
        data[0] = '\0';
    }
    b->data = data;
    b->cap = cap;
    return KC_OK;
}

int kc_buf_add(struct kc_buf *b, const void *data, size_t n)
{
    int err = kc_buf_reserve(b, n);
    if (err != KC_OK)
        return err;
    if (n > 0)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
    return KC_OK;
}

int kc_buf_addstr(struct kc_buf *b, const char *s)
{
    return kc_buf_add(b, s, strlen(s));
}

int kc_buf_addch(struct kc_buf *b, char c)
{
    return kc_buf_add(b, &c, 1);
}

int kc_buf_addf(struct kc_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return KC_EINVALID;
    int err = kc_buf_reserve(b, (size_t)n);
    if (err != KC_OK)
        return err;
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return KC_OK;
}

void kc_buf_clear(struct kc_buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

const char *kc_buf_str(const struct kc_buf *b)
{
    return b->data ? b->data : "";
}
