/* keycycle_close in a state that lives on: what ended, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "keycycle.h"
#include "support/rawserver.h"

/* What a program's scripts have for a way out. */
static int l_quit(lua_State *L)
{
    lua_pushinteger(L, keycycle_close(L));
    return 1;
}

static void open_module(lua_State *L)
{
    luaL_requiref(L, "keycycle", luaopen_keycycle, 1);
    lua_pop(L, 1);
}

static void run(lua_State *L, const char *script)
{
    if (luaL_dostring(L, script) != LUA_OK)
        fail_msg("%s", luaL_tolstring(L, -1, NULL));
    lua_settop(L, 0);
}

/* `open(url)` is a client of one key and its wrapper, as globals. */
static lua_State *new_state(void)
{
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    lua_register(L, "quit", l_quit);
    open_module(L);
    run(L, "function open(url, opts)\n"
           "  wrapper = keycycle.MultiClientWrapper.new(opts)\n"
           "  wrapper:register_provider('p', { base_url = url or "
           "'http://127.0.0.1:1/v1',\n"
           "    default_model = 'm', allow_insecure = true,\n"
           "    keys = { 'sk-test-0123456789abcdefghij' } })\n"
           "  manager = wrapper:get_manager 'p'\n"
           "  client = wrapper:get_rotating_client('p', { max_retries = 0 })\n"
           "end\n"
           "function code(fn, ...)\n"
           "  local ok, err = pcall(fn, ...)\n"
           "  if ok then return 'ok' end\n"
           "  return type(err) == 'table' and err.code or tostring(err)\n"
           "end\n");
    return L;
}

static void expect(lua_State *L, const char *expression, const char *want)
{
    char chunk[512];
    snprintf(chunk, sizeof chunk, "return tostring(%s)", expression);
    if (luaL_dostring(L, chunk) != LUA_OK)
        fail_msg("%s: %s", expression, luaL_tolstring(L, -1, NULL));
    assert_string_equal(lua_tostring(L, -1), want);
    lua_settop(L, 0);
}

/* This process's connections to the server, which runs in it, too. */
static int count_connections(unsigned port)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    struct dirent *e;
    while ((e = readdir(dir))) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        int fd = (int)strtol(e->d_name, NULL, 10);
        n += getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
             peer.sin_family == AF_INET && ntohs(peer.sin_port) == port;
    }
    closedir(dir);
    return n;
}

static void every_task_has_ended_and_nothing_begins(void **state)
{
    (void)state;
    lua_State *L = new_state();
    run(L, "said, left = {}, 0\n"
           "function wait()\n"
           "  local held <close> = setmetatable({},\n"
           "    { __close = function() left = left + 1 end })\n"
           "  local heard = code(keycycle.sleep, 3600)\n"
           "  said[#said + 1] = heard\n"
           "  keycycle.sleep(3600)\n"
           "end\n"
           "a = keycycle.spawn(wait)\n"
           "b = keycycle.spawn(keycycle.run, wait)\n"
           "c = keycycle.spawn(keycycle.gather, { wait, wait })\n"
           "keycycle.step(0) keycycle.step(0)\n");
    assert_int_equal(keycycle_step(L, 0, -1), 6);
    run(L, "unstarted = keycycle.spawn(wait)\n");
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    expect(L, "table.concat(said, ' ')",
           "cancelled cancelled cancelled cancelled");
    expect(L, "left", "4");
    expect(L, "a:status() .. b:status() .. c:status() .. unstarted:status()",
           "cancelledcancelledcancelledcancelled");
    assert_int_equal(keycycle_step(L, -1, -1), 0);
    assert_int_equal(keycycle_timeout(L), -1);
    assert_int_equal(keycycle_pollfd(L), -1);
    expect(L, "keycycle.step()", "0");
    expect(L, "keycycle.timeout()", "nil");
    expect(L, "code(keycycle.spawn, print)", "closed");
    expect(L, "code(keycycle.run, print)", "closed");
    expect(L, "code(keycycle.sleep, 0)", "closed");
    expect(L, "code(keycycle.gather, { print })", "closed");
    expect(L, "code(keycycle.pollfd)", "closed");
    expect(L, "code(keycycle.MultiClientWrapper.new)", "closed");
    expect(L, "code(keycycle.load, '.')", "closed");
    expect(L, "code(keycycle.reload)", "closed");
    expect(L, "code(keycycle.http.request, { url = 'http://127.0.0.1:1/' })",
           "closed");
    expect(L, "select(2, pcall(keycycle.sleep, 0))",
           "KeycycleError: keycycle was closed in this Lua state (closed)");
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    assert_int_equal(lua_gettop(L), 0);
    lua_close(L);
}

static void a_task_that_goes_on_for_ever_is_closed(void **state)
{
    (void)state;
    lua_State *L = new_state();
    run(L,
        "caught = 0\n"
        "t = keycycle.spawn(function()\n"
        "  local held <close> = setmetatable({}, { __close = function()\n"
        "    closing = code(keycycle.sleep, 1)\n"
        "  end })\n"
        "  while true do\n"
        "    if not pcall(keycycle.sleep, 3600) then caught = caught + 1 end\n"
        "    coroutine.yield()\n"
        "  end\n"
        "end)\n"
        "keycycle.step(0)\n");
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    expect(L, "t:status()", "cancelled");
    expect(L, "closing", "cancelled");
    expect(L, "caught", "1");
    lua_close(L);
}

/* What was used is in the file; what the program holds is of no use. */
static void wrappers_are_stopped_and_usage_is_written(void **state)
{
    (void)state;
    char dir[] = "/tmp/keycycle-close-XXXXXX", script[160];
    assert_non_null(mkdtemp(dir));
    lua_State *L = new_state();
    snprintf(script, sizeof script,
             "open(nil, { db_url = 'sqlite:%s/use.db' })\n", dir);
    run(L, script);
    run(L, "manager:get_key 'm':commit(7)\n"
           "kept = manager:get_key 'm'\n"
           "one = keycycle.MultiProviderWrapper.new { provider = 'p',\n"
           "  keys = { 'sk-test-0123456789abcdefghij' },\n"
           "  base_url = 'http://127.0.0.1:1/v1' }\n"
           "key, lent = one:get_api_key_with_context { model = 'm' }\n"
           "given = one:get_api_key { model = 'm' }\n"
           "w = keycycle.spawn(function()\n"
           "  manager:get_key('m'):commit(5)\n"
           "  local ok, err = pcall(keycycle.sleep, 3600)\n"
           "  manager:get_key('m'):commit(1)\n" /* it may tidy up */
           "end)\n"
           "keycycle.step(0)\n");
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    expect(L, "code(manager.get_key, manager, 'm')", "closed");
    expect(L, "code(wrapper.get_manager, wrapper, 'p')", "closed");
    expect(L, "code(one.get_api_key, one, { model = 'm' })", "closed");
    expect(L, "wrapper", "MultiClientWrapper (1 providers, stopped)");
    expect(L, "one", "MultiProviderWrapper (p, stopped)");
    expect(L,
           "code(client.chat.completions.create, client.chat.completions, "
           "{ messages = {} })",
           "closed");
    lua_State *M = new_state();
    run(M, script);
    expect(M, "manager:get_global_stats().total.total_requests", "4");
    expect(M, "manager:get_global_stats().total.total_tokens", "13");
    lua_close(M);
    lua_close(L);
    for (const char *const *tail =
             (const char *const[]){"", "-wal", "-shm", NULL};
         *tail; tail++) {
        snprintf(script, sizeof script, "%s/use.db%s", dir, *tail);
        unlink(script);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void a_program_s_own_store_is_saved_to_the_end(void **state)
{
    (void)state;
    struct rawserver *server = rawserver_open();
    char script[512];
    assert_non_null(server);
    lua_State *L = new_state();
    snprintf(script, sizeof script,
             "open(nil, { store = { load = function() end,\n"
             "  save = function(data)\n"
             "    saved = keycycle.http.request { url = "
             "'http://127.0.0.1:%u/ok' }.status\n"
             "    spawned = code(keycycle.spawn, print)\n"
             "    again = quit()\n"
             "  end } })\n"
             "manager:get_key 'm':commit(7)\n",
             rawserver_port(server));
    run(L, script);
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    expect(L, "saved", "200");      /* it may wait */
    expect(L, "spawned", "closed"); /* but nothing begins */
    expect(L, "again", "0");
    lua_close(L);
    rawserver_close(server);
}

static void connections_are_dropped(void **state)
{
    (void)state;
    struct rawserver *server = rawserver_open();
    char script[1024];
    assert_non_null(server);
    lua_State *L = new_state();
    unsigned port = rawserver_port(server);
    snprintf(script, sizeof script,
             "open 'http://127.0.0.1:%u/flood/v1'\n"
             "local request = { stream = true, messages = {} }\n"
             "stream = client.chat.completions:create(request)\n" /* kept */
             "stream()\n"
             "keycycle.spawn(function()\n"
             "  kept = { keycycle.http.request {\n"
             "    url = 'http://127.0.0.1:%u/never' } }\n"
             "end)\n"
             "keycycle.http.request { url = 'http://127.0.0.1:%u/ok' }\n"
             "keycycle.step(0) keycycle.step(0)\n",
             port, port, port);
    run(L, script);
    assert_true(count_connections(port) >= 2);
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    assert_int_equal(count_connections(port), 0);
    expect(L, "code(stream)", "closed");
    expect(L, "code(stream)", "ok"); /* and that was its end */
    lua_close(L);
    rawserver_close(server);
}

static void inside_a_task_it_ends_the_others_at_once(void **state)
{
    (void)state;
    lua_State *L = new_state();
    run(L, "open()\n"
           "other = keycycle.spawn(keycycle.sleep, 3600)\n"
           "keycycle.step(0)\n"
           "result = table.pack(pcall(keycycle.run, function()\n"
           "  nested = keycycle.spawn(keycycle.sleep, 3600)\n"
           "  keycycle.sleep(0)\n"
           "  closed = quit()\n"
           "  status = other:status() .. ' ' .. nested:status()\n"
           "  spawned = code(keycycle.spawn, print)\n"
           "  waited = code(keycycle.sleep, 1)\n"
           "  return 'the end'\n"
           "end))\n");
    expect(L, "closed", "0");
    expect(L, "status", "cancelled cancelled");
    expect(L, "spawned", "closed");
    expect(L, "waited", "closed");
    expect(L, "result[1] and result[2]", "the end");
    assert_int_equal(keycycle_step(L, -1, -1), 0);
    lua_close(L);
}

/* A task further down the stack, which blocks, sees it when it goes on. */
static void inside_a_task_that_another_waits_for_it_ends_both(void **state)
{
    (void)state;
    lua_State *L = new_state();
    run(L, "outer = keycycle.spawn(function()\n"
           "  local inner = keycycle.spawn(function() quit() end)\n"
           "  local co = coroutine.wrap(function()\n" /* it cannot yield */
           "    first = code(inner.await, inner)\n"
           "    second = code(keycycle.sleep, 1)\n"
           "  end)\n"
           "  co()\n"
           "  third = code(keycycle.sleep, 1)\n"
           "end)\n"
           "steps = keycycle.step(0)\n");
    expect(L, "first", "cancelled");
    expect(L, "second", "closed");
    expect(L, "third", "closed");
    expect(L, "steps", "0");
    expect(L, "outer:status()", "done");
    lua_close(L);
}

static void a_subscriber_may_call_it(void **state)
{
    (void)state;
    lua_State *L = new_state();
    run(L, "open()\n"
           "told = 0\n"
           "manager:on('acquire', function() told = told + 1 quit() end)\n"
           "manager:on('acquire', function() told = told + 1 end)\n"
           "manager:get_key 'm':commit(1)\n"
           "manager:get_key 'm':commit(1)\n"
           "keycycle.spawn(keycycle.sleep, 3600)\n");
    assert_int_equal(keycycle_step(L, 0, -1), 0);
    expect(L, "told > 0", "true");
    assert_int_equal(keycycle_step(L, -1, -1), 0);
    lua_close(L);
}

static void what_waits_outside_of_tasks_is_told(void **state)
{
    (void)state;
    lua_State *L = new_state();
    run(L, "keycycle.spawn(function() keycycle.sleep(0) quit() end)\n"
           "t = keycycle.spawn(keycycle.sleep, 3600)\n"
           "awaited = code(t.await, t)\n");
    expect(L, "awaited", "cancelled");
    lua_close(L);
}

static void it_opens_anew_and_what_was_stays_closed(void **state)
{
    (void)state;
    lua_State *L = new_state();
    for (int i = 0; i < 3; i++) {
        run(L, "open() old, old_manager = keycycle, manager\n"
               "keycycle.spawn(keycycle.sleep, 3600)\n");
        assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
        expect(L, "package.loaded.keycycle", "nil");
        open_module(L);
        expect(L, "old == keycycle", "false");
        expect(L, "code(old.sleep, 0)", "closed");
        expect(L, "code(old.spawn, print)", "closed");
        expect(L, "code(old.http.request, { url = 'http://127.0.0.1:1/' })",
               "closed");
        expect(L, "code(old_manager.get_key, old_manager, 'm')", "closed");
        run(L, "open() manager:get_key 'm':commit(3)\n"
               "old.close() old.log.set_sink(nil)\n");
        expect(L, "manager:get_global_stats().total.total_tokens", "3");
        expect(L, "keycycle.run(function() keycycle.sleep(0) return 7 end)",
               "7");
        expect(L, "keycycle.json.decode('[null]')[1] == old.json.null", "true");
        assert_int_equal(keycycle_step(L, 0, -1), 0);
    }
    run(L, "wrapper:stop()\n");
    lua_close(L);
}

static void in_a_forked_child_it_does_nothing(void **state)
{
    (void)state;
    lua_State *L = new_state();
    run(L, "open() keycycle.spawn(keycycle.sleep, 3600) keycycle.step(0)\n");
    pid_t pid = fork();
    if (pid == 0)
        _exit(keycycle_pollfd(L) == -1 && keycycle_step(L, 0, -1) == -1 &&
                      keycycle_close(L) == KEYCYCLE_EFORKED
                  ? 0
                  : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(keycycle_step(L, 0, -1), 1);
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    assert_int_equal(keycycle_step(L, 0, -1), 0);
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_has_ended_and_nothing_begins),
        cmocka_unit_test(a_task_that_goes_on_for_ever_is_closed),
        cmocka_unit_test(wrappers_are_stopped_and_usage_is_written),
        cmocka_unit_test(a_program_s_own_store_is_saved_to_the_end),
        cmocka_unit_test(connections_are_dropped),
        cmocka_unit_test(inside_a_task_it_ends_the_others_at_once),
        cmocka_unit_test(inside_a_task_that_another_waits_for_it_ends_both),
        cmocka_unit_test(a_subscriber_may_call_it),
        cmocka_unit_test(what_waits_outside_of_tasks_is_told),
        cmocka_unit_test(it_opens_anew_and_what_was_stays_closed),
        cmocka_unit_test(in_a_forked_child_it_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
