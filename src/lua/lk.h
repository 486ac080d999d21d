/* lk.h -- what every binding file shares: the state's runtime, failures,
 * durations, and the types' names.
 *
 * Stack notes are [-popped, +pushed, raises], as in the Lua manual.
 */
#ifndef KC_LUA_LK_H
#define KC_LUA_LK_H

#include <stdbool.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

#include "runtime/ledger.h"
#include "runtime/runtime.h"
#include "util/clock.h"

#define LK_POOL "keycycle.pool"
#define LK_LEASE "keycycle.lease"
#define LK_WAITER "keycycle.waiter"
#define LK_CALL "keycycle.call"
#define LK_CLOCK "keycycle.clock"
#define LK_TIMER "keycycle.timer"
#define LK_JOURNAL "keycycle.journal"
#define LK_READER "keycycle.reader"

struct lk_clock {
    struct kc_clock *clock;
};

struct lk_lease {
    struct kc_lease lease;
};

/* [-0, +0, v] The state's runtime, made when first asked for. Raises when it
 * cannot be made, and an error object (`closed`) after lk_close_runtime.
 * Borrowed: it lives until the state is closed. */
struct kc_runtime *lk_runtime(lua_State *L);

/* [-0, +0, -] The state's runtime, or NULL when nothing has needed one yet. */
struct kc_runtime *lk_peek_runtime(lua_State *L);

/* [-0, +0, m] End the state's runtime: see kc_runtime_close. What lives in it
 * keeps it; nobody else gets it, nor a new one, before lk_open_runtime. */
void lk_close_runtime(lua_State *L);

/* [-0, +0, m] From now on lk_runtime makes a new one, where it was closed. */
void lk_open_runtime(lua_State *L);

/* [-0, +0, m] Whether the runtime was closed. */
bool lk_is_closed(lua_State *L);

/* [-0, +2, m] nil and { code, message }; `detail` NULL: the code's own text.
 * Returns 2, for `return lk_fail(…)`. */
int lk_fail(lua_State *L, int err, const char *detail);

/* [-0, +2, m] The same, with retry_after, limit and max out of `r`. */
int lk_refuse(lua_State *L, int err, const struct kc_refusal *r);

/* [-0, +2 or +1, m] true for KC_OK, else as lk_fail. Returns the count. */
int lk_result(lua_State *L, int err);

/* [-0, +0, v] Raise an error object of that code: what the function given to
 * core.set_error makes of (code, message). Does not return. */
int lk_raise(lua_State *L, int err);

/* [-0, +0, m] Raise Lua's own error for memory that ran out, where nothing else
 * can be told from a wrong value. Does not return. */
int lk_nomem(lua_State *L);

/* [-0, +0, v] Seconds at `arg`, rounded up to ms; `def` for none or nil. */
uint64_t lk_optms(lua_State *L, int arg, uint64_t def);

/* [-0, +0, v] The field `name` of the table at `arg`, as lk_optms. */
uint64_t lk_fieldms(lua_State *L, int arg, const char *name, uint64_t def);

/* [-0, +0, v] A non-negative integer at `arg`; `def` for none or nil. */
uint64_t lk_optcount(lua_State *L, int arg, uint64_t def);

/* [-0, +1, v] Push the field `name` of the table at `arg`, checked to be a
 * string or nil. Returns it, or NULL; borrowed while it is on the stack. */
const char *lk_fieldstr(lua_State *L, int arg, const char *name);

/* [-0, +0, v] The boolean field `name` of the table at `arg`. */
bool lk_fieldbool(lua_State *L, int arg, const char *name);

/* [-0, +1, m] Push ms as seconds. */
void lk_pushms(lua_State *L, uint64_t ms);

/* [-0, +0, m] Make the metatable `name`: methods in __index, `close` as
 * __close and __gc, the name as __metatable. */
void lk_newclass(lua_State *L, const char *name, const luaL_Reg *methods,
                 lua_CFunction close);

/* [-(n+1), +results, -] Call what lies below `n` arguments in protected mode,
 * with a traceback in a string error. Returns LUA_OK or the status. */
int lk_pcall(lua_State *L, int n, int results);

/* [-0, +1, m] Push an empty lease, ready to be filled. */
struct lk_lease *lk_newlease(lua_State *L);

/* [-0, +0, v] The ledger of the pool at `arg`. */
struct kc_ledger *lk_checkledger(lua_State *L, int arg);

/* [-0, +0, v] The lease at `arg`, or NULL for none or nil; settled or not. */
struct kc_lease *lk_optlease(lua_State *L, int arg);

/* [-0, +0, v] The clock at `arg`, or NULL for none or nil. Borrowed. */
struct kc_clock *lk_optclock(lua_State *L, int arg);

/* [-0, +0, m] Each adds its functions to the table at the top and makes its
 * metatables. */
void lk_open_clock(lua_State *L);
void lk_open_pool(lua_State *L);
void lk_open_lease(lua_State *L);
void lk_open_call(lua_State *L);
void lk_open_store(lua_State *L);
void lk_open_reader(lua_State *L);
void lk_open_files(lua_State *L);
void lk_open_box(lua_State *L);
void lk_open_transport(lua_State *L);

#endif
