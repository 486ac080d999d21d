/* utf8.h -- what is UTF-8 (RFC 3629: no surrogates, shortest form). Pure.
 */
#ifndef KC_UTIL_UTF8_H
#define KC_UTIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* kc_utf8_len returns the length of the character at `s`, of at most `left`
 * bytes; 0 when it is none. */
size_t kc_utf8_len(const char *s, size_t left);

/* kc_is_utf8: all of a text. */
bool kc_is_utf8(const char *s);

#endif
