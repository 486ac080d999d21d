/* json.h -- JSON between Lua values and text.
 *
 * Decoding is cJSON's, after a check of what cJSON lets pass; encoding is our
 * own, because cJSON holds every number as a double.
 */
#ifndef KC_LUA_JSON_H
#define KC_LUA_JSON_H

#include <lua.h>

/* [-0, +1, m] Push the module { encode, decode, null, array }. */
int lk_open_json(lua_State *L);

#endif
