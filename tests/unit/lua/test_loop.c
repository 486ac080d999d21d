/* A host's own loop with poll(2) around keycycle_step, as src/README.md shows it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <lauxlib.h>

#include "unit/lua/state_fixture.h"

#define ANSWER                                        \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" \
    "Content-Length: 6\r\nConnection: close\r\n\r\nanswer"

/* The host's own socket: a listener on a port of loopback. */
static int listen_on(unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

/* One request, which has come in whole with its connection, is answered. */
static void serve(int listener)
{
    char request[4096];
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_true(recv(fd, request, sizeof request, 0) > 0);
    ssize_t len = (ssize_t)strlen(ANSWER);
    assert_true(send(fd, ANSWER, (size_t)len, MSG_NOSIGNAL) == len);
    close(fd);
}

static void calls_run_beside_a_socket_of_the_hosts_own(void **state)
{
    (void)state;
    lua_State *L = open_state();
    unsigned port;
    int served = 0, turns = 1;
    struct pollfd fds[2] = {{.fd = keycycle_pollfd(L), .events = POLLIN},
                            {.fd = listen_on(&port), .events = POLLIN}};
    lua_pushinteger(L, (lua_Integer)port);
    lua_setglobal(L, "port");
    run(L, "got = {}\n"
           "for i = 1, 3 do\n"
           "  keycycle.spawn(function()\n"
           "    local a = keycycle.http.request {\n"
           "      url = 'http://127.0.0.1:' .. port .. '/' }\n"
           "    got[#got + 1] = a.body\n"
           "    keycycle.sleep(0.002)\n"
           "  end)\n"
           "end\n");
    int live = keycycle_step(L, 0, -1);
    assert_int_equal(live, 3);
    while (live > 0 && poll(fds, 2, 10000) > 0) {
        if (fds[0].revents) {
            live = keycycle_step(L, 0, -1);
            turns++;
        }
        if (fds[1].revents) {
            serve(fds[1].fd);
            served++;
        }
    }
    assert_int_equal(live, 0);
    assert_int_equal(served, 3);
    assert_true(turns <= 40);
    run(L, "assert(table.concat(got, ' ') == 'answer answer answer')\n");
    close(fds[1].fd);
    lua_close(L);
}

static void an_idle_loop_is_not_woken_and_is_told_when(void **state)
{
    (void)state;
    lua_State *L = open_state();
    struct pollfd p = {.fd = keycycle_pollfd(L), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(keycycle_timeout(L), -1);
    run(L, "t = keycycle.spawn(keycycle.sleep, 0.01)\n");
    assert_int_equal(keycycle_timeout(L), 0);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(keycycle_step(L, 0, -1), 1);
    int ms = keycycle_timeout(L);
    assert_true(ms >= 0 && ms <= 10);
    assert_int_equal(poll(&p, 1, 10000), 1); /* the descriptor, for a timer */
    assert_int_equal(keycycle_timeout(L), 0);
    assert_int_equal(keycycle_step(L, 0, -1), 0);
    assert_int_equal(keycycle_timeout(L), -1);
    assert_int_equal(poll(&p, 1, 0), 0);
    run(L, "keycycle.spawn(function() end)\n"
           "keycycle.sleep(0.001)\n"); /* blocks, and leaves the task */
    assert_int_equal(poll(&p, 1, 0), 1);
    run(L, "t = keycycle.spawn(keycycle.sleep, math.huge)\n");
    assert_int_equal(keycycle_step(L, 0, -1), 1);
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_true(keycycle_timeout(L) > 1000000000);
    lua_close(L);
}

static void a_budget_leaves_tasks_for_the_next_frames(void **state)
{
    (void)state;
    lua_State *L = open_state();
    run(L, "ran = 0\n"
           "for i = 1, 5 do\n"
           "  keycycle.spawn(function() ran = ran + 1 end)\n"
           "end\n");
    for (int live = 4; live >= 0; live--) {
        assert_int_equal(keycycle_step(L, 0, 0), live); /* one at least */
        assert_int_equal(keycycle_timeout(L), live > 0 ? 0 : -1);
    }
    run(L, "assert(ran == 5)\n"
           "for i = 1, 5 do\n"
           "  keycycle.spawn(function() ran = ran + 1 end)\n"
           "end\n");
    assert_int_equal(keycycle_step(L, -1, 1000000), 0);
    run(L, "assert(ran == 10)\n"
           "for i = 1, 5 do\n"
           "  keycycle.spawn(function() keycycle.sleep(0.001) end)\n"
           "end\n");
    int live = keycycle_step(L, 0, -1);
    while (live > 0) /* the wait is no part of the budget */
        live = keycycle_step(L, -1, 1000000);
    assert_int_equal(live, 0);
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_run_beside_a_socket_of_the_hosts_own),
        cmocka_unit_test(an_idle_loop_is_not_woken_and_is_told_when),
        cmocka_unit_test(a_budget_leaves_tasks_for_the_next_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
