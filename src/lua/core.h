/* core.h -- what the host needs of the bindings beside keycycle.h.
 */
#ifndef KC_LUA_CORE_H
#define KC_LUA_CORE_H

#include <lua.h>

#define LK_MODULE "keycycle.module" /* in the registry, while it is open */

/* [-0, +0, m] Read the Lua library from `dir` (which holds keycycle/init.lua)
 * where a file is there, instead of the embedded one. Before luaopen_keycycle.
 * The folder is trusted. */
void lk_set_lua_dir(lua_State *L, const char *dir);

#endif
