/* What a store remembers of one run, and of others at work, holds in a pool as
 * if it had made those requests itself. */
#include "unit/engine/pool_fixture.h"

#include "unit/engine/kept_rows.h"
#include "util/rng.h"

static struct kc_pool *kept_pool(void)
{
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    kc_pool_keep(p);
    return p;
}

/* -- a restart -------------------------------------------------------- */

#define CALLS_MAX 4000
#define OPEN_MAX 12

struct made { /* what the provider has seen */
    uint64_t at_ms; /* 0: not yet */
    uint64_t tokens, input;
    uint64_t lease; /* 0: settled */
    bool counts;
};

struct run {
    struct kc_rng rng;
    struct made made[CALLS_MAX];
    size_t len;
    uint64_t now;
    struct kc_limits limits;
};

static uint64_t below(struct run *r, uint64_t n)
{
    return kc_rng_below(&r->rng, n);
}

static void run_limits(struct run *r)
{
    struct kc_limits *l = &r->limits;
    kc_limits_unlimited(l);
    l->max[KC_MINUTE][KC_REQUESTS] = 5 + below(r, 40);
    l->max[KC_MINUTE][KC_TOKENS] = 200 + below(r, 1000);
    l->max[KC_HOUR][KC_REQUESTS] = 50 + below(r, 400);
    l->max[KC_DAY][KC_TOKENS] = 20000 + below(r, 50000);
    kc_limits_side(l, (1 + below(r, 200)) * SECOND_MS, false)->max[0] =
        5 + below(r, 60);
    kc_limits_side(l, MINUTE_MS, true)->max[0] = 100 + below(r, 400);
}

static void send(struct run *r, struct kc_pool *p)
{
    struct kc_request request = {.model = "m", .tokens = below(r, 60)};
    struct kc_grant g;
    request.input = below(r, request.tokens + 1);
    if (r->len == CALLS_MAX ||
        kc_pool_acquire(p, r->now, &request, &g, NULL) != KC_OK)
        return;
    r->made[r->len++] = (struct made){.lease = g.lease,
                                      .tokens = request.tokens,
                                      .input = request.input,
                                      .counts = true};
}

static void finish(struct run *r, struct kc_pool *p, struct made *m)
{
    enum kc_outcome outcome = (enum kc_outcome)below(r, 5);
    struct kc_usage u = {.input = below(r, m->input + 1),
                         .output = below(r, m->tokens - m->input + 1)};
    bool told = below(r, 2);
    assert_int_equal(
        kc_pool_settle(p, r->now, m->lease, outcome, told ? &u : NULL), KC_OK);
    m->lease = 0;
    if (m->at_ms == 0)
        m->at_ms = r->now;
    if (outcome == KC_DONE && told && u.input + u.output > 0) {
        m->tokens = u.input + u.output;
        m->input = u.input;
    } else if (outcome == KC_DONE && told) {
        m->tokens = m->input = 0;
    }
    if (outcome == KC_REFUSED)
        m->tokens = m->input = 0;
    m->counts = outcome != KC_NOT_SENT && outcome != KC_FREE;
}

static void age(struct run *r, struct kc_pool *p)
{
    size_t from = r->len > OPEN_MAX ? r->len - OPEN_MAX : 0;
    for (size_t i = from; i < r->len; i++) {
        struct made *m = &r->made[i];
        if (m->lease == 0)
            continue;
        if (m->at_ms == 0 && below(r, 3) == 0) {
            kc_pool_stamp(p, r->now, m->lease);
            m->at_ms = r->now;
        }
        if (i == from || below(r, 3) == 0)
            finish(r, p, m);
    }
}

/* A store that works, fails, and dies at its commits. */
static void tell(struct run *r, struct kc_pool *p, struct kept_rows *rows)
{
    struct kc_use_news news[5];
    size_t n = kc_pool_collect(p, r->now, news, 5);
    enum kc_news_end how = (enum kc_news_end)below(r, 3);
    for (size_t i = 0; i < n; i++)
        if (how == KC_NEWS_WRITTEN ||
            (how == KC_NEWS_DOUBTFUL && below(r, 2) == 0))
            rows_write(rows, &news[i]);
    if (below(r, 4) == 0)
        age(r, p); /* while it is out */
    kc_pool_collected(p, news, n, how);
}

/* What the provider counts in a window. */
static void seen(const struct run *r, uint64_t span_ms, uint64_t sum[3])
{
    sum[0] = sum[1] = sum[2] = 0;
    for (size_t i = 0; i < r->len; i++) {
        const struct made *m = &r->made[i];
        if (!m->counts || m->at_ms + span_ms <= r->now)
            continue;
        sum[0]++;
        sum[1] += m->tokens;
        sum[2] += m->input;
    }
}

static void check_limits(const struct run *r, uint64_t seed)
{
    uint64_t sum[3];
    const struct kc_limits *l = &r->limits;
    for (int w = 0; w < KC_WINDOWS; w++) {
        seen(r, kc_window_ms((enum kc_window)w), sum);
        if (sum[0] > l->max[w][KC_REQUESTS] || sum[1] > l->max[w][KC_TOKENS])
            fail_msg("seed %llu: window %d", (unsigned long long)seed, w);
    }
    seen(r, l->sides[0].span_ms, sum);
    if (sum[0] > l->sides[0].max[0])
        fail_msg("seed %llu: a side's requests", (unsigned long long)seed);
    seen(r, MINUTE_MS, sum);
    if (sum[2] > l->sides[1].max[0])
        fail_msg("seed %llu: input", (unsigned long long)seed);
}

static struct kc_pool *run_pool(struct run *r, enum kc_strategy strategy)
{
    struct kc_pool *p = new_pool(strategy, KC_ROUND_ROBIN, 1);
    assert_int_equal(kc_pool_set_limits(p, r->now, 0, NULL, &r->limits),
                     KC_OK);
    kc_pool_keep(p);
    return p;
}

static void check_totals(struct run *r, struct kc_pool *first,
                         struct kc_pool *second)
{
    struct kc_snapshot a = counts(first, r->now, 0, NULL);
    struct kc_snapshot b = counts(second, r->now, 0, NULL);
    uint64_t held = 0;
    for (size_t i = 0; i < r->len; i++)
        if (r->made[i].lease)
            held += r->made[i].tokens;
    assert_int_equal(a.total_requests, b.total_requests);
    assert_int_equal(a.total_tokens + held, b.total_tokens);
}

/* One run that is broken off, and another one after it. */
static size_t restart(struct run *r, uint64_t seed)
{
    struct kept_rows rows = {.len = 0};
    kc_rng_seed(&r->rng, seed);
    r->now = START_MS + below(r, HOUR_MS);
    r->len = 0;
    run_limits(r);
    enum kc_strategy strategy = below(r, 2) ? KC_GLOBAL : KC_PER_MODEL;
    uint64_t pace = 1 + below(r, below(r, 2) ? 200 : 20000);
    struct kc_pool *p = run_pool(r, strategy);
    for (uint64_t steps = below(r, 800); steps > 0; steps--) {
        r->now += below(r, pace);
        send(r, p);
        age(r, p);
        if (below(r, 8) == 0)
            tell(r, p, &rows);
    }
    rows_flush(&rows, p, r->now);
    uint64_t seen_ms = r->now;
    for (size_t i = 0; i < r->len; i++)
        if (r->made[i].at_ms == 0)
            r->made[i].at_ms = r->now;
    r->now += below(r, 2) ? below(r, 1000) : below(r, 2 * HOUR_MS);
    struct kc_pool *next = run_pool(r, strategy);
    rows_restore(&rows, next, r->now, seen_ms);
    check_totals(r, p, next);
    for (size_t i = 0; i < r->len; i++)
        r->made[i].lease = 0;
    size_t before = r->len;
    for (int i = 0; i < 200; i++) {
        send(r, next);
        for (size_t j = before; j < r->len; j++)
            if (r->made[j].at_ms == 0)
                r->made[j].at_ms = r->now;
        check_limits(r, seed);
        r->now += below(r, pace);
    }
    kc_pool_free(p);
    kc_pool_free(next);
    free(rows.uses);
    return r->len - before;
}

static void no_window_that_one_run_filled_is_passed_by_the_next(void **state)
{
    (void)state;
    static struct run r;
    size_t granted_after = 0;
    for (uint64_t seed = 1; seed <= 400; seed++)
        granted_after += restart(&r, seed);
    assert_true(granted_after > 4000);
}

static void nothing_is_granted_that_the_rows_leave_no_room_for(void **state)
{
    (void)state;
    struct kept_rows rows = {.len = 0};
    struct kc_pool *p = kept_pool(), *next = kept_pool();
    struct kc_grant g;
    struct kc_refusal r;
    limit(p, KC_MINUTE, KC_REQUESTS, 10);
    limit(next, KC_MINUTE, KC_REQUESTS, 10);
    for (int i = 0; i < 9; i++)
        use(p, START_MS, "m", 1);
    granted(p, START_MS, "m", 1, &g); /* and is killed */
    rows_flush(&rows, p, START_MS);
    rows_restore(&rows, next, START_MS + 5000, START_MS);
    assert_int_equal(acquire(next, START_MS + 5000, "m", 1, &g, &r),
                     KC_ELIMITED);
    uint64_t later = START_MS + MINUTE_MS + 1;
    for (int i = 0; i < 9; i++)
        use(next, later, "m", 1);
    assert_int_equal(acquire(next, later, "m", 1, &g, &r), KC_ELIMITED);
    use(next, later + KC_GUARD_MS, "m", 1);
    kc_pool_free(p);
    kc_pool_free(next);
    free(rows.uses);
}

/* -- others at work --------------------------------------------------- */

/* Merges what one pool has written into another, beside what it knows. */
static void merge(struct kept_rows *rows, struct kept_rows *known,
                  struct kc_pool *p, uint64_t now)
{
    for (size_t i = 0; i < rows->sum_len; i++) {
        const struct kc_use_news *n = &rows->sums[i];
        struct kc_use_news *was = rows_sum(known, n);
        struct kc_used more = {
            .counted = n->sum.counted - was->sum.counted,
            .counted_tokens = n->sum.counted_tokens - was->sum.counted_tokens};
        assert_int_equal(kc_pool_take_use(p, now, KC_OTHERS, n->key, n->model,
                                          n->sum_last_ms, &more),
                         KC_OK);
        assert_int_equal(
            kc_pool_take_total(p, now, KC_OTHERS, n->key, n->model,
                               n->sum.requests - was->sum.requests,
                               n->sum.total - was->sum.total),
            KC_OK);
        assert_int_equal(kc_pool_take_held(p, now, KC_OTHERS, n->key, n->model,
                                           &was->held, &n->held),
                         KC_OK);
        *was = *n;
    }
}

#define LIMIT 40
#define EACH 3 /* most a second and pool */

static void two_pools_share_what_a_limit_leaves(void **state)
{
    (void)state;
    struct kc_pool *p[2] = {kept_pool(), kept_pool()};
    struct kept_rows rows[2] = {{.len = 0}}, known[2] = {{.len = 0}};
    uint64_t out[2][LIMIT] = {{0}}, granted_at[1000], now = START_MS;
    size_t grants = 0, most = 0;
    for (int i = 0; i < 2; i++) {
        kc_pool_begin_restore(p[i]);
        kc_pool_end_restore(p[i], true);
        limit(p[i], KC_MINUTE, KC_REQUESTS, LIMIT);
    }
    for (int second = 0; second < 300; second++, now += 1000) {
        for (int i = 0; i < 2; i++) {
            for (int j = 0; j < EACH; j++) {
                struct kc_grant g;
                struct kc_refusal r;
                size_t at = 0;
                if (acquire(p[i], now, "m", 10, &g, &r) != KC_OK)
                    continue;
                while (out[i][at] != 0)
                    at++;
                out[i][at] = g.lease;
                granted_at[grants++] = now;
            }
            for (int j = 0; j < LIMIT; j++) {
                if (out[i][j] == 0 || (second + j) % 3 != 0)
                    continue;
                assert_int_equal(
                    kc_pool_settle(p[i], now, out[i][j], KC_DONE, NULL),
                    KC_OK);
                out[i][j] = 0;
            }
        }
        for (int i = 0; i < 2; i++)
            rows_flush(&rows[i], p[i], now);
        for (int i = 0; i < 2; i++)
            merge(&rows[1 - i], &known[i], p[i], now);
        struct kc_snapshot a = counts(p[0], now, 0, NULL);
        struct kc_snapshot b = counts(p[1], now, 0, NULL);
        assert_int_equal(a.in_flight, b.in_flight);
        assert_int_equal(a.total_tokens, b.total_tokens);
        assert_int_equal(a.used[KC_DAY][0], b.used[KC_DAY][0]);
        size_t in_minute = 0;
        for (size_t k = 0; k < grants; k++)
            in_minute += granted_at[k] + MINUTE_MS > now;
        most = in_minute > most ? in_minute : most;
    }
    assert_true(grants > 150);
    assert_in_range(most, LIMIT - 2, LIMIT + EACH);
    for (int i = 0; i < 2; i++) {
        kc_pool_free(p[i]);
        free(rows[i].uses);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_window_that_one_run_filled_is_passed_by_the_next),
        cmocka_unit_test(nothing_is_granted_that_the_rows_leave_no_room_for),
        cmocka_unit_test(two_pools_share_what_a_limit_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
