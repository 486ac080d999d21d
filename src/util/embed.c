/* embed.c -- see embed.h. */
#include "util/embed.h"

#include <stdlib.h>
#include <string.h>

#include "util/lz4.h"

const struct kc_text *kc_text_find(const struct kc_text *table,
                                   const char *name, size_t len)
{
    for (const struct kc_text *t = table; t->name; t++)
        if (strlen(t->name) == len && memcmp(t->name, name, len) == 0)
            return t;
    return NULL;
}

int kc_text_unpack(const struct kc_text *t, char **text)
{
    *text = malloc(t->len + 1);
    if (!*text)
        return KC_ENOMEM;
    int err = kc_lz4_decode(t->packed, t->packed_len, *text, t->len);
    if (err) {
        free(*text);
        *text = NULL;
        return err;
    }
    (*text)[t->len] = '\0';
    return KC_OK;
}
