/* Random work on a pool beside an exact log of it: no limit is ever passed, no
 * request refused without cause, no wait told wrong, nothing lost.
 *
 * KEYCYCLE_STEPS sets how many steps are made in all (three millions),
 * KEYCYCLE_SEED picks the one world that failed.
 */
#include "unit/engine/exact_log.h"
#include "unit/engine/random_calls.h"
#include "unit/engine/random_changes.h"

#define STEPS_A_WORLD 10000

/* What a key has used for a model, as told, beside what happened. Where it
 * shares its quota that is its own part. */
static void check_used(struct world *w)
{
    uint32_t key = any_key(w);
    int model = (int)below(w, MODELS);
    struct window win[2][KC_WINDOWS];
    struct count n[2] = {{.in_flight = 0}, {.in_flight = 0}};
    struct kc_limits rolling = {.calendar = false};
    struct kc_snapshot s = counts(w->pool, w->now, key, model_names[model]);
    for (int late = 0; late < 2; late++) {
        for (int i = 0; i < KC_WINDOWS; i++)
            common_window(w, key, model, &rolling, i, late, &win[late][i]);
        count_log(&w->logs[key][model], win[late], KC_WINDOWS, late, &n[late]);
    }
    must(w, s.in_flight == n[0].in_flight, "a lease was miscounted", key);
    for (int i = 0; i < (w->calendar ? KC_DAY : KC_WINDOWS); i++) {
        for (int u = 0; u < KC_UNITS; u++) {
            must(w, s.used[i][u] >= n[0].sum[i][u], "use was forgotten", key);
            must(w, w->vague[key] || s.used[i][u] <= n[1].sum[i][u],
                 "use was kept for too long", key);
        }
    }
}

static void step(struct world *w)
{
    uint64_t what = below(w, 1000);
    if (what < 380)
        do_acquire(w);
    else if (what < 500)
        do_stamp(w);
    else if (what < 580)
        do_send(w);
    else if (what < 900)
        do_settle(w);
    else if (what < 910)
        do_expire(w);
    else if (what < 960)
        do_time(w);
    else if (what < 980)
        check_used(w);
    else if (what < 983)
        do_cool(w);
    else if (what < 987)
        do_key(w);
    else if (what < 989)
        do_switch(w);
    else if (what < 992)
        do_limits(w);
    else if (what < 993)
        do_choice(w);
    else if (what < 997 && w->learns)
        do_observe(w);
    else if (what >= 997 && w->moves)
        do_group(w);
}

/* -- the end of a world ----------------------------------------------- */

static void check_totals(struct world *w, uint32_t key, int model)
{
    struct log *l = &w->logs[key][model];
    uint64_t requests = l->old_requests, tokens = l->old_tokens;
    for (size_t i = 0; i < l->len; i++) {
        requests += l->list[i].is[REQUESTS];
        tokens += l->list[i].is[TOKENS];
    }
    struct kc_snapshot s = counts(w->pool, w->now, key, model_names[model]);
    must(w, s.in_flight == 0, "a lease is still out", key);
    must(w, s.total_requests == requests, "requests were lost", key);
    must(w, s.total_tokens == tokens, "tokens were lost", key);
}

/* Counters are back at zero: a window lets all of its limit pass, and no more.
 */
static void check_whole(struct world *w, uint32_t key, enum kc_unit unit)
{
    struct kc_limits l = {.concurrent = KC_UNLIMITED};
    uint64_t max = 3 + below(w, 20);
    memset(l.max, 0xff, sizeof l.max);
    l.max[below(w, KC_WINDOWS)][unit] = max;
    for (int i = 0; w->sides && i < KC_SIDES_MAX - 1; i++) {
        l.sides[i] = (struct kc_side_limit){
            .span_ms = w->spans[i], .max = {KC_UNLIMITED, KC_UNLIMITED}};
        l.sides[i].max[unit] = max;
        l.side_count++;
    }
    kc_pool_clear_limits(w->pool);
    assert_int_equal(kc_pool_set_limits(w->pool, w->now, 0, NULL, &l), KC_OK);
    for (uint64_t i = 0; i <= max; i++) {
        struct kc_request r = {.model = model_names[0], .key = key, .pin = true};
        struct kc_grant g;
        struct kc_refusal refusal;
        r.tokens = unit == KC_TOKENS && i == 0 ? max : 0;
        bool last = i == (unit == KC_TOKENS ? 1 : max);
        if (last)
            r.tokens = 1;
        int err = kc_pool_acquire(w->pool, w->now, &r, &g, &refusal);
        must(w, err == (last ? KC_ELIMITED : KC_OK), "a window was not whole",
             key);
        if (last)
            break;
    }
}

static void finish(struct world *w)
{
    for (size_t i = 0; i < w->live_len;)
        if (w->live[i].lost)
            i++;
        else
            settle_at(w, i);
    advance(w, w->now + w->config.max_lease_ms);
    do_expire(w);
    must(w, w->live_len == 0, "a lease was never over age", 0);
    for (uint32_t k = 1; k <= w->keys; k++)
        for (int m = 0; m < MODELS; m++)
            check_totals(w, k, m);
    w->now += 4 * DAY_MS;
    for (uint32_t k = 1; k <= w->keys; k++) {
        for (int m = 0; m < MODELS; m++) {
            struct kc_snapshot s = counts(w->pool, w->now, k, model_names[m]);
            for (int i = 0; i < KC_WINDOWS * KC_UNITS; i++)
                must(w, s.used[i / KC_UNITS][i % KC_UNITS] == 0,
                     "a counter is not back at zero", k);
            free(w->logs[k][m].list);
        }
    }
    uint32_t key = any_key(w);
    w->told_group[key] = false;
    w->disabled[key] = true;
    put(w, key, 0);
    assert_int_equal(kc_pool_enable(w->pool, w->now, key), KC_OK);
    if (w->only[key] != 1 && !w->learns)
        check_whole(w, key, (enum kc_unit)below(w, KC_UNITS));
}

/* -- worlds ----------------------------------------------------------- */

static void choose_features(struct world *w)
{
    static const uint64_t spans[] = {1,     5,         10,         30,
                                     300,   5 * 3600,  12 * 3600,  24 * 3600,
                                     60000, 36 * 3600, 48 * 3600,  72 * 3600};
    w->keys = one_in(w, 4) ? KEYS_MAX : 1 + (uint32_t)below(w, 5);
    if (one_in(w, 6))
        w->keys = 9 + (uint32_t)below(w, 6);
    w->crowded = w->keys > 8;
    w->slow = one_in(w, 3);
    w->parts = one_in(w, 4);
    w->sides = one_in(w, 3);
    w->calendar = one_in(w, 4);
    w->slow |= w->calendar;
    w->long_ages = w->slow && one_in(w, 4);
    w->learns = one_in(w, 4);
    w->moves = one_in(w, 4);
    /* In a group each look at another key would begin another day. */
    w->mixed = w->calendar && !w->moves && one_in(w, 3);
    w->zone = (int)below(w, 3);
    for (int i = 0; i < KC_SIDES_MAX; i++)
        w->spans[i] = spans[below(w, 12)] * SECOND_MS - (uint64_t)i;
}

/* What a store remembers of a key: rows of requests, the oldest first. */
static void remember(struct world *w, uint32_t key)
{
    struct kc_key_info info;
    uint64_t at = w->now - below(w, 2 * DAY_MS);
    int model = (int)below(w, MODELS);
    assert_int_equal(kc_pool_key_info(w->pool, w->now, key, NULL, &info),
                     KC_OK);
    for (int i = 0; i < 5 && at < w->now; i++) {
        uint64_t requests = below(w, 6), tokens = below(w, 100);
        struct charge c = {.at_ms = at - 1, .is = {requests, tokens},
                           .was = {requests, tokens}};
        assert_int_equal(restore(w->pool, w->now, info.hash,
                                 model_names[model], at, requests, tokens),
                         KC_OK);
        add_charge(&w->logs[key][model], &c);
        at += below(w, DAY_MS);
    }
}

static void begin(struct world *w, uint64_t seed)
{
    static const uint64_t starts[] = {20520, 20758, 20560, 20891};
    w->seed = seed;
    kc_rng_seed(&w->rng, seed);
    choose_features(w);
    w->now = START_MS;
    if (w->calendar)
        w->now = (starts[below(w, 4)] - 1) * DAY_MS + below(w, DAY_MS);
    /* Days: what a window of three of them holds, and a fused log of it. */
    w->reach_ms = 4 * DAY_MS;
    w->config = (struct kc_pool_config){
        .strategy = one_in(w, 2) ? KC_GLOBAL : KC_PER_MODEL,
        .selection = (enum kc_selection)below(w, 7),
        .max_waiters = 1,
        .max_lease_ms = one_in(w, 2) ? 10 * MINUTE_MS : 0,
        .guard_ms = one_in(w, 2) ? KC_GUARD_MS : 0,
        .random_start = one_in(w, 2),
        .seed = seed};
    assert_int_equal(kc_pool_new(&w->config, &w->pool), KC_OK);
    memset(w->learned, 0xff, sizeof w->learned);
    memset(w->learned_parts, 0xff, sizeof w->learned_parts);
    kc_limits_unlimited(&w->unlimited.limits);
    w->apart = one_in(w, 2);
    if (w->apart)
        assert_int_equal(kc_pool_set_only(w->pool, w->now, "a*"), KC_OK);
    bool grouped = !w->mixed && one_in(w, 3);
    for (uint32_t key = 1; key <= w->keys; key++)
        put(w, key, grouped && key <= 2);
    for (uint32_t key = 1; key <= w->keys && one_in(w, 2); key++)
        if (!grouped || key != 2) /* a store tells a group's rows in order */
            remember(w, key);
    do_limits(w);
}

static void work(uint64_t seed, struct world *total)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    begin(w, seed);
    for (w->step = 1; w->step <= STEPS_A_WORLD; w->step++)
        step(w);
    finish(w);
    total->grants += w->grants;
    total->refusals += w->refusals;
    total->waits += w->waits;
    kc_pool_free(w->pool);
    free(w);
}

static unsigned long long number_in(const char *name, unsigned long long usual)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : usual;
}

static void no_limit_is_passed_and_nothing_refused_without_cause(void **state)
{
    (void)state;
    uint64_t steps = number_in("KEYCYCLE_STEPS", 3000000);
    uint64_t one = number_in("KEYCYCLE_SEED", 0);
    struct world total = {.grants = 0};
    uint64_t worlds = steps / STEPS_A_WORLD;
    if (one > 0) {
        work(one, &total);
        return;
    }
    for (uint64_t seed = 1; seed <= worlds; seed++)
        work(seed, &total);
    /* It was no idle run. */
    assert_true(total.grants > steps / 10 && total.refusals > steps / 10);
    assert_true(total.waits > steps / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_is_passed_and_nothing_refused_without_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
