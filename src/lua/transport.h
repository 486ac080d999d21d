/* transport.h -- what call.c and core.c need of the transports that Lua brings.
 */
#ifndef KC_LUA_TRANSPORT_H
#define KC_LUA_TRANSPORT_H

#include <lua.h>

#include "runtime/carrier.h"

struct lk_transport;

/* [-0, +0, v] The transport at `arg`, which is nil or one of Lua's, and what
 * carries its calls; both are NULL for nil. Borrowed while it is on the stack.
 */
struct kc_carrier *lk_opttransport(lua_State *L, int arg,
                                   struct lk_transport **out);

/* [-0, +0, -] While a call of `t` begins, its `start` is called in `L`. Returns
 * what it was before, to be set again. Takes NULL for `t`. */
lua_State *lk_transport_in(struct lk_transport *t, lua_State *L);

/* [-0, +0, -] Call the `cancel` and `pause` of Lua's transports that are due:
 * to be done after whatever may end a call, or read of it. */
void lk_transport_tell(lua_State *L);

#endif
