/* poolinfo.c -- states of keys, statistics and redaction, for Lua. */
#include <string.h>

#include "lua/pool.h"

#define MAX_TEXT (64u * 1024 * 1024)

/* -- states -------------------------------------------------------------- */

static void set_text(lua_State *L, const char *name, const char *text)
{
    if (!*text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static const char *scope_of(const struct kc_key_info *info)
{
    if (info->of_group)
        return "group";
    return info->model[0] ? "model" : "key";
}

static int pool_key(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    struct kc_key_info info;
    int err = kc_pool_key_info(kc_ledger_pool(ledger), kc_ledger_now(ledger),
                               lk_checkindex(L, 2), luaL_optstring(L, 3, NULL),
                               &info);
    if (err != KC_OK || info.state == KC_GONE)
        return 0;
    lua_createtable(L, 0, 10);
    lua_pushinteger(L, info.index);
    lua_setfield(L, -2, "index");
    lua_pushstring(L, info.suffix);
    lua_setfield(L, -2, "suffix");
    lua_pushinteger(L, info.priority);
    lua_setfield(L, -2, "priority");
    set_text(L, "label", info.label);
    set_text(L, "group", info.group);
    set_text(L, "state", kc_state_name(info.state));
    set_text(L, "reason", info.reason);
    set_text(L, "model", info.model);
    if (info.state != KC_READY)
        set_text(L, "scope", scope_of(&info));
    if (info.until_ms) {
        lk_pushms(L, info.until_ms);
        lua_setfield(L, -2, "until_at");
    }
    return 1;
}

/* -- events -------------------------------------------------------------- */

static int pool_listen(lua_State *L)
{
    uint64_t serial;
    bool on = lua_toboolean(L, 2);
    int err = kc_ledger_listen(on ? lk_checkledger(L, 1)
                                  : lk_checkanyledger(L, 1),
                               on, &serial);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    lua_pushinteger(L, (lua_Integer)serial);
    return 1;
}

static void set_index(lua_State *L, const char *name, uint64_t value)
{
    if (value == 0)
        return;
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static int pool_event(lua_State *L)
{
    struct kc_pool *pool = lk_checkpool(L, 1);
    uint64_t serial = lk_optcount(L, 2, 0);
    struct kc_event e;
    if (kc_pool_event(pool, &serial, &e) != KC_OK)
        return 0;
    lua_pushinteger(L, (lua_Integer)serial);
    lua_createtable(L, 0, 8);
    set_text(L, "event", kc_event_name(e.type));
    set_index(L, "key_index", e.key);
    set_index(L, "from", e.from);
    set_index(L, "lost", e.lost);
    set_index(L, "amount", e.amount);
    set_text(L, "model", e.model);
    set_text(L, "reason", e.reason);
    lk_pushms(L, e.at_ms);
    lua_setfield(L, -2, "at");
    if (e.until_ms && e.until_ms != KC_NEVER) {
        lk_pushms(L, e.until_ms);
        lua_setfield(L, -2, "until_at");
    }
    return 2;
}

/* -- what refusals prove -------------------------------------------------- */

static int pool_cool(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    uint64_t until;
    int err = kc_pool_cool(kc_ledger_pool(ledger), kc_ledger_now(ledger),
                           lk_checkindex(L, 2), luaL_optstring(L, 3, NULL),
                           lk_optms(L, 4, KC_NEVER),
                           luaL_optstring(L, 5, "rate limit"), &until);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    kc_ledger_pump(ledger);
    kc_hub_hurry(kc_ledger_hub(ledger));
    lk_pushms(L, until);
    return 1;
}

static int pool_suspend(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    int err = kc_pool_suspend(kc_ledger_pool(ledger), kc_ledger_now(ledger),
                              lk_checkindex(L, 2),
                              lk_optms(L, 3, KC_CONFIRM_MS),
                              luaL_optstring(L, 4, "auth"));
    kc_ledger_pump(ledger);
    return lk_result(L, err);
}

static int pool_unpaid(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    int err =
        kc_pool_unpaid(kc_ledger_pool(ledger), kc_ledger_now(ledger),
                       lk_checkindex(L, 2), luaL_optstring(L, 3, "payment"));
    kc_ledger_pump(ledger);
    return lk_result(L, err);
}

static int pool_disable(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    int err = kc_pool_disable(kc_ledger_pool(ledger), kc_ledger_now(ledger),
                              lk_checkindex(L, 2));
    kc_ledger_pump(ledger);
    return lk_result(L, err);
}

static int pool_enable(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    int err = kc_pool_enable(kc_ledger_pool(ledger), kc_ledger_now(ledger),
                             lk_checkindex(L, 2));
    kc_ledger_pump(ledger);
    return lk_result(L, err);
}

static int pool_force_rotate(lua_State *L)
{
    kc_pool_force_rotate(lk_checkpool(L, 1));
    return 0;
}

/* -- statistics ---------------------------------------------------------- */

static void set_count(lua_State *L, const char *name, uint64_t n)
{
    lua_pushinteger(L, n > LUA_MAXINTEGER ? LUA_MAXINTEGER : (lua_Integer)n);
    lua_setfield(L, -2, name);
}

static int pool_snapshot(lua_State *L)
{
    static const char *const names[KC_WINDOWS][KC_UNITS] = {
        {"rpm", "tpm"}, {"rph", "tph"}, {"rpd", "tpd"}};
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    struct kc_snapshot s;
    int err = kc_pool_snapshot(kc_ledger_pool(ledger), kc_ledger_now(ledger),
                               (uint32_t)lk_optcount(L, 2, 0),
                               luaL_optstring(L, 3, NULL), &s);
    if (err != KC_OK)
        return 0;
    lua_createtable(L, 0, 9);
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            set_count(L, names[w][u], s.used[w][u]);
    set_count(L, "total_requests", s.total_requests);
    set_count(L, "total_tokens", s.total_tokens);
    set_count(L, "in_flight", s.in_flight);
    return 1;
}

/* -- texts out of the engine, through a box that a raise frees ----------- */

struct text_box {
    struct kc_buf buf;
};

static int text_close(lua_State *L)
{
    struct text_box *box = luaL_checkudata(L, 1, "keycycle.text");
    kc_buf_deinit(&box->buf);
    return 0;
}

struct kc_buf *lk_newtext(lua_State *L)
{
    struct text_box *box = lua_newuserdatauv(L, sizeof *box, 0);
    kc_buf_init(&box->buf, MAX_TEXT);
    luaL_setmetatable(L, "keycycle.text");
    return &box->buf;
}

static int pool_models(lua_State *L)
{
    struct kc_pool *pool = lk_checkpool(L, 1);
    struct kc_buf *name = lk_newtext(L);
    lua_newtable(L);
    for (size_t i = 0;; i++) {
        kc_buf_clear(name);
        int err = kc_pool_model(pool, i, name);
        if (err == KC_ENOMEM)
            return lk_nomem(L);
        if (err != KC_OK)
            break;
        lua_pushlstring(L, kc_buf_str(name), name->len);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int pool_redact(lua_State *L)
{
    struct kc_pool *pool = lk_checkpool(L, 1);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    uint32_t first = 1, last = kc_pool_key_count(pool);
    if (!lua_isnoneornil(L, 3))
        first = last = lk_checkindex(L, 3);
    struct kc_buf *buf = lk_newtext(L);
    int err = kc_buf_add(buf, text, len);
    for (uint32_t i = first; err == KC_OK && i <= last; i++)
        err = kc_pool_redact(pool, i, buf);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    lua_pushlstring(L, kc_buf_str(buf), buf->len);
    kc_buf_deinit(buf);
    return 1;
}

static int pool_waiting(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    struct kc_pool *pool = kc_ledger_pool(ledger);
    lua_pushinteger(L, (lua_Integer)kc_pool_waiting(pool));
    lk_pushms(L, kc_pool_longest_wait(pool, kc_ledger_now(ledger)));
    return 2;
}

static int pool_now(lua_State *L)
{
    lk_pushms(L, kc_ledger_now(lk_checkledger(L, 1)));
    return 1;
}

/* What its leases answer as `pool_id`. */
static int pool_id(lua_State *L)
{
    lua_pushlightuserdata(L, lk_checkledger(L, 1));
    return 1;
}

static int pool_clock_is_manual(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    lua_pushboolean(L, kc_clock_is_manual(kc_ledger_clock(ledger)));
    return 1;
}

static const luaL_Reg methods[] = {
    {"key", pool_key},
    {"listen", pool_listen},
    {"event", pool_event},
    {"cool", pool_cool},
    {"suspend", pool_suspend},
    {"unpaid", pool_unpaid},
    {"disable", pool_disable},
    {"enable", pool_enable},
    {"force_rotate", pool_force_rotate},
    {"snapshot", pool_snapshot},
    {"models", pool_models},
    {"redact", pool_redact},
    {"waiting", pool_waiting},
    {"now", pool_now},
    {"id", pool_id},
    {"clock_is_manual", pool_clock_is_manual},
    {NULL, NULL},
};

void lk_open_poolinfo(lua_State *L)
{
    static const luaL_Reg none[] = {{NULL, NULL}};
    lk_newclass(L, "keycycle.text", none, text_close);
    luaL_setfuncs(L, methods, 0);
}
