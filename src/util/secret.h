/* secret.h -- the one C type that holds an API key.
 *
 * It has one printer (the last characters), is wiped when freed, and knows how
 * to black itself out of text that a provider echoes back.
 */
#ifndef KC_UTIL_SECRET_H
#define KC_UTIL_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/err.h"

#define KC_SUFFIX_MAX 8 /* bytes of kc_secret_suffix's answer, NUL included */

struct kc_secret;

/* kc_secret_new copies `len` bytes of `text`. KC_EINVALID for an empty one, for
 * control characters or spaces inside (they would break a header). */
KC_CHECKED int kc_secret_new(const char *text, size_t len,
                             struct kc_secret **out);

/* kc_secret_free wipes and frees; takes NULL. */
void kc_secret_free(struct kc_secret *s);

/* kc_secret_get returns the key itself, NUL-terminated: for a header about to
 * be sent or a program that asked. Borrowed until kc_secret_free. */
const char *kc_secret_get(const struct kc_secret *s);
size_t kc_secret_len(const struct kc_secret *s);

/* kc_secret_suffix writes what may be shown: the last 6 characters of a key of
 * 20 or more, the last 4 of one of 12 or more, the last 2 of one of 8 or more,
 * "" for a shorter one. */
void kc_secret_suffix(const struct kc_secret *s, char out[KC_SUFFIX_MAX]);

/* kc_secret_hash writes 32 hex digits of SHA-256("keycycle:" + key): the name
 * under which a store knows the key. */
void kc_secret_hash(const struct kc_secret *s, char out[33]);

/* kc_secret_redact replaces in `text` the key, each piece of it of 8 or more
 * characters, and a beginning of it of 3 or more that a mask follows (`*`,
 * three dots), by "***". A key shorter than 8 goes as a whole and where it
 * stands alone, one shorter than 3 never. Works in place and does not fail. */
KC_CHECKED int kc_secret_redact(const struct kc_secret *s, struct kc_buf *text);

#endif
