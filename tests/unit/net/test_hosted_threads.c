/* The transport that a program brings along, by hosts with threads: what it has
 * beyond transports.h, and both ends at once. */
#include "transports.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "net/hosted.h"
#include "support/threaded.h"

struct real {
    struct fixture f; /* first: the tests of transports.h see it */
    struct threaded host;
};

static int setup(void **state)
{
    struct real *r = calloc(1, sizeof *r);
    assert_non_null(r);
    threaded_open(&r->host);
    open_fixture(&r->f, &r->host.transport);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct real *r = *state;
    close_fixture(&r->f);
    threaded_close(&r->host);
    free(r);
    return 0;
}

static void a_reader_who_stops_has_the_host_pause(void **state)
{
    struct real *r = *state;
    struct fixture *f = &r->f;
    char text[256];
    struct kc_exchange *x = begin(
        f, "/flood",
        (struct kc_exchange_config){.stream = true, .max_queued_bytes = 8192});
    while (atomic_load(&r->host.pauses) == 0)
        poller_turn(&f->poller);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(take(f, x, text, sizeof text), KC_OK);
    assert_false(x->done);
    done(f, x);
    assert_int_equal(atomic_load(&r->host.cancelled), 1);
}

static void a_hundred_at_once_are_answered(void **state)
{
    struct real *r = *state;
    struct fixture *f = &r->f;
    struct kc_exchange *x[100];
    for (int i = 0; i < 100; i++)
        x[i] = begin(f, "/sse?mode=split",
                     (struct kc_exchange_config){.stream = true});
    for (int i = 0; i < 100; i++) {
        char text[256];
        poller_run(&f->poller, x[i]);
        assert_int_equal(x[i]->err, KC_OK);
        for (int n = 0; n < 3; n++)
            assert_int_equal(take(f, x[i], text, sizeof text), KC_OK);
        assert_string_equal(text, "[DONE]");
        done(f, x[i]);
    }
    assert_int_equal(atomic_load(&r->host.cancelled), 0);
}

/* -- both ends at once
 * --------------------------------------------------------- */

#define RACES 2000

static const struct keycycle_param events[] = {
    {"Content-Type", "text/event-stream"}};

struct race {
    struct keycycle_transport transport;
    struct keycycle_exchange *x[RACES];
    atomic_int begun, cancels, ends;
    atomic_int released;
};

static void count_release(void *data)
{
    atomic_fetch_add(&((struct race *)data)->released, 1);
}

static int race_start(void *ctx, const struct keycycle_http_request *r,
                      struct keycycle_exchange *x)
{
    struct race *race = ctx;
    (void)r;
    keycycle_exchange_set_data(x, race, count_release);
    race->x[atomic_load(&race->begun)] = x;
    atomic_fetch_add(&race->begun, 1);
    return KEYCYCLE_OK;
}

static void race_cancel(void *ctx, struct keycycle_exchange *x)
{
    struct race *race = ctx;
    assert_ptr_equal(keycycle_exchange_get_data(x), race);
    atomic_fetch_add(&race->cancels, 1);
}

static void *answer_all(void *ctx)
{
    struct race *race = ctx;
    for (int i = 0; i < RACES; i++) {
        while (atomic_load(&race->begun) <= i)
            sched_yield();
        struct keycycle_exchange *x = race->x[i];
        keycycle_exchange_headers(x, 200, events, 1);
        keycycle_exchange_data(x, "data: 1\n\n", 9);
        keycycle_exchange_end(x, KEYCYCLE_OK, NULL);
        atomic_fetch_add(&race->ends, 1);
    }
    return NULL;
}

static void letting_go_may_meet_the_answer(void **state)
{
    (void)state;
    struct race *race = calloc(1, sizeof *race);
    struct poller poller;
    pthread_t thread;
    race->transport = (struct keycycle_transport){
        .ctx = race, .start = race_start, .cancel = race_cancel};
    assert_true(poller_open(&poller, &race->transport));
    assert_int_equal(pthread_create(&thread, NULL, answer_all, race), 0);
    for (int i = 0; i < RACES; i++) {
        struct kc_exchange *x;
        struct kc_exchange_config c = {
            .method = "GET", .url = "https://a.test/", .stream = true};
        assert_int_equal(kc_exchange_start(poller.transport, &c, &x), KC_OK);
        if (i % 3 == 0)
            poller_run(&poller, x);
        for (int spin = 0; spin < i % 7; spin++)
            sched_yield();
        kc_exchange_free(poller.transport, x);
    }
    poller_close(&poller);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&race->released), RACES);
    assert_true(atomic_load(&race->cancels) < RACES);
    free(race);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TRANSPORT_TESTS(T),
        T(a_reader_who_stops_has_the_host_pause),
        T(a_hundred_at_once_are_answered),
        cmocka_unit_test(letting_go_may_meet_the_answer),
#undef T
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
