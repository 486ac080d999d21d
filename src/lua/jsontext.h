/* jsontext.h -- what reading and writing JSON share. Pure.
 */
#ifndef KC_LUA_JSONTEXT_H
#define KC_LUA_JSONTEXT_H

#include <stddef.h>

#define KC_JSON_DEPTH 512 /* most lists and objects within one another */

/* kc_json_plain returns how many bytes at `s` are plain ASCII, which stands in
 * a string as it is: no quote, no backslash, no control character. */
size_t kc_json_plain(const char *s, size_t len);

#endif
