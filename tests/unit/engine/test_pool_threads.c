/* Many threads on one pool: a limit of 60 serves exactly 60. */
#include "unit/engine/pool_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 8

struct shared {
    struct kc_pool *pool;
    atomic_int granted, refused;
};

static void *take_what_there_is(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 200; i++) {
        struct kc_request request = {.model = "m", .tokens = 1};
        struct kc_grant g;
        struct kc_refusal r;
        if (kc_pool_acquire(s->pool, START_MS, &request, &g, &r) != KC_OK) {
            atomic_fetch_add(&s->refused, 1);
            continue;
        }
        atomic_fetch_add(&s->granted, 1);
        kc_pool_stamp(s->pool, START_MS, g.lease);
        if (kc_pool_settle(s->pool, START_MS, g.lease, KC_DONE, NULL) != KC_OK)
            atomic_fetch_add(&s->granted, 1000);
    }
    return NULL;
}

static void run(struct shared *s, void *(*fn)(void *))
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, s), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void a_limit_of_sixty_serves_exactly_sixty(void **state)
{
    (void)state;
    struct shared s = {.pool = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 3)};
    limit(s.pool, KC_MINUTE, KC_REQUESTS, 20);
    run(&s, take_what_there_is);
    assert_int_equal(atomic_load(&s.granted), 60);
    assert_int_equal(atomic_load(&s.refused), THREADS * 200 - 60);
    struct kc_snapshot c = counts(s.pool, START_MS, 0, NULL);
    assert_int_equal(c.total_requests, 60);
    assert_int_equal(c.total_tokens, 60);
    assert_int_equal(c.in_flight, 0);
    kc_pool_free(s.pool);
}

#define HOLDERS 200

struct holders {
    struct shared shared;
    pthread_barrier_t all_asked;
};

/* Each keeps its key until everybody has asked for one. */
static void *ask_and_hold(void *arg)
{
    struct holders *h = arg;
    struct kc_request request = {.model = "m"};
    struct kc_grant g;
    struct kc_refusal r;
    bool held = kc_pool_acquire(h->shared.pool, START_MS, &request, &g, &r) ==
                KC_OK;
    atomic_fetch_add(held ? &h->shared.granted : &h->shared.refused, 1);
    pthread_barrier_wait(&h->all_asked);
    if (held &&
        kc_pool_settle(h->shared.pool, START_MS, g.lease, KC_DONE, NULL) !=
            KC_OK)
        atomic_fetch_add(&h->shared.granted, 1000);
    return NULL;
}

static void what_is_held_counts_at_once(void **state)
{
    (void)state;
    struct holders h = {
        .shared = {.pool = new_pool(KC_PER_MODEL, KC_BALANCED, 3)}};
    pthread_t threads[HOLDERS];
    limit(h.shared.pool, KC_MINUTE, KC_REQUESTS, 20);
    pthread_barrier_init(&h.all_asked, NULL, HOLDERS);
    for (int i = 0; i < HOLDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_and_hold, &h),
                         0);
    for (int i = 0; i < HOLDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&h.shared.granted), 60);
    assert_int_equal(atomic_load(&h.shared.refused), HOLDERS - 60);
    pthread_barrier_destroy(&h.all_asked);
    kc_pool_free(h.shared.pool);
}

/* Everything at once, for the thread sanitizer to watch. */
static void *do_everything(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 300; i++) {
        uint64_t now = START_MS + (uint64_t)i * 100, until, wait;
        struct kc_waiter w = {.request = {.model = i % 2 ? "m" : "n"},
                              .priority = i % 8,
                              .deadline_ms = now + 50};
        struct kc_snapshot snapshot;
        struct kc_key_info info;
        int err = kc_pool_enqueue(s->pool, now, &w);
        if (err == KC_EAGAIN)
            kc_pool_dequeue(s->pool, &w);
        if (w.grant.lease) {
            err = kc_pool_settle(s->pool, now, w.grant.lease, KC_DONE, NULL);
            atomic_fetch_add(err == KC_OK ? &s->granted : &s->refused, 1);
        }
        if (i % 50 == 0 &&
            kc_pool_cool(s->pool, now, 2, NULL, 10, "429", &until) != KC_OK)
            atomic_fetch_add(&s->refused, 1);
        if (kc_pool_snapshot(s->pool, now, 0, NULL, &snapshot) != KC_OK ||
            kc_pool_key_info(s->pool, now, 1, "m", &info) != KC_OK ||
            kc_pool_next_available(s->pool, now, &w.request, &wait) != KC_OK)
            atomic_fetch_add(&s->refused, 1);
    }
    return NULL;
}

static void every_call_may_come_from_any_thread(void **state)
{
    (void)state;
    /* So many that a snapshot lets others go first. */
    struct shared s = {.pool = new_pool(KC_GLOBAL, KC_ROUND_ROBIN, 150)};
    limit(s.pool, KC_MINUTE, KC_REQUESTS, 1000);
    run(&s, do_everything);
    assert_int_equal(atomic_load(&s.refused), 0);
    assert_int_equal(kc_pool_waiting(s.pool), 0);
    struct kc_snapshot c = counts(s.pool, START_MS, 0, NULL);
    assert_int_equal(c.in_flight, 0);
    assert_int_equal(c.total_requests, atomic_load(&s.granted));
    kc_pool_free(s.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_of_sixty_serves_exactly_sixty),
        cmocka_unit_test(what_is_held_counts_at_once),
        cmocka_unit_test(every_call_may_come_from_any_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
