/* modules.c -- see modules.h. */
#include "host/modules.h"

#include <stdint.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/core.h"
#include "util/embed.h"

/* A loader as package.preload wants it; the upvalue is a text of kc_modules. */
static int open_module(lua_State *L)
{
    const struct kc_text *t = lua_touserdata(L, lua_upvalueindex(1));
    const char *chunk = lua_pushfstring(L, "@keycycle/%s", t->name);
    if (lk_load_embedded(L, t, chunk) != LUA_OK)
        return lua_error(L);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

void kc_modules_preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (const struct kc_text *t = kc_modules; t->name; t++) {
        lua_pushlstring(L, t->name, strlen(t->name) - strlen(".lua"));
        luaL_gsub(L, lua_tostring(L, -1), "/", ".");
        lua_pushfstring(L, "keycycle.%s", lua_tostring(L, -1));
        lua_pushlightuserdata(L, (void *)(uintptr_t)t);
        lua_pushcclosure(L, open_module, 1);
        lua_rawset(L, -5);
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

bool kc_modules_push(lua_State *L, const char *module, const char *name)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    bool loaded = lua_getfield(L, -1, module) == LUA_TTABLE;
    if (loaded) {
        lua_getfield(L, -1, name);
        lua_replace(L, -3);
    }
    lua_pop(L, loaded ? 1 : 2);
    return loaded;
}
