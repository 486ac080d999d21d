/* The functions of keycycle.h for hosts that step a Lua state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "keycycle.h"

/* What is logged is gathered in `said`. */
static lua_State *new_state(void)
{
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    luaL_requiref(L, "keycycle", luaopen_keycycle, 1);
    lua_pop(L, 1);
    if (luaL_dostring(L, "said = ''\n"
                         "keycycle.log.set_sink(function(level, line)\n"
                         "  said = said .. level .. ': ' .. line .. '\\n'\n"
                         "end)\n") != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    return L;
}

static void run(lua_State *L, const char *script)
{
    if (luaL_dostring(L, script) != LUA_OK)
        fail_msg("%s", luaL_tolstring(L, -1, NULL));
}

static bool said(lua_State *L, const char *what)
{
    lua_getglobal(L, "said");
    bool found = strstr(lua_tostring(L, -1), what) != NULL;
    lua_pop(L, 1);
    return found;
}

static void a_step_tells_how_many_tasks_live(void **state)
{
    (void)state;
    lua_State *L = new_state();
    assert_int_equal(keycycle_step(L, 0, -1), 0);
    run(L, "for i = 1, 2 do keycycle.spawn(keycycle.sleep, 3600 * i) end\n");
    assert_int_equal(keycycle_timeout(L), 0);
    assert_int_equal(keycycle_step(L, -1, -1), 2);
    int ms = keycycle_timeout(L);
    assert_true(ms > 3500000 && ms <= 3600000);
    struct pollfd p = {.fd = keycycle_pollfd(L), .events = POLLIN};
    assert_int_equal(keycycle_step(L, 0, -1), 2);
    assert_int_equal(poll(&p, 1, 0), 0);
    run(L, "keycycle.spawn(function() end)\n");
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(lua_gettop(L), 0);
    assert_true(!said(L, ":"));
    lua_close(L);
}

static void a_step_that_fails_is_logged(void **state)
{
    (void)state;
    lua_State *L = new_state();
    run(L, "local task = require 'keycycle.task'\n"
           "task.after_each_turn(function() if why then error(why) end end)\n"
           "why = 'it broke'\n");
    assert_int_equal(keycycle_step(L, 0, -1), -1);
    assert_int_equal(lua_gettop(L), 0);
    assert_true(said(L, "error: keycycle_step failed: "));
    assert_true(said(L, "it broke"));
    assert_true(said(L, "stack traceback:"));
    run(L, "why = setmetatable({}, { __tostring = function() return 'an object'\n"
           "  end })\n");
    assert_int_equal(keycycle_step(L, 0, -1), -1);
    assert_true(said(L, "failed: an object"));
    run(L, "keycycle.log.set_sink(error)\n"); /* and if that fails */
    assert_int_equal(keycycle_step(L, 0, -1), -1);
    run(L, "why = nil\n");
    assert_int_equal(keycycle_step(L, 0, -1), 0);
    assert_int_equal(lua_gettop(L), 0);
    lua_close(L);
}

static void a_step_in_a_forked_child_fails(void **state)
{
    (void)state;
    lua_State *L = new_state();
    keycycle_pollfd(L);
    pid_t pid = fork();
    if (pid == 0)
        _exit(keycycle_step(L, -1, -1) == -1 && said(L, "forked") ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_tells_how_many_tasks_live),
        cmocka_unit_test(a_step_that_fails_is_logged),
        cmocka_unit_test(a_step_in_a_forked_child_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
