/* fuzz_lua.h -- a Lua state with the module, and one function fed with bytes.
 */
#ifndef KC_TESTS_FUZZ_LUA_H
#define KC_TESTS_FUZZ_LUA_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "keycycle.h"

/* fuzz_feed calls the function that `chunk` returns with the bytes. An error of
 * it is a finding: it aborts. */
static void fuzz_feed(const char *chunk, const uint8_t *data, size_t n)
{
    static lua_State *L;
    if (!L) {
        L = luaL_newstate();
        if (!L)
            abort();
        luaL_openlibs(L);
        luaL_requiref(L, "keycycle", luaopen_keycycle, 0);
        lua_settop(L, 0);
        if (luaL_dostring(L, chunk)) {
            fprintf(stderr, "%s\n", lua_tostring(L, -1));
            abort();
        }
    }
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)data, n);
    if (lua_pcall(L, 1, 0, 0)) {
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
        abort();
    }
}

#endif
