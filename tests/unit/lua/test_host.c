/* The functions of keycycle.h for programs that have a Lua state. */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>

#include "unit/lua/state_fixture.h"

/* What is logged is gathered in `said`. */
static lua_State *new_state(void)
{
    lua_State *L = open_state();
    if (luaL_dostring(L, "said = ''\n"
                         "keycycle.log.set_sink(function(level, line)\n"
                         "  said = said .. level .. ': ' .. line .. '\\n'\n"
                         "end)\n") != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    return L;
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
    run(L,
        "why = setmetatable({}, { __tostring = function() return 'an object'\n"
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

/* -- the log ------------------------------------------------------------- */

struct heard {
    int lines;
    enum keycycle_log_level level;
    char text[256];
};

static void hear(void *ctx, enum keycycle_log_level level, const char *line)
{
    struct heard *h = ctx;
    h->lines++;
    h->level = level;
    snprintf(h->text, sizeof h->text, "%s", line);
}

static void the_log_goes_to_the_host(void **state)
{
    (void)state;
    lua_State *L = new_state();
    struct heard h = {0}, other = {0};
    assert_int_equal(keycycle_set_log(L, KEYCYCLE_LOG_INFO, hear, &h),
                     KEYCYCLE_OK);
    run(L, "keycycle.log.info('a %d\\n\\0', 1) keycycle.log.debug 'no'\n");
    assert_int_equal(h.lines, 1);
    assert_int_equal(h.level, KEYCYCLE_LOG_INFO);
    assert_string_equal(h.text, "a 1  ");
    for (int level = KEYCYCLE_LOG_OFF; level <= KEYCYCLE_LOG_DEBUG; level++) {
        h.lines = 0;
        assert_int_equal(
            keycycle_set_log(L, (enum keycycle_log_level)level, hear, &h),
            KEYCYCLE_OK);
        run(L, "for _, name in ipairs { 'error', 'warn', 'info', 'debug' } do\n"
               "  keycycle.log[name](name)\n"
               "end\n");
        assert_int_equal(h.lines, level);
        assert_true(level == 0 || (int)h.level == level);
    }
    assert_int_equal(
        keycycle_set_log(L, (enum keycycle_log_level)5, hear, &other),
        KEYCYCLE_EINVALID);
    assert_int_equal(
        keycycle_set_log(L, (enum keycycle_log_level) - 1, hear, &other),
        KEYCYCLE_EINVALID);
    h.lines = 0;
    run(L, "keycycle.log.debug 'as it was'\n");
    assert_int_equal(h.lines, 1);
    assert_int_equal(other.lines, 0);
    run(L, "require 'keycycle.task'.after_each_turn(function() error 'x' end)");
    assert_int_equal(keycycle_step(L, 0, -1), -1);
    assert_non_null(strstr(h.text, "keycycle_step failed: "));
    assert_int_equal(h.level, KEYCYCLE_LOG_ERROR);
    assert_int_equal(lua_gettop(L), 0);
    lua_close(L);
}

/* What lua_close finds, and what comes after keycycle_close. */
static void the_log_lasts_until_it_is_closed(void **state)
{
    (void)state;
    lua_State *L = new_state();
    struct heard h = {0};
    assert_int_equal(keycycle_set_log(L, KEYCYCLE_LOG_WARN, hear, &h), 0);
    run(L, "keycycle.spawn(error, 'unseen')\n");
    keycycle_step(L, 0, -1);
    lua_close(L);
    assert_non_null(strstr(h.text, "unseen"));
    h.lines = 0;
    L = new_state();
    assert_int_equal(keycycle_set_log(L, KEYCYCLE_LOG_WARN, hear, &h), 0);
    run(L, "log = keycycle.log\n");
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    run(L, "log.set_level 'warn' local e = io.stderr io.stderr = io.tmpfile()\n"
           "log.warn 'to standard error'\n"
           "io.stderr:seek 'set' said = io.stderr:read 'a' io.stderr = e\n");
    assert_true(said(L, "keycycle warn: to standard error"));
    assert_int_equal(h.lines, 0);
    lua_close(L);
}

static void null_is_standard_error(void **state)
{
    (void)state;
    lua_State *L = new_state();
    struct heard h = {0};
    assert_int_equal(keycycle_set_log(L, KEYCYCLE_LOG_WARN, hear, &h), 0);
    assert_int_equal(keycycle_set_log(L, KEYCYCLE_LOG_WARN, NULL, &h), 0);
    run(L, "local e = io.stderr io.stderr = io.tmpfile()\n"
           "keycycle.log.warn 'there'\n"
           "io.stderr:seek 'set' said = io.stderr:read 'a' io.stderr = e\n");
    assert_true(said(L, "keycycle warn: there"));
    assert_int_equal(h.lines, 0);
    lua_close(L);
}

/* -- scripts ------------------------------------------------------------- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_folder_of_scripts_is_loaded(void **state)
{
    (void)state;
    char dir[] = "/tmp/keycycle-host-XXXXXX", sub[64], file[96], why[200];
    assert_non_null(mkdtemp(dir));
    snprintf(sub, sizeof sub, "%s/providers", dir);
    snprintf(file, sizeof file, "%s/mine.lua", sub);
    assert_int_equal(mkdir(sub, 0700), 0);
    write_file(file, "return keycycle.provider { name = 'mine',\n"
                     "  extends = 'openai', base_url = 'http://127.0.0.1:1' }");
    lua_State *L = new_state();
    memset(why, 'x', sizeof why);
    assert_int_equal(keycycle_load(L, dir, why, sizeof why), KEYCYCLE_OK);
    assert_string_equal(why, "");
    run(L, "keycycle.MultiClientWrapper.new { scripts = false }\n"
           "  :register_provider('mine', { keys = { "
           "'sk-test-0123456789abcdefghij' } }):stop()\n");
    write_file(file, "return keycycle.provider {\n  name = 'mine',\n"
                     "  extends = 'nobody',\n}\n");
    assert_int_equal(keycycle_load(L, dir, why, sizeof why), KEYCYCLE_EINVALID);
    assert_int_equal(strncmp(why, file, strlen(file)), 0);
    assert_int_equal(strncmp(why + strlen(file), ":3: ", 4), 0);
    assert_int_equal(keycycle_load(L, dir, why, 9), KEYCYCLE_EINVALID);
    assert_string_equal(why, "/tmp/key");
    assert_int_equal(keycycle_load(L, dir, NULL, 9), KEYCYCLE_EINVALID);
    assert_int_equal(keycycle_load(L, dir, why, 0), KEYCYCLE_EINVALID);
    assert_int_equal(keycycle_load(L, "/none/é", why, sizeof why),
                     KEYCYCLE_EINVALID);
    assert_int_equal(strncmp(why, "/none/é: it cannot be read", 27), 0);
    assert_int_equal(keycycle_load(L, "/none/é", why, 8), KEYCYCLE_EINVALID);
    assert_string_equal(why, "/none/"); /* and no half of a letter */
    assert_int_equal(keycycle_load(L, NULL, why, sizeof why),
                     KEYCYCLE_EINVALID);
    assert_string_equal(why, "load needs the name of a folder");
    assert_int_equal(keycycle_load(L, "", why, sizeof why), KEYCYCLE_EINVALID);
    assert_int_equal(lua_gettop(L), 0);
    lua_close(L);
    unlink(file);
    assert_int_equal(rmdir(sub) + rmdir(dir), 0);
}

/* -- states that cannot be asked ----------------------------------------- */

static void refused(lua_State *L, int load, int closed)
{
    char why[100] = "x";
    assert_int_equal(keycycle_step(L, -1, -1), -1);
    assert_int_equal(keycycle_pollfd(L), -1);
    assert_int_equal(keycycle_timeout(L), -1);
    assert_int_equal(keycycle_set_log(L, KEYCYCLE_LOG_WARN, hear, NULL), load);
    assert_int_equal(keycycle_load(L, "/", why, sizeof why), load);
    assert_true(strlen(why) > 1);
    assert_int_equal(keycycle_close(L), closed);
}

static void a_state_without_the_module_is_refused(void **state)
{
    (void)state;
    refused(NULL, KEYCYCLE_EINVALID, KEYCYCLE_OK);
    lua_State *L = luaL_newstate();
    refused(L, KEYCYCLE_ECLOSED, KEYCYCLE_OK);
    luaL_openlibs(L);
    refused(L, KEYCYCLE_ECLOSED, KEYCYCLE_OK);
    assert_int_equal(lua_gettop(L), 0);
    lua_close(L);
    L = new_state();
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    char why[100];
    assert_int_equal(keycycle_load(L, "/", why, sizeof why), KEYCYCLE_ECLOSED);
    assert_string_equal(why, "keycycle is not open in this Lua state");
    assert_int_equal(keycycle_set_log(L, KEYCYCLE_LOG_WARN, NULL, NULL),
                     KEYCYCLE_ECLOSED);
    lua_close(L);
}

static void a_coroutine_is_as_good_as_the_state(void **state)
{
    (void)state;
    lua_State *L = new_state();
    lua_State *co = lua_newthread(L);
    struct heard h = {0};
    int results;
    run(L, "keycycle.spawn(keycycle.sleep, 3600)\n");
    assert_int_equal(keycycle_step(co, 0, -1), 1);
    assert_int_equal(keycycle_pollfd(co), keycycle_pollfd(L));
    assert_true(keycycle_timeout(co) > 3500000);
    assert_int_equal(keycycle_set_log(co, KEYCYCLE_LOG_WARN, hear, &h), 0);
    run(L, "keycycle.log.warn 'heard'\n");
    assert_string_equal(h.text, "heard");
    assert_int_equal(luaL_loadstring(co, "coroutine.yield()"), LUA_OK);
    assert_int_equal(lua_resume(co, L, 0, &results), LUA_YIELD);
    refused(co, KEYCYCLE_EINVALID, KEYCYCLE_EINVALID); /* suspended */
    assert_int_equal(lua_resume(co, L, 0, &results), LUA_OK);
    assert_int_equal(keycycle_close(co), KEYCYCLE_OK);
    assert_int_equal(keycycle_step(L, -1, -1), 0);
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_tells_how_many_tasks_live),
        cmocka_unit_test(a_step_that_fails_is_logged),
        cmocka_unit_test(a_step_in_a_forked_child_fails),
        cmocka_unit_test(the_log_goes_to_the_host),
        cmocka_unit_test(the_log_lasts_until_it_is_closed),
        cmocka_unit_test(null_is_standard_error),
        cmocka_unit_test(a_folder_of_scripts_is_loaded),
        cmocka_unit_test(a_state_without_the_module_is_refused),
        cmocka_unit_test(a_coroutine_is_as_good_as_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
