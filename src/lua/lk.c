/* lk.c -- helpers of the binding files; see lk.h. */
#include "lua/lk.h"

#include <math.h>
#include <string.h>

#define RUNTIME_KEY "keycycle.runtime"
#define RUNTIME_CLASS "keycycle.runtimebox"
#define ERROR_KEY "keycycle.error"
#define MAX_SECONDS 1e12 /* far beyond any use; keeps ms inside 64 bits */

struct runtime_box {
    struct kc_runtime *rt;
};

static int close_runtime(lua_State *L)
{
    struct runtime_box *box = lua_touserdata(L, 1);
    kc_runtime_unref(box->rt);
    box->rt = NULL;
    return 0;
}

struct kc_runtime *lk_peek_runtime(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, RUNTIME_KEY);
    struct runtime_box *box = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return box ? box->rt : NULL;
}

/* [-0, +0, v] Raise an error object of a code and a text. */
static int raise(lua_State *L, int err, const char *text)
{
    lua_getfield(L, LUA_REGISTRYINDEX, ERROR_KEY);
    if (!lua_isfunction(L, -1))
        return luaL_error(L, "keycycle: %s", text);
    lua_pushstring(L, kc_err_name(err));
    lua_pushstring(L, text);
    lua_call(L, 2, 1);
    return lua_error(L);
}

/* A closed runtime leaves `false` in its place. */
bool lk_is_closed(lua_State *L)
{
    int type = lua_getfield(L, LUA_REGISTRYINDEX, RUNTIME_KEY);
    lua_pop(L, 1);
    return type == LUA_TBOOLEAN;
}

void lk_close_runtime(lua_State *L)
{
    struct kc_runtime *rt = lk_peek_runtime(L);
    if (rt)
        kc_runtime_close(rt);
    lua_pushboolean(L, 0);
    lua_setfield(L, LUA_REGISTRYINDEX, RUNTIME_KEY);
}

void lk_open_runtime(lua_State *L)
{
    if (!lk_is_closed(L))
        return;
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, RUNTIME_KEY);
}

struct kc_runtime *lk_runtime(lua_State *L)
{
    struct kc_runtime *rt = lk_peek_runtime(L);
    if (rt)
        return rt;
    if (lk_is_closed(L))
        raise(L, KC_ECLOSED, "keycycle was closed in this Lua state");
    struct runtime_box *box = lua_newuserdatauv(L, sizeof *box, 0);
    box->rt = NULL;
    luaL_newmetatable(L, RUNTIME_CLASS);
    lua_pushcfunction(L, close_runtime); /* again: memory may have run out */
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    int err = kc_runtime_new(&box->rt);
    if (err != KC_OK)
        raise(L, err, lua_pushfstring(L, "cannot start: %s", kc_err_text(err)));
    rt = box->rt;
    lua_setfield(L, LUA_REGISTRYINDEX, RUNTIME_KEY);
    return rt;
}

int lk_fail(lua_State *L, int err, const char *detail)
{
    lua_pushnil(L);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, kc_err_name(err));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, detail && *detail ? detail : kc_err_text(err));
    lua_setfield(L, -2, "message");
    return 2;
}

int lk_refuse(lua_State *L, int err, const struct kc_refusal *r)
{
    lk_fail(L, err, NULL);
    if (r->wait_ms != KC_NEVER) {
        lk_pushms(L, r->wait_ms);
        lua_setfield(L, -2, "retry_after");
    }
    if (r->limit) {
        lua_pushstring(L, r->limit);
        lua_setfield(L, -2, "limit");
        bool number = r->max || err == KC_EIMPOSSIBLE; /* a limit of 0 is one */
        if (number && r->max <= LUA_MAXINTEGER) {
            lua_pushinteger(L, (lua_Integer)r->max);
            lua_setfield(L, -2, "max");
        }
        if (r->span_ms) {
            lk_pushms(L, r->span_ms);
            lua_setfield(L, -2, "window");
        }
    }
    return 2;
}

int lk_result(lua_State *L, int err)
{
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    lua_pushboolean(L, 1);
    return 1;
}

int lk_raise(lua_State *L, int err)
{
    return raise(L, err, kc_err_text(err));
}

int lk_nomem(lua_State *L)
{
    return luaL_error(L, "not enough memory");
}

static uint64_t toms(lua_State *L, int arg, const char *what)
{
    int isnum;
    lua_Number s = lua_tonumberx(L, arg, &isnum);
    if (!isnum || isnan(s) || s < 0)
        luaL_error(L, "%s must be seconds, not negative", what);
    /* 0.029 s are 29.000000000000004 ms: that must not become 30. */
    double ms = (s > MAX_SECONDS ? MAX_SECONDS : s) * 1000;
    return (uint64_t)ceil(ms - ms * 1e-15);
}

uint64_t lk_optms(lua_State *L, int arg, uint64_t def)
{
    if (lua_isnoneornil(L, arg))
        return def;
    lua_Number s = luaL_checknumber(L, arg);
    luaL_argcheck(L, !isnan(s) && s >= 0, arg, "seconds, not negative");
    return toms(L, arg, "the duration");
}

uint64_t lk_fieldms(lua_State *L, int arg, const char *name, uint64_t def)
{
    uint64_t ms = def;
    if (lua_getfield(L, arg, name) != LUA_TNIL)
        ms = toms(L, -1, name);
    lua_pop(L, 1);
    return ms;
}

uint64_t lk_optcount(lua_State *L, int arg, uint64_t def)
{
    if (lua_isnoneornil(L, arg))
        return def;
    lua_Integer n = luaL_checkinteger(L, arg);
    luaL_argcheck(L, n >= 0, arg, "must not be negative");
    return (uint64_t)n;
}

const char *lk_fieldstr(lua_State *L, int arg, const char *name)
{
    int type = lua_getfield(L, arg, name);
    if (type == LUA_TNIL)
        return NULL;
    if (type != LUA_TSTRING)
        luaL_error(L, "%s must be a string", name);
    return lua_tostring(L, -1);
}

bool lk_fieldbool(lua_State *L, int arg, const char *name)
{
    lua_getfield(L, arg, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

void lk_pushms(lua_State *L, uint64_t ms)
{
    lua_pushnumber(L, (lua_Number)ms / 1000);
}

void lk_newclass(lua_State *L, const char *name, const luaL_Reg *methods,
                 lua_CFunction close)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__close");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static int traceback(lua_State *L)
{
    const char *text = lua_tostring(L, 1);
    if (!text)
        return 1; /* an error object stays what it is */
    luaL_traceback(L, L, text, 1);
    return 1;
}

int lk_pcall(lua_State *L, int n, int results)
{
    int base = lua_gettop(L) - n;
    lua_pushcfunction(L, traceback);
    lua_insert(L, base);
    int status = lua_pcall(L, n, results, base);
    lua_remove(L, base);
    return status;
}
