/* What an exchange is over every transport, against a server that breaks HTTP
 * byte by byte. A program's main() runs TRANSPORT_TESTS beside its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/poller.h"
#include "support/rawserver.h"

struct fixture {
    struct rawserver *server;
    struct poller poller;
};

static void open_fixture(struct fixture *f,
                         const struct keycycle_transport *host)
{
    f->server = rawserver_open();
    assert_non_null(f->server);
    assert_true(poller_open(&f->poller, host));
}

static void close_fixture(struct fixture *f)
{
    poller_close(&f->poller);
    rawserver_close(f->server);
}

static struct kc_exchange *begin(struct fixture *f, const char *path,
                                 struct kc_exchange_config c)
{
    char url[256];
    struct kc_exchange *x;
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s",
             rawserver_port(f->server), path);
    c.url = url;
    if (!c.method)
        c.method = "GET";
    assert_int_equal(kc_exchange_start(f->poller.transport, &c, &x), KC_OK);
    return x;
}

static struct kc_exchange *fetch(struct fixture *f, const char *path,
                                 struct kc_exchange_config c)
{
    struct kc_exchange *x = begin(f, path, c);
    poller_run(&f->poller, x);
    return x;
}

static void done(struct fixture *f, struct kc_exchange *x)
{
    kc_exchange_free(f->poller.transport, x);
}

static void an_answer_has_status_headers_and_body(void **state)
{
    struct fixture *f = *state;
    struct kc_exchange *x =
        fetch(f, "/ok",
              (struct kc_exchange_config){
                  .method = "POST", .body = "{}", .body_len = 2});
    assert_int_equal(x->err, KC_OK);
    assert_int_equal(x->status, 200);
    assert_true(x->have_headers && x->sent && !x->is_events);
    assert_string_equal(kc_headers_get(&x->headers, "content-type"),
                        "application/json");
    assert_non_null(strstr(kc_buf_str(&x->body), "\"ok\""));
    assert_string_equal(x->detail, "");
    done(f, x);
}

static void fails(struct fixture *f, const char *path, int err,
                  struct kc_exchange_config c)
{
    struct kc_exchange *x = fetch(f, path, c);
    if (x->err != err)
        fail_msg("%s: %s (%s), not %s", path, kc_err_name(x->err), x->detail,
                 kc_err_name(err));
    assert_true(strlen(x->detail) > 0);
    assert_true(x->sent);
    done(f, x);
}

static void each_fault_has_its_code(void **state)
{
    struct fixture *f = *state;
    struct kc_exchange_config c = {.max_body_bytes = 1 << 20,
                                   .max_event_bytes = 1 << 20};
    fails(f, "/cut-before-headers", KC_ECUT, c);
    fails(f, "/cut-in-headers", KC_ECUT, c);
    fails(f, "/cut-in-body", KC_ECUT, c);
    fails(f, "/cut-in-chunk", KC_ECUT, c);
    fails(f, "/garbage", KC_EGARBAGE, c);
    fails(f, "/header-bomb", KC_ETOOLARGE, c);
    fails(f, "/body-bomb", KC_ETOOLARGE, c);
    c.total_timeout_ms = 20;
    fails(f, "/never", KC_ETIMEOUT, c);
    fails(f, "/never-body", KC_ETIMEOUT, c);
    c = (struct kc_exchange_config){.stream = true, .idle_timeout_ms = 20};
    fails(f, "/slow-events", KC_ETIMEOUT, c);
    c = (struct kc_exchange_config){.stream = true, .max_event_bytes = 1 << 16};
    fails(f, "/endless-line", KC_ETOOLARGE, c);
    c.max_event_bytes = 0;
    fails(f, "/cut-in-event", KC_ECUT, c);
}

static void nothing_was_sent_where_nobody_listens(void **state)
{
    struct fixture *f = *state;
    struct kc_exchange_config c = {.method = "GET",
                                   .url = "http://127.0.0.1:1/"};
    struct kc_exchange *x;
    assert_int_equal(kc_exchange_start(f->poller.transport, &c, &x), KC_OK);
    poller_run(&f->poller, x);
    assert_int_equal(x->err, KC_ECONNECT);
    assert_false(x->sent);
    done(f, x);
}

static void bad_requests_are_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct kc_exchange *x;
    struct kc_exchange_config c = {.method = "GET", .url = "gopher://a/"};
    assert_int_equal(kc_exchange_start(f->poller.transport, &c, &x),
                     KC_EBADURL);
    assert_null(x);
    c = (struct kc_exchange_config){.method = "GET /\r\n",
                                    .url = "http://127.0.0.1/"};
    assert_int_equal(kc_exchange_start(f->poller.transport, &c, &x),
                     KC_EINVALID);
}

static void a_compressed_body_is_read_and_bounded(void **state)
{
    struct fixture *f = *state;
    struct kc_exchange *x = fetch(f, "/gzip", (struct kc_exchange_config){0});
    assert_int_equal(x->err, KC_OK);
    assert_non_null(strstr(kc_buf_str(&x->body), "\"zip\""));
    done(f, x);
    fails(f, "/gzip", KC_ETOOLARGE,
          (struct kc_exchange_config){.max_body_bytes = 50});
}

static int take(struct fixture *f, struct kc_exchange *x, char *out, size_t n)
{
    struct kc_sse_event event;
    int err;
    while ((err = kc_exchange_event(f->poller.transport, x, &event)) ==
           KC_EAGAIN)
        poller_turn(&f->poller);
    if (err == KC_OK)
        snprintf(out, n, "%s", event.data);
    return err;
}

static void events_come_one_by_one(void **state)
{
    static const char *const modes[] = {"cr",       "lf",        "crlf", "bom",
                                        "comments", "multiline", "split"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        char path[64], text[256];
        snprintf(path, sizeof path, "/sse?mode=%s", modes[i]);
        struct kc_exchange *x =
            begin(f, path, (struct kc_exchange_config){.stream = true});
        assert_int_equal(take(f, x, text, sizeof text), KC_OK);
        assert_non_null(strstr(text, "\"Hi\""));
        assert_int_equal(take(f, x, text, sizeof text), KC_OK);
        assert_non_null(strstr(text, "stop"));
        assert_int_equal(take(f, x, text, sizeof text), KC_OK);
        assert_string_equal(text, "[DONE]");
        assert_int_equal(take(f, x, text, sizeof text), KC_EEND);
        assert_true(x->is_events);
        assert_int_equal(x->err, KC_OK);
        done(f, x);
    }
}

static void freeing_stops_what_runs(void **state)
{
    struct fixture *f = *state;
    struct kc_exchange *x = begin(f, "/never", (struct kc_exchange_config){0});
    while (!x->sent)
        poller_turn(&f->poller);
    done(f, x);
    x = begin(f, "/ok", (struct kc_exchange_config){0});
    done(f, x);                         /* not even connected */
    assert_int_equal(f->poller.len, 0); /* no socket is watched any more */
}

#define TRANSPORT_TESTS(T)                                                   \
    T(an_answer_has_status_headers_and_body), T(each_fault_has_its_code),    \
        T(nothing_was_sent_where_nobody_listens),                            \
        T(bad_requests_are_refused_at_once),                                 \
        T(a_compressed_body_is_read_and_bounded), T(events_come_one_by_one), \
        T(freeing_stops_what_runs)
