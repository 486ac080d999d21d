/* What answers tell: limits that hold beside the configured ones, use by others.
 */
#include "unit/engine/pool_fixture.h"

#include <string.h>

static int observe(struct kc_pool *p, uint64_t now, const struct kc_grant *g,
                   uint64_t limit, uint64_t remaining)
{
    struct kc_observation o = {.window = KC_MINUTE,
                               .unit = KC_REQUESTS,
                               .limit = limit,
                               .remaining = remaining};
    return kc_pool_observe(p, now, g->lease, &o);
}

static uint64_t holding(struct kc_pool *p, const char *model)
{
    struct kc_limits l;
    assert_int_equal(kc_pool_get_limits(p, 1, model, &l), KC_OK);
    return l.max[KC_MINUTE][KC_REQUESTS];
}

static void a_limit_that_is_told_holds_beside_the_configured_one(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    limit(p, KC_MINUTE, KC_REQUESTS, 10);
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(observe(p, START_MS, &g, 5, KC_UNLIMITED), KC_OK);
    assert_int_equal(holding(p, "m"), 5);
    assert_int_equal(holding(p, "other"), 10);
    assert_int_equal(observe(p, START_MS, &g, 50, KC_UNLIMITED), KC_OK);
    assert_int_equal(holding(p, "m"), 10);
    /* A limit of nothing is an odd way to say something else. */
    assert_int_equal(observe(p, START_MS, &g, 0, 0), KC_OK);
    assert_int_equal(holding(p, "m"), 10);
    kc_pool_free(p);
}

static void it_holds_for_the_key_or_the_group_where_limits_do(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_GLOBAL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(observe(p, START_MS, &g, 5, 0), KC_OK);
    assert_int_equal(holding(p, "another"), 5);
    struct kc_refusal r;
    assert_int_equal(acquire(p, START_MS, "another", 0, &g, &r), KC_ELIMITED);
    kc_pool_free(p);
}

static void what_remains_clamps_and_never_loosens(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g, h;
    struct kc_refusal r;
    granted(p, START_MS, "m", 0, &g);
    kc_pool_stamp(p, START_MS, g.lease);
    assert_int_equal(observe(p, START_MS, &g, 10, 2), KC_OK);
    assert_int_equal(counts(p, START_MS, 1, "m").used[KC_MINUTE][KC_REQUESTS],
                     8);
    assert_int_equal(counts(p, START_MS, 1, "m").used[KC_HOUR][KC_REQUESTS],
                     8);
    assert_int_equal(counts(p, START_MS, 1, "m").total_requests, 1);
    assert_int_equal(observe(p, START_MS, &g, 10, 9), KC_OK);
    assert_int_equal(counts(p, START_MS, 1, "m").used[KC_MINUTE][KC_REQUESTS],
                     8);
    granted(p, START_MS, "m", 0, &h);
    granted(p, START_MS, "m", 0, &h);
    assert_int_equal(acquire(p, START_MS, "m", 0, &h, &r), KC_ELIMITED);
    assert_true(r.wait_ms >= MINUTE_MS && r.wait_ms <= MINUTE_MS + 2);
    kc_pool_free(p);
}

static void an_answer_that_was_overtaken_clamps_nothing(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant early, late;
    granted(p, START_MS, "m", 0, &early);
    granted(p, START_MS, "m", 0, &late);
    assert_int_equal(observe(p, START_MS, &late, 10, 8), KC_OK);
    assert_int_equal(observe(p, START_MS, &early, 10, 1), KC_OK);
    assert_int_equal(counts(p, START_MS, 1, "m").used[KC_MINUTE][KC_REQUESTS],
                     2);
    assert_int_equal(
        kc_pool_settle(p, START_MS, early.lease, KC_NOT_SENT, NULL), KC_OK);
    assert_int_equal(observe(p, START_MS, &early, 10, 1), KC_ESTALE);
    kc_pool_free(p);
}

static void others_use_leaves_no_debt_when_ours_is_given_back(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    granted(p, START_MS, "m", 7, &g);
    kc_pool_stamp(p, START_MS, g.lease);
    struct kc_observation o = {.window = KC_MINUTE,
                               .unit = KC_TOKENS,
                               .limit = 100,
                               .remaining = 50};
    assert_int_equal(kc_pool_observe(p, START_MS, g.lease, &o), KC_OK);
    assert_int_equal(
        kc_pool_settle(p, START_MS, g.lease, KC_NOT_SENT, NULL), KC_OK);
    struct kc_snapshot s = counts(p, START_MS, 1, "m");
    assert_int_equal(s.used[KC_MINUTE][KC_TOKENS], 43);
    assert_int_equal(s.used[KC_DAY][KC_TOKENS], 43);
    s = counts(p, START_MS + MINUTE_MS + 2, 1, "m");
    assert_int_equal(s.used[KC_MINUTE][KC_TOKENS], 0);
    kc_pool_free(p);
}

/* The room that was remembered is void. */
static void what_others_used_counts_at_once(void **state)
{
    (void)state;
    struct kc_observation o = {
        .window = KC_MINUTE, .unit = KC_REQUESTS, .limit = 4, .remaining = 4};
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_key_info info;
    struct kc_grant g;
    struct kc_refusal r;
    limit(p, KC_MINUTE, KC_REQUESTS, 4);
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(kc_pool_observe(p, START_MS, g.lease, &o), KC_OK);
    granted(p, START_MS, "m", 0, &g);
    o.remaining = 1; /* one was another's */
    assert_int_equal(kc_pool_observe(p, START_MS, g.lease, &o), KC_OK);
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_ELIMITED);
    kc_pool_free(p);
    p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    limit(p, KC_MINUTE, KC_REQUESTS, 4);
    use(p, START_MS, "m", 0);
    use(p, START_MS, "m", 0);
    assert_int_equal(kc_pool_key_info(p, START_MS, 1, NULL, &info), KC_OK);
    assert_int_equal(
        restore(p, START_MS + 5, info.hash, "m", START_MS + 5, 2, 0),
        KC_OK);
    assert_int_equal(acquire(p, START_MS + 5, "m", 0, &g, &r), KC_ELIMITED);
    kc_pool_free(p);
}

static int ask(struct kc_pool *p, uint64_t now, uint64_t input, uint64_t output,
               struct kc_grant *g, struct kc_refusal *r)
{
    struct kc_request request = {
        .model = "m", .tokens = input + output, .input = input};
    return kc_pool_acquire(p, now, &request, g, r);
}

static int observe_part(struct kc_pool *p, const struct kc_grant *g,
                        enum kc_unit part, uint64_t limit, uint64_t remaining)
{
    struct kc_observation o = {
        .parts = true, .unit = part, .limit = limit, .remaining = remaining};
    return kc_pool_observe(p, START_MS, g->lease, &o);
}

static void input_and_output_are_learned_apart(void **state)
{
    (void)state;
    for (int strategy = 0; strategy <= 1; strategy++) {
        struct kc_pool *p =
            new_pool((enum kc_strategy)strategy, KC_ROUND_ROBIN, 1);
        struct kc_grant g;
        struct kc_refusal r;
        struct kc_limits l;
        assert_int_equal(ask(p, START_MS, 10, 5, &g, &r), KC_OK);
        kc_pool_stamp(p, START_MS, g.lease);
        assert_int_equal(observe_part(p, &g, 0, 100, KC_UNLIMITED), KC_OK);
        assert_int_equal(observe_part(p, &g, 1, 50, KC_UNLIMITED), KC_OK);
        kc_pool_clear_limits(p); /* of the program: these stay */
        assert_int_equal(ask(p, START_MS, 91, 0, &g, &r), KC_ELIMITED);
        assert_string_equal(r.limit, "input_tokens_per_minute");
        assert_int_equal(ask(p, START_MS, 0, 51, &g, &r), KC_EIMPOSSIBLE);
        assert_string_equal(r.limit, "output_tokens_per_minute");
        /* Others that the program sets are only lowered by them. */
        kc_limits_unlimited(&l);
        kc_limits_side(&l, MINUTE_MS, true)->max[0] = 40;
        assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
        assert_int_equal(ask(p, START_MS, 31, 0, &g, &r), KC_ELIMITED);
        assert_int_equal(ask(p, START_MS, 0, 51, &g, &r), KC_EIMPOSSIBLE);
        /* Of the first one nobody knows any more what was input. */
        assert_int_equal(ask(p, START_MS, 25, 0, &g, &r), KC_OK);
        kc_pool_free(p);
    }
}

static void what_remains_of_a_part_clamps_that_part(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g, h;
    struct kc_refusal r;
    assert_int_equal(ask(p, START_MS, 10, 10, &g, &r), KC_OK);
    kc_pool_stamp(p, START_MS, g.lease);
    assert_int_equal(observe_part(p, &g, 0, 100, 30), KC_OK);
    assert_int_equal(observe_part(p, &g, 1, 100, 95), KC_OK); /* no room */
    assert_int_equal(ask(p, START_MS, 31, 0, &h, &r), KC_ELIMITED);
    assert_true(r.wait_ms >= MINUTE_MS && r.wait_ms <= MINUTE_MS + 2);
    assert_int_equal(ask(p, START_MS, 30, 70, &h, &r), KC_OK);
    assert_int_equal(
        kc_pool_settle(p, START_MS, g.lease, KC_NOT_SENT, NULL), KC_OK);
    assert_int_equal(
        kc_pool_settle(p, START_MS, h.lease, KC_NOT_SENT, NULL), KC_OK);
    assert_int_equal(ask(p, START_MS, 40, 90, &h, &r), KC_OK);
    assert_int_equal(ask(p, START_MS + MINUTE_MS + 2, 60, 0, &g, &r), KC_OK);
    kc_pool_free(p);
}

/* A line may have four windows of its own. */
static void a_window_too_many_is_left_out(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    struct kc_refusal r;
    struct kc_limits l;
    kc_limits_unlimited(&l);
    for (uint64_t i = 1; i <= KC_SIDES_MAX; i++)
        kc_limits_side(&l, i * 1000, false)->max[KC_TOKENS] = 1000;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    assert_int_equal(ask(p, START_MS, 10, 10, &g, &r), KC_OK);
    assert_int_equal(observe_part(p, &g, 0, 100, 0), KC_OK);
    assert_int_equal(ask(p, START_MS, 500, 0, &g, &r), KC_OK);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_used_counts_at_once),
        cmocka_unit_test(a_limit_that_is_told_holds_beside_the_configured_one),
        cmocka_unit_test(it_holds_for_the_key_or_the_group_where_limits_do),
        cmocka_unit_test(what_remains_clamps_and_never_loosens),
        cmocka_unit_test(an_answer_that_was_overtaken_clamps_nothing),
        cmocka_unit_test(input_and_output_are_learned_apart),
        cmocka_unit_test(what_remains_of_a_part_clamps_that_part),
        cmocka_unit_test(a_window_too_many_is_left_out),
        cmocka_unit_test(others_use_leaves_no_debt_when_ours_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
