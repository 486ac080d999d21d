/* pool.h -- what the binding files of the pool share.
 */
#ifndef KC_LUA_POOL_H
#define KC_LUA_POOL_H

#include "lua/lk.h"

/* [-0, +0, v] The ledger at `arg`, a forked one too, which lk_checkledger does
 * not give. */
struct kc_ledger *lk_checkanyledger(lua_State *L, int arg);

/* [-0, +0, v] The engine's pool behind the pool at `arg`. */
struct kc_pool *lk_checkpool(lua_State *L, int arg);

/* [-0, +0, v] An index of a key at `arg`, 0 included. */
uint32_t lk_checkindex(lua_State *L, int arg);

/* [-0, +0, v] The affinity of the string at `arg`; 0 for none or nil. */
uint64_t lk_optaffinity(lua_State *L, int arg);

/* [-0, +1, m] Push a box for text out of the engine, which a raise frees. */
struct kc_buf *lk_newtext(lua_State *L);

/* pool:wait(model, tokens, opts), in lease.c */
int lk_pool_wait(lua_State *L);

/* pool:params(index), in lease.c */
int lk_pool_params(lua_State *L);

/* [-0, +0, m] Add poolinfo.c's methods to the table at the top. */
void lk_open_poolinfo(lua_State *L);

/* [-0, +0, m] The same with share.c's. */
void lk_open_share(lua_State *L);

#endif
