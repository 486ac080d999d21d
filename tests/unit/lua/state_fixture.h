/* state_fixture.h -- a Lua state in which the module is open, as the global
 * keycycle. After cmocka.h and lauxlib.h.
 */
#ifndef KC_TESTS_STATE_FIXTURE_H
#define KC_TESTS_STATE_FIXTURE_H

#include <lualib.h>

#include "keycycle.h"

static inline void run(lua_State *L, const char *script)
{
    if (luaL_dostring(L, script) != LUA_OK)
        fail_msg("%s", luaL_tolstring(L, -1, NULL));
}

static inline lua_State *open_state(void)
{
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    luaL_requiref(L, "keycycle", luaopen_keycycle, 1);
    lua_pop(L, 1);
    return L;
}

#endif
