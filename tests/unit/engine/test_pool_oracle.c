/* Random work on a pool beside an exact log of it: no limit is ever passed, no
 * request refused without cause, no wait told wrong, nothing lost.
 *
 * KEYCYCLE_STEPS sets how many steps are made in all (a million).
 */
#include "unit/engine/pool_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "util/rng.h"

#define KEYS 4
#define MODELS 2
#define MAX_LIVE 400
#define STEPS_A_WORLD 20000

static const char *const models[MODELS] = {"a", "b"};
static const char *const secrets[KEYS] = {
    "sk-test-0007-key-0001", "sk-test-0014-key-0002", "sk-test-0021-key-0003",
    "sk-test-0028-key-0004"};

struct charge {
    uint64_t at_ms; /* 0: in flight, does not age */
    uint64_t requests, tokens;
    uint64_t lease; /* 0: settled */
};

struct log { /* of one key and model, in the order of the grants */
    struct charge *list;
    size_t len, cap;
    uint64_t old_requests, old_tokens; /* of those that no window reaches */
};

struct live {
    uint64_t lease;
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
    struct log logs[KEYS + 1][MODELS];
    struct live live[MAX_LIVE];
    size_t live_len;
    uint64_t away_until[KEYS + 1]; /* after a 429 */
    bool removed[KEYS + 1];
};

static uint64_t below(struct world *w, uint64_t n)
{
    return kc_rng_below(&w->rng, n);
}

static struct charge *add_charge(struct log *l)
{
    if (l->len == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->list = realloc(l->list, l->cap * sizeof *l->list);
        assert_non_null(l->list);
    }
    l->list[l->len] = (struct charge){0};
    return &l->list[l->len++];
}

/* What is settled and out of every window becomes part of the totals. */
static void prune(struct world *w, struct log *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->len; i++) {
        struct charge *c = &l->list[i];
        if (c->lease == 0 && c->at_ms + 2 * HOUR_MS < w->now) {
            l->old_requests += c->requests;
            l->old_tokens += c->tokens;
        } else {
            l->list[kept++] = *c;
        }
    }
    l->len = kept;
}

static bool same_quota(const struct world *w, uint32_t a, uint32_t b)
{
    return a == b || (w->grouped && a <= 2 && b <= 2);
}

/* What the key, or its group, has used in (now - span, now], in flight too. */
static uint64_t used(const struct world *w, uint32_t key, int model,
                     enum kc_unit unit, uint64_t span)
{
    uint64_t sum = 0;
    for (uint32_t k = 1; k <= KEYS; k++) {
        for (int m = 0; m < MODELS; m++) {
            const struct log *l = &w->logs[k][m];
            if (!same_quota(w, k, key) ||
                (w->strategy == KC_PER_MODEL && m != model))
                continue;
            for (size_t i = 0; i < l->len; i++) {
                const struct charge *c = &l->list[i];
                if (c->at_ms == 0 || c->at_ms + span > w->now)
                    sum += unit == KC_REQUESTS ? c->requests : c->tokens;
            }
        }
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

static bool is_ready(struct world *w, uint32_t key, int model)
{
    struct kc_key_info info;
    assert_int_equal(
        kc_pool_key_info(w->pool, w->now, key, models[model], &info), KC_OK);
    return info.state == KC_READY;
}

static void check_refusal(struct world *w, int err, int model, uint64_t tokens,
                          const struct kc_refusal *r)
{
    for (uint32_t key = 1; key <= KEYS; key++)
        if (!w->removed[key] && is_ready(w, key, model) &&
            fits(w, key, model, tokens, true))
            fail_msg("refused though key %u has room (%s)", key, r->limit);
    if (err != KC_ELIMITED || r->wait_ms == KC_NEVER)
        return;
    /* With an affinity no remembered refusal is told again. */
    struct kc_request request = {
        .model = models[model], .tokens = tokens, .affinity = 1};
    uint64_t wait;
    assert_int_equal(kc_pool_next_available(w->pool, w->now, &request, &wait),
                     KC_OK);
    assert_int_equal(wait, r->wait_ms);
}

/* The clock that a caller reads may be behind what the pool has seen. */
static uint64_t caller_now(struct world *w)
{
    return below(w, 8) == 0 ? w->now - below(w, 5000) : w->now;
}

static void do_acquire(struct world *w)
{
    int model = (int)below(w, MODELS);
    uint64_t tokens = below(w, 2) ? below(w, 40) : 20; /* often the same */
    struct kc_grant g;
    struct kc_refusal r;
    if (w->live_len == MAX_LIVE)
        return;
    struct kc_snapshot before = counts(w->pool, w->now, 0, models[model]);
    int err =
        acquire(w->pool, caller_now(w), models[model], tokens, &g, &r);
    if (err != KC_OK) {
        assert_true(err == KC_ELIMITED || err == KC_EIMPOSSIBLE ||
                    err == KC_ENOKEY);
        struct kc_snapshot after = counts(w->pool, w->now, 0, models[model]);
        assert_memory_equal(&before, &after, sizeof before);
        check_refusal(w, err, model, tokens, &r);
        return;
    }
    if (!fits(w, g.key, model, tokens, false))
        fail_msg("key %u was given over its limit", g.key);
    if (w->removed[g.key] || w->away_until[g.key] > w->now)
        fail_msg("key %u was given though it is away", g.key);
    struct charge *c = add_charge(&w->logs[g.key][model]);
    c->requests = 1;
    c->tokens = tokens;
    c->lease = g.lease;
    w->live[w->live_len++] =
        (struct live){.lease = g.lease, .key = g.key, .model = model};
}

static struct charge *charge_of(struct world *w, const struct live *live)
{
    struct log *l = &w->logs[live->key][live->model];
    for (size_t i = l->len; i-- > 0;)
        if (l->list[i].lease == live->lease)
            return &l->list[i];
    fail_msg("a lease was lost");
    return NULL;
}

static void do_stamp(struct world *w)
{
    if (w->live_len == 0)
        return;
    struct live *live = &w->live[below(w, w->live_len)];
    struct charge *c = charge_of(w, live);
    kc_pool_stamp(w->pool, w->now, live->lease);
    if (c->at_ms == 0)
        c->at_ms = w->now;
}

static void settle_at(struct world *w, size_t i)
{
    static const enum kc_outcome outcomes[] = {
        KC_DONE, KC_DONE, KC_DONE, KC_NOT_SENT, KC_REFUSED, KC_UNKNOWN};
    struct live live = w->live[i];
    struct charge *c = charge_of(w, &live);
    enum kc_outcome outcome = outcomes[below(w, 6)];
    struct kc_usage usage = {.total = 1 + below(w, 60)};
    assert_int_equal(
        kc_pool_settle(w->pool, w->now, live.lease, outcome, &usage), KC_OK);
    assert_int_equal(
        kc_pool_settle(w->pool, w->now, live.lease, outcome, &usage),
        KC_ESTALE);
    w->live[i] = w->live[--w->live_len];
    if (c->at_ms == 0)
        c->at_ms = w->now;
    c->lease = 0;
    uint64_t reserved = c->tokens;
    if (outcome == KC_NOT_SENT)
        c->requests = 0;
    if (outcome == KC_NOT_SENT || outcome == KC_REFUSED)
        c->tokens = 0;
    if (outcome != KC_DONE)
        return;
    if (usage.total <= reserved) {
        c->tokens = usage.total;
        return;
    }
    struct charge *more = add_charge(&w->logs[live.key][live.model]);
    more->at_ms = w->now;
    more->tokens = usage.total - reserved;
}

static void do_settle(struct world *w)
{
    if (w->live_len > 0)
        settle_at(w, below(w, w->live_len));
}

static void do_cool(struct world *w)
{
    uint32_t key = 1 + (uint32_t)below(w, KEYS);
    uint64_t delay = below(w, 2 * MINUTE_MS), until;
    assert_int_equal(
        kc_pool_cool(w->pool, w->now, key, NULL, delay, "429", &until), KC_OK);
    assert_true(until >= w->now + delay);
    for (uint32_t k = 1; k <= KEYS; k++)
        if (same_quota(w, k, key))
            w->away_until[k] = until;
}

static void put(struct world *w, uint32_t key)
{
    struct kc_key_config config = {.secret = secrets[key - 1]};
    uint32_t index;
    if (w->grouped && key <= 2)
        config.group = "org";
    assert_int_equal(kc_pool_add_key(w->pool, w->now, &config, &index), KC_OK);
    assert_int_equal(index, key);
    w->removed[key] = false;
}

static void do_remove_or_add(struct world *w)
{
    uint32_t key = 1 + (uint32_t)below(w, KEYS);
    if (w->removed[key]) {
        put(w, key);
    } else {
        assert_int_equal(kc_pool_remove_key(w->pool, w->now, key), KC_OK);
        w->removed[key] = true;
    }
}

static void do_limits(struct world *w)
{
    w->limits.max[KC_MINUTE][KC_REQUESTS] = 10 + below(w, 60);
    w->limits.max[KC_MINUTE][KC_TOKENS] = 200 + below(w, 1000);
    w->limits.max[KC_HOUR][KC_REQUESTS] = 100 + below(w, 400);
    w->limits.max[KC_HOUR][KC_TOKENS] = 9000;
    assert_int_equal(
        kc_pool_set_limits(w->pool, w->now, 0, NULL, &w->limits), KC_OK);
}

static void do_time(struct world *w)
{
    uint64_t most = below(w, 200) == 0 ? 40 * MINUTE_MS : 2500;
    w->now += below(w, most);
    for (uint32_t k = 1; k <= KEYS; k++)
        for (int m = 0; m < MODELS; m++)
            prune(w, &w->logs[k][m]);
}

static void step(struct world *w)
{
    uint64_t what = below(w, 1000);
    if (what < 400)
        do_acquire(w);
    else if (what < 600)
        do_stamp(w);
    else if (what < 950)
        do_settle(w);
    else if (what < 990)
        do_time(w);
    else if (what < 993)
        do_cool(w);
    else if (what < 997)
        do_remove_or_add(w);
    else
        do_limits(w);
}

/* All is settled: what was counted is what happened. */
static void check_totals(struct world *w)
{
    while (w->live_len > 0)
        settle_at(w, 0);
    for (uint32_t key = 1; key <= KEYS; key++) {
        for (int m = 0; m < MODELS; m++) {
            const struct log *l = &w->logs[key][m];
            uint64_t requests = l->old_requests, tokens = l->old_tokens;
            for (size_t i = 0; i < l->len; i++) {
                requests += l->list[i].requests;
                tokens += l->list[i].tokens;
            }
            struct kc_snapshot s = counts(w->pool, w->now, key, models[m]);
            assert_int_equal(s.in_flight, 0);
            assert_true(s.total_requests == requests);
            assert_true(s.total_tokens == tokens);
            s = counts(w->pool, w->now + 25 * HOUR_MS, key, models[m]);
            for (int win = 0; win < KC_WINDOWS; win++)
                assert_true(s.used[win][KC_REQUESTS] == 0 &&
                            s.used[win][KC_TOKENS] == 0);
            free(l->list);
        }
    }
}

static void work(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    kc_rng_seed(&w->rng, seed);
    w->strategy = seed % 2 ? KC_GLOBAL : KC_PER_MODEL;
    w->grouped = seed % 3 == 0;
    w->now = START_MS;
    struct kc_pool_config config = {
        .strategy = w->strategy,
        .selection = (enum kc_selection)(seed % 7), /* every way to choose */
        .max_waiters = 1,
        .seed = seed};
    assert_int_equal(kc_pool_new(&config, &w->pool), KC_OK);
    for (uint32_t key = 1; key <= KEYS; key++)
        put(w, key);
    kc_limits_unlimited(&w->limits);
    do_limits(w);
    for (int i = 0; i < STEPS_A_WORLD; i++)
        step(w);
    check_totals(w);
    kc_pool_free(w->pool);
    free(w);
}

static void no_limit_is_passed_and_nothing_refused_without_cause(void **state)
{
    (void)state;
    const char *text = getenv("KEYCYCLE_STEPS");
    unsigned long long steps = text ? strtoull(text, NULL, 10) : 1000000;
    for (unsigned long long seed = 1; seed * STEPS_A_WORLD <= steps; seed++)
        work(seed);
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
