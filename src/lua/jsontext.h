/* jsontext.h -- the pieces of JSON text: characters, escapes, numbers. Pure.
 */
#ifndef KC_LUA_JSONTEXT_H
#define KC_LUA_JSONTEXT_H

#include <stddef.h>

#define KC_JSON_DEPTH 512 /* most lists and objects within one another */
#define KC_FFFD "\xef\xbf\xbd"

/* kc_utf8_len returns the length of the character at `s`, of at most `left`
 * bytes; 0 when it is not UTF-8 (RFC 3629: no surrogates, shortest form). */
size_t kc_utf8_len(const char *s, size_t left);

/* kc_json_plain returns how many bytes at `s` are plain ASCII, which stands in
 * a string as it is: no quote, no backslash, no control character. */
size_t kc_json_plain(const char *s, size_t len);

/* kc_json_escape reads the escape whose backslash stands at `p`: returns the
 * place behind it and writes the character, of *len bytes, to `out`. A lone
 * surrogate becomes U+FFFD. NULL and static words in *why for what is none, and
 * for \u0000. */
const char *kc_json_escape(const char *p, const char *end, char out[4],
                           size_t *len, const char **why);

/* kc_json_number returns the end of the number that begins at `p`, NULL where
 * none does (RFC 8259, section 6). */
const char *kc_json_number(const char *p, const char *end);

#endif
