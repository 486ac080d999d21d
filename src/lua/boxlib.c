/* boxlib.c -- what a script in the box sees: a bounded part of Lua's library.
 *
 * The masters lie in the box's registry; each chunk gets tables of its own, so
 * that no script changes what another one calls. Missing on purpose: coroutine,
 * debug, io, os, package, load and its kin, collectgarbage, print, and whatever
 * shows an address.
 */
#include <string.h>

#include <lualib.h>

#include "lua/box_impl.h"
#include "util/rng.h"

static const char master_key, kinds_key, original_key; /* addresses alone */

/* -- metatables ------------------------------------------------------------ */

/* What a metatable may hold. __gc would run without the hook; weak tables, by
 * __mode, make one step of the collector long; one error would run each __close
 * of thousands, library functions among them, between two instructions. */
static const char *const events[] = {
    "__index",  "__newindex", "__call",   "__tostring", "__name", "__eq",
    "__lt",     "__le",       "__concat", "__len",      "__unm",  "__add",
    "__sub",    "__mul",      "__div",    "__mod",      "__pow",  "__idiv",
    "__band",   "__bor",      "__bxor",   "__shl",      "__shr",  "__bnot",
    "__pairs",  "__metatable"};

static void refuse_event(lua_State *B, const char *event)
{
    lua_pushstring(B, event);
    if (lua_rawget(B, 2) != LUA_TNIL)
        luaL_error(B, "a metatable must not have %s here", event);
    lua_pop(B, 1);
}

/* What is set is a copy: what the script writes into its table later cannot
 * bring in what was refused, nor a __call that calls itself. */
static int box_setmetatable(lua_State *B)
{
    luaL_checktype(B, 1, LUA_TTABLE);
    luaL_argexpected(B, lua_isnil(B, 2) || lua_istable(B, 2), 2,
                     "nil or table");
    lua_settop(B, 2);
    if (luaL_getmetafield(B, 1, "__metatable") != LUA_TNIL)
        return luaL_error(B, "cannot change a protected metatable");
    if (lua_istable(B, 2)) {
        refuse_event(B, "__gc");
        refuse_event(B, "__mode");
        refuse_event(B, "__close");
        lua_createtable(B, 0, 4);
        for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
            lua_settop(B, 3);
            lua_pushstring(B, events[i]);
            lua_pushvalue(B, -1);
            if (lua_rawget(B, 2) == LUA_TNIL)
                continue;
            if (strcmp(events[i], "__call") == 0)
                luaL_argcheck(B, lua_isfunction(B, -1), 2,
                              "__call must be a function here");
            lua_rawset(B, 3);
        }
        lua_settop(B, 3);
        lua_pushvalue(B, 2);
        lua_rawsetp(B, 3, &original_key);
        lk_box_charge(B, 10);
    }
    lua_setmetatable(B, 1);
    lua_settop(B, 1);
    return 1;
}

static int box_getmetatable(lua_State *B)
{
    luaL_checkany(B, 1);
    if (!lua_getmetatable(B, 1)) {
        lua_pushnil(B);
        return 1;
    }
    lua_pushliteral(B, "__metatable");
    if (lua_rawget(B, -2) == LUA_TNIL)
        lua_rawgetp(B, -2, &original_key);
    return 1;
}

/* -- the rest of the basic functions --------------------------------------- */

const char *lk_box_tolstring(lua_State *B, int index, size_t *len)
{
    index = lua_absindex(B, index);
    if (luaL_callmeta(B, index, "__tostring")) {
        if (!lua_isstring(B, -1))
            luaL_error(B, "'__tostring' must return a string");
        return lua_tolstring(B, -1, len);
    }
    int type = lua_type(B, index);
    if (type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER ||
        type == LUA_TSTRING)
        return luaL_tolstring(B, index, len);
    if (luaL_getmetafield(B, index, "__name") != LUA_TSTRING)
        lua_pushstring(B, lua_typename(B, type));
    return lua_tolstring(B, -1, len);
}

static int box_tostring(lua_State *B)
{
    luaL_checkany(B, 1);
    lk_box_tolstring(B, 1, NULL);
    return 1;
}

/* Lua's own calls the handler inside the hook, where no hook runs; this one
 * calls it when the error has been caught. */
static int box_xpcall(lua_State *B)
{
    int n = lua_gettop(B);
    luaL_checktype(B, 2, LUA_TFUNCTION);
    lua_pushvalue(B, 1);
    lua_insert(B, 3);
    int status = lua_pcall(B, n - 2, LUA_MULTRET, 0);
    lk_box_charge(B, 10);
    lua_pushboolean(B, status == LUA_OK);
    lua_replace(B, 1);
    if (status == LUA_OK) {
        lua_remove(B, 2);
        return lua_gettop(B);
    }
    lua_call(B, 1, LUA_MULTRET);
    return lua_gettop(B);
}

static const luaL_Reg base[] = {{"getmetatable", box_getmetatable},
                                {"setmetatable", box_setmetatable},
                                {"tostring", box_tostring},
                                {"xpcall", box_xpcall},
                                {NULL, NULL}};

static const char *const base_kept[] = {
    "assert", "error",  "ipairs",   "next",  "pairs", "pcall", "rawequal",
    "rawget", "rawlen", "rawset",   "select", "tonumber", "type", "_VERSION"};

/* -- math ------------------------------------------------------------------ */

/* Lua's own shows an address in its results. */
static int box_randomseed(lua_State *B)
{
    lua_Integer second = luaL_optinteger(B, 2, 0);
    lua_Number first = luaL_checknumber(B, 1);
    lua_pushvalue(B, lua_upvalueindex(1));
    lua_pushnumber(B, first);
    if (lua_isinteger(B, 1)) {
        lua_pushvalue(B, 1);
        lua_replace(B, -2);
    }
    lua_pushinteger(B, second);
    lua_call(B, 2, 0);
    return 0;
}

/* [-0, +1, m] With a generator of its own. */
static void push_math(lua_State *B)
{
    lua_pushcfunction(B, luaopen_math);
    lua_call(B, 0, 1);
    lua_getfield(B, -1, "randomseed");
    lua_pushvalue(B, -1);
    lua_pushinteger(B, (lua_Integer)kc_rng_entropy());
    lua_pushinteger(B, (lua_Integer)kc_rng_entropy());
    lua_call(B, 2, 0);
    lua_pushcclosure(B, box_randomseed, 1);
    lua_setfield(B, -2, "randomseed");
}

/* -- what a script declares ------------------------------------------------ */

/* Upvalue: what the table is declared as. */
static int declare(lua_State *B)
{
    luaL_checktype(B, 1, LUA_TTABLE);
    lua_settop(B, 1);
    lua_rawgetp(B, LUA_REGISTRYINDEX, &kinds_key);
    lua_pushvalue(B, 1);
    lua_pushvalue(B, lua_upvalueindex(1));
    lua_rawset(B, 2);
    lua_settop(B, 1);
    return 1;
}

static const char *const kinds[][2] = {{"provider", "provider"},
                                       {"policy", "policy"},
                                       {"RateLimits", "limits"}};
#define KINDS (sizeof kinds / sizeof kinds[0])

static void push_keycycle(lua_State *B)
{
    lua_createtable(B, 0, (int)KINDS);
    for (size_t i = 0; i < KINDS; i++) {
        lua_pushstring(B, kinds[i][1]);
        lua_pushcclosure(B, declare, 1);
        lua_setfield(B, -2, kinds[i][0]);
    }
}

void lk_box_newkinds(lua_State *B)
{
    lua_newtable(B);
    lua_rawsetp(B, LUA_REGISTRYINDEX, &kinds_key);
}

const char *lk_box_kind(lua_State *B, int index)
{
    const char *kind = NULL;
    index = lua_absindex(B, index);
    lua_rawgetp(B, LUA_REGISTRYINDEX, &kinds_key);
    lua_pushvalue(B, index);
    if (!lua_isnil(B, -1) && lua_rawget(B, -2) == LUA_TSTRING)
        for (size_t i = 0; i < KINDS; i++)
            if (strcmp(lua_tostring(B, -1), kinds[i][1]) == 0)
                kind = kinds[i][1];
    lua_pop(B, 2);
    return kind;
}

/* -- the environment ------------------------------------------------------- */

/* utf8.codepoint and string.byte: at most so many values at once. Upvalue:
 * Lua's own, which has none, and is run in this frame, for its errors' sake. */
static int few_values(lua_State *B)
{
    size_t len;
    luaL_checklstring(B, 1, &len);
    lua_Integer size = (lua_Integer)len;
    lua_Integer i = luaL_optinteger(B, 2, 1);
    lua_Integer j = luaL_optinteger(B, 3, i);
    i = i < 0 ? i + size + 1 : i;
    j = j < 0 ? j + size + 1 : j;
    i = i < 1 ? 1 : i;
    j = j > size ? size : j;
    if (i <= j && j - i >= LK_BOX_VALUES)
        return luaL_error(B, "string slice too long");
    return lua_tocfunction(B, lua_upvalueindex(1))(B);
}

void lk_box_limit(lua_State *B, const char *name)
{
    lua_getfield(B, -1, name);
    lua_pushcclosure(B, few_values, 1);
    lua_setfield(B, -2, name);
}

/* [-0, +1, m] A copy of the table at the top. */
static void push_copy(lua_State *B)
{
    lua_newtable(B);
    lua_pushnil(B);
    while (lua_next(B, -3)) {
        lua_pushvalue(B, -2);
        lua_insert(B, -2);
        lua_rawset(B, -4);
    }
}

/* The table under "string" in the masters is also the strings' __index, which
 * no script can get hold of. */
void lk_box_openlib(lua_State *B)
{
    lua_newtable(B);
    lua_pushcfunction(B, luaopen_base);
    lua_call(B, 0, 1);
    for (size_t i = 0; i < sizeof base_kept / sizeof base_kept[0]; i++) {
        lua_getfield(B, -1, base_kept[i]);
        lua_setfield(B, -3, base_kept[i]);
    }
    lua_pop(B, 1);
    lua_newtable(B); /* what is left out is not there at all */
    lua_rawseti(B, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    luaL_setfuncs(B, base, 0);
    lk_box_newstring(B);
    lua_pushliteral(B, "");
    lua_getmetatable(B, -1);
    lua_pushvalue(B, -3);
    lua_setfield(B, -2, "__index");
    lua_pushboolean(B, 0);
    lua_setfield(B, -2, "__metatable");
    lua_pop(B, 2);
    lua_setfield(B, -2, "string");
    lua_pushcfunction(B, luaopen_utf8);
    lua_call(B, 0, 1);
    lk_box_limit(B, "codepoint");
    lua_setfield(B, -2, "utf8");
    lua_rawsetp(B, LUA_REGISTRYINDEX, &master_key);
}

void lk_box_newenv(lua_State *B)
{
    static const char *const copied[] = {"string", "utf8"};
    lua_rawgetp(B, LUA_REGISTRYINDEX, &master_key);
    push_copy(B);
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++) {
        lua_getfield(B, -1, copied[i]);
        push_copy(B);
        lua_setfield(B, -3, copied[i]);
        lua_pop(B, 1);
    }
    lk_box_newtable(B);
    lua_setfield(B, -2, "table");
    push_math(B);
    lua_setfield(B, -2, "math");
    push_keycycle(B);
    lua_setfield(B, -2, "keycycle");
    lua_remove(B, -2);
}
