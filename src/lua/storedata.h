/* storedata.h -- rows of a store as plain Lua tables: see store/data.lua. */
#ifndef KC_LUA_STOREDATA_H
#define KC_LUA_STOREDATA_H

#include "lua/lk.h"
#include "store/rows.h"

/* [-0, +1, m] Push a box for rows, which a raise frees. */
struct kc_rows *lk_newrows(lua_State *L);

/* [-0, +0, v] Add what the table at `arg` says. */
void lk_torows(lua_State *L, int arg, struct kc_rows *rows);

/* [-0, +1, m] Push a table that says it. */
void lk_pushrows(lua_State *L, const struct kc_rows *rows);

/* [-0, +0, m] Make the metatable. */
void lk_open_storedata(lua_State *L);

#endif
