/* core.h -- what the host needs of the bindings beside keycycle.h.
 */
#ifndef KC_LUA_CORE_H
#define KC_LUA_CORE_H

#include <lua.h>

#include "util/embed.h"

#define LK_MODULE "keycycle.module" /* in the registry, while it is open */

/* [-0, +0, m] Read the Lua library from `dir` (which holds keycycle/init.lua)
 * where a file is there, instead of the embedded one. Before luaopen_keycycle.
 * The folder is trusted. */
void lk_set_lua_dir(lua_State *L, const char *dir);

/* [-0, +1, m] Load an embedded text as a function, or push the error: as
 * luaL_loadbufferx, whose status it returns, does. `chunk` begins with '@'. */
int lk_load_embedded(lua_State *L, const struct kc_text *t, const char *chunk);

#endif
