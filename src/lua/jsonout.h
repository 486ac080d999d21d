/* jsonout.h -- Lua values written as JSON, and the two marks that JSON needs
 * in Lua: null, and a table that is an array.
 */
#ifndef KC_LUA_JSONOUT_H
#define KC_LUA_JSONOUT_H

#include <lua.h>

#include "util/buf.h"

#define LK_JSON_ARRAY "keycycle.json.array"

/* [-0, +0, m] Make json.null and the array metatable. */
void lk_json_init(lua_State *L);

/* [-0, +1, -] Push json.null. */
void lk_json_pushnull(lua_State *L);

/* [-0, +0 or +1, m] Append the value at `index` to `out`; or push words that
 * name the place (`messages[2].content: invalid UTF-8`) and return a code.
 * Integers are exact; a float is the shortest text that reads back the same. */
int lk_json_encode(lua_State *L, int index, struct kc_buf *out);

#endif
