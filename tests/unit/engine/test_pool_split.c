/* Input and output tokens of a minute, told apart. */
#include "unit/engine/pool_fixture.h"

static struct kc_pool *split_pool(enum kc_strategy strategy, uint64_t input,
                                  uint64_t output)
{
    struct kc_pool *p = new_pool(strategy, KC_ROUND_ROBIN, 1);
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.minute_input = input;
    l.minute_output = output;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    return p;
}

static int ask(struct kc_pool *p, uint64_t now, uint64_t input, uint64_t output,
               struct kc_grant *g, struct kc_refusal *r)
{
    struct kc_request request = {
        .model = "m", .tokens = input + output, .input = input};
    return kc_pool_acquire(p, now, &request, g, r);
}

static void each_part_has_its_limit(void **state)
{
    (void)state;
    for (int strategy = 0; strategy <= 1; strategy++) {
        struct kc_pool *p =
            split_pool((enum kc_strategy)strategy, 100, 50);
        struct kc_grant g;
        struct kc_refusal r;
        assert_int_equal(ask(p, START_MS, 90, 10, &g, &r), KC_OK);
        assert_int_equal(ask(p, START_MS, 20, 10, &g, &r), KC_ELIMITED);
        assert_string_equal(r.limit, "input_tokens_per_minute");
        assert_true(r.wait_ms == KC_NEVER); /* it is held */
        assert_int_equal(ask(p, START_MS, 1, 45, &g, &r), KC_ELIMITED);
        assert_string_equal(r.limit, "output_tokens_per_minute");
        assert_int_equal(ask(p, START_MS, 101, 0, &g, &r), KC_EIMPOSSIBLE);
        assert_int_equal(r.max, 100);
        assert_int_equal(ask(p, START_MS, 10, 40, &g, &r), KC_OK);
        kc_pool_free(p);
    }
}

static void what_was_used_replaces_what_was_reserved(void **state)
{
    (void)state;
    for (int stamped = 0; stamped <= 1; stamped++) {
        struct kc_pool *p = split_pool(KC_PER_MODEL, 100, 100);
        struct kc_usage usage = {.input = 30, .output = 5};
        struct kc_grant g;
        struct kc_refusal r;
        assert_int_equal(ask(p, START_MS, 90, 90, &g, &r), KC_OK);
        if (stamped)
            kc_pool_stamp(p, START_MS, g.lease);
        assert_int_equal(
            kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage), KC_OK);
        assert_int_equal(ask(p, START_MS, 71, 0, &g, &r), KC_ELIMITED);
        assert_true(r.wait_ms >= MINUTE_MS && r.wait_ms <= MINUTE_MS + 2);
        assert_int_equal(ask(p, START_MS, 70, 95, &g, &r), KC_OK);
        assert_int_equal(
            kc_pool_settle(p, START_MS, g.lease, KC_NOT_SENT, NULL), KC_OK);
        assert_int_equal(ask(p, START_MS, 70, 95, &g, &r), KC_OK);
        assert_int_equal(
            kc_pool_settle(p, START_MS, g.lease, KC_REFUSED, NULL), KC_OK);
        usage = (struct kc_usage){.input = 80, .output = 0}; /* more */
        assert_int_equal(ask(p, START_MS, 10, 0, &g, &r), KC_OK);
        assert_int_equal(
            kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage), KC_OK);
        assert_int_equal(ask(p, START_MS, 1, 0, &g, &r), KC_ELIMITED);
        assert_int_equal(ask(p, START_MS + MINUTE_MS + 2, 100, 100, &g, &r),
                         KC_OK);
        kc_pool_free(p);
    }
}

static void a_total_alone_leaves_the_input_as_reserved(void **state)
{
    (void)state;
    struct kc_pool *p = split_pool(KC_PER_MODEL, 100, 100);
    struct kc_usage usage = {.total = 60};
    struct kc_grant g;
    struct kc_refusal r;
    assert_int_equal(ask(p, START_MS, 40, 50, &g, &r), KC_OK);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage),
                     KC_OK);
    assert_int_equal(ask(p, START_MS, 61, 0, &g, &r), KC_ELIMITED);
    assert_int_equal(ask(p, START_MS, 60, 80, &g, &r), KC_OK);
    kc_pool_free(p);
}

static void limits_that_come_late_forget_nothing_they_saw(void **state)
{
    (void)state;
    struct kc_pool *p = split_pool(KC_PER_MODEL, KC_UNLIMITED, KC_UNLIMITED);
    struct kc_limits l;
    struct kc_grant before, g;
    struct kc_refusal r;
    assert_int_equal(ask(p, START_MS, 90, 0, &before, &r), KC_OK);
    kc_limits_unlimited(&l);
    l.minute_input = 100;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    assert_int_equal(ask(p, START_MS, 50, 0, &g, &r), KC_OK);
    /* What was granted before is not told apart, and breaks nothing. */
    assert_int_equal(kc_pool_settle(p, START_MS, before.lease, KC_DONE, NULL),
                     KC_OK);
    assert_int_equal(ask(p, START_MS, 51, 0, &g, &r), KC_ELIMITED);
    assert_int_equal(ask(p, START_MS, 50, 0, &g, &r), KC_OK);
    kc_pool_free(p);
}

static void joining_takes_them_along(void **state)
{
    (void)state;
    struct kc_pool *p = split_pool(KC_PER_MODEL, 100, 100);
    struct kc_grant g, held;
    struct kc_refusal r;
    bool joined;
    assert_int_equal(ask(p, START_MS, 30, 0, &g, &r), KC_OK);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, NULL),
                     KC_OK);
    assert_int_equal(ask(p, START_MS, 40, 0, &held, &r), KC_OK);
    assert_int_equal(kc_pool_join(p, START_MS, 1, "org", &joined), KC_OK);
    assert_int_equal(ask(p, START_MS, 31, 0, &g, &r), KC_ELIMITED);
    assert_int_equal(
        kc_pool_settle(p, START_MS, held.lease, KC_NOT_SENT, NULL), KC_OK);
    assert_int_equal(ask(p, START_MS, 71, 0, &g, &r), KC_ELIMITED);
    assert_int_equal(ask(p, START_MS, 70, 0, &g, &r), KC_OK);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_has_its_limit),
        cmocka_unit_test(what_was_used_replaces_what_was_reserved),
        cmocka_unit_test(a_total_alone_leaves_the_input_as_reserved),
        cmocka_unit_test(limits_that_come_late_forget_nothing_they_saw),
        cmocka_unit_test(joining_takes_them_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
