/* A host that carries the requests of its Lua states by an HTTP of its own, in
 * threads, beside its own poll(2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>

#include "support/rawserver.h"
#include "support/threaded.h"
#include "unit/lua/state_fixture.h"

/* ask(path, stream) gives the text of an answer, or its error. */
static const char prelude[] =
    "keycycle.log.set_level 'off'\n"
    "function provide(port, options)\n"
    "  wrapper = keycycle.MultiClientWrapper.new(options)\n"
    "  base = 'http://127.0.0.1:' .. port\n"
    "  wrapper:register_provider('p', { base_url = base, default_model = 'm',\n"
    "    keys = { 'sk-test-0123456789abcdefghij' } })\n"
    "  client = wrapper:get_rotating_client('p', { max_retries = 0 })\n"
    "end\n"
    "function ask(path, stream)\n"
    "  local answer = client.chat.completions:create({ stream = stream,\n"
    "    messages = { { role = 'user', content = 'x' } } },\n"
    "    { base_url = base .. path })\n"
    "  return stream and answer:text() or answer.choices[1].message.content\n"
    "end\n"
    "function total() return wrapper:get_manager 'p':get_global_stats().total\n"
    "end\n";

static lua_State *new_state(void)
{
    lua_State *L = open_state();
    run(L, prelude);
    return L;
}

static void provide(lua_State *L, struct rawserver *s)
{
    char line[64];
    snprintf(line, sizeof line, "provide(%u)", rawserver_port(s));
    run(L, line);
}

/* The host's loop, until no task lives. */
static void loop(lua_State *L)
{
    struct pollfd p = {.fd = keycycle_pollfd(L), .events = POLLIN};
    int live = keycycle_step(L, 0, -1);
    while (live > 0) {
        assert_int_equal(poll(&p, 1, 60000), 1);
        live = keycycle_step(L, 0, -1);
    }
    assert_int_equal(live, 0);
}

struct fixture {
    struct rawserver *server;
    struct threaded host;
    lua_State *L;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->server = rawserver_open();
    assert_non_null(f->server);
    threaded_open(&f->host);
    f->L = new_state();
    provide(f->L, f->server);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->L)
        lua_close(f->L);
    threaded_close(&f->host); /* waits for its threads alone */
    rawserver_close(f->server);
    free(f);
    return 0;
}

static void use(struct fixture *f)
{
    assert_int_equal(keycycle_set_transport(f->L, &f->host.transport),
                     KEYCYCLE_OK);
    assert_int_equal(lua_gettop(f->L), 0);
}

static void calls_are_carried_by_its_threads(void **state)
{
    struct fixture *f = *state;
    use(f);
    run(f->L, "keycycle.spawn(function() answer = ask '/ok' end)\n"
              "keycycle.spawn(function() text = ask('/sse?mode=split', true)\n"
              "  end)\n"
              "keycycle.spawn(function() zipped = ask '/gzip' end)\n");
    loop(f->L);
    run(f->L, "assert(answer == 'ok' and text == 'Hi' and zipped == 'zip')\n"
              "assert(total().in_flight == 0 and total().total_requests == 3)");
    assert_int_equal(atomic_load(&f->host.started), 3);
    /* The stream's reader has its last event before the thread has its end. */
    assert_true(atomic_load(&f->host.cancelled) <= 1);
}

static void a_call_may_block_its_thread(void **state)
{
    struct fixture *f = *state;
    use(f);
    run(f->L, "assert(ask '/ok' == 'ok')\n"
              "assert(ask('/sse?mode=crlf', true) == 'Hi')\n");
    run(f->L, "local err = select(2, pcall(ask, '/cut-in-body'))\n"
              "assert(err.code == 'cut', tostring(err))\n"
              "local err = select(2, pcall(ask, '/status?code=400'))\n"
              "assert(err.status == 400, tostring(err))\n"
              "assert(total().in_flight == 0)");
    assert_int_equal(atomic_load(&f->host.started), 4);
}

static void all_else_of_the_state_is_carried_too(void **state)
{
    struct fixture *f = *state;
    use(f);
    run(f->L, "local answer = keycycle.http.request { url = base .. '/ok' }\n"
              "assert(answer.status == 200 and answer.body:find 'ok')\n"
              "local http = keycycle.compat.socket_http\n"
              "local body, status, _, line = http.request(base .. '/ok')\n"
              "assert(status == 200 and body:find 'ok', tostring(status))\n"
              "assert(line == 'HTTP/1.1 200', line)\n"
              "wrapper:preconnect 'p'\n");
    assert_int_equal(atomic_load(&f->host.started), 3);
}

static void a_hundred_calls_are_carried_at_once(void **state)
{
    struct fixture *f = *state;
    use(f);
    run(f->L, "done = 0\n"
              "for i = 1, 100 do keycycle.spawn(function()\n"
              "  local text = ask(i % 2 == 0 and '/ok' or '/sse?mode=lf',\n"
              "    i % 2 == 1)\n"
              "  assert(text == (i % 2 == 0 and 'ok' or 'Hi'))\n"
              "  done = done + 1\n"
              "end) end\n");
    loop(f->L);
    run(f->L, "assert(done == 100 and total().in_flight == 0)");
    assert_int_equal(atomic_load(&f->host.started), 100);
}

static void what_is_left_ends_its_threads(void **state)
{
    struct fixture *f = *state;
    use(f);
    run(f->L,
        "local err = select(2, pcall(client.request, client, {\n"
        "  method = 'GET', path = '/never' }, { request_timeout = 0.02 }))\n"
        "assert(err.code == 'timeout', tostring(err))\n"
        "task = keycycle.spawn(ask, '/never')\n"
        "keycycle.step(0)\n"
        "task:cancel()\n"
        "keycycle.step(0)\n"
        "assert(task:status() == 'cancelled')\n"
        "assert(total().in_flight == 0 and total().total_requests == 2)");
    assert_int_equal(atomic_load(&f->host.cancelled), 2);
}

static void a_state_may_be_closed_in_the_middle(void **state)
{
    struct fixture *f = *state;
    use(f);
    run(f->L, "for i = 1, 20 do keycycle.spawn(ask, '/never') end\n"
              "for i = 1, 20 do keycycle.spawn(ask, '/slow-events', true) end\n"
              "for i = 1, 2 do keycycle.spawn(ask, '/flood', true) end\n"
              "stream = keycycle.spawn(function()\n"
              "  for _ in client.chat.completions:create({ stream = true,\n"
              "    messages = {} }, { base_url = base .. '/flood' }) do\n"
              "    seen = true end end)\n"
              "while not seen do keycycle.step(0.01) end\n");
    lua_close(f->L);
    f->L = NULL;
    assert_int_equal(atomic_load(&f->host.started), 43);
    /* What floods may have ended by itself: nobody took it meanwhile. */
    assert_true(atomic_load(&f->host.cancelled) >= 40);
}

static void another_one_is_used_by_later_calls_only(void **state)
{
    struct fixture *f = *state;
    use(f);
    run(f->L, "keycycle.spawn(function() first = ask '/slow-events' end)\n"
              "keycycle.step(0)\n");
    assert_int_equal(keycycle_set_transport(f->L, NULL), KEYCYCLE_OK);
    run(f->L, "assert(ask '/ok' == 'ok')");
    assert_int_equal(atomic_load(&f->host.started), 1);
    use(f);
    run(f->L, "assert(ask '/ok' == 'ok')");
    assert_int_equal(atomic_load(&f->host.started), 2);
    assert_int_equal(keycycle_set_transport(f->L, NULL), KEYCYCLE_OK);
    assert_int_equal(keycycle_set_transport(f->L, NULL), KEYCYCLE_OK);
}

static void a_wrapper_with_its_own_goes_before(void **state)
{
    struct fixture *f = *state;
    use(f);
    run(f->L, "local n = 0\n"
              "provide(1, { transport = { start = function(_, x)\n"
              "  n = n + 1\n"
              "  x:headers(200, { ['content-type'] = 'application/json' })\n"
              "  x:data '{\"choices\":[{\"message\":{\"content\":\"own\"}}]}'\n"
              "  x:done()\n"
              "end } })\n"
              "assert(ask '/ok' == 'own' and n == 1)");
    assert_int_equal(atomic_load(&f->host.started), 0);
}

/* -- one that answers when it is told to -------------------------------------
 */

struct slow {
    struct keycycle_transport transport;
    struct keycycle_exchange *x;
    int refuses;
    int cancels, released;
};

static void release(void *data)
{
    ++*(int *)data;
}

static int slow_start(void *ctx, const struct keycycle_http_request *r,
                      struct keycycle_exchange *x)
{
    struct slow *s = ctx;
    (void)r;
    if (s->refuses)
        return s->refuses;
    keycycle_exchange_set_data(x, &s->released, release);
    s->x = x;
    return KEYCYCLE_OK;
}

static void slow_cancel(void *ctx, struct keycycle_exchange *x)
{
    struct slow *s = ctx;
    assert_ptr_equal(x, s->x);
    s->cancels++;
}

static void an_answer_may_come_after_the_state_is_closed(void **state)
{
    struct fixture *f = *state;
    struct slow s = {.transport = {.start = slow_start, .cancel = slow_cancel}};
    s.transport.ctx = &s;
    assert_int_equal(keycycle_set_transport(f->L, &s.transport), KEYCYCLE_OK);
    run(f->L, "keycycle.spawn(ask, '/ok') keycycle.step(0)");
    assert_non_null(s.x);
    lua_close(f->L);
    f->L = NULL;
    assert_int_equal(s.cancels, 1);
    assert_int_equal(s.released, 0);
    assert_int_equal(keycycle_exchange_headers(s.x, 200, NULL, 0),
                     KEYCYCLE_ECLOSED);
    keycycle_exchange_end(s.x, KEYCYCLE_OK, NULL);
    assert_int_equal(s.released, 1);
}

static void where_it_refuses_the_request_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct slow s = {.transport = {.start = slow_start},
                     .refuses = KEYCYCLE_ERESOLVE};
    s.transport.ctx = &s;
    assert_int_equal(keycycle_set_transport(f->L, &s.transport), KEYCYCLE_OK);
    run(f->L, "local err = select(2, pcall(ask, '/ok'))\n"
              "assert(err.code == 'resolve', tostring(err))\n"
              "assert(total().in_flight == 0 and total().total_requests == 0)");
    /* Without a cancel nothing is told. */
    s.refuses = 0;
    run(f->L, "local err = select(2, pcall(client.request, client, {\n"
              "  method = 'GET', path = '/x' }, { request_timeout = 0.01 }))\n"
              "assert(err.code == 'timeout', tostring(err))\n"
              "assert(total().in_flight == 0 and total().total_requests == 1)");
    keycycle_exchange_end(s.x, KEYCYCLE_OK, NULL);
    assert_int_equal(s.released, 1);
}

/* -- many, that another thread ends while the state is closed ----------------
 */

#define MANY 1000

struct crowd {
    struct keycycle_transport transport;
    struct keycycle_exchange *x[MANY];
    int begun;
    atomic_int cancels, released;
    pthread_barrier_t barrier;
};

static void count_released(void *data)
{
    atomic_fetch_add((atomic_int *)data, 1);
}

static int crowd_start(void *ctx, const struct keycycle_http_request *r,
                       struct keycycle_exchange *x)
{
    struct crowd *c = ctx;
    (void)r;
    keycycle_exchange_set_data(x, &c->released, count_released);
    c->x[c->begun++] = x;
    return KEYCYCLE_OK;
}

static void crowd_cancel(void *ctx, struct keycycle_exchange *x)
{
    struct crowd *c = ctx;
    assert_ptr_equal(keycycle_exchange_get_data(x), &c->released);
    atomic_fetch_add(&c->cancels, 1);
}

static void *end_all(void *ctx)
{
    static const struct keycycle_param type = {"content-type",
                                               "text/event-stream"};
    struct crowd *c = ctx;
    pthread_barrier_wait(&c->barrier);
    for (int i = MANY - 1; i >= 0; i--) {
        keycycle_exchange_headers(c->x[i], 200, &type, 1);
        keycycle_exchange_data(c->x[i], "data: {}\n\n", 10);
        keycycle_exchange_end(c->x[i], KEYCYCLE_OK, NULL);
    }
    return NULL;
}

static void a_thousand_may_end_while_the_state_does(void **state)
{
    struct fixture *f = *state;
    struct crowd c = {
        .transport = {.start = crowd_start, .cancel = crowd_cancel}};
    pthread_t thread;
    c.transport.ctx = &c;
    assert_int_equal(pthread_barrier_init(&c.barrier, NULL, 2), 0);
    assert_int_equal(keycycle_set_transport(f->L, &c.transport), KEYCYCLE_OK);
    run(f->L, "for i = 1, 1000 do keycycle.spawn(ask, '/ok', i % 2 == 0) end\n"
              "keycycle.step(0)");
    assert_int_equal(c.begun, MANY);
    assert_int_equal(pthread_create(&thread, NULL, end_all, &c), 0);
    pthread_barrier_wait(&c.barrier);
    keycycle_step(f->L, 0, 1000); /* some are taken, most are cut */
    lua_close(f->L);
    f->L = NULL;
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&c.released), MANY);
    assert_true(atomic_load(&c.cancels) <= MANY);
    pthread_barrier_destroy(&c.barrier);
}

static void what_is_no_transport_is_refused(void **state)
{
    struct fixture *f = *state;
    struct keycycle_transport none = {.cancel = slow_cancel};
    assert_int_equal(keycycle_set_transport(f->L, &none), KEYCYCLE_EINVALID);
    assert_int_equal(keycycle_set_transport(NULL, NULL), KEYCYCLE_EINVALID);
    lua_State *waits = lua_newthread(f->L);
    int results;
    assert_int_equal(luaL_loadstring(waits, "coroutine.yield()"), LUA_OK);
    assert_int_equal(lua_resume(waits, f->L, 0, &results), LUA_YIELD);
    assert_int_equal(keycycle_set_transport(waits, NULL), KEYCYCLE_EINVALID);
    lua_pop(f->L, 1);
    run(f->L, "assert(ask '/ok' == 'ok')");
}

static void a_state_without_the_module_has_none(void **state)
{
    struct fixture *f = *state;
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    assert_int_equal(keycycle_set_transport(L, &f->host.transport),
                     KEYCYCLE_ECLOSED);
    luaL_requiref(L, "keycycle", luaopen_keycycle, 1);
    lua_pop(L, 1);
    assert_int_equal(keycycle_set_transport(L, &f->host.transport),
                     KEYCYCLE_OK);
    assert_int_equal(keycycle_close(L), KEYCYCLE_OK);
    assert_int_equal(keycycle_set_transport(L, &f->host.transport),
                     KEYCYCLE_ECLOSED);
    assert_int_equal(keycycle_set_transport(L, NULL), KEYCYCLE_ECLOSED);
    /* Opened anew it is libcurl's again. */
    luaL_requiref(L, "keycycle", luaopen_keycycle, 1);
    lua_pop(L, 1);
    run(L, prelude);
    provide(L, f->server);
    run(L, "assert(ask '/ok' == 'ok')");
    assert_int_equal(atomic_load(&f->host.started), 0);
    lua_close(L);
}

static void a_forked_child_sets_none(void **state)
{
    struct fixture *f = *state;
    use(f);
    pid_t pid = fork();
    if (pid == 0)
        _exit(keycycle_set_transport(f->L, NULL) == KEYCYCLE_EFORKED ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    run(f->L, "assert(ask '/ok' == 'ok')");
    assert_int_equal(atomic_load(&f->host.started), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(calls_are_carried_by_its_threads),
        T(a_call_may_block_its_thread),
        T(all_else_of_the_state_is_carried_too),
        T(a_hundred_calls_are_carried_at_once),
        T(what_is_left_ends_its_threads),
        T(a_state_may_be_closed_in_the_middle),
        T(another_one_is_used_by_later_calls_only),
        T(a_wrapper_with_its_own_goes_before),
        T(an_answer_may_come_after_the_state_is_closed),
        T(where_it_refuses_the_request_is_given_back),
        T(a_thousand_may_end_while_the_state_does),
        T(what_is_no_transport_is_refused),
        T(a_state_without_the_module_has_none),
        T(a_forked_child_sets_none),
#undef T
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
