/* modules.h -- the Lua modules that only the program has, and those of the
 * library that are loaded.
 */
#ifndef KC_HOST_MODULES_H
#define KC_HOST_MODULES_H

#include <lua.h>
#include <stdbool.h>

/* [-0, +0, m] kc_modules_preload has `require` find what the commands are made
 * of: scripts/mock/turn.lua is "keycycle.mock.turn". */
void kc_modules_preload(lua_State *L);

/* [-0, +1 or +0, m] kc_modules_push pushes the function `name` of a module;
 * false, with nothing pushed, where that is not loaded. */
bool kc_modules_push(lua_State *L, const char *module, const char *name);

#endif
