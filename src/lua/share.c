/* share.c -- one pool for several Lua states, by name. */
#include "lua/pool.h"

static int pool_share(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    const char *name = luaL_checkstring(L, 2);
    return lk_result(L, kc_ledger_share(ledger, name, lua_toboolean(L, 3)));
}

static int pool_lined_models(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    const char *name = luaL_checkstring(L, 2);
    const char *provider = kc_ledger_provider(ledger);
    struct kc_buf *model = lk_newtext(L);
    lua_newtable(L);
    for (size_t i = 0;; i++) {
        kc_buf_clear(model);
        int err = kc_hub_peek(name, provider, i, model);
        if (err == KC_ENOMEM)
            return lk_nomem(L);
        if (err != KC_OK)
            break;
        lua_pushlstring(L, kc_buf_str(model), model->len);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int pool_same(lua_State *L)
{
    lua_pushboolean(L, kc_pool_same(lk_checkpool(L, 1), lk_checkpool(L, 2)));
    return 1;
}

static int pool_claim(lua_State *L)
{
    lua_pushboolean(L, kc_hub_claim(kc_ledger_hub(lk_checkledger(L, 1))));
    return 1;
}

static int pool_release(lua_State *L)
{
    kc_hub_release(kc_ledger_hub(lk_checkledger(L, 1)));
    return 0;
}

static const luaL_Reg methods[] = {
    {"share", pool_share}, {"lined_models", pool_lined_models},
    {"same", pool_same},   {"claim", pool_claim},
    {"release", pool_release}, {NULL, NULL},
};

void lk_open_share(lua_State *L)
{
    luaL_setfuncs(L, methods, 0);
}
