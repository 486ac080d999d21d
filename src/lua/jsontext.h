/* jsontext.h -- JSON text made strict and harmless before a parser reads it.
 *
 * cJSON 1.7.15 cuts a string at \u0000, refuses a whole document for a lone
 * surrogate and lets raw control characters and bad UTF-8 pass. Pure.
 */
#ifndef KC_LUA_JSONTEXT_H
#define KC_LUA_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "util/buf.h"
#include "util/err.h"

#define KC_JSON_DEPTH 512 /* most lists and objects within one another */

/* kc_jsontext_clean checks the document in text[0..len), behind which there is
 * a NUL. `out` stays empty where it may be read as it is; else it gets the
 * document with U+FFFD for each lone surrogate and what is not UTF-8. *why gets
 * static words and the result is KC_EINVALID for \u0000, a raw control
 * character in a string, a number that JSON does not know (01, 1e999), and what
 * is nested deeper than KC_JSON_DEPTH. */
KC_CHECKED int kc_jsontext_clean(const char *text, size_t len,
                                 struct kc_buf *out, const char **why);

/* kc_json_plain returns how many bytes at `s` are plain ASCII, which stands in
 * a string as it is: no quote, no backslash, no control character. */
size_t kc_json_plain(const char *s, size_t len);

#endif
