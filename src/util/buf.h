/* buf.h -- a growing byte buffer with a hard maximum.
 *
 * The maximum is given at init and never passed: outside bytes cannot make us
 * grow without end. The bytes are always followed by a NUL that is not counted.
 * Not thread-safe; each buffer has one owner.
 */
#ifndef KC_UTIL_BUF_H
#define KC_UTIL_BUF_H

#include <stddef.h>

#include "util/err.h"

struct kc_buf {
    char *data; /* NUL-terminated, or NULL while nothing was added */
    size_t len;
    size_t cap;
    size_t max; /* most bytes it may hold */
};

/* kc_buf_init makes an empty buffer that will hold at most `max` bytes. */
void kc_buf_init(struct kc_buf *b, size_t max);

/* kc_buf_deinit frees the bytes; the buffer may be used again. */
void kc_buf_deinit(struct kc_buf *b);

/* kc_buf_wipe overwrites the bytes, then frees them: for what held a key. */
void kc_buf_wipe(struct kc_buf *b);

/* kc_buf_add appends `n` bytes. KC_ETOOLARGE or KC_ENOMEM leave it as it was.
 */
KC_CHECKED int kc_buf_add(struct kc_buf *b, const void *data, size_t n);
KC_CHECKED int kc_buf_addstr(struct kc_buf *b, const char *s);
KC_CHECKED int kc_buf_addch(struct kc_buf *b, char c);

/* kc_buf_addf appends printf-formatted text. */
KC_CHECKED int kc_buf_addf(struct kc_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* kc_buf_reserve makes room for `n` more bytes; kc_buf_add then cannot fail. */
KC_CHECKED int kc_buf_reserve(struct kc_buf *b, size_t n);

/* kc_buf_clear forgets the bytes and keeps the memory. */
void kc_buf_clear(struct kc_buf *b);

/* kc_buf_str returns the text; "" for an empty one. Borrowed until a change. */
const char *kc_buf_str(const struct kc_buf *b);

#endif
