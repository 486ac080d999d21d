/* coroutines.h -- coroutines that a signal can stop.
 *
 * Lua's hooks belong to one thread of a state, and nothing tells which one
 * runs: so `coroutine.resume` and `coroutine.wrap` are replaced by their like
 * that tell signals.h.
 */
#ifndef KC_HOST_COROUTINES_H
#define KC_HOST_COROUTINES_H

#include <lua.h>

/* kc_coroutines_watch replaces the two in the library `coroutine` of `L`. */
void kc_coroutines_watch(lua_State *L);

#endif
