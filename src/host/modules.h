/* modules.h -- the Lua modules that only the program has.
 */
#ifndef KC_HOST_MODULES_H
#define KC_HOST_MODULES_H

#include <lua.h>

/* [-0, +0, m] kc_modules_preload has `require` find what the commands are made
 * of: scripts/mock/turn.lua is "keycycle.mock.turn". */
void kc_modules_preload(lua_State *L);

#endif
