/* headers.c -- see headers.h. */
#include "net/headers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/ascii.h"

void kc_headers_init(struct kc_headers *h)
{
    *h = (struct kc_headers){0};
}

static void drop(struct kc_header *f)
{
    explicit_bzero(f->value, strlen(f->value));
    free(f->name);
    free(f->value);
}

void kc_headers_clear(struct kc_headers *h)
{
    for (size_t i = 0; i < h->len; i++)
        drop(&h->list[i]);
    h->len = 0;
}

void kc_headers_deinit(struct kc_headers *h)
{
    kc_headers_clear(h);
    free(h->list);
    kc_headers_init(h);
}

/* RFC 9110, sections 5.1 and 5.5. */
static bool is_field(const char *name, const char *value)
{
    if (!*name)
        return false;
    for (const char *p = name; *p; p++)
        if (!kc_is_alnum(*p) && !strchr("!#$%&'*+-.^_`|~", *p))
            return false;
    for (const unsigned char *p = (const unsigned char *)value; *p; p++)
        if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
            return false;
    return true;
}

int kc_headers_add(struct kc_headers *h, const char *name, const char *value)
{
    if (!is_field(name, value))
        return KC_EINVALID;
    if (h->len == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 16;
        struct kc_header *list = realloc(h->list, cap * sizeof *list);
        if (!list)
            return KC_ENOMEM;
        h->list = list;
        h->cap = cap;
    }
    struct kc_header f = {.name = strdup(name), .value = strdup(value)};
    if (!f.name || !f.value) {
        free(f.name);
        free(f.value);
        return KC_ENOMEM;
    }
    for (char *p = f.name; *p; p++)
        *p = kc_lower(*p);
    h->list[h->len++] = f;
    return KC_OK;
}

int kc_headers_set(struct kc_headers *h, const char *name, const char *value)
{
    int err = kc_headers_add(h, name, value);
    if (err != KC_OK)
        return err;
    size_t kept = 0, last = h->len - 1;
    for (size_t i = 0; i < h->len; i++) {
        if (i < last && kc_same_word(h->list[i].name, name))
            drop(&h->list[i]);
        else
            h->list[kept++] = h->list[i];
    }
    h->len = kept;
    return KC_OK;
}

const char *kc_headers_get(const struct kc_headers *h, const char *name)
{
    for (size_t i = 0; i < h->len; i++)
        if (kc_same_word(h->list[i].name, name))
            return h->list[i].value;
    return NULL;
}
