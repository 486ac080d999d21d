/* Eight threads, each with a Lua state of its own, on one shared pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "keycycle.h"

#define THREADS 8

/* Every script begins so. `meet(name)` waits until all threads are there;
 * `note(name, n)` adds n to a sum of the program's, and tells the new one. */
static const char prelude[] =
    "keycycle = require 'keycycle'\n"
    "function open(limits, name)\n"
    "  wrapper = keycycle.MultiClientWrapper.new { shared = name or 'pool' }\n"
    "  wrapper:register_provider('p', { base_url = 'http://127.0.0.1:1/v1',\n"
    "    default_model = 'm', limits = limits, keys = {\n"
    "    'sk-test-0123456789abcdefghij', 'sk-test-9876543210jihgfedcba',\n"
    "    'sk-test-5555555555555555555k' } })\n"
    "  manager = wrapper:get_manager 'p'\n"
    "end\n"
    "function total() return manager:get_global_stats().total end\n"
    "FOREVER = { wait = true, timeout = 1e6 }\n";

struct crew;

struct member {
    struct crew *crew;
    pthread_t thread;
    int number;
};

struct crew {
    const char *script;
    struct member members[THREADS];
    pthread_barrier_t all_there;
    atomic_llong sums[8];
    atomic_int failed;
};

static struct member *self(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "member");
    struct member *m = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return m;
}

static int l_meet(lua_State *L)
{
    pthread_barrier_wait(&self(L)->crew->all_there);
    return 0;
}

static int l_note(lua_State *L)
{
    lua_Integer i = luaL_checkinteger(L, 1), n = luaL_optinteger(L, 2, 1);
    luaL_argcheck(L, i >= 0 && i < 8, 1, "there are 8 sums");
    lua_pushinteger(L, atomic_fetch_add(&self(L)->crew->sums[i], n) + n);
    return 1;
}

static lua_State *new_state(struct member *m)
{
    lua_State *L = luaL_newstate();
    if (!L)
        abort();
    luaL_openlibs(L);
    luaL_requiref(L, "keycycle", luaopen_keycycle, 0);
    lua_pop(L, 1);
    lua_pushlightuserdata(L, m);
    lua_setfield(L, LUA_REGISTRYINDEX, "member");
    lua_register(L, "meet", l_meet);
    lua_register(L, "note", l_note);
    lua_pushinteger(L, m->number);
    lua_setglobal(L, "number");
    return L;
}

static void run_in(lua_State *L, const char *script)
{
    if (luaL_dostring(L, prelude) == LUA_OK &&
        luaL_dostring(L, script) == LUA_OK)
        return;
    fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    abort(); /* the others would wait for ever */
}

/* The state is closed as the script left it: nothing is stopped by hand. */
static void *live(void *arg)
{
    struct member *m = arg;
    lua_State *L = new_state(m);
    run_in(L, m->crew->script);
    lua_close(L);
    return NULL;
}

static void run_crew(struct crew *c, const char *script)
{
    c->script = script;
    pthread_barrier_init(&c->all_there, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        struct member *m = &c->members[i];
        *m = (struct member){.crew = c, .number = i + 1};
        assert_int_equal(pthread_create(&m->thread, NULL, live, m), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(c->members[i].thread, NULL);
    pthread_barrier_destroy(&c->all_there);
}

static long long sum(struct crew *c, int i)
{
    return atomic_load(&c->sums[i]);
}

/* The same pool, for the test itself. */
static struct keycycle_pool *open_in_c(uint64_t per_day, uint64_t concurrent)
{
    static const char *const keys[3] = {"sk-test-0123456789abcdefghij",
                                        "sk-test-9876543210jihgfedcba",
                                        "sk-test-5555555555555555555k"};
    struct keycycle_pool_options options = {.name = "pool", .provider = "p"};
    struct keycycle_pool *p;
    struct keycycle_limits limits;
    unsigned index;
    assert_int_equal(keycycle_pool_open(&options, &p), KEYCYCLE_OK);
    for (int i = 0; i < 3; i++) {
        struct keycycle_key key = {.api_key = keys[i]};
        assert_int_equal(keycycle_pool_add_key(p, &key, &index), KEYCYCLE_OK);
    }
    keycycle_limits_init(&limits);
    limits.requests_per_day = per_day;
    limits.concurrent_requests = concurrent;
    assert_int_equal(keycycle_pool_set_limits(p, 0, NULL, &limits),
                     KEYCYCLE_OK);
    return p;
}

static void a_day_of_sixty_serves_exactly_sixty(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    run_crew(&c, "open { requests_per_day = 20 }\n"
                 "meet()\n"
                 "for i = 1, 20 do\n"
                 "  local lease, err = manager:get_key()\n"
                 "  if lease then note(0) lease:commit(10)\n"
                 "  else assert(err.code == 'limited') note(1) end\n"
                 "end\n"
                 "meet()\n"
                 "assert(total().rpd == 60 and total().tpd == 600)\n"
                 "assert(total().in_flight == 0)\n"
                 "meet()\n");
    assert_int_equal(sum(&c, 0), 60);
    assert_int_equal(sum(&c, 1), THREADS * 20 - 60);
}

static void tasks_of_all_states_wait_in_one_queue(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    run_crew(
        &c, "open { concurrent_requests = 1 }\n"
            "meet()\n"
            "keycycle.run(function()\n"
            "  for task = 1, 4 do keycycle.spawn(function()\n"
            "    for i = 1, 10 do\n"
            "      local lease = assert(manager:get_key('m', FOREVER))\n"
            "      assert(note(0) <= 3)\n"
            "      if i % 3 == 0 then keycycle.sleep(0) end\n"
            "      note(1)\n"
            "      note(0, -1)\n"
            "      if i % 2 == 0 then lease:commit(1) else lease:cancel() end\n"
            "    end\n"
            "  end) end\n"
            "end)\n"
            "meet()\n"
            "assert(total().total_requests == 8 * 4 * 5)\n"
            "assert(manager:get_global_stats().queue.length == 0)\n"
            "meet()\n");
    assert_int_equal(sum(&c, 0), 0);
    assert_int_equal(sum(&c, 1), THREADS * 4 * 10);
}

static void waiting_for_others_is_no_deadlock(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    run_crew(&c, "open { concurrent_requests = 1 }\n"
                 "local mine = {}\n"
                 "if number == 1 then\n"
                 "  for i = 1, 3 do mine[i] = assert(manager:get_key()) end\n"
                 "end\n"
                 "meet()\n"
                 "if number == 1 then\n"
                 "  while manager:get_global_stats().queue.length < 7 do end\n"
                 "  for i = 1, 3 do mine[i]:cancel() end\n"
                 "else\n"
                 "  keycycle.run(function()\n"
                 "    local lease = assert(manager:get_key('m', {\n"
                 "      wait = true }))\n"
                 "    note(0)\n"
                 "    lease:commit(1)\n"
                 "  end)\n"
                 "end\n"
                 "meet()\n"
                 "assert(total().in_flight == 0)\n"
                 "meet()\n");
    assert_int_equal(sum(&c, 0), THREADS - 1);
}

/* Those with an odd number vanish while they wait, hold leases, or have been
 * served without having looked; the others must have all that they want. */
static void a_state_may_be_closed_in_the_middle(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    struct keycycle_pool *p = open_in_c(KEYCYCLE_UNLIMITED, 2);
    struct keycycle_stats s;
    assert_int_equal(keycycle_pool_stats(p, 0, NULL, &s), KEYCYCLE_OK);
    run_crew(&c, "open { concurrent_requests = 2 }\n"
                 "manager:on('acquire', function() end)\n"
                 "held, tasks = {}, {}\n"
                 "local function go_on(task)\n"
                 "  for i = 1, 10 do\n"
                 "    local lease = assert(manager:get_key('m', FOREVER))\n"
                 "    if number % 2 == 1 and i == task then\n"
                 "      held[task] = lease\n"
                 "      return\n"
                 "    end\n"
                 "    keycycle.sleep(0)\n"
                 "    note(number % 2)\n"
                 "    lease:cancel()\n"
                 "  end\n"
                 "end\n"
                 "meet()\n"
                 "for i = 1, 4 do tasks[i] = keycycle.spawn(go_on, i) end\n"
                 "if number % 2 == 1 then\n"
                 "  for i = 1, 12 do keycycle.step(0.01) end\n"
                 "else\n"
                 "  keycycle.run(function() keycycle.gather(tasks) end)\n"
                 "end\n");
    assert_int_equal(sum(&c, 0), THREADS / 2 * 4 * 10);
    assert_int_equal(keycycle_pool_stats(p, 0, NULL, &s), KEYCYCLE_OK);
    assert_int_equal(s.in_flight, 0);
    assert_int_equal(s.waiting, 0);
    keycycle_pool_close(p);
}

static void events_cross_states(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    run_crew(&c, "open {}\n"
                 "local seen = 0\n"
                 "if number <= 4 then\n"
                 "  manager:on('acquire', function(event)\n"
                 "    assert(event.provider == 'p' and event.model == 'm')\n"
                 "    seen = seen + 1 + (event.lost or 0)\n"
                 "  end)\n"
                 "end\n"
                 "meet()\n"
                 "if number > 4 then\n"
                 "  for i = 1, 50 do manager:get_key('m'):commit(1) end\n"
                 "else\n" /* nothing wakes them but the events */
                 "  while seen < 200 do keycycle.step() end\n"
                 "  note(0, seen)\n"
                 "end\n"
                 "meet()\n");
    assert_int_equal(sum(&c, 0), 4 * 200);
}

static void listening_to_others_is_no_deadlock(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    run_crew(&c, "open {}\n"
                 "local seen = { on_end = {} }\n"
                 "if number <= 4 then\n"
                 "  manager:on('acquire', function()\n"
                 "    seen.done = true\n"
                 "    for _, fn in ipairs(seen.on_end) do fn() end\n"
                 "  end)\n"
                 "end\n"
                 "meet()\n"
                 "if number > 4 then\n"
                 "  while note(0, 0) < 4 do manager:get_key():cancel() end\n"
                 "else\n" /* as what awaits a task that an event ends */
                 "  require 'keycycle.task'.wait_end(seen)\n"
                 "  note(0)\n"
                 "end\n");
    assert_int_equal(sum(&c, 0), 4);
}

static void limit_functions_are_asked_in_each_state(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    run_crew(&c, "open(function(model, key)\n"
                 "  note(1)\n"
                 "  return { requests_per_day = model == 'm' and 5 or 1 }\n"
                 "end)\n"
                 "meet()\n"
                 "for i = 1, 10 do\n"
                 "  for _, model in ipairs { 'm', 'n' } do\n"
                 "    local lease = manager:get_key(model)\n"
                 "    if lease then note(0) lease:commit(1) end\n"
                 "  end\n"
                 "end\n"
                 "meet()\n");
    assert_int_equal(sum(&c, 0), 3 * 5 + 3 * 1);
    assert_true(sum(&c, 1) >= THREADS * 3 * 2);
}

static void the_last_state_out_frees_the_pool(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct crew c = {.script = NULL};
        run_crew(&c, "open { requests_per_day = 1 }\n"
                     "meet()\n"
                     "local lease = manager:get_key()\n"
                     "if lease then note(0) end\n"
                     "meet()\n");
        assert_int_equal(sum(&c, 0), 3);
    }
}

/* Each opens and closes states of its own, all at once. */
static void names_come_and_go(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    run_crew(&c, "for i = 1, 20 do\n"
                 "  open({ concurrent_requests = 1 }, 'brief' .. i % 2)\n"
                 "  local lease = manager:get_key()\n"
                 "  if i % 3 == 0 and lease then lease:cancel() end\n"
                 "  wrapper:stop()\n"
                 "end\n");
}

/* -- beside a program in C ------------------------------------------------- */

static void lua_and_c_meet_in_whichever_order(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    struct member m = {.crew = &c};
    struct keycycle_stats s;
    for (int lua_first = 0; lua_first < 2; lua_first++) {
        struct keycycle_pool *p = open_in_c(7, KEYCYCLE_UNLIMITED);
        struct keycycle_pool *other = open_in_c(8, KEYCYCLE_UNLIMITED);
        lua_State *L = new_state(&m);
        if (!lua_first)
            assert_int_equal(keycycle_pool_stats(p, 0, NULL, &s), KEYCYCLE_OK);
        run_in(L, "open { requests_per_day = 7 }\n"
                  "manager:get_key():commit(5)\n");
        assert_int_equal(keycycle_pool_stats(p, 0, NULL, &s), KEYCYCLE_OK);
        assert_int_equal(s.rpd, 1);
        assert_int_equal(s.tpd, 5);
        assert_int_equal(keycycle_pool_stats(other, 0, NULL, &s),
                         KEYCYCLE_EDIFFERS);
        lua_close(L);
        keycycle_pool_close(p);
        keycycle_pool_close(other);
    }
}

static void *hear(void *arg)
{
    struct keycycle_listener *l = arg;
    struct keycycle_event e;
    uintptr_t seen = 0;
    int err;
    while ((err = keycycle_listener_next(l, KEYCYCLE_NEVER, &e)) ==
           KEYCYCLE_OK) {
        if (e.type != KEYCYCLE_EVENT_ACQUIRE || strcmp(e.model, "m") != 0 ||
            strlen(e.suffix) != 6)
            abort();
        seen += 1 + (uintptr_t)e.lost;
    }
    if (err != KEYCYCLE_ECLOSED)
        abort();
    return (void *)seen;
}

/* Two threads of the program hear what eight states do, and these, what the
 * program does. */
static void events_cross_between_lua_and_c(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    struct keycycle_pool *p = open_in_c(KEYCYCLE_UNLIMITED, KEYCYCLE_UNLIMITED);
    struct keycycle_listener *listeners[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(keycycle_pool_listen(p, &listeners[i]), KEYCYCLE_OK);
        assert_int_equal(
            pthread_create(&threads[i], NULL, hear, listeners[i]), 0);
    }
    run_crew(&c, "open {}\n"
                 "meet()\n"
                 "for i = 1, 25 do manager:get_key('m'):commit(1) end\n");
    keycycle_pool_stop(p);
    for (int i = 0; i < 2; i++) {
        void *seen;
        pthread_join(threads[i], &seen);
        assert_int_equal((uintptr_t)seen, THREADS * 25);
        keycycle_listener_close(listeners[i]);
    }
    keycycle_pool_close(p);
}

static void lua_hears_what_a_program_in_c_does(void **state)
{
    (void)state;
    struct crew c = {.script = NULL};
    struct member m = {.crew = &c};
    struct keycycle_request r = {.model = "n", .tokens = 3};
    struct keycycle_lease lease;
    struct keycycle_pool *p = open_in_c(KEYCYCLE_UNLIMITED, KEYCYCLE_UNLIMITED);
    lua_State *L = new_state(&m);
    run_in(L, "open {}\n"
              "heard = {}\n"
              "for _, name in ipairs { 'acquire', 'learn', 'invalid' } do\n"
              "  manager:on(name, function(e) heard[name] = e end)\n"
              "end\n");
    assert_int_equal(keycycle_pool_acquire(p, &r, &lease, NULL), KEYCYCLE_OK);
    assert_int_equal(
        keycycle_lease_observe(&lease, KEYCYCLE_REQUESTS, 86400000, 7, 6),
        KEYCYCLE_OK);
    assert_int_equal(keycycle_lease_unpaid(&lease), KEYCYCLE_OK);
    assert_int_equal(keycycle_lease_refuse(&lease), KEYCYCLE_OK);
    run_in(L, "keycycle.step(0)\n"
              "local index = heard.acquire.key_index\n"
              "assert(heard.acquire.model == 'n')\n"
              "assert(heard.learn.reason == 'requests_per_day')\n"
              "assert(heard.learn.amount == 7)\n"
              "assert(heard.invalid.key_index == index)\n"
              "assert(manager:keys()[index].state == 'exhausted')\n");
    lua_close(L);
    keycycle_pool_close(p);
}

/* -- in one store ---------------------------------------------------------- */

static struct keycycle_pool *kept_in_c(const char *name, const char *url)
{
    struct keycycle_pool_options options = {
        .name = name, .provider = "p", .db_url = url};
    struct keycycle_key key = {.api_key = "sk-test-0123456789abcdefghij"};
    struct keycycle_pool *p;
    unsigned index;
    assert_int_equal(keycycle_pool_open(&options, &p), KEYCYCLE_OK);
    assert_int_equal(keycycle_pool_add_key(p, &key, &index), KEYCYCLE_OK);
    assert_int_equal(keycycle_pool_start(p), KEYCYCLE_OK);
    return p;
}

static const char keeping[] =
    "local function keep(url)\n"
    "  local wrapper = keycycle.MultiClientWrapper.new { shared = 'kept',\n"
    "    db_url = url }\n"
    "  wrapper:register_provider('p', { base_url = 'http://127.0.0.1:1/v1',\n"
    "    keys = { 'sk-test-0123456789abcdefghij' } })\n"
    "  return wrapper\n"
    "end\n"
    "local wrapper = keep(url)\n"
    "wrapper:get_manager('p'):get_key('m'):commit(5)\n"
    "wrapper:save()\n"
    "local ok, err = pcall(keep, 'memory:')\n"
    "assert(not ok and err.code == 'differs', err)\n"
    "wrapper:stop()\n";

static void lua_and_c_keep_a_pool_in_one_store(void **state)
{
    (void)state;
    char file[] = "/tmp/keycycle-states-XXXXXX", url[64], log[64];
    struct crew c = {.script = NULL};
    struct member m = {.crew = &c};
    struct keycycle_request r = {.model = "m"};
    struct keycycle_lease lease;
    struct keycycle_stats s;
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    snprintf(url, sizeof url, "sqlite:%s", file);
    struct keycycle_pool *p = kept_in_c("kept", url);
    lua_State *L = new_state(&m);
    lua_pushstring(L, url);
    lua_setglobal(L, "url");
    run_in(L, keeping);
    lua_close(L);
    assert_int_equal(keycycle_pool_acquire(p, &r, &lease, NULL), KEYCYCLE_OK);
    assert_int_equal(keycycle_lease_commit(&lease, 1, 1, 0), KEYCYCLE_OK);
    keycycle_pool_close(p);
    p = kept_in_c(NULL, url);
    assert_int_equal(keycycle_pool_stats(p, 1, "m", &s), KEYCYCLE_OK);
    assert_int_equal(s.total_requests, 2);
    assert_int_equal(s.tpm, 7);
    keycycle_pool_close(p);
    const char *const suffixes[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(log, sizeof log, "%s%s", file, suffixes[i]);
        unlink(log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_of_sixty_serves_exactly_sixty),
        cmocka_unit_test(tasks_of_all_states_wait_in_one_queue),
        cmocka_unit_test(waiting_for_others_is_no_deadlock),
        cmocka_unit_test(a_state_may_be_closed_in_the_middle),
        cmocka_unit_test(events_cross_states),
        cmocka_unit_test(listening_to_others_is_no_deadlock),
        cmocka_unit_test(limit_functions_are_asked_in_each_state),
        cmocka_unit_test(the_last_state_out_frees_the_pool),
        cmocka_unit_test(names_come_and_go),
        cmocka_unit_test(lua_and_c_meet_in_whichever_order),
        cmocka_unit_test(events_cross_between_lua_and_c),
        cmocka_unit_test(lua_hears_what_a_program_in_c_does),
        cmocka_unit_test(lua_and_c_keep_a_pool_in_one_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
