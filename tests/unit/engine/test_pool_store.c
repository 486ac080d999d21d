/* What a pool tells a store, and what it takes from one. */
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

static void hash_of(struct kc_pool *p, uint32_t key, char out[40])
{
    struct kc_key_info info;
    assert_int_equal(kc_pool_key_info(p, START_MS, key, NULL, &info), KC_OK);
    snprintf(out, 40, "%s", info.hash);
}

static struct kc_use_news only_piece(struct kc_pool *p, uint64_t now)
{
    struct kc_use_news n[2];
    assert_int_equal(kc_pool_collect(p, now, n, 2), 1);
    return n[0];
}

static uint64_t lease(struct kc_pool *p, uint64_t now, uint64_t tokens,
                      uint64_t input)
{
    struct kc_request r = {.model = "m", .tokens = tokens, .input = input};
    struct kc_grant g;
    assert_int_equal(kc_pool_acquire(p, now, &r, &g, NULL), KC_OK);
    return g.lease;
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

/* -- what is told ----------------------------------------------------------- */

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

/* -- what is taken ---------------------------------------------------------- */

static const struct kc_used some = {.requests = 9,
                                    .total = 900,
                                    .counted = 3,
                                    .counted_tokens = 70,
                                    .counted_input = 20};

static void the_past_is_taken_once_a_key_then_what_others_use(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    char hash[40], second[40];
    hash_of(p, 1, hash);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_PAST, hash, "m",
                                      START_MS, &some),
                     KC_ENOTFOUND);
    assert_int_equal(kc_pool_begin_restore(p), 1);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_OTHERS, hash, "m",
                                      START_MS, &some),
                     KC_ENOTFOUND);
    kc_pool_end_restore(p, false);
    assert_int_equal(kc_pool_begin_restore(p), 1);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_PAST, hash, "m",
                                      START_MS - HOUR_MS / 2, &some),
                     KC_OK);
    assert_int_equal(kc_pool_take_total(p, START_MS, KC_PAST, hash, "m", 9,
                                        900),
                     KC_OK);
    kc_pool_end_restore(p, true);
    assert_int_equal(kc_pool_begin_restore(p), 0);
    struct kc_snapshot s = counts(p, START_MS, 1, "m");
    assert_int_equal(s.total_requests, 9);
    assert_int_equal(s.total_tokens, 900);
    assert_int_equal(s.used[KC_MINUTE][KC_REQUESTS], 0);
    assert_int_equal(s.used[KC_HOUR][KC_REQUESTS], 3);
    assert_int_equal(s.used[KC_HOUR][KC_TOKENS], 70);
    struct kc_key_config late = {.secret = "sk-late-key-0001"};
    uint32_t index;
    assert_int_equal(kc_pool_add_key(p, START_MS, &late, &index), KC_OK);
    hash_of(p, index, second);
    assert_int_equal(kc_pool_begin_restore(p), 1);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_PAST, hash, "m",
                                      START_MS, &some),
                     KC_ENOTFOUND);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_PAST, second, "m",
                                      START_MS, &some),
                     KC_OK);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_OTHERS, hash, "m",
                                      START_MS, &some),
                     KC_OK);
    kc_pool_end_restore(p, true);
    kc_pool_free(p);
}

static void what_was_read_is_no_use_of_our_own(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    struct kc_use_news n[2];
    struct kc_held none = {0}, two = {.requests = 2, .tokens = 10};
    char hash[40];
    hash_of(p, 1, hash);
    kc_pool_begin_restore(p);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_PAST, hash, "m",
                                      START_MS, &some),
                     KC_OK);
    assert_int_equal(kc_pool_take_held(p, START_MS, KC_PAST, hash, "m", &none,
                                       &two),
                     KC_OK);
    kc_pool_end_restore(p, true);
    assert_int_equal(kc_pool_collect(p, START_MS, n, 2), 0);
    use(p, START_MS, "m", 5);
    assert_int_equal(only_piece(p, START_MS).sum.requests, 1);
    kc_pool_free(p);
}

/* Limits that a pool of one key has, and what blocks it then. */
static const char *blocked_by(struct kc_pool *p, uint64_t now, uint64_t tokens,
                              uint64_t input)
{
    struct kc_request r = {.model = "m", .tokens = tokens, .input = input};
    struct kc_refusal refusal;
    int err = kc_pool_explain(p, now, &r, &refusal);
    return err == KC_OK ? "" : refusal.limit;
}

static void sides(struct kc_pool *p, uint64_t span_ms, uint64_t requests,
                  uint64_t input)
{
    struct kc_limits l;
    kc_limits_unlimited(&l);
    kc_limits_side(&l, span_ms, false)->max[0] = requests;
    kc_limits_side(&l, MINUTE_MS, true)->max[0] = input;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
}

static void the_past_fills_windows_of_any_length_and_of_input(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    char hash[40];
    uint64_t week_ms = 7 * 24 * HOUR_MS, then = START_MS - week_ms + 5000;
    hash_of(p, 1, hash);
    sides(p, week_ms, 4, 100);
    assert_int_equal(kc_pool_longest_ms(p), week_ms);
    kc_pool_begin_restore(p);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_PAST, hash, "m", then,
                                      &some),
                     KC_OK);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_PAST, hash, "m",
                                      START_MS - 1000, &some),
                     KC_OK);
    kc_pool_end_restore(p, true);
    assert_string_equal(blocked_by(p, START_MS, 1, 0), "requests_per_window");
    assert_string_equal(blocked_by(p, START_MS + 5000, 1, 0), "");
    assert_string_equal(blocked_by(p, START_MS + 5000, 80, 80), "");
    assert_string_equal(blocked_by(p, START_MS + 5000, 81, 81),
                        "input_tokens_per_minute");
    kc_pool_free(p);
}

static void a_days_limit_of_a_calendar_knows_the_past(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    struct kc_limits l;
    char hash[40];
    hash_of(p, 1, hash);
    kc_limits_unlimited(&l);
    l.calendar = true;
    l.max[KC_DAY][KC_REQUESTS] = 3;
    assert_int_equal(kc_zone_parse("UTC0", &l.zone), KC_OK);
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    uint64_t now = START_MS + 20 * HOUR_MS;
    kc_pool_begin_restore(p);
    assert_int_equal(kc_pool_take_use(p, now, KC_PAST, hash, "m",
                                      START_MS - 1000, &some),
                     KC_OK);
    assert_string_equal(blocked_by(p, now, 1, 0), "");
    assert_int_equal(kc_pool_take_use(p, now, KC_PAST, hash, "m",
                                      START_MS + HOUR_MS, &some),
                     KC_OK);
    assert_string_equal(blocked_by(p, now, 1, 0), "requests_per_day");
    kc_pool_end_restore(p, true);
    assert_string_equal(blocked_by(p, START_MS + 24 * HOUR_MS + 2000, 1, 0),
                        "");
    kc_pool_free(p);
}

static void take_held(struct kc_pool *p, uint32_t key, uint64_t before,
                      uint64_t now)
{
    char hash[40];
    struct kc_held was = {before, before * 10, before * 4};
    struct kc_held is = {now, now * 10, now * 4};
    enum kc_origin origin =
        kc_pool_begin_restore(p) > 0 ? KC_PAST : KC_OTHERS;
    hash_of(p, key, hash);
    assert_int_equal(
        kc_pool_take_held(p, START_MS, origin, hash, "m", &was, &is), KC_OK);
    kc_pool_end_restore(p, true);
}

static void what_others_hold_counts_and_does_not_age(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    limit(p, KC_MINUTE, KC_REQUESTS, 3);
    take_held(p, 1, 0, 3);
    assert_int_equal(counts(p, START_MS, 1, "m").in_flight, 3);
    assert_string_equal(blocked_by(p, START_MS + HOUR_MS, 1, 0),
                        "requests_per_minute");
    take_held(p, 1, 3, 2);
    assert_string_equal(blocked_by(p, START_MS + HOUR_MS, 1, 0), "");
    use(p, START_MS + HOUR_MS, "m", 1);
    take_held(p, 1, 2, 0);
    assert_int_equal(counts(p, START_MS + HOUR_MS, 1, "m").in_flight, 0);
    take_held(p, 1, 7, 0); /* more than was ever told */
    assert_int_equal(counts(p, START_MS + HOUR_MS, 1, "m").in_flight, 0);
    use(p, START_MS + HOUR_MS, "m", 1);
    kc_pool_free(p);
}

static void what_others_hold_takes_their_places(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.concurrent = 2;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    take_held(p, 1, 0, 1);
    uint64_t own = lease(p, START_MS, 1, 0);
    assert_string_equal(blocked_by(p, START_MS, 1, 0), "concurrent_requests");
    take_held(p, 1, 1, 0);
    assert_string_equal(blocked_by(p, START_MS, 1, 0), "");
    assert_int_equal(kc_pool_settle(p, START_MS, own, KC_DONE, NULL), KC_OK);
    kc_pool_free(p);
}

static void a_waiter_gets_what_others_give_back(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    struct kc_waiter w = {.request = {.model = "m"}, .deadline_ms = KC_NEVER};
    limit(p, KC_MINUTE, KC_REQUESTS, 2);
    take_held(p, 1, 0, 2);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &w), KC_EAGAIN);
    assert_null(kc_pool_pump(p, START_MS + HOUR_MS));
    take_held(p, 1, 2, 1);
    assert_ptr_equal(kc_pool_pump(p, START_MS + HOUR_MS), &w);
    assert_int_equal(w.result, KC_OK);
    kc_pool_free(p);
}

static void a_window_made_later_knows_what_others_hold(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    take_held(p, 1, 0, 3);
    uint64_t own = lease(p, START_MS, 1, 0);
    sides(p, 10 * SECOND_MS, 5, 30);
    assert_int_equal(
        kc_pool_settle(p, START_MS, lease(p, START_MS, 1, 1), KC_DONE, NULL),
        KC_OK);
    assert_string_equal(blocked_by(p, START_MS, 1, 0), "requests_per_window");
    uint64_t later = START_MS + HOUR_MS;
    assert_int_equal(kc_pool_settle(p, START_MS, own, KC_DONE, NULL), KC_OK);
    assert_string_equal(blocked_by(p, later, 19, 19),
                        "input_tokens_per_minute");
    assert_string_equal(blocked_by(p, later, 18, 18), "");
    take_held(p, 1, 3, 0);
    assert_string_equal(blocked_by(p, later, 30, 30), "");
    kc_pool_free(p);
}

static void what_others_hold_moves_with_its_key(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(2);
    limit(p, KC_MINUTE, KC_REQUESTS, 4);
    take_held(p, 1, 0, 4);
    bool joined;
    struct kc_request second = {.model = "m", .key = 2, .pin = true};
    struct kc_refusal r;
    assert_int_equal(kc_pool_explain(p, START_MS, &second, &r), KC_OK);
    assert_int_equal(kc_pool_join(p, START_MS, 1, "org", &joined), KC_OK);
    assert_int_equal(kc_pool_join(p, START_MS, 2, "org", &joined), KC_OK);
    assert_int_equal(kc_pool_explain(p, START_MS, &second, &r), KC_ELIMITED);
    take_held(p, 1, 4, 3);
    assert_int_equal(kc_pool_explain(p, START_MS, &second, &r), KC_OK);
    take_held(p, 1, 3, 4);
    struct kc_key_config away = {.secret = "sk-test-0007-key-0001",
                                 .group = "another"};
    uint32_t index;
    assert_int_equal(kc_pool_add_key(p, START_MS, &away, &index), KC_OK);
    assert_int_equal(index, 1);
    assert_int_equal(kc_pool_explain(p, START_MS, &second, &r), KC_OK);
    struct kc_request first = {.model = "m", .key = 1, .pin = true};
    assert_int_equal(kc_pool_explain(p, START_MS, &first, &r), KC_ELIMITED);
    take_held(p, 1, 4, 0);
    assert_int_equal(kc_pool_explain(p, START_MS, &first, &r), KC_OK);
    kc_pool_free(p);
}

static void the_limits_of_all_models_know_what_others_do(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_GLOBAL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    struct kc_refusal r;
    char hash[40];
    hash_of(p, 1, hash);
    limit(p, KC_HOUR, KC_REQUESTS, 5);
    take_held(p, 1, 0, 2);
    assert_int_equal(kc_pool_take_use(p, START_MS, KC_OTHERS, hash, "x",
                                      START_MS - MINUTE_MS, &some),
                     KC_OK);
    assert_int_equal(acquire(p, START_MS, "y", 1, &g, &r), KC_ELIMITED);
    /* A model that goes its own way leaves nothing behind. */
    assert_int_equal(kc_pool_set_only(p, START_MS, "x*"), KC_OK);
    take_held(p, 1, 2, 0);
    assert_int_equal(acquire(p, START_MS, "xy", 1, &g, &r), KC_OK);
    assert_int_equal(acquire(p, START_MS, "x", 1, &g, &r), KC_OK);
    assert_int_equal(acquire(p, START_MS, "x", 1, &g, &r), KC_ELIMITED);
    kc_pool_free(p);
}

/* -- threads ---------------------------------------------------------------- */

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
        cmocka_unit_test(the_past_is_taken_once_a_key_then_what_others_use),
        cmocka_unit_test(what_was_read_is_no_use_of_our_own),
        cmocka_unit_test(the_past_fills_windows_of_any_length_and_of_input),
        cmocka_unit_test(a_days_limit_of_a_calendar_knows_the_past),
        cmocka_unit_test(what_others_hold_counts_and_does_not_age),
        cmocka_unit_test(what_others_hold_takes_their_places),
        cmocka_unit_test(a_waiter_gets_what_others_give_back),
        cmocka_unit_test(a_window_made_later_knows_what_others_hold),
        cmocka_unit_test(what_others_hold_moves_with_its_key),
        cmocka_unit_test(the_limits_of_all_models_know_what_others_do),
        cmocka_unit_test(one_thread_collects_what_others_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
