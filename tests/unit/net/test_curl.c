/* The transport over libcurl: what it has beyond transports.h. */
#include "transports.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    open_fixture(f, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_fixture(f);
    free(f);
    return 0;
}

static void a_connection_serves_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        struct kc_exchange *x = fetch(f, "/ok", (struct kc_exchange_config){0});
        assert_int_equal(x->err, KC_OK);
        done(f, x);
    }
    assert_int_equal(rawserver_count(f->server), 3);
    assert_int_equal(rawserver_connections(f->server), 1);
}

static void no_program_that_is_started_inherits_a_connection(void **state)
{
    struct fixture *f = *state;
    int connections = 0;
    done(f, fetch(f, "/ok", (struct kc_exchange_config){0}));
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0 ||
            peer.sin_family != AF_INET ||
            ntohs(peer.sin_port) != rawserver_port(f->server))
            continue;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        connections++;
    }
    assert_int_equal(connections, 1);
}

static void redirects_stay_at_their_origin(void **state)
{
    struct fixture *f = *state;
    struct kc_exchange *x =
        fetch(f, "/redirect-same", (struct kc_exchange_config){0});
    assert_int_equal(x->status, 200);
    done(f, x);
    x = fetch(f, "/redirect-other", (struct kc_exchange_config){0});
    assert_int_equal(x->err, KC_OK);
    assert_int_equal(x->status, 307);
    done(f, x);
    assert_int_equal(rawserver_count(f->server), 3);
    x = fetch(f, "/redirect-loop", (struct kc_exchange_config){0});
    assert_int_equal(x->status, 307);
    assert_int_equal(rawserver_count(f->server), 3 + 6);
    done(f, x);
}

/* The server sends without end. A reader who stops is a transfer that stops:
 * what is received does not grow, and it goes on when he reads on. */
static void a_reader_who_stops_stops_the_transfer(void **state)
{
    struct fixture *f = *state;
    char text[256];
    struct kc_exchange *x = begin(
        f, "/flood",
        (struct kc_exchange_config){.stream = true, .max_queued_bytes = 8192});
    /* Paused: libcurl watches its socket no more. */
    while (!x->have_headers || f->poller.len > 0)
        poller_turn(&f->poller);
    uint64_t received = x->received_bytes;
    assert_true(received < 8192 + 64 * 1024);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(take(f, x, text, sizeof text), KC_OK);
    assert_true(x->received_bytes > received);
    assert_true(x->received_bytes < received + 2000 * 100 + 64 * 1024);
    done(f, x);
}

static void what_is_raw_is_as_it_was_sent(void **state)
{
    struct fixture *f = *state;
    struct kc_exchange_config raw = {.raw = true};
    struct kc_exchange *x = fetch(f, "/redirect-same", raw);
    assert_int_equal(x->status, 307);
    assert_string_equal(x->status_line, "HTTP/1.1 307 Status");
    assert_int_equal(rawserver_count(f->server), 1);
    done(f, x);
    x = fetch(f, "/gzip", raw);
    assert_int_equal(x->err, KC_OK);
    assert_memory_equal(kc_buf_str(&x->body), "\x1f\x8b", 2);
    done(f, x);
}

static void a_raw_body_that_is_not_taken_stops_the_transfer(void **state)
{
    struct fixture *f = *state;
    struct kc_exchange *x = begin(
        f, "/flood",
        (struct kc_exchange_config){.raw = true, .max_queued_bytes = 8192});
    for (int i = 0; i < 5; i++) {
        while (x->body.len == 0 || f->poller.len > 0)
            poller_turn(&f->poller);
        assert_true(x->body.len < 8192 + 64 * 1024);
        kc_buf_clear(&x->body);
        kc_exchange_taken(f->poller.transport, x);
    }
    done(f, x);
}

static void a_header_without_a_value_and_no_expect_are_sent(void **state)
{
    struct fixture *f = *state;
    struct kc_headers h;
    struct kc_buf body;
    kc_buf_init(&body, 4 << 20);
    while (body.len < 2u << 20)
        assert_int_equal(kc_buf_addstr(&body, "xxxxxxxxxxxxxxxx"), KC_OK);
    kc_headers_init(&h);
    assert_int_equal(kc_headers_add(&h, "x-empty", ""), KC_OK);
    assert_int_equal(kc_headers_add(&h, "authorization", "Bearer t0"), KC_OK);
    struct kc_exchange *x =
        fetch(f, "/echo-head", (struct kc_exchange_config){.headers = &h});
    const char *head = kc_buf_str(&x->body);
    assert_non_null(strstr(head, "\r\nx-empty:\r\n"));
    assert_non_null(strstr(head, "\r\nauthorization: Bearer t0\r\n"));
    assert_non_null(strstr(head, "\r\nAccept-Encoding: "));
    assert_null(strstr(head, "Expect"));
    done(f, x);
    x = fetch(f, "/echo-head",
              (struct kc_exchange_config){.method = "POST",
                                          .headers = &h,
                                          .body = body.data,
                                          .body_len = body.len});
    assert_int_equal(x->err, KC_OK);
    assert_null(strstr(kc_buf_str(&x->body), "Expect"));
    done(f, x);
    kc_headers_deinit(&h);
    kc_buf_deinit(&body);
}

/* A proxy of the environment would be asked for the mock, too. */
static void loopback_never_goes_through_a_proxy(void **state)
{
    struct fixture *f = *state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    struct kc_exchange *x = fetch(f, "/ok", (struct kc_exchange_config){0});
    unsetenv("http_proxy");
    assert_int_equal(x->err, KC_OK);
    assert_int_equal(x->status, 200);
    done(f, x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TRANSPORT_TESTS(T),
        T(a_connection_serves_one_after_the_other),
        T(no_program_that_is_started_inherits_a_connection),
        T(redirects_stay_at_their_origin),
        T(a_reader_who_stops_stops_the_transfer),
        T(what_is_raw_is_as_it_was_sent),
        T(a_raw_body_that_is_not_taken_stops_the_transfer),
        T(a_header_without_a_value_and_no_expect_are_sent),
        T(loopback_never_goes_through_a_proxy),
#undef T
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
