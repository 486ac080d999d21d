/* What a pool tells a store. */
#include "unit/engine/pool_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "unit/engine/kept_rows.h"

static struct kc_pool *kept_pool(int keys)
{
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, keys);
    kc_pool_keep(p);
    return p;
}

static struct kc_use_news only_piece(struct kc_pool *p, uint64_t now)
{
    struct kc_use_news n[2];
    assert_int_equal(kc_pool_collect(p, now, n, 2), 1);
    return n[0];
}

static void check_used(const struct kc_used *is, const struct kc_used *want)
{
    assert_int_equal(is->requests, want->requests);
    assert_int_equal(is->input, want->input);
    assert_int_equal(is->output, want->output);
    assert_int_equal(is->total, want->total);
    assert_int_equal(is->counted, want->counted);
    assert_int_equal(is->counted_tokens, want->counted_tokens);
    assert_int_equal(is->counted_input, want->counted_input);
}

/* -- what is told ----------------------------------------------------- */

static const struct end {
    enum kc_outcome outcome;
    struct kc_usage usage;
    bool told; /* the usage */
    struct kc_used want;
} ends[] = {
    {KC_DONE, {.input = 5, .output = 7}, true, {1, 5, 7, 12, 1, 12, 5}},
    {KC_DONE, {.total = 9}, true, {1, 0, 0, 9, 1, 9, 9}},
    {KC_DONE, {.total = 9}, false, {1, 0, 0, 100, 1, 100, 60}},
    {KC_DONE,
     {.input = 50, .output = 7, .apart = true, .counted = 10,
      .counted_input = 3},
     true,
     {1, 50, 7, 57, 1, 10, 3}},
    {KC_NOT_SENT, {0}, false, {0}},
    {KC_REFUSED, {0}, false, {.requests = 1, .counted = 1}},
    {KC_FREE, {0}, false, {.requests = 1}},
    {KC_UNKNOWN, {0}, false, {1, 0, 0, 100, 1, 100, 60}},
};

static void each_outcome_is_counted_as_statistics_and_limits_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct kc_pool *p = kept_pool(1);
        uint64_t l = lease(p, START_MS, 100, 60);
        struct kc_use_news n = only_piece(p, START_MS);
        assert_int_equal(n.held.requests, 1);
        assert_int_equal(n.held.tokens, 100);
        assert_int_equal(n.held.input, 60);
        kc_pool_collected(p, &n, 1, KC_NEWS_WRITTEN);
        assert_int_equal(kc_pool_settle(p, START_MS + 5, l, ends[i].outcome,
                                        ends[i].told ? &ends[i].usage : NULL),
                         KC_OK);
        n = only_piece(p, START_MS + 5);
        check_used(&n.sum, &ends[i].want);
        check_used(&n.used, &ends[i].want);
        assert_int_equal(n.held.requests + n.held.tokens + n.held.input, 0);
        assert_int_equal(n.span_ms,
                         ends[i].outcome == KC_NOT_SENT ? 0 : KC_SPAN_MS);
        struct kc_snapshot s = counts(p, START_MS + 5, 0, NULL);
        assert_int_equal(n.sum.requests, s.total_requests);
        assert_int_equal(n.sum.total, s.total_tokens);
        assert_int_equal(n.sum.counted, s.used[KC_MINUTE][KC_REQUESTS]);
        assert_int_equal(n.sum.counted_tokens, s.used[KC_MINUTE][KC_TOKENS]);
        kc_pool_free(p);
    }
}

static void a_lease_that_expires_is_told_as_unknown(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    lease(p, START_MS, 100, 60);
    assert_int_equal(kc_pool_expire(p, START_MS + 11 * MINUTE_MS), 1);
    struct kc_use_news n = only_piece(p, START_MS + 11 * MINUTE_MS);
    assert_int_equal(n.start_ms, START_MS + 11 * MINUTE_MS);
    assert_int_equal(n.last_ms, START_MS + 11 * MINUTE_MS + 1);
    assert_int_equal(n.used.counted_tokens, 100);
    kc_pool_free(p);
}

static void a_pool_counts_from_when_it_is_kept(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    use(p, START_MS, "m", 10);
    uint64_t before = lease(p, START_MS, 100, 0);
    kc_pool_keep(p);
    kc_pool_keep(p);
    uint64_t after = lease(p, START_MS, 7, 0);
    assert_int_equal(kc_pool_settle(p, START_MS, before, KC_DONE, NULL),
                     KC_OK);
    assert_int_equal(kc_pool_settle(p, START_MS, after, KC_DONE, NULL), KC_OK);
    struct kc_use_news n = only_piece(p, START_MS);
    assert_int_equal(n.sum.requests, 1);
    assert_int_equal(n.sum.total, 7);
    assert_int_equal(n.held.requests, 0);
    kc_pool_free(p);
}

static void who_wakes_the_store_is_told_of_news_without_a_lock(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(2);
    struct kc_use_news n[4];
    assert_true(kc_pool_has_news(p)); /* two keys */
    assert_int_equal(kc_pool_collect(p, START_MS, n, 4), 0);
    assert_false(kc_pool_has_news(p));
    use(p, START_MS, "m", 1);
    use(p, START_MS, "m", 2);
    use(p, START_MS, "other", 3);
    assert_true(kc_pool_has_news(p));
    assert_int_equal(kc_pool_unwritten(p), 3);
    assert_int_equal(kc_pool_collect(p, START_MS, n, 2), 2);
    assert_true(kc_pool_has_news(p));
    assert_int_equal(kc_pool_collect(p, START_MS, n + 2, 2), 1);
    assert_false(kc_pool_has_news(p));
    assert_int_equal(kc_pool_unwritten(p), 3);
    kc_pool_collected(p, n, 2, KC_NEWS_WRITTEN);
    assert_false(kc_pool_has_news(p));
    kc_pool_collected(p, n + 2, 1, KC_NEWS_FAILED);
    assert_true(kc_pool_has_news(p));
    assert_int_equal(kc_pool_unwritten(p), 1);
    assert_int_equal(only_piece(p, START_MS).used.total, 3);
    kc_pool_free(p);
}

static void of_many_cells_some_are_told_at_once_the_rest_after_them(
    void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    struct kc_use_news n[200];
    uint64_t now = START_MS, total = 0;
    for (int i = 0; i < 60; i++, now += 2000)
        use(p, now, "m", 1);
    assert_int_equal(kc_pool_collect(p, now, n, 7), 7);
    use(p, now, "m", 1);
    assert_int_equal(kc_pool_collect(p, now, n + 7, 100), 0);
    kc_pool_collected(p, n, 7, KC_NEWS_WRITTEN);
    assert_true(kc_pool_has_news(p));
    size_t rest = kc_pool_collect(p, now, n + 7, 100);
    for (size_t i = 0; i < 7 + rest; i++)
        total += n[i].used.total;
    assert_int_equal(total, 61);
    assert_int_equal(kc_pool_settled_ms(p, now + 5000), START_MS + 7 * 2000);
    kc_pool_collected(p, n + 7, rest, KC_NEWS_WRITTEN);
    assert_int_equal(kc_pool_settled_ms(p, now + 4000), now + 4000);
    assert_int_equal(kc_pool_unwritten(p), 0);
    kc_pool_free(p);
}

static void another_writer_is_told_what_the_old_one_did_not_write(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    use(p, START_MS, "m", 10);
    struct kc_use_news n = only_piece(p, START_MS);
    kc_pool_collected(p, &n, 1, KC_NEWS_WRITTEN);
    use(p, START_MS, "m", 5);
    uint64_t l = lease(p, START_MS, 3, 0);
    kc_pool_renew(p);
    n = only_piece(p, START_MS);
    assert_int_equal(n.sum.total, 5);
    assert_int_equal(n.used.total, 5);
    assert_int_equal(n.held.tokens, 3);
    kc_pool_collected(p, &n, 1, KC_NEWS_WRITTEN);
    kc_pool_renew(p);
    assert_true(kc_pool_has_news(p)); /* what it holds */
    assert_int_equal(kc_pool_settle(p, START_MS, l, KC_NOT_SENT, NULL), KC_OK);
    n = only_piece(p, START_MS);
    assert_int_equal(n.sum.requests, 0);
    assert_int_equal(n.span_ms, 0);
    kc_pool_free(p);
}

/* -- threads ---------------------------------------------------------- */

#define WORKERS 3
#define TURNS 3000

struct work {
    struct kc_pool *pool;
    atomic_uint *running;
    unsigned number;
};

static void *work(void *arg)
{
    struct work *w = arg;
    for (uint64_t i = 0; i < TURNS; i++) {
        struct kc_request r = {.model = i % 3 ? "a" : "b", .tokens = 5};
        uint64_t now = START_MS + i * (w->number + 1);
        struct kc_grant g;
        if (kc_pool_acquire(w->pool, now, &r, &g, NULL) != KC_OK)
            continue;
        enum kc_outcome outcome = (enum kc_outcome)(i % 5);
        if (kc_pool_settle(w->pool, now, g.lease, outcome, NULL) != KC_OK)
            break;
    }
    atomic_fetch_sub(w->running, 1);
    return NULL;
}

static void one_thread_collects_what_others_use(void **state)
{
    (void)state;
    struct kept_rows rows = {.len = 0};
    struct kc_pool *p = kept_pool(4);
    atomic_uint running = WORKERS;
    pthread_t threads[WORKERS];
    struct work works[WORKERS];
    struct kc_use_news news[5];
    for (unsigned i = 0; i < WORKERS; i++) {
        works[i] = (struct work){p, &running, i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &works[i]),
                         0);
    }
    for (unsigned turn = 0; atomic_load(&running) > 0; turn++) {
        if (!kc_pool_has_news(p))
            continue;
        size_t n = kc_pool_collect(p, 0, news, 5);
        enum kc_news_end how = (enum kc_news_end)(turn % 3);
        for (size_t i = 0; i < n && how != KC_NEWS_FAILED; i++)
            rows_write(&rows, &news[i]);
        kc_pool_collected(p, news, n, how);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    uint64_t now = START_MS + WORKERS * TURNS;
    rows_flush(&rows, p, now);
    struct kc_snapshot s = counts(p, now, 0, NULL);
    uint64_t requests = 0, tokens = 0, in_sums = 0;
    for (size_t i = 0; i < rows.len; i++) {
        requests += rows.uses[i].used.requests;
        tokens += rows.uses[i].used.total;
    }
    for (size_t i = 0; i < rows.sum_len; i++) {
        in_sums += rows.sums[i].sum.requests;
        assert_int_equal(rows.sums[i].held.requests, 0);
    }
    assert_int_equal(requests, s.total_requests);
    assert_int_equal(in_sums, s.total_requests);
    assert_int_equal(tokens, s.total_tokens);
    kc_pool_free(p);
    free(rows.uses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_outcome_is_counted_as_statistics_and_limits_do),
        cmocka_unit_test(a_lease_that_expires_is_told_as_unknown),
        cmocka_unit_test(a_pool_counts_from_when_it_is_kept),
        cmocka_unit_test(who_wakes_the_store_is_told_of_news_without_a_lock),
        cmocka_unit_test(
            of_many_cells_some_are_told_at_once_the_rest_after_them),
        cmocka_unit_test(another_writer_is_told_what_the_old_one_did_not_write),
        cmocka_unit_test(one_thread_collects_what_others_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
