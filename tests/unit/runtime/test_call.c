/* One attempt: where the key goes, when the lease is stamped, what time ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/call.h"
#include "support/rawserver.h"

#define SECRET "sk-test-aaaaaaaaaaaa"
#define START_MS 1767225600000u /* 2026-01-01 */
#define MINUTE_MS 60000u

struct fixture {
    struct rawserver *server;
    struct kc_runtime *rt;
    struct kc_clock *clock;
    struct kc_ledger *ledger;
    struct kc_lease lease;
    char url[128];
};

static int setup(void **state)
{
    static const struct kc_param params[] = {{"org", "o 1"}};
    struct kc_pool_config config = {.max_waiters = 10,
                                    .max_lease_ms = 600000,
                                    .guard_ms = KC_GUARD_MS};
    struct kc_key_config key = {
        .secret = SECRET, .params = params, .param_count = 1};
    struct fixture *f = calloc(1, sizeof *f);
    uint32_t index;
    assert_non_null(f);
    f->server = rawserver_open();
    assert_non_null(f->server);
    assert_int_equal(kc_runtime_new(&f->rt), KC_OK);
    assert_int_equal(kc_clock_new_manual(START_MS, &f->clock), KC_OK);
    assert_int_equal(kc_ledger_new(f->rt, "test", &config, f->clock,
                                   &f->ledger),
                     KC_OK);
    assert_int_equal(kc_pool_add_key(kc_ledger_pool(f->ledger), START_MS, &key,
                                     &index),
                     KC_OK);
    struct kc_request request = {.model = "m", .tokens = 7};
    struct kc_refusal refusal;
    assert_int_equal(kc_lease_acquire(f->ledger, &request, &f->lease, &refusal),
                     KC_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    kc_lease_deinit(&f->lease);
    kc_ledger_unref(f->ledger);
    kc_clock_unref(f->clock);
    assert_int_equal(kc_runtime_calls(f->rt), 0);
    kc_runtime_unref(f->rt);
    rawserver_close(f->server);
    free(f);
    return 0;
}

static struct kc_call_spec spec_of(struct fixture *f, const char *path)
{
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u%s",
             rawserver_port(f->server), path);
    return (struct kc_call_spec){.method = "GET",
                                 .url = f->url,
                                 .auth_header = "authorization",
                                 .auth_value = "Bearer {api_key}",
                                 .lease = &f->lease};
}

static void start(struct fixture *f, struct kc_call *c,
                  const struct kc_call_spec *spec)
{
    assert_int_equal(kc_call_init(c, f->rt, spec), KC_OK);
}

static void finish(struct fixture *f, struct kc_call *c)
{
    while (!kc_call_is_ready(c))
        assert_int_equal(kc_runtime_step(f->rt, -1, -1), KC_OK);
}

static void the_key_goes_into_the_auth_field_and_nowhere_else(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/echo-head/{org}/{api_key}");
    const struct kc_field fields[] = {{"x-org", "{org}"},
                                      {"x-key", "{api_key}"}};
    struct kc_call c;
    struct kc_buf head;
    spec.headers = fields;
    spec.header_count = 2;
    kc_buf_init(&head, 4096);
    start(f, &c, &spec);
    finish(f, &c);
    assert_int_equal(kc_call_body(&c, &head), KC_OK);
    const char *text = kc_buf_str(&head);
    assert_non_null(strstr(text, "GET /echo-head/o%201/{api_key} "));
    assert_non_null(strstr(text, "\r\nx-org: o 1\r\n"));
    assert_non_null(strstr(text, "\r\nx-key: {api_key}\r\n"));
    assert_non_null(strstr(text, "\r\nauthorization: Bearer " SECRET "\r\n"));
    kc_buf_wipe(&head);
    kc_call_deinit(&c);
}

static void a_key_in_the_query_is_escaped(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/echo-head?a=1");
    struct kc_call c;
    struct kc_buf head;
    spec.auth_header = NULL;
    spec.auth_query = "key";
    spec.auth_value = "{api_key}";
    kc_buf_init(&head, 4096);
    start(f, &c, &spec);
    finish(f, &c);
    assert_int_equal(kc_call_body(&c, &head), KC_OK);
    assert_non_null(strstr(kc_buf_str(&head),
                           "GET /echo-head?a=1&key=" SECRET " "));
    kc_buf_wipe(&head);
    kc_call_deinit(&c);
}

static void a_key_never_travels_in_the_open(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/");
    struct kc_call c;
    spec.url = "http://192.0.2.1/v1";
    assert_int_equal(kc_call_init(&c, f->rt, &spec), KC_EINSECURE);
    spec.url = "http://{org}@127.0.0.1/";
    assert_int_equal(kc_call_init(&c, f->rt, &spec), KC_EBADURL);
    spec.url = "http://192.0.2.1/v1"; /* nobody's (RFC 5737) */
    spec.allow_insecure = true;
    assert_int_equal(kc_call_init(&c, f->rt, &spec), KC_OK);
    kc_call_deinit(&c);
    assert_int_equal(rawserver_count(f->server), 0);
}

static void a_value_that_would_break_the_header_is_refused(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/ok");
    const struct kc_field field = {"x-a", "b\r\nx-evil: 1"};
    struct kc_call c;
    spec.headers = &field;
    spec.header_count = 1;
    assert_int_equal(kc_call_init(&c, f->rt, &spec), KC_EINVALID);
    assert_int_equal(kc_runtime_calls(f->rt), 0);
}

static uint64_t used_now(struct fixture *f)
{
    struct kc_snapshot s;
    assert_int_equal(kc_pool_snapshot(kc_ledger_pool(f->ledger),
                                      kc_ledger_now(f->ledger), 0, NULL, &s),
                     KC_OK);
    return s.used[KC_MINUTE][KC_REQUESTS];
}

/* With an answer that never comes, the request ages from a guard after it was
 * sent, not after its lease was granted. */
static void without_headers_the_guard_begins_when_it_is_sent(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/never");
    struct kc_call c;
    start(f, &c, &spec);
    kc_clock_advance(f->clock, 10000); /* no lease is that slow to be sent */
    while (!c.told_sent)
        assert_int_equal(kc_runtime_step(f->rt, -1, -1), KC_OK);
    assert_int_equal(kc_runtime_next_ready(f->rt), 0); /* nobody is woken */
    kc_clock_advance(f->clock, KC_GUARD_MS + MINUTE_MS);
    assert_int_equal(used_now(f), 1);
    kc_clock_advance(f->clock, 1);
    assert_int_equal(used_now(f), 0);
    kc_call_deinit(&c);
}

static void the_headers_stamp_the_lease(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/ok");
    struct kc_call c;
    start(f, &c, &spec);
    /* On its way it does not age. */
    kc_runtime_advance(f->rt, f->clock, 2 * MINUTE_MS);
    assert_int_equal(used_now(f), 1);
    finish(f, &c);
    assert_true(c.stamped);
    kc_runtime_advance(f->rt, f->clock, MINUTE_MS / 2);
    assert_int_equal(used_now(f), 1);
    assert_int_equal(kc_lease_settle(&f->lease, KC_DONE, NULL), KC_OK);
    kc_runtime_advance(f->rt, f->clock, MINUTE_MS);
    assert_int_equal(used_now(f), 0);
    kc_call_deinit(&c);
}

static void a_refusals_body_does_not_repeat_the_key(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/echo-key");
    struct kc_call c;
    struct kc_buf body;
    kc_buf_init(&body, 4096);
    start(f, &c, &spec);
    finish(f, &c);
    assert_int_equal(c.exchange->status, 401);
    assert_int_equal(kc_call_body(&c, &body), KC_OK);
    assert_non_null(strstr(kc_buf_str(&body), "***"));
    assert_null(strstr(kc_buf_str(&body), "sk-test"));
    kc_buf_clear(&body);
    assert_int_equal(kc_call_fields(&c, &body), KC_OK);
    assert_non_null(strstr(kc_buf_str(&body), "1\n***\n2\n"));
    assert_null(strstr(kc_buf_str(&body), "sk-test"));
    kc_buf_deinit(&body);
    kc_call_deinit(&c);
}

static void the_first_event_has_a_time_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/never");
    struct kc_call c;
    const char *why;
    spec.stream = true;
    spec.request_timeout_ms = 20;
    start(f, &c, &spec);
    finish(f, &c);
    assert_int_equal(kc_call_error(&c, &why), KC_ETIMEOUT);
    assert_non_null(strstr(why, "request_timeout"));
    kc_call_deinit(&c);
    /* Once it is in, that time is of no account. */
    struct kc_sse_event event;
    spec = spec_of(f, "/slow-events");
    spec.stream = true;
    spec.request_timeout_ms = 60000;
    spec.idle_timeout_ms = 20;
    start(f, &c, &spec);
    finish(f, &c);
    assert_int_equal(kc_call_event(&c, &event), KC_OK);
    assert_false(c.first.armed);
    finish(f, &c);
    assert_int_equal(kc_call_event(&c, &event), KC_EEND);
    assert_int_equal(kc_call_error(&c, &why), KC_ETIMEOUT);
    kc_call_deinit(&c);
}

static void a_deadline_ends_the_whole(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/never-body");
    struct kc_call c;
    const char *why;
    spec.deadline_timeout_ms = 20;
    spec.request_timeout_ms = 60000;
    start(f, &c, &spec);
    finish(f, &c);
    assert_int_equal(kc_call_error(&c, &why), KC_ETIMEOUT);
    kc_call_deinit(&c);
}

static void stopping_midway_leaves_the_lease_to_its_owner(void **state)
{
    struct fixture *f = *state;
    struct kc_call_spec spec = spec_of(f, "/never");
    struct kc_call c;
    start(f, &c, &spec);
    while (!c.exchange->sent)
        assert_int_equal(kc_runtime_step(f->rt, -1, -1), KC_OK);
    kc_call_deinit(&c);
    kc_call_deinit(&c); /* harmless */
    assert_false(f->lease.settled);
    assert_int_equal(kc_lease_settle(&f->lease, KC_UNKNOWN, NULL), KC_OK);
    assert_int_equal(used_now(f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(the_key_goes_into_the_auth_field_and_nowhere_else),
        T(a_key_in_the_query_is_escaped),
        T(a_key_never_travels_in_the_open),
        T(a_value_that_would_break_the_header_is_refused),
        T(without_headers_the_guard_begins_when_it_is_sent),
        T(the_headers_stamp_the_lease),
        T(a_refusals_body_does_not_repeat_the_key),
        T(the_first_event_has_a_time_of_its_own),
        T(a_deadline_ends_the_whole),
        T(stopping_midway_leaves_the_lease_to_its_owner),
#undef T
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
