/* The transport that a program brings along, by a host that does what each test
 * has it do. Hosts with threads are in test_hosted_threads.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/hosted_impl.h"
#include "support/poller.h"

struct hand {
    struct keycycle_transport transport;
    struct poller poller;
    int refuses; /* what start returns */
    void (*at_once)(struct hand *h, struct keycycle_exchange *x);
    struct keycycle_exchange *x; /* the last one that began */
    char seen[4096];             /* of its request */
    int cancels, pauses, resumes, released, told;
};

static int hand_start(void *ctx, const struct keycycle_http_request *r,
                      struct keycycle_exchange *x)
{
    struct hand *h = ctx;
    size_t n =
        (size_t)snprintf(h->seen, sizeof h->seen, "%s %s\n", r->method, r->url);
    for (size_t i = 0; i < r->header_count; i++)
        n += (size_t)snprintf(h->seen + n, sizeof h->seen - n, "%s: %s\n",
                              r->headers[i].name, r->headers[i].value);
    snprintf(h->seen + n, sizeof h->seen - n, "\n%.*s|%d %d %d",
             (int)r->body_len, r->body ? (const char *)r->body : "", r->stream,
             (int)r->timeout_ms, (int)r->connect_timeout_ms);
    h->x = x;
    if (h->at_once)
        h->at_once(h, x);
    return h->refuses;
}

static void hand_cancel(void *ctx, struct keycycle_exchange *x)
{
    struct hand *h = ctx;
    assert_ptr_equal(x, h->x);
    h->cancels++;
}

static void hand_pause(void *ctx, struct keycycle_exchange *x, int on)
{
    struct hand *h = ctx;
    assert_ptr_equal(x, h->x);
    h->pauses += on;
    h->resumes += !on;
}

static void release(void *data)
{
    ++*(int *)data;
}

static int setup_hand(void **state)
{
    struct hand *h = calloc(1, sizeof *h);
    assert_non_null(h);
    h->transport = (struct keycycle_transport){.ctx = h,
                                               .start = hand_start,
                                               .cancel = hand_cancel,
                                               .pause = hand_pause};
    assert_true(poller_open(&h->poller, &h->transport));
    *state = h;
    return 0;
}

static int teardown_hand(void **state)
{
    struct hand *h = *state;
    if (h->poller.transport)
        poller_close(&h->poller);
    free(h);
    return 0;
}

static struct kc_exchange *ask(struct hand *h, struct kc_exchange_config c)
{
    struct kc_exchange *x;
    c.method = c.method ? c.method : "POST";
    c.url = "https://example.test/v1";
    assert_int_equal(kc_exchange_start(h->poller.transport, &c, &x), KC_OK);
    return x;
}

static void let_go(struct hand *h, struct kc_exchange *x)
{
    kc_exchange_free(h->poller.transport, x);
}

static const struct keycycle_param events[] = {
    {"Content-Type", "text/event-stream"}};

static int say(struct keycycle_exchange *x, const char *text)
{
    return keycycle_exchange_data(x, text, strlen(text));
}

static void the_host_sees_the_whole_request(void **state)
{
    struct hand *h = *state;
    struct kc_headers fields;
    kc_headers_init(&fields);
    assert_int_equal(kc_headers_add(&fields, "Authorization", "Bearer k"),
                     KC_OK);
    /* Framing is the host's affair: the body is whole. */
    assert_int_equal(kc_headers_add(&fields, "Transfer-Encoding", "chunked"),
                     KC_OK);
    struct kc_exchange *x =
        ask(h, (struct kc_exchange_config){.headers = &fields,
                                           .body = "{}",
                                           .body_len = 2,
                                           .stream = true,
                                           .total_timeout_ms = 60000});
    assert_string_equal(h->seen, "POST https://example.test/v1\n"
                                 "authorization: Bearer k\n"
                                 "user-agent: keycycle/" KEYCYCLE_VERSION "\n"
                                 "accept-encoding: identity\n\n"
                                 "{}|1 60000 10000");
    let_go(h, x);
    keycycle_exchange_end(h->x, KEYCYCLE_ECUT, NULL);
    kc_headers_clear(&fields);
    assert_int_equal(kc_headers_add(&fields, "User-Agent", "mine"), KC_OK);
    assert_int_equal(kc_headers_add(&fields, "Accept-Encoding", "br"), KC_OK);
    x = ask(h, (struct kc_exchange_config){.method = "GET",
                                           .headers = &fields,
                                           .connect_timeout_ms = 5});
    assert_string_equal(h->seen, "GET https://example.test/v1\n"
                                 "user-agent: mine\naccept-encoding: br\n\n"
                                 "|0 0 5");
    let_go(h, x);
    keycycle_exchange_end(h->x, KEYCYCLE_ECUT, NULL);
    kc_headers_deinit(&fields);
}

static void answer_at_once(struct hand *h, struct keycycle_exchange *x)
{
    keycycle_exchange_set_data(x, &h->released, release);
    assert_int_equal(keycycle_exchange_headers(x, 201, NULL, 0), KC_OK);
    assert_int_equal(say(x, "there"), KC_OK);
    keycycle_exchange_end(x, KEYCYCLE_OK, NULL);
}

static void an_answer_may_come_before_start_returns(void **state)
{
    struct hand *h = *state;
    h->at_once = answer_at_once;
    struct kc_exchange *x = ask(h, (struct kc_exchange_config){0});
    assert_true(x->done && x->sent);
    assert_int_equal(x->err, KC_OK);
    assert_int_equal(x->status, 201);
    assert_string_equal(kc_buf_str(&x->body), "there");
    assert_int_equal(h->released, 0);
    let_go(h, x);
    assert_int_equal(h->released, 1);
    assert_int_equal(h->cancels, 0);
    /* One that says afterwards that it did not begin has not. */
    h->refuses = KEYCYCLE_ETLS;
    x = ask(h, (struct kc_exchange_config){0});
    assert_int_equal(x->err, KC_ETLS);
    assert_int_equal(x->status, 0);
    let_go(h, x);
}

static void where_start_fails_nothing_was_sent(void **state)
{
    struct hand *h = *state;
    static const int codes[][2] = {{KEYCYCLE_ETLS, KC_ETLS},
                                   {KEYCYCLE_ECUT, KC_ECONNECT},
                                   {KEYCYCLE_EAGAIN, KC_ECONNECT},
                                   {-5, KC_ECONNECT}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        h->refuses = codes[i][0];
        struct kc_exchange *x = ask(h, (struct kc_exchange_config){0});
        assert_true(x->done && !x->sent && x->sends == 0);
        assert_int_equal(x->err, codes[i][1]);
        assert_true(strlen(x->detail) > 0);
        let_go(h, x);
    }
    assert_int_equal(h->cancels, 0);
    struct kc_exchange *x;
    struct kc_exchange_config c = {.method = "GET", .url = "https://a.test/"};
    h->refuses = KEYCYCLE_ENOMEM;
    assert_int_equal(kc_exchange_start(h->poller.transport, &c, &x), KC_ENOMEM);
    assert_null(x);
}

static void an_end_without_an_answer_has_its_reason(void **state)
{
    struct hand *h = *state;
    struct kc_exchange *x = ask(h, (struct kc_exchange_config){0});
    assert_true(x->sent);
    keycycle_exchange_end(h->x, KEYCYCLE_ECONNECT, "the cable is out");
    poller_run(&h->poller, x);
    assert_int_equal(x->err, KC_ECONNECT);
    assert_string_equal(x->detail, "the cable is out");
    assert_false(x->sent); /* after all */
    let_go(h, x);
    x = ask(h, (struct kc_exchange_config){0});
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
    poller_run(&h->poller, x);
    assert_int_equal(x->err, KC_ECUT);
    assert_non_null(strstr(x->detail, "without an answer"));
    assert_true(x->sent);
    let_go(h, x);
    x = ask(h, (struct kc_exchange_config){0});
    assert_int_equal(keycycle_exchange_headers(h->x, 200, NULL, 0), KC_OK);
    keycycle_exchange_end(h->x, KEYCYCLE_ECONNECT, NULL);
    poller_run(&h->poller, x);
    assert_true(x->sent); /* there were headers */
    let_go(h, x);
    x = ask(h, (struct kc_exchange_config){0});
    keycycle_exchange_end(h->x, KEYCYCLE_EAGAIN, NULL);
    poller_run(&h->poller, x);
    assert_int_equal(x->err, KC_ECUT);
    let_go(h, x);
    assert_int_equal(h->cancels, 0);
}

static void what_is_out_of_order_is_refused_and_changes_nothing(void **state)
{
    struct hand *h = *state;
    static const struct keycycle_param odd[] = {
        {"x y", "1"}, {"x-a", "\n"}, {NULL, "1"}, {"x-c", NULL}, {"x-b", "2"}};
    struct kc_exchange *x = ask(h, (struct kc_exchange_config){.raw = true});
    assert_int_equal(say(h->x, "early"), KC_EINVALID);
    assert_int_equal(keycycle_exchange_headers(h->x, 100, NULL, 0),
                     KC_EINVALID);
    assert_int_equal(keycycle_exchange_headers(h->x, 600, NULL, 0),
                     KC_EINVALID);
    assert_int_equal(keycycle_exchange_headers(h->x, 404, odd, 5), KC_OK);
    assert_int_equal(keycycle_exchange_headers(h->x, 200, NULL, 0),
                     KC_EINVALID);
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
    poller_run(&h->poller, x);
    assert_int_equal(x->err, KC_OK);
    assert_int_equal(x->status, 404);
    assert_string_equal(x->status_line, "HTTP/1.1 404");
    assert_int_equal(x->headers.len, 1);
    assert_string_equal(kc_headers_get(&x->headers, "X-B"), "2");
    let_go(h, x);
}

static void too_much_ends_it_and_the_host_is_told(void **state)
{
    struct hand *h = *state;
    struct kc_exchange *x =
        ask(h, (struct kc_exchange_config){.max_body_bytes = 4});
    assert_int_equal(keycycle_exchange_headers(h->x, 200, NULL, 0), KC_OK);
    assert_int_equal(say(h->x, "1234"), KC_OK);
    assert_int_equal(say(h->x, "5"), KC_ETOOLARGE);
    assert_int_equal(say(h->x, "6"), KC_ECLOSED);
    poller_run(&h->poller, x);
    assert_int_equal(x->err, KC_ETOOLARGE);
    assert_int_equal(h->cancels, 1);
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
    let_go(h, x);
    /* The same where it was taken piece by piece. */
    x = ask(h, (struct kc_exchange_config){.max_body_bytes = 4});
    assert_int_equal(keycycle_exchange_headers(h->x, 200, NULL, 0), KC_OK);
    for (int i = 0; i < 2 && !x->done; i++) {
        assert_int_equal(say(h->x, "123"), KC_OK);
        poller_turn(&h->poller);
    }
    assert_int_equal(x->err, KC_ETOOLARGE);
    assert_int_equal(h->cancels, 2);
    let_go(h, x);
    assert_int_equal(h->cancels, 2); /* once */
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
    x = ask(h, (struct kc_exchange_config){.max_header_bytes = 16});
    struct keycycle_param long_one = {"x-long", "a value of some length"};
    assert_int_equal(keycycle_exchange_headers(h->x, 200, &long_one, 1),
                     KC_ETOOLARGE);
    poller_run(&h->poller, x);
    assert_int_equal(x->err, KC_ETOOLARGE);
    assert_int_equal(h->cancels, 3);
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
    let_go(h, x);
}

static int next_event(struct hand *h, struct kc_exchange *x,
                      struct kc_sse_event *event)
{
    return kc_exchange_event(h->poller.transport, x, event);
}

static void a_stream_that_nobody_reads_pauses_then_is_too_large(void **state)
{
    struct hand *h = *state;
    struct kc_sse_event event;
    static char line[65536];
    memset(line, 'x', sizeof line);
    memcpy(line, "data: ", 6);
    memcpy(line + sizeof line - 2, "\n\n", 2);
    struct kc_exchange *x = ask(h, (struct kc_exchange_config){.stream = true});
    assert_int_equal(keycycle_exchange_headers(h->x, 200, events, 1), KC_OK);
    size_t given = 0;
    while (h->pauses == 0) {
        assert_int_equal(keycycle_exchange_data(h->x, line, sizeof line),
                         KC_OK);
        given++;
        poller_turn(&h->poller);
    }
    assert_int_equal(given, 4); /* over 256 KiB */
    assert_int_equal(keycycle_exchange_data(h->x, line, sizeof line), KC_OK);
    given++;
    for (; h->resumes == 0; given--) {
        assert_int_equal(next_event(h, x, &event), KC_OK);
        if (given <= 3) /* there is room again */
            poller_turn(&h->poller);
    }
    for (; given > 0; given--)
        assert_int_equal(next_event(h, x, &event), KC_OK);
    assert_int_equal(next_event(h, x, &event), KC_EAGAIN);
    /* A host that goes on in spite of it. */
    int err = KC_OK;
    for (given = 0; err == KC_OK; given++) {
        err = keycycle_exchange_data(h->x, line, sizeof line);
        if (given < 8)
            poller_turn(&h->poller);
    }
    assert_int_equal(err, KC_ETOOLARGE);
    assert_int_equal(h->pauses, 2);
    assert_true(given * sizeof line > KC_BACKLOG_MAX);
    assert_true(given * sizeof line < KC_BACKLOG_MAX + 12 * sizeof line);
    poller_run(&h->poller, x);
    assert_int_equal(x->err, KC_ETOOLARGE);
    assert_int_equal(h->cancels, 1);
    keycycle_exchange_end(h->x, KEYCYCLE_ECUT, NULL);
    let_go(h, x);
}

/* What waits when the host has ended it is taken at once: the transfer is over,
 * however slow the reader. */
static void the_end_is_seen_before_all_is_read(void **state)
{
    struct hand *h = *state;
    struct kc_sse_event event;
    struct kc_exchange *x =
        ask(h, (struct kc_exchange_config){.stream = true,
                                           .max_queued_bytes = 100});
    assert_int_equal(keycycle_exchange_headers(h->x, 200, events, 1), KC_OK);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(say(h->x, "data: 1\n\n"), KC_OK);
    poller_turn(&h->poller);
    assert_false(x->done);
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
    poller_run(&h->poller, x);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(next_event(h, x, &event), KC_OK);
    assert_int_equal(next_event(h, x, &event), KC_EEND);
    assert_int_equal(x->err, KC_OK);
    let_go(h, x);
}

static void goes_on_for_ever(void *ctx)
{
    struct hand *h = ctx;
    if (++h->told < 10000)
        say(h->x, ": a comment\n");
}

/* What comes while it looks waits for the next turn. */
static void who_is_quick_cannot_hold_the_loop(void **state)
{
    struct hand *h = *state;
    struct kc_exchange *x =
        ask(h, (struct kc_exchange_config){
                   .stream = true, .notify = goes_on_for_ever, .ctx = h});
    assert_int_equal(keycycle_exchange_headers(h->x, 200, events, 1), KC_OK);
    assert_int_equal(say(h->x, "data: 1\n\n"), KC_OK);
    for (int turn = 1; turn < 5; turn++) {
        poller_turn(&h->poller);
        assert_int_equal(h->told, turn + 1);
    }
    let_go(h, x);
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
}

static void a_spent_turn_leaves_the_rest_to_the_next(void **state)
{
    struct hand *h = *state;
    struct kc_exchange *x[3];
    struct keycycle_exchange *held[3];
    for (int i = 0; i < 3; i++) {
        x[i] = ask(h, (struct kc_exchange_config){.total_timeout_ms = 60000});
        held[i] = h->x;
        keycycle_exchange_end(held[i], KEYCYCLE_ECUT, NULL);
    }
    h->poller.spent = true;
    for (int turn = 0; turn < 3; turn++) {
        poller_turn(&h->poller);
        for (int i = 0; i < 3; i++)
            assert_true(x[i]->done == (i <= turn));
    }
    for (int i = 0; i < 3; i++)
        let_go(h, x[i]);
}

static void an_event_may_be_cut_anywhere(void **state)
{
    struct hand *h = *state;
    static const char stream[] =
        "\xef\xbb\xbf: hi\r\ndata: {\"a\":1}\r\n\r\nevent: x\rdata: b\rdata: c"
        "\r\rdata: [DONE]\n\n";
    static const char *const expected[] = {"{\"a\":1}", "b\nc", "[DONE]"};
    size_t len = sizeof stream - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        struct kc_sse_event event;
        struct kc_exchange *x =
            ask(h, (struct kc_exchange_config){.stream = true});
        assert_int_equal(keycycle_exchange_headers(h->x, 200, events, 1),
                         KC_OK);
        for (size_t i = 0; i < len; i += cut == len ? 1 : len) {
            size_t first = cut == len ? 1 : cut; /* at last each byte alone */
            assert_int_equal(keycycle_exchange_data(h->x, stream + i, first),
                             KC_OK);
            poller_turn(&h->poller);
            if (cut < len)
                assert_int_equal(
                    keycycle_exchange_data(h->x, stream + cut, len - cut),
                    KC_OK);
        }
        keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
        poller_run(&h->poller, x);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(next_event(h, x, &event), KC_OK);
            assert_string_equal(event.data, expected[i]);
        }
        assert_int_equal(next_event(h, x, &event), KC_EEND);
        let_go(h, x);
    }
}

static void times_are_over_and_the_host_is_told(void **state)
{
    struct hand *h = *state;
    struct kc_exchange *x =
        ask(h, (struct kc_exchange_config){.total_timeout_ms = 20});
    poller_run(&h->poller, x);
    assert_int_equal(x->err, KC_ETIMEOUT);
    assert_int_equal(h->cancels, 1);
    assert_int_equal(keycycle_exchange_headers(h->x, 200, NULL, 0), KC_ECLOSED);
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
    let_go(h, x);
    x = ask(h,
            (struct kc_exchange_config){.stream = true, .idle_timeout_ms = 20});
    assert_int_equal(keycycle_exchange_headers(h->x, 200, events, 1), KC_OK);
    poller_run(&h->poller, x);
    assert_int_equal(x->err, KC_ETIMEOUT);
    assert_non_null(strstr(x->detail, "idle_timeout"));
    assert_int_equal(h->cancels, 2);
    let_go(h, x);
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
}

static void a_reader_who_is_slow_is_no_silence(void **state)
{
    struct hand *h = *state;
    struct kc_exchange_config c = {
        .stream = true, .idle_timeout_ms = 5, .max_queued_bytes = 1};
    struct kc_exchange *x = ask(h, c);
    assert_int_equal(keycycle_exchange_headers(h->x, 200, events, 1), KC_OK);
    assert_int_equal(say(h->x, "data: 1\n\n"), KC_OK);
    for (int turns = 0; turns < 5 && !x->done;
         turns++) /* the first pauses it */
        poller_turn(&h->poller);
    assert_false(x->done);
    let_go(h, x);
    keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
}

static void no_timer_is_left_when_nothing_is_under_way(void **state)
{
    struct hand *h = *state;
    struct kc_exchange_config c = {.total_timeout_ms = 60000};
    struct kc_exchange *x = ask(h, c);
    assert_true(h->poller.at_ms > 0);
    keycycle_exchange_end(h->x, KEYCYCLE_ECUT, NULL);
    poller_run(&h->poller, x);
    assert_int_equal(h->poller.at_ms, 0);
    let_go(h, x);
    h->at_once = answer_at_once;
    x = ask(h, c);
    assert_int_equal(h->poller.at_ms, 0);
    let_go(h, x);
    h->at_once = NULL;
    x = ask(h, c);
    assert_true(h->poller.at_ms > 0);
    let_go(h, x);
    assert_int_equal(h->poller.at_ms, 0);
    keycycle_exchange_end(h->x, KEYCYCLE_ECUT, NULL);
}

static void an_answer_may_come_after_all_is_closed(void **state)
{
    struct hand *h = *state;
    struct kc_exchange *x = ask(h, (struct kc_exchange_config){0});
    struct keycycle_exchange *held = h->x;
    keycycle_exchange_set_data(held, &h->released, release);
    let_go(h, x);
    assert_int_equal(h->cancels, 1);
    poller_close(&h->poller);
    h->poller.transport = NULL;
    assert_int_equal(keycycle_exchange_headers(held, 200, events, 1),
                     KC_ECLOSED);
    assert_int_equal(say(held, "late"), KC_ECLOSED);
    assert_ptr_equal(keycycle_exchange_get_data(held), &h->released);
    assert_int_equal(h->released, 0);
    keycycle_exchange_end(held, KEYCYCLE_OK, NULL);
    assert_int_equal(h->released, 1);
}

static void a_forked_child_leaves_it_to_its_parent(void **state)
{
    struct hand *h = *state;
    struct kc_exchange *x = ask(h, (struct kc_exchange_config){0});
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = keycycle_exchange_headers(h->x, 200, NULL, 0) == KC_EFORKED &&
                  say(h->x, "x") == KC_EFORKED;
        keycycle_exchange_end(h->x, KEYCYCLE_OK, NULL);
        kc_exchange_free(h->poller.transport, x);
        kc_transport_forget(h->poller.transport);
        _exit(ok && h->cancels == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    keycycle_exchange_end(h->x, KEYCYCLE_ECUT, NULL);
    let_go(h, x);
}

/* Where a thread of the parent's held the lock, it is never free again. */
static void a_forked_child_may_read_what_is_there(void **state)
{
    struct hand *h = *state;
    struct kc_sse_event event;
    struct kc_exchange *x =
        ask(h, (struct kc_exchange_config){.stream = true,
                                           .max_queued_bytes = 100});
    assert_int_equal(keycycle_exchange_headers(h->x, 200, events, 1), KC_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(say(h->x, "data: 1\n\n"), KC_OK);
    while (h->pauses == 0)
        poller_turn(&h->poller);
    pthread_mutex_lock(&h->x->lock);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        int err = KC_OK, n;
        for (n = 0; err == KC_OK; n++)
            err = next_event(h, x, &event);
        _exit(err == KC_EAGAIN && n > 1 ? 0 : 1);
    }
    pthread_mutex_unlock(&h->x->lock);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    keycycle_exchange_end(h->x, KEYCYCLE_ECUT, NULL);
    let_go(h, x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup_hand, teardown_hand)
        T(the_host_sees_the_whole_request),
        T(an_answer_may_come_before_start_returns),
        T(where_start_fails_nothing_was_sent),
        T(an_end_without_an_answer_has_its_reason),
        T(what_is_out_of_order_is_refused_and_changes_nothing),
        T(too_much_ends_it_and_the_host_is_told),
        T(a_stream_that_nobody_reads_pauses_then_is_too_large),
        T(the_end_is_seen_before_all_is_read),
        T(who_is_quick_cannot_hold_the_loop),
        T(a_spent_turn_leaves_the_rest_to_the_next),
        T(an_event_may_be_cut_anywhere),
        T(times_are_over_and_the_host_is_told),
        T(a_reader_who_is_slow_is_no_silence),
        T(no_timer_is_left_when_nothing_is_under_way),
        T(an_answer_may_come_after_all_is_closed),
        T(a_forked_child_leaves_it_to_its_parent),
        T(a_forked_child_may_read_what_is_there),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
