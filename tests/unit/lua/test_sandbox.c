/* What a program does to a state in which the module is open: the library keeps
 * what it needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>

#include "unit/lua/state_fixture.h"

/* A call, and a task: what they are made of is loaded now. */
static void is_whole(lua_State *L)
{
    run(L, "local wrapper = keycycle.MultiClientWrapper.new {}\n"
           "wrapper:register_provider('p', { default_model = 'm',\n"
           "  base_url = 'http://127.0.0.1:1/v1', allow_insecure = true,\n"
           "  keys = { 'sk-test-0123456789abcdefghij' } })\n"
           "local client = wrapper:get_rotating_client('p',\n"
           "  { max_retries = 0 })\n"
           "done, _, err = false, keycycle.try(function()\n"
           "  return client.chat.completions:create { messages = {\n"
           "    { role = 'user', content = 'x' } } }\n"
           "end)\n"
           "keycycle.spawn(function() keycycle.sleep(0) done = true end)\n");
    while (keycycle_step(L, -1, -1) > 0)
        ;
    lua_getglobal(L, "done");
    assert_true(lua_toboolean(L, -1));
    lua_getglobal(L, "err");
    assert_int_equal(lua_type(L, -1), LUA_TTABLE);
    lua_getfield(L, -1, "code");
    assert_string_equal(lua_tostring(L, -1), "connect");
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    lua_close(L);
}

static void globals_that_scripts_must_not_have(void **state)
{
    (void)state;
    lua_State *L = open_state();
    run(L,
        "for _, name in ipairs { 'require', 'package', 'io', 'os', 'debug',\n"
        "    'dofile', 'loadfile', 'load', 'rawget', 'rawset', 'print',\n"
        "    'getmetatable', 'setmetatable', 'coroutine', 'pcall' } do\n"
        "  _G[name] = nil\n"
        "end\n");
    is_whole(L);
}

static void a_require_of_the_program_s_own(void **state)
{
    (void)state;
    lua_State *L = open_state();
    run(L, "function require(name) error('not ' .. name) end\n"
           "setmetatable(_G, { __index = function(_, name)\n"
           "  error('no global ' .. name)\n"
           "end })\n");
    is_whole(L);
}

static void all_that_is_loaded_or_could_be_is_forgotten(void **state)
{
    (void)state;
    lua_State *L = open_state();
    run(L, "for _, t in ipairs { package.loaded, package.preload } do\n"
           "  for name in pairs(t) do t[name] = nil end\n"
           "end\n"
           "package.path, package.cpath, package.searchers = '', '', {}\n");
    is_whole(L);
}

static void a_state_without_package(void **state)
{
    (void)state;
    static const luaL_Reg libs[] = {
        {LUA_GNAME, luaopen_base},       {LUA_COLIBNAME, luaopen_coroutine},
        {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},
        {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8},
        {LUA_IOLIBNAME, luaopen_io},     {LUA_OSLIBNAME, luaopen_os},
        {LUA_DBLIBNAME, luaopen_debug},  {NULL, NULL}};
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    for (const luaL_Reg *lib = libs; lib->func; lib++) {
        luaL_requiref(L, lib->name, lib->func, 1);
        lua_pop(L, 1);
    }
    luaL_requiref(L, "keycycle", luaopen_keycycle, 1);
    lua_pop(L, 1);
    is_whole(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globals_that_scripts_must_not_have),
        cmocka_unit_test(a_require_of_the_program_s_own),
        cmocka_unit_test(all_that_is_loaded_or_could_be_is_forgotten),
        cmocka_unit_test(a_state_without_package),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
