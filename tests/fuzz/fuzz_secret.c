/* No eight characters of a key are left in a text that was blacked out. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "util/buf.h"
#include "util/secret.h"

static void no_piece(const char *key, size_t key_len, const struct kc_buf *text)
{
    for (size_t i = 0; i + 8 <= key_len; i++)
        if (text->len && memmem(text->data, text->len, key + i, 8))
            abort();
}

/* The first byte tells how much is the key; the rest is the text, in which each
 * byte 0x01 stands for the key and each 0x02 for a piece of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    size_t len = data[0] % 64;
    if (len > n - 1)
        len = n - 1;
    const char *key = (const char *)data + 1;
    struct kc_secret *s;
    if (kc_secret_new(key, len, &s) != KC_OK)
        return 0;
    struct kc_buf text;
    kc_buf_init(&text, 1 << 20);
    int err = KC_OK;
    for (size_t i = 1 + len; i < n && !err; i++) {
        if (data[i] == 1)
            err = kc_buf_add(&text, key, len);
        else if (data[i] == 2)
            err = kc_buf_add(&text, key + len / 3, len - len / 3);
        else
            err = kc_buf_add(&text, &data[i], 1);
    }
    size_t before = text.len;
    if (!err && kc_secret_redact(s, &text) == KC_OK) {
        if (text.len > before && len >= 3)
            abort();
        /* A key with asterisks may be made of masks. */
        if (!memchr(key, '*', len))
            no_piece(key, len, &text);
    }
    kc_buf_deinit(&text);
    kc_secret_free(s);
    return 0;
}
