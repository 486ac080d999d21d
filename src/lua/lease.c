/* lease.c -- leases and the wait for one, for Lua.
 *
 * A lease answers its fields from C, so that it is one userdata and nothing
 * more; the Lua library adds methods to core.lease_methods.
 */
#include <string.h>

#include "lua/pool.h"

struct lk_waiter {
    struct kc_wait wait;
};

struct lk_lease *lk_newlease(lua_State *L)
{
    struct lk_lease *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct lk_lease){0};
    luaL_setmetatable(L, LK_LEASE);
    return box;
}

struct kc_lease *lk_optlease(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return NULL;
    struct lk_lease *box = luaL_checkudata(L, arg, LK_LEASE);
    luaL_argcheck(L, box->lease.ledger, arg, "the lease is closed");
    return &box->lease;
}

static struct kc_lease *check_lease(lua_State *L)
{
    struct lk_lease *box = luaL_checkudata(L, 1, LK_LEASE);
    if (!box->lease.ledger)
        lk_raise(L, KC_ESTALE);
    if (kc_ledger_is_forked(box->lease.ledger))
        lk_raise(L, KC_EFORKED);
    return &box->lease;
}

/* -- fields -------------------------------------------------------------- */

/* The key on its way to a program that asked: the copy in C is wiped, and a
 * raise for want of memory finds it in a box that wipes it. */
static int push_secret(lua_State *L, struct kc_pool *pool, uint32_t index)
{
    struct kc_buf key;
    kc_buf_init(&key, 64 * 1024);
    int err = kc_pool_key_secret(pool, index, &key);
    if (err != KC_OK) {
        kc_buf_wipe(&key);
        if (err == KC_ENOMEM)
            return lk_nomem(L);
        lua_pushnil(L);
        return 1;
    }
    char copy[512];
    if (key.len >= sizeof copy) { /* no provider has such keys */
        kc_buf_wipe(&key);
        return luaL_error(L, "the key is too long");
    }
    memcpy(copy, kc_buf_str(&key), key.len + 1);
    kc_buf_wipe(&key);
    lua_pushstring(L, copy);
    explicit_bzero(copy, sizeof copy);
    return 1;
}

static int push_suffix(lua_State *L, const struct kc_lease *lease)
{
    struct kc_key_info info;
    int err = kc_pool_key_info(kc_ledger_pool(lease->ledger),
                               kc_ledger_now(lease->ledger), lease->grant.key,
                               NULL, &info);
    lua_pushstring(L, err == KC_OK ? info.suffix : "");
    return 1;
}

/* Name and value of the n-th parameter into fixed room; KC_EEND after the last.
 * Over-long ones are left out: nothing here may be lost to a raise. */
static int read_param(struct kc_pool *pool, uint32_t index, size_t n,
                      char *name, char *value, size_t size)
{
    struct kc_buf a, b;
    kc_buf_init(&a, size - 1);
    kc_buf_init(&b, size - 1);
    int err = kc_pool_key_param_name(pool, index, n, &a);
    name[0] = '\0';
    if (err == KC_OK)
        err = kc_pool_key_param(pool, index, kc_buf_str(&a), &b);
    if (err == KC_OK) {
        memcpy(name, kc_buf_str(&a), a.len + 1);
        memcpy(value, kc_buf_str(&b), b.len + 1);
    }
    kc_buf_deinit(&a);
    kc_buf_deinit(&b);
    return err == KC_ENOTFOUND ? KC_EEND : err;
}

static int push_params(lua_State *L, struct kc_pool *pool, uint32_t index)
{
    char name[1024], value[1024];
    lua_newtable(L);
    for (size_t i = 0;; i++) {
        int err = read_param(pool, index, i, name, value, sizeof name);
        if (err == KC_EEND)
            break;
        if (err == KC_ENOMEM)
            return lk_nomem(L);
        if (!name[0])
            continue;
        lua_pushstring(L, value);
        lua_setfield(L, -2, name);
    }
    return 1;
}

int lk_pool_params(lua_State *L)
{
    struct kc_pool *pool = lk_checkpool(L, 1);
    uint32_t index = lk_checkindex(L, 2);
    push_params(L, pool, index);
    push_secret(L, pool, index);
    return 2;
}

static int push_field(lua_State *L, const struct kc_lease *lease,
                      const char *name)
{
    struct kc_pool *pool = kc_ledger_pool(lease->ledger);
    if (strcmp(name, "index") == 0) {
        lua_pushinteger(L, lease->grant.key);
    } else if (strcmp(name, "model") == 0) {
        lua_pushstring(L, lease->model);
    } else if (strcmp(name, "provider") == 0) {
        lua_pushstring(L, kc_ledger_provider(lease->ledger));
    } else if (strcmp(name, "tokens") == 0) {
        lua_pushinteger(L, (lua_Integer)lease->grant.tokens);
    } else if (strcmp(name, "pool_id") == 0) {
        lua_pushlightuserdata(L, lease->ledger);
    } else if (kc_ledger_is_forked(lease->ledger)) {
        lua_pushnil(L); /* the rest is asked of the pool */
    } else if (strcmp(name, "suffix") == 0) {
        return push_suffix(L, lease);
    } else if (strcmp(name, "params") == 0) {
        return push_params(L, pool, lease->grant.key);
    } else if (strcmp(name, "api_key") == 0) {
        return push_secret(L, pool, lease->grant.key);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* __index; the upvalue is the table of methods, which check their lease
 * themselves */
static int lease_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (lua_type(L, 2) != LUA_TSTRING)
        return 1;
    struct lk_lease *box = luaL_checkudata(L, 1, LK_LEASE);
    const char *name = lua_tostring(L, 2);
    if (strcmp(name, "settled") == 0) {
        lua_pushboolean(L, !box->lease.ledger || box->lease.settled);
        return 1;
    }
    if (!box->lease.ledger)
        return 1; /* nil: it is closed */
    return push_field(L, &box->lease, name);
}

/* -- methods ------------------------------------------------------------- */

static uint64_t count_field(lua_State *L, int arg, const char *name)
{
    lua_Integer n = 0;
    if (lua_getfield(L, arg, name) != LUA_TNIL) {
        int isint;
        n = lua_tointegerx(L, -1, &isint);
        if (!isint || n < 0)
            luaL_error(L, "%s must be a whole number, not negative", name);
    }
    lua_pop(L, 1);
    return (uint64_t)n;
}

static int settle(lua_State *L, struct kc_lease *lease, enum kc_outcome outcome,
                  const struct kc_usage *usage)
{
    int err = kc_lease_settle(lease, outcome, usage);
    if (err != KC_OK)
        return lk_raise(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

/* [-0, +0, v] Other fields are nobody's here, but a table of those alone is a
 * mistake that would count nothing. */
static void read_usage(lua_State *L, int arg, struct kc_usage *usage)
{
    static const char *const names[] = {"input_tokens", "output_tokens",
                                        "total_tokens"};
    bool told = false;
    for (int i = 0; i < 3; i++) {
        told |= lua_getfield(L, arg, names[i]) != LUA_TNIL;
        lua_pop(L, 1);
    }
    luaL_argcheck(L, told, arg,
                  "input_tokens, output_tokens or total_tokens is missing");
    usage->input = count_field(L, arg, names[0]);
    usage->output = count_field(L, arg, names[1]);
    usage->total = count_field(L, arg, names[2]);
    usage->apart = lua_getfield(L, arg, "counted_tokens") != LUA_TNIL;
    lua_pop(L, 1);
    usage->counted = count_field(L, arg, "counted_tokens");
    usage->counted_input = count_field(L, arg, "counted_input_tokens");
}

static int lease_commit(lua_State *L)
{
    struct kc_lease *lease = check_lease(L);
    struct kc_usage usage = {0};
    if (lua_isnoneornil(L, 2))
        return settle(L, lease, KC_DONE, NULL);
    if (lua_istable(L, 2)) {
        read_usage(L, 2, &usage);
    } else {
        luaL_checktype(L, 2, LUA_TNUMBER);
        usage.total = lk_optcount(L, 2, 0);
    }
    return settle(L, lease, KC_DONE, &usage);
}

static int lease_cancel(lua_State *L)
{
    struct kc_lease *lease = check_lease(L);
    bool sent = lua_istable(L, 2) && lk_fieldbool(L, 2, "sent");
    return settle(L, lease, sent ? KC_UNKNOWN : KC_NOT_SENT, NULL);
}

/* refuse(free): `free` where the provider does not count what it refused */
static int lease_refuse(lua_State *L)
{
    return settle(L, check_lease(L), lua_toboolean(L, 2) ? KC_FREE : KC_REFUSED,
                  NULL);
}

/* cooldown(seconds, whole_key, reason): nil seconds is unknown for how long */
static int lease_cooldown(lua_State *L)
{
    struct kc_lease *lease = check_lease(L);
    struct kc_pool *pool = kc_ledger_pool(lease->ledger);
    /* Where some models stand apart, each is put away by itself. */
    bool together = kc_pool_strategy(pool) == KC_GLOBAL &&
                    !kc_pool_has_only(pool);
    bool whole = lua_toboolean(L, 3) || together;
    uint64_t until;
    int err = kc_pool_cool(pool, kc_ledger_now(lease->ledger),
                           lease->grant.key, whole ? NULL : lease->model,
                           lk_optms(L, 2, KC_NEVER),
                           luaL_optstring(L, 4, "cooldown"), &until);
    kc_ledger_pump(lease->ledger);
    kc_hub_hurry(kc_ledger_hub(lease->ledger));
    return lk_result(L, err);
}

static int lease_suspend(lua_State *L)
{
    struct kc_lease *lease = check_lease(L);
    int err = kc_pool_suspend(kc_ledger_pool(lease->ledger),
                              kc_ledger_now(lease->ledger), lease->grant.key,
                              lk_optms(L, 2, KC_CONFIRM_MS),
                              luaL_checkstring(L, 3));
    kc_ledger_pump(lease->ledger);
    return lk_result(L, err);
}

static int lease_unpaid(lua_State *L)
{
    struct kc_lease *lease = check_lease(L);
    int err = kc_pool_unpaid(kc_ledger_pool(lease->ledger),
                             kc_ledger_now(lease->ledger), lease->grant.key,
                             luaL_checkstring(L, 2));
    kc_ledger_pump(lease->ledger);
    return lk_result(L, err);
}

/* Its request has reached the provider: from now it ages. */
static int lease_stamp(lua_State *L)
{
    struct kc_lease *lease = check_lease(L);
    kc_ledger_stamp(lease->ledger, lease->grant.lease);
    return 0;
}

static int lease_observe(lua_State *L)
{
    static const char *const windows[] = {"minute", "hour", "day", NULL};
    static const char *const units[] = {"requests", "tokens", "input", "output",
                                        NULL};
    struct kc_lease *lease = check_lease(L);
    int window = luaL_checkoption(L, 2, NULL, windows);
    int unit = luaL_checkoption(L, 3, NULL, units);
    bool parts = unit >= KC_UNITS;
    luaL_argcheck(L, !parts || window == KC_MINUTE, 2,
                  "input and output are learned by the minute");
    struct kc_observation o = {
        .window = (enum kc_window)window,
        .unit = (enum kc_unit)(unit % KC_UNITS),
        .parts = parts,
        .limit = lk_optcount(L, 4, KC_UNLIMITED),
        .remaining = lk_optcount(L, 5, KC_UNLIMITED)};
    int err = kc_pool_observe(kc_ledger_pool(lease->ledger),
                              kc_ledger_now(lease->ledger), lease->grant.lease,
                              &o);
    kc_ledger_pump(lease->ledger);
    return lk_result(L, err);
}

static int lease_join(lua_State *L)
{
    struct kc_lease *lease = check_lease(L);
    bool joined;
    int err = kc_pool_join(kc_ledger_pool(lease->ledger),
                           kc_ledger_now(lease->ledger), lease->grant.key,
                           luaL_checkstring(L, 2), &joined);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    kc_ledger_pump(lease->ledger);
    lua_pushboolean(L, joined);
    return 1;
}

static int lease_close(lua_State *L)
{
    struct lk_lease *box = luaL_checkudata(L, 1, LK_LEASE);
    kc_lease_deinit(&box->lease);
    return 0;
}

static int lease_tostring(lua_State *L)
{
    struct lk_lease *box = luaL_checkudata(L, 1, LK_LEASE);
    if (!box->lease.ledger)
        lua_pushliteral(L, "lease (closed)");
    else
        lua_pushfstring(
            L, "lease of %s key %d%s", kc_ledger_provider(box->lease.ledger),
            (int)box->lease.grant.key, box->lease.settled ? " (settled)" : "");
    return 1;
}

static const luaL_Reg lease_methods[] = {
    {"commit", lease_commit}, {"cancel", lease_cancel},
    {"refuse", lease_refuse}, {"cooldown", lease_cooldown},
    {"suspend", lease_suspend}, {"unpaid", lease_unpaid},
    {"stamp", lease_stamp},   {"observe", lease_observe},
    {"join", lease_join},     {"close", lease_close},
    {NULL, NULL},
};

/* -- waiters ------------------------------------------------------------- */

static void read_wait(lua_State *L, int arg, struct kc_request *r,
                      int *priority, uint64_t *timeout)
{
    *priority = 4;
    *timeout = KC_NEVER;
    if (lua_isnoneornil(L, arg))
        return;
    luaL_checktype(L, arg, LUA_TTABLE);
    r->key = (uint32_t)count_field(L, arg, "key");
    r->not_key = (uint32_t)count_field(L, arg, "not_key");
    r->pin = lk_fieldbool(L, arg, "pin");
    r->input = count_field(L, arg, "input");
    lua_getfield(L, arg, "affinity");
    r->affinity = lk_optaffinity(L, -1);
    lua_pop(L, 1);
    *timeout = lk_fieldms(L, arg, "timeout", KC_NEVER);
    if (lua_getfield(L, arg, "priority") != LUA_TNIL)
        *priority = (int)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    luaL_argcheck(L, *priority >= 0 && *priority <= 7, arg,
                  "priority goes from 0 to 7");
}

int lk_pool_wait(lua_State *L)
{
    struct kc_ledger *ledger = lk_checkledger(L, 1);
    struct kc_request r = {.model = luaL_checkstring(L, 2),
                           .tokens = lk_optcount(L, 3, 0)};
    int priority;
    uint64_t timeout;
    read_wait(L, 4, &r, &priority, &timeout);
    struct lk_waiter *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct lk_waiter){0};
    luaL_setmetatable(L, LK_WAITER);
    struct kc_refusal refusal;
    int err = kc_wait_init(&box->wait, ledger, &r, priority, timeout, &refusal);
    return err == KC_OK ? 1 : lk_refuse(L, err, &refusal);
}

static int waiter_id(lua_State *L)
{
    struct lk_waiter *box = luaL_checkudata(L, 1, LK_WAITER);
    lua_pushinteger(L, (lua_Integer)box->wait.ready.id);
    return 1;
}

static int waiter_ready(lua_State *L)
{
    struct lk_waiter *box = luaL_checkudata(L, 1, LK_WAITER);
    lua_pushboolean(L, kc_wait_done(&box->wait));
    return 1;
}

static int waiter_take(lua_State *L)
{
    struct lk_waiter *box = luaL_checkudata(L, 1, LK_WAITER);
    struct lk_lease *lease = lk_newlease(L);
    struct kc_refusal refusal;
    int err = kc_wait_take(&box->wait, &lease->lease, &refusal);
    return err == KC_OK ? 1 : lk_refuse(L, err, &refusal);
}

static int waiter_close(lua_State *L)
{
    struct lk_waiter *box = luaL_checkudata(L, 1, LK_WAITER);
    kc_wait_deinit(&box->wait);
    return 0;
}

static const luaL_Reg waiter_methods[] = {
    {"id", waiter_id},     {"ready", waiter_ready},
    {"take", waiter_take}, {"close", waiter_close},
    {NULL, NULL},
};

void lk_open_lease(lua_State *L)
{
    lk_newclass(L, LK_WAITER, waiter_methods, waiter_close);
    lk_newclass(L, LK_LEASE, lease_methods, lease_close);
    luaL_getmetatable(L, LK_LEASE);
    lua_getfield(L, -1, "__index");
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "lease_methods"); /* of the module */
    lua_pushcclosure(L, lease_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, lease_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
}
