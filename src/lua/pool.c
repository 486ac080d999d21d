/* pool.c -- a provider's pool of keys, for Lua: keys, limits, acquire.
 *
 * What the pool can tell about itself (states, statistics) is poolinfo.c's.
 */
#include <math.h>

#include "lua/pool.h"
#include "util/rng.h"


struct lk_pool {
    struct kc_ledger *ledger;
};

struct kc_ledger *lk_checkanyledger(lua_State *L, int arg)
{
    struct lk_pool *box = luaL_checkudata(L, arg, LK_POOL);
    luaL_argcheck(L, box->ledger, arg, "the pool was collected");
    return box->ledger;
}

struct kc_ledger *lk_checkledger(lua_State *L, int arg)
{
    struct kc_ledger *ledger = lk_checkanyledger(L, arg);
    if (kc_ledger_is_forked(ledger))
        lk_raise(L, KC_EFORKED);
    return ledger;
}

struct kc_pool *lk_checkpool(lua_State *L, int arg)
{
    return kc_ledger_pool(lk_checkledger(L, arg));
}

uint32_t lk_checkindex(lua_State *L, int arg)
{
    lua_Integer i = luaL_checkinteger(L, arg);
    luaL_argcheck(L, i >= 0 && i <= UINT32_MAX, arg, "not an index of a key");
    return (uint32_t)i;
}

static int option(lua_State *L, int arg, const char *name, const char *def,
                  const char *const names[])
{
    if (lua_getfield(L, arg, name) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushstring(L, def);
    }
    int choice = luaL_checkoption(L, -1, def, names);
    lua_pop(L, 1);
    return choice;
}

uint64_t lk_optaffinity(lua_State *L, int arg)
{
    const char *text = luaL_optstring(L, arg, NULL);
    return text ? kc_affinity(text) : 0;
}

static const char *const strategies[] = {"per_model", "global", NULL};
static const char *const selections[] = {
    "balanced", "round_robin",    "random_two", "fill_first",
    "weighted", "most_remaining", "best_fit",   NULL};

static int core_pool(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct kc_pool_config config = {
        .strategy =
            (enum kc_strategy)option(L, 1, "strategy", "per_model", strategies),
        .selection = (enum kc_selection)option(L, 1, "selection", "balanced",
                                               selections),
        .max_waiters = KC_MAX_WAITERS,
        .max_lease_ms = lk_fieldms(L, 1, "max_lease_seconds", KC_MAX_LEASE_MS),
        .guard_ms = lk_fieldms(L, 1, "guard_seconds", KC_GUARD_MS),
        .seed = kc_rng_entropy(),
        .random_start = lk_fieldbool(L, 1, "random_start"),
    };
    if (lua_getfield(L, 1, "max_wait_queue") != LUA_TNIL)
        config.max_waiters = lk_checkindex(L, -1);
    lua_pop(L, 1);
    const char *provider = lk_fieldstr(L, 1, "provider");
    luaL_argcheck(L, provider, 1, "provider is missing");
    lua_getfield(L, 1, "clock");
    struct kc_clock *clock = lk_optclock(L, -1);
    struct kc_runtime *rt = lk_runtime(L);
    struct lk_pool *box = lua_newuserdatauv(L, sizeof *box, 0);
    box->ledger = NULL;
    luaL_setmetatable(L, LK_POOL);
    int err = kc_ledger_new(rt, provider, &config, clock, &box->ledger);
    return err == KC_OK ? 1 : lk_fail(L, err, NULL);
}

static int pool_collect(lua_State *L)
{
    struct lk_pool *box = luaL_checkudata(L, 1, LK_POOL);
    kc_ledger_unref(box->ledger);
    box->ledger = NULL;
    return 0;
}

/* close() -> whether it was there: finalizers run in turn, and the pool's may
 * come before that of whoever closes it. */
static int pool_close(lua_State *L)
{
    struct lk_pool *box = luaL_checkudata(L, 1, LK_POOL);
    if (box->ledger)
        kc_ledger_close(box->ledger);
    lua_pushboolean(L, box->ledger != NULL);
    return 1;
}

/* -- keys ---------------------------------------------------------------- */

/* [-0, +0, v] Point `params` at the string pairs of the table at `t`; the
 * texts stay alive in that table. */
static size_t read_params(lua_State *L, int t, struct kc_param *params,
                          size_t max)
{
    size_t n = 0;
    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "a key's parameters are strings");
        if (n == max)
            luaL_error(L, "a key has at most %d parameters", (int)max);
        params[n].name = lua_tostring(L, -2);
        params[n++].value = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    return n;
}

/* [-0, +0, v] The same with a list of strings. */
static size_t read_texts(lua_State *L, int t, const char **texts, size_t max)
{
    size_t n = (size_t)luaL_len(L, t);
    if (n > max)
        luaL_error(L, "a key has at most %d models", (int)max);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, t, (lua_Integer)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "a key's models are strings");
        texts[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    return n;
}

static int pool_add_key(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    struct kc_param params[32];
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    const char *models[256];
    struct kc_key_config key = {.params = params, .models = models};
    key.secret = lk_fieldstr(L, 2, "api_key");
    luaL_argcheck(L, key.secret, 2, "api_key is missing");
    key.label = lk_fieldstr(L, 2, "label");
    key.group = lk_fieldstr(L, 2, "group");
    if (lua_getfield(L, 2, "priority") != LUA_TNIL)
        key.priority = (int)luaL_checkinteger(L, -1);
    if (lua_getfield(L, 2, "params") == LUA_TTABLE)
        key.param_count = read_params(L, lua_gettop(L), params,
                                      sizeof params / sizeof params[0]);
    if (lua_getfield(L, 2, "models") == LUA_TTABLE)
        key.model_count = read_texts(L, lua_gettop(L), models,
                                     sizeof models / sizeof models[0]);
    if (lua_getfield(L, 2, "weight") != LUA_TNIL)
        key.weight = lk_checkindex(L, lua_gettop(L));
    uint32_t index;
    int err = kc_pool_add_key(kc_ledger_pool(ledger), kc_ledger_now(ledger),
                              &key, &index);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    kc_hub_note_key(kc_ledger_hub(ledger));
    lua_pushinteger(L, index);
    return 1;
}

static int pool_remove_key(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    return lk_result(L, kc_pool_remove_key(kc_ledger_pool(ledger),
                                           kc_ledger_now(ledger),
                                           lk_checkindex(L, 2)));
}

/* A change of keys and limits takes several calls: who waits is not served
 * before the last of them, which is this. */
static int pool_pump(lua_State *L)
{
    kc_ledger_pump(lk_checkledger(L, 1));
    return 0;
}

static int pool_keys_noted(lua_State *L)
{
    struct kc_hub *hub = kc_ledger_hub(lk_checkledger(L, 1));
    lua_pushinteger(L, kc_hub_keys_noted(hub));
    return 1;
}

static int pool_find(lua_State *L)
{
    struct kc_pool *pool = lk_checkpool(L, 1);
    size_t len;
    const char *id = luaL_checklstring(L, 2, &len);
    uint32_t index;
    int err = kc_pool_find_key(pool, id, len, &index);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    lua_pushinteger(L, index);
    return 1;
}

static int pool_key_count(lua_State *L)
{
    lua_pushinteger(L, kc_pool_key_count(lk_checkpool(L, 1)));
    return 1;
}

/* -- limits -------------------------------------------------------------- */

static void read_limit(lua_State *L, int t, const char *name, uint64_t *out)
{
    if (lua_getfield(L, t, name) != LUA_TNIL)
        *out = lk_optcount(L, lua_gettop(L), 0);
    lua_pop(L, 1);
}

/* [-0, +0, v] Two limits of the table at `t` on a window. */
static void read_side(lua_State *L, int t, struct kc_limits *limits,
                      uint64_t span_ms, bool parts,
                      const char *const names[KC_UNITS])
{
    uint64_t max[KC_UNITS] = {KC_UNLIMITED, KC_UNLIMITED};
    for (int u = 0; u < KC_UNITS; u++)
        read_limit(L, t, names[u], &max[u]);
    if (kc_limits_lower(limits, span_ms, parts, max) != KC_OK)
        luaL_error(L, "more than %d windows", KC_SIDES_MAX);
}

/* [-0, +0, v] One window, { seconds =, requests =, … }, at the top. */
static void read_window(lua_State *L, struct kc_limits *limits)
{
    static const char *const names[2][KC_UNITS] = {
        {"requests", "tokens"}, {"input_tokens", "output_tokens"}};
    int t = lua_gettop(L);
    uint64_t span_ms = lk_fieldms(L, t, "seconds", 0);
    if (span_ms == 0 || span_ms > KC_SPAN_MAX_MS)
        luaL_error(L, "a window has from 0.001 to %d seconds",
                   (int)(KC_SPAN_MAX_MS / 1000));
    for (int parts = 0; parts < 2; parts++)
        read_side(L, t, limits, span_ms, parts, names[parts]);
}

/* [-0, +0, v] The windows beyond the common three of the table at `t`. */
static void read_sides(lua_State *L, int t, struct kc_limits *limits)
{
    static const char *const names[KC_UNITS] = {"input_tokens_per_minute",
                                                "output_tokens_per_minute"};
    read_side(L, t, limits, kc_window_ms(KC_MINUTE), true, names);
    if (lua_getfield(L, t, "windows") == LUA_TTABLE) {
        lua_Integer n = luaL_len(L, -1);
        for (lua_Integer i = 1; i <= n; i++) {
            lua_rawgeti(L, -1, i);
            luaL_checktype(L, -1, LUA_TTABLE);
            read_window(L, limits);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

/* [-0, +0, v] The day of the calendar that the table at `t` asks for. */
static void read_day(lua_State *L, int t, struct kc_limits *limits)
{
    const char *name = lk_fieldstr(L, t, "day_resets_at");
    if (name && kc_zone_find(name, &limits->zone) != KC_OK)
        luaL_error(L, "no such time zone: %s", name);
    limits->calendar = name != NULL;
    lua_pop(L, 1);
}

/* zone_known(name) -> boolean */
static int core_zone_known(lua_State *L)
{
    struct kc_zone zone;
    lua_pushboolean(L, kc_zone_find(luaL_checkstring(L, 1), &zone) == KC_OK);
    return 1;
}

/* zone_midnight(name, at) -> seconds since the epoch; nil: no such zone */
static int core_zone_midnight(lua_State *L)
{
    struct kc_zone zone;
    const char *name = luaL_checkstring(L, 1);
    lua_Number at = luaL_checknumber(L, 2);
    luaL_argcheck(L, at >= 0 && at < 1e11, 2, "seconds since the epoch");
    if (kc_zone_find(name, &zone) != KC_OK)
        return 0;
    lk_pushms(L, kc_zone_midnight(&zone, (uint64_t)at * 1000));
    return 1;
}

static int pool_set_limits(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    uint32_t key = lk_checkindex(L, 2);
    const char *model = luaL_optstring(L, 3, NULL);
    struct kc_limits limits;
    kc_limits_unlimited(&limits);
    if (!lua_isnoneornil(L, 4)) {
        luaL_checktype(L, 4, LUA_TTABLE);
        for (enum kc_window w = 0; w < KC_WINDOWS; w++)
            for (enum kc_unit u = 0; u < KC_UNITS; u++)
                read_limit(L, 4, kc_limit_name(w, u), &limits.max[w][u]);
        read_sides(L, 4, &limits);
        read_limit(L, 4, "concurrent_requests", &limits.concurrent);
        read_day(L, 4, &limits);
    }
    return lk_result(L, kc_pool_set_limits(kc_ledger_pool(ledger),
                                           kc_ledger_now(ledger), key, model,
                                           &limits));
}

static int pool_set_only(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    return lk_result(L, kc_pool_set_only(kc_ledger_pool(ledger),
                                         kc_ledger_now(ledger),
                                         luaL_optstring(L, 2, NULL)));
}

static int pool_clear_limits(lua_State *L)
{
    kc_pool_clear_limits(lk_checkpool(L, 1));
    return 0;
}

static void push_limit(lua_State *L, const char *name, uint64_t value)
{
    if (value > LUA_MAXINTEGER)
        return; /* unlimited */
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

/* [-0, +0, m] Into the table at the top, as read_sides takes them. */
static void push_sides(lua_State *L, const struct kc_limits *limits)
{
    lua_Integer n = 0;
    lua_newtable(L);
    for (uint32_t i = 0; i < limits->side_count; i++) {
        const struct kc_side_limit *side = &limits->sides[i];
        bool minute = side->parts && side->span_ms == kc_window_ms(KC_MINUTE);
        if (minute) {
            lua_insert(L, -2); /* these two have names of their own */
            push_limit(L, "input_tokens_per_minute", side->max[0]);
            push_limit(L, "output_tokens_per_minute", side->max[1]);
            lua_insert(L, -2);
            continue;
        }
        lua_createtable(L, 0, 3);
        lk_pushms(L, side->span_ms);
        lua_setfield(L, -2, "seconds");
        push_limit(L, side->parts ? "input_tokens" : "requests", side->max[0]);
        push_limit(L, side->parts ? "output_tokens" : "tokens", side->max[1]);
        lua_rawseti(L, -2, ++n);
    }
    if (n > 0)
        lua_setfield(L, -2, "windows");
    else
        lua_pop(L, 1);
}

static int pool_limits(lua_State *L)
{
    struct kc_limits limits;
    int err = kc_pool_get_limits(lk_checkpool(L, 1), lk_checkindex(L, 2),
                                 luaL_optstring(L, 3, NULL), &limits);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    lua_newtable(L);
    for (enum kc_window w = 0; w < KC_WINDOWS; w++)
        for (enum kc_unit u = 0; u < KC_UNITS; u++)
            push_limit(L, kc_limit_name(w, u), limits.max[w][u]);
    push_sides(L, &limits);
    push_limit(L, "concurrent_requests", limits.concurrent);
    return 1;
}

static int pool_set_selection(lua_State *L)
{
    struct kc_pool *pool = lk_checkpool(L, 1);
    int choice = luaL_checkoption(L, 2, NULL, selections);
    kc_pool_set_selection(pool, (enum kc_selection)choice);
    return 0;
}

/* -- leases -------------------------------------------------------------- */

static int pool_acquire(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    struct kc_request r = {.model = luaL_checkstring(L, 2),
                           .tokens = lk_optcount(L, 3, 0),
                           .key = (uint32_t)lk_optcount(L, 4, 0),
                           .pin = lua_toboolean(L, 5),
                           .not_key = (uint32_t)lk_optcount(L, 6, 0),
                           .affinity = lk_optaffinity(L, 7),
                           .input = lk_optcount(L, 8, 0),
                           .made = lua_toboolean(L, 9)};
    struct lk_lease *box = lk_newlease(L);
    struct kc_refusal refusal;
    int err = kc_lease_acquire(ledger, &r, &box->lease, &refusal);
    return err == KC_OK ? 1 : lk_refuse(L, err, &refusal);
}

/* The request of (model, tokens, key) at 2 to 4: of that key alone, if any. */
static struct kc_request read_question(lua_State *L)
{
    return (struct kc_request){.model = luaL_checkstring(L, 2),
                               .tokens = lk_optcount(L, 3, 0),
                               .key = (uint32_t)lk_optcount(L, 4, 0),
                               .pin = !lua_isnoneornil(L, 4)};
}

static int pool_explain(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    struct kc_request r = read_question(L);
    struct kc_refusal refusal;
    int err = kc_pool_explain(kc_ledger_pool(ledger), kc_ledger_now(ledger), &r,
                              &refusal);
    return err == KC_OK ? lk_result(L, err) : lk_refuse(L, err, &refusal);
}

static int pool_next_available(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    struct kc_request r = read_question(L);
    uint64_t ms;
    int err = kc_pool_next_available(kc_ledger_pool(ledger),
                                     kc_ledger_now(ledger), &r, &ms);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    if (ms == KC_NEVER)
        lua_pushnumber(L, HUGE_VAL);
    else
        lk_pushms(L, ms);
    return 1;
}

static const luaL_Reg methods[] = {
    {"add_key", pool_add_key},
    {"remove_key", pool_remove_key},
    {"pump", pool_pump},
    {"keys_noted", pool_keys_noted},
    {"find", pool_find},
    {"key_count", pool_key_count},
    {"set_limits", pool_set_limits},
    {"clear_limits", pool_clear_limits},
    {"set_only", pool_set_only},
    {"limits", pool_limits},
    {"set_selection", pool_set_selection},
    {"acquire", pool_acquire},
    {"wait", lk_pool_wait},
    {"params", lk_pool_params},
    {"explain", pool_explain},
    {"next_available", pool_next_available},
    {"close", pool_close},
    {NULL, NULL},
};

void lk_open_pool(lua_State *L)
{
    lk_newclass(L, LK_POOL, methods, pool_collect);
    luaL_getmetatable(L, LK_POOL);
    lua_getfield(L, -1, "__index");
    lk_open_poolinfo(L);
    lk_open_share(L);
    lua_pop(L, 2);
    lua_pushcfunction(L, core_pool);
    lua_setfield(L, -2, "pool");
    lua_pushcfunction(L, core_zone_known);
    lua_setfield(L, -2, "zone_known");
    lua_pushcfunction(L, core_zone_midnight);
    lua_setfield(L, -2, "zone_midnight");
}
