/* Random work on a pool beside an exact log of it: no limit is ever passed, no
 * request refused without cause, no wait told wrong. */
#include "unit/engine/pool_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "util/rng.h"

#define KEYS 3
#define MODELS 2
#define STEPS 6000
#define MAX_LOG STEPS /* each step adds one line at most */

static const char *const models[MODELS] = {"a", "b"};

struct charge {
    uint64_t at_ms; /* 0: in flight, does not age */
    uint64_t requests, tokens;
    uint64_t lease; /* 0: settled */
    uint32_t key;
    int model;
};

struct world {
    struct kc_pool *pool;
    struct kc_rng rng;
    enum kc_strategy strategy;
    bool grouped; /* keys 1 and 2 share one quota */
    struct kc_limits limits;
    uint64_t now;
    struct charge log[MAX_LOG];
    size_t len;
};

static bool same_quota(const struct world *w, uint32_t a, uint32_t b)
{
    return a == b || (w->grouped && a <= 2 && b <= 2);
}

/* What the key, or its group, has used in (now - span, now], in flight included. */
static uint64_t used(const struct world *w, uint32_t key, int model,
                     enum kc_unit unit, uint64_t span)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < w->len; i++) {
        const struct charge *c = &w->log[i];
        if (!same_quota(w, c->key, key) ||
            (w->strategy == KC_PER_MODEL && c->model != model))
            continue;
        if (c->at_ms == 0 || c->at_ms + span > w->now)
            sum += unit == KC_REQUESTS ? c->requests : c->tokens;
    }
    return sum;
}

/* Whether the request fits by the exact log, with windows longer by what the
 * rings may hold on: 2 W / bound + granule + 2 ticks, see ring.h. */
static bool fits(const struct world *w, uint32_t key, int model,
                 uint64_t tokens, bool longer)
{
    for (enum kc_window win = 0; win < KC_WINDOWS; win++) {
        uint64_t span = kc_window_ms(win);
        if (longer)
            span += span / 16 + span / 128 + 4;
        for (enum kc_unit u = 0; u < KC_UNITS; u++) {
            uint64_t cost = u == KC_REQUESTS ? 1 : tokens;
            uint64_t max = w->limits.max[win][u];
            if (max != KC_UNLIMITED && used(w, key, model, u, span) + cost > max)
                return false;
        }
    }
    return true;
}

static void check_refusal(struct world *w, int model, uint64_t tokens,
                          const struct kc_refusal *r)
{
    for (uint32_t key = 1; key <= KEYS; key++)
        if (fits(w, key, model, tokens, true))
            fail_msg("refused though key %u has room (%s)", key, r->limit);
    if (r->wait_ms == KC_NEVER)
        return;
    struct kc_request request = {.model = models[model], .tokens = tokens};
    uint64_t wait;
    assert_int_equal(kc_pool_next_available(w->pool, w->now, &request, &wait),
                     KC_OK);
    assert_int_equal(wait, r->wait_ms);
}

static void do_acquire(struct world *w)
{
    int model = (int)kc_rng_below(&w->rng, MODELS);
    uint64_t tokens = kc_rng_below(&w->rng, 40);
    struct kc_grant g;
    struct kc_refusal r;
    int err = acquire(w->pool, w->now, models[model], tokens, &g, &r);
    if (err != KC_OK) {
        assert_int_equal(err, KC_ELIMITED);
        check_refusal(w, model, tokens, &r);
        return;
    }
    if (!fits(w, g.key, model, tokens, false))
        fail_msg("key %u was given over its limit", g.key);
    assert_true(w->len < MAX_LOG);
    w->log[w->len++] = (struct charge){.requests = 1,
                                       .tokens = tokens,
                                       .lease = g.lease,
                                       .key = g.key,
                                       .model = model};
}

static struct charge *some_lease(struct world *w)
{
    size_t n = w->len, from = n ? kc_rng_below(&w->rng, n) : 0;
    for (size_t i = 0; i < n; i++) {
        struct charge *c = &w->log[(from + i) % n];
        if (c->lease)
            return c;
    }
    return NULL;
}

static void do_stamp(struct world *w)
{
    struct charge *c = some_lease(w);
    if (!c)
        return;
    kc_pool_stamp(w->pool, w->now, c->lease);
    if (c->at_ms == 0)
        c->at_ms = w->now;
}

static void add_more(struct world *w, const struct charge *c, uint64_t tokens)
{
    assert_true(w->len < MAX_LOG);
    struct charge more = {.at_ms = w->now, .tokens = tokens, .key = c->key,
                          .model = c->model};
    w->log[w->len++] = more;
}

static void do_settle(struct world *w)
{
    struct charge *c = some_lease(w);
    if (!c)
        return;
    static const enum kc_outcome outcomes[] = {KC_DONE, KC_DONE, KC_DONE,
                                               KC_NOT_SENT, KC_REFUSED,
                                               KC_UNKNOWN};
    enum kc_outcome outcome = outcomes[kc_rng_below(&w->rng, 6)];
    struct kc_usage usage = {.total = 1 + kc_rng_below(&w->rng, 60)};
    assert_int_equal(
        kc_pool_settle(w->pool, w->now, c->lease, outcome, &usage), KC_OK);
    if (c->at_ms == 0)
        c->at_ms = w->now;
    c->lease = 0;
    uint64_t reserved = c->tokens;
    if (outcome == KC_NOT_SENT)
        c->requests = 0;
    if (outcome == KC_NOT_SENT || outcome == KC_REFUSED)
        c->tokens = 0;
    if (outcome == KC_DONE && usage.total < reserved)
        c->tokens = usage.total;
    if (outcome == KC_DONE && usage.total > reserved)
        add_more(w, c, usage.total - reserved); /* `c` may not be used again */
}

static void check_counts(const struct world *w)
{
    for (uint32_t key = 1; key <= KEYS; key++) {
        for (int m = 0; m < MODELS; m++) {
            struct kc_snapshot s = counts(w->pool, w->now, key, models[m]);
            uint64_t in_flight = 0, requests = 0, tokens = 0;
            for (size_t i = 0; i < w->len; i++) {
                const struct charge *c = &w->log[i];
                if (c->key != key || c->model != m)
                    continue;
                in_flight += c->lease != 0;
                requests += c->requests;
                tokens += c->lease ? 0 : c->tokens;
            }
            assert_int_equal(s.in_flight, in_flight);
            assert_int_equal(s.total_requests, requests);
            assert_true(s.total_tokens == tokens);
        }
    }
}

static void put_together(struct kc_pool *p, const char *secret)
{
    struct kc_key_config key = {.secret = secret, .group = "org"};
    uint32_t index;
    assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    assert_true(index <= 2);
}

static void work(enum kc_strategy strategy, uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->strategy = strategy;
    w->now = START_MS;
    w->pool = new_pool(strategy, (enum kc_selection)(seed % 7), KEYS);
    kc_rng_seed(&w->rng, seed);
    w->grouped = seed % 2 == 1;
    if (w->grouped) {
        put_together(w->pool, "sk-test-0007-key-0001");
        put_together(w->pool, "sk-test-0014-key-0002");
    }
    kc_limits_unlimited(&w->limits);
    w->limits.max[KC_MINUTE][KC_REQUESTS] = 20 + kc_rng_below(&w->rng, 60);
    w->limits.max[KC_MINUTE][KC_TOKENS] = 300 + kc_rng_below(&w->rng, 1000);
    w->limits.max[KC_HOUR][KC_REQUESTS] = 400;
    w->limits.max[KC_HOUR][KC_TOKENS] = 9000;
    assert_int_equal(
        kc_pool_set_limits(w->pool, START_MS, 0, NULL, &w->limits), KC_OK);
    for (int i = 0; i < STEPS; i++) {
        uint64_t what = kc_rng_below(&w->rng, 10);
        if (what < 4)
            do_acquire(w);
        else if (what < 6)
            do_stamp(w);
        else if (what < 9)
            do_settle(w);
        else
            w->now += kc_rng_below(&w->rng, 100) == 0
                          ? kc_rng_below(&w->rng, 10 * MINUTE_MS)
                          : kc_rng_below(&w->rng, 2500);
    }
    check_counts(w);
    kc_pool_free(w->pool);
    free(w);
}

static void no_limit_is_passed_and_nothing_refused_without_cause(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 7; seed++) { /* every way to choose */
        work(KC_PER_MODEL, seed);
        work(KC_GLOBAL, seed);
    }
}

/* A caller who waits as long as he is told, and no longer, is served. */
static void a_told_wait_is_enough_and_not_too_long(void **state)
{
    (void)state;
    struct kc_rng rng;
    kc_rng_seed(&rng, 5);
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 2);
    limit(p, KC_MINUTE, KC_REQUESTS, 50);
    limit(p, KC_MINUTE, KC_TOKENS, 900);
    limit(p, KC_HOUR, KC_TOKENS, 20000);
    uint64_t now = START_MS;
    int waits = 0;
    for (int i = 0; i < 5000; i++) {
        uint64_t tokens = kc_rng_below(&rng, 60);
        struct kc_grant g;
        struct kc_refusal r;
        if (acquire(p, now, "m", tokens, &g, &r) != KC_OK) {
            uint64_t at = now + r.wait_ms;
            waits++;
            assert_true(at > now && r.wait_ms < HOUR_MS + HOUR_MS / 10);
            if (at - 1 > now)
                assert_int_equal(acquire(p, at - 1, "m", tokens, &g, &r),
                                 KC_ELIMITED);
            now = at;
            granted(p, now, "m", tokens, &g);
        }
        kc_pool_stamp(p, now, g.lease);
        assert_int_equal(kc_pool_settle(p, now, g.lease, KC_DONE, NULL), KC_OK);
        now += kc_rng_below(&rng, 400);
    }
    assert_true(waits > 100);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_is_passed_and_nothing_refused_without_cause),
        cmocka_unit_test(a_told_wait_is_enough_and_not_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
