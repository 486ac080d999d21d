/* json.h -- JSON between Lua values and text.
 *
 * Both ways without a tree between them, which would cost more than all else of
 * an event of a stream.
 */
#ifndef KC_LUA_JSON_H
#define KC_LUA_JSON_H

#include <lua.h>

/* [-0, +1, m] Push the module { encode, decode, null, array }. */
int lk_open_json(lua_State *L);

#endif
