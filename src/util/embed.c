/* embed.c -- see embed.h. */
#include "util/embed.h"

#include <stdlib.h>

#include "util/lz4.h"

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
