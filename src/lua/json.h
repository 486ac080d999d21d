/* json.h -- JSON between Lua values and text.
 *
 * Decoding is strict (RFC 8259) and lets nothing harmful through: a lone
 * surrogate and what is not UTF-8 become U+FFFD, a BOM is dropped, \u0000 and
 * raw control characters are refused, and what is nested deeper than
 * KC_JSON_DEPTH.
 */
#ifndef KC_LUA_JSON_H
#define KC_LUA_JSON_H

#include <stddef.h>

#include <lua.h>

/* [-0, +1, m] Push the module { encode, decode, null, array }. */
int lk_open_json(lua_State *L);

/* [-0, +1, m] Push the value of `text` and return KC_OK, or push words and
 * return a code. `keep_null`: null in an object is json.null, else absent. */
int lk_json_decode(lua_State *L, const char *text, size_t len, int keep_null);

#endif
