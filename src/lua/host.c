/* host.c -- the functions of keycycle.h for programs that have a Lua state.
 *
 * None of them raises: what may do so runs in protected mode, and takes what it
 * needs through a pointer, for which no memory is wanted.
 */
#include <stdbool.h>
#include <string.h>

#include "keycycle.h"
#include "lua/core.h"
#include "lua/lk.h"
#include "runtime/carrier.h"
#include "util/export.h"

/* [-0, +1, m] Push the module, or nil where it is not open. */
static bool push_module(lua_State *L)
{
    return lua_getfield(L, LUA_REGISTRYINDEX, LK_MODULE) == LUA_TTABLE;
}

/* [-0, +1, v] Push the module; an error object (`closed`) is raised where it is
 * not open. */
static void need_module(lua_State *L)
{
    if (push_module(L))
        return;
    lk_fail(L, KC_ECLOSED, "keycycle is not open in this Lua state");
    lua_error(L);
}

/* [-0, +1, v] Push a field of the module. */
static void push_field(lua_State *L, const char *name)
{
    need_module(L);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

/* [-0, +0 or +1, -] Call fn(arg) in protected mode. False: it failed, and
 * the error was pushed; or L is none that can be called, and nothing was. */
static bool call(lua_State *L, lua_CFunction fn, void *arg)
{
    if (!L || lua_status(L) != LUA_OK || !lua_checkstack(L, 8))
        return false;
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    return lk_pcall(L, 1, 0) == LUA_OK;
}

/* -- what went wrong ----------------------------------------------------- */

struct failure {
    int err;
    char *why; /* NULL: nobody asks */
    size_t size;
};

static int code_named(const char *name)
{
    for (int err = 1; err < KC_ERR_COUNT; err++) {
        if (strcmp(kc_err_name(err), name) == 0)
            return err;
    }
    return KC_EINVALID; /* a fault in a script */
}

/* Copies what there is room for, and no part of a character. */
static void copy_text(char *out, size_t size, const char *text)
{
    if (!out || size == 0)
        return;
    size_t len = strlen(text);
    if (len >= size) {
        len = size - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
            len--;
    }
    memcpy(out, text, len);
    out[len] = '\0';
}

/* (failure, error): in protected mode. */
static int explain(lua_State *L)
{
    struct failure *f = lua_touserdata(L, 1);
    if (lua_type(L, 2) == LUA_TTABLE) {
        if (lua_getfield(L, 2, "code") == LUA_TSTRING)
            f->err = code_named(lua_tostring(L, -1));
        if (lua_getfield(L, 2, "message") == LUA_TSTRING) {
            copy_text(f->why, f->size, lua_tostring(L, -1));
            return 0;
        }
    }
    const char *text = luaL_tolstring(L, 2, NULL);
    if (strstr(text, "not enough memory"))
        f->err = KC_ENOMEM;
    copy_text(f->why, f->size, text);
    return 0;
}

/* [-0, +0, -] call, with a code for an answer, and words where they are asked
 * for. */
static int try_call(lua_State *L, lua_CFunction fn, void *arg, char *why,
                    size_t size)
{
    struct failure f = {KC_EINVALID, why, size};
    copy_text(why, size, "");
    if (!L || lua_status(L) != LUA_OK) {
        copy_text(why, size, "L is no Lua state that can be called");
        return KC_EINVALID;
    }
    int top = lua_gettop(L);
    if (call(L, fn, arg))
        return KC_OK;
    if (lua_gettop(L) == top)
        return KC_ENOMEM;
    lua_pushcfunction(L, explain);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &f);
    lua_insert(L, -2);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        f.err = KC_ENOMEM;
    lua_settop(L, top);
    return f.err;
}

/* -- driving it ---------------------------------------------------------- */

struct drive {
    int timeout_ms, budget_us;
    int result;
};

static void push_seconds(lua_State *L, int value, double unit)
{
    if (value < 0)
        lua_pushnil(L);
    else
        lua_pushnumber(L, value / unit);
}

static int do_step(lua_State *L)
{
    struct drive *d = lua_touserdata(L, 1);
    if (!push_module(L) && lk_is_closed(L)) {
        d->result = 0;
        return 0;
    }
    push_field(L, "step");
    push_seconds(L, d->timeout_ms, 1e3);
    push_seconds(L, d->budget_us, 1e6);
    lua_call(L, 2, 1);
    d->result = (int)lua_tointeger(L, -1);
    return 0;
}

static int do_pollfd(lua_State *L)
{
    struct drive *d = lua_touserdata(L, 1);
    push_field(L, "pollfd");
    lua_call(L, 0, 1);
    d->result = (int)lua_tointeger(L, -1);
    return 0;
}

static int do_timeout(lua_State *L)
{
    struct drive *d = lua_touserdata(L, 1);
    push_field(L, "timeout");
    lua_call(L, 0, 1);
    if (!lua_isnumber(L, -1))
        return 0;
    lua_Number s = lua_tonumber(L, -1);
    d->result = s > 2e6 ? 2000000000 : (int)(s * 1000 + 0.999);
    return 0;
}

/* (what keycycle_step failed with): in protected mode. */
static int log_failure(lua_State *L)
{
    push_field(L, "log");
    lua_getfield(L, -1, "error");
    lua_pushliteral(L, "keycycle_step failed: %s");
    luaL_tolstring(L, 1, NULL);
    lua_call(L, 2, 0);
    return 0;
}

KC_EXPORT int keycycle_step(lua_State *L, int timeout_ms, int budget_us)
{
    struct drive d = {timeout_ms, budget_us, -1};
    int top = L ? lua_gettop(L) : 0;
    if (call(L, do_step, &d))
        return d.result;
    if (!L || lua_gettop(L) == top)
        return -1;
    lua_pushcfunction(L, log_failure);
    lua_insert(L, -2);
    lk_pcall(L, 1, 0); /* what a log raises is nobody's */
    lua_settop(L, top);
    return -1;
}

/* What it fails with is of no interest. */
static int ask(lua_State *L, lua_CFunction fn)
{
    struct drive d = {0, 0, -1};
    int top = L ? lua_gettop(L) : 0;
    if (!call(L, fn, &d) && L)
        lua_settop(L, top);
    return d.result;
}

KC_EXPORT int keycycle_pollfd(lua_State *L)
{
    return ask(L, do_pollfd);
}

KC_EXPORT int keycycle_timeout(lua_State *L)
{
    return ask(L, do_timeout);
}

/* -- the log ------------------------------------------------------------- */

static const char *const levels[] = {"off",  "error", "warn",
                                     "info", "debug", NULL};

struct sink {
    keycycle_log_fn *fn;
    void *ctx;
};

struct log_request {
    struct sink sink;
    const char *level;
};

/* sink(level, line) */
static int to_host(lua_State *L)
{
    const struct sink *s = lua_touserdata(L, lua_upvalueindex(1));
    int level = luaL_checkoption(L, 1, NULL, levels);
    s->fn(s->ctx, (enum keycycle_log_level)level, luaL_checkstring(L, 2));
    return 0;
}

static int do_set_log(lua_State *L)
{
    const struct log_request *r = lua_touserdata(L, 1);
    push_field(L, "log");
    lua_getfield(L, -1, "set_level");
    lua_pushstring(L, r->level);
    lua_getfield(L, 2, "set_sink");
    if (r->sink.fn) {
        struct sink *s = lua_newuserdatauv(L, sizeof *s, 0);
        *s = r->sink;
        lua_pushcclosure(L, to_host, 1);
    } else {
        lua_pushnil(L);
    }
    lua_call(L, 1, 0); /* both, or none for want of memory */
    lua_call(L, 1, 0);
    return 0;
}

KC_EXPORT int keycycle_set_log(lua_State *L, enum keycycle_log_level level,
                               keycycle_log_fn *fn, void *ctx)
{
    if ((int)level < KEYCYCLE_LOG_OFF || (int)level > KEYCYCLE_LOG_DEBUG)
        return KC_EINVALID;
    struct log_request r = {{fn, ctx}, levels[level]};
    return try_call(L, do_set_log, &r, NULL, 0);
}

/* -- the transport ------------------------------------------------------- */

static int do_set_transport(lua_State *L)
{
    const struct keycycle_transport *const *host = lua_touserdata(L, 1);
    struct kc_carrier *carrier = NULL;
    need_module(L);
    struct kc_runtime *rt = lk_runtime(L);
    int err = kc_runtime_forked(rt) ? KC_EFORKED : KC_OK;
    if (err == KC_OK && *host)
        err = kc_carrier_open(rt, *host, &carrier);
    if (err != KC_OK)
        return lk_raise(L, err);
    kc_runtime_use(rt, carrier);
    kc_carrier_unref(carrier);
    return 0;
}

KC_EXPORT int keycycle_set_transport(lua_State *L,
                                     const struct keycycle_transport *transport)
{
    if (transport && !transport->start)
        return KC_EINVALID;
    return try_call(L, do_set_transport, &transport, NULL, 0);
}

/* -- scripts, and the end ------------------------------------------------ */

static int do_load(lua_State *L)
{
    const char *const *folder = lua_touserdata(L, 1);
    push_field(L, "load");
    lua_pushstring(L, *folder);
    lua_call(L, 1, 0);
    return 0;
}

KC_EXPORT int keycycle_load(lua_State *L, const char *folder, char *why,
                            size_t size)
{
    return try_call(L, do_load, &folder, why, size);
}

static int do_close(lua_State *L)
{
    if (!push_module(L))
        return 0;
    lua_getfield(L, -1, "close");
    lua_call(L, 0, 0);
    return 0;
}

KC_EXPORT int keycycle_close(lua_State *L)
{
    if (!L)
        return KC_OK;
    return try_call(L, do_close, NULL, NULL, 0);
}
