/* A meter holds, stamps and settles in all of its windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/meter.h"

static struct kc_meter a_meter(void)
{
    struct kc_meter m;
    assert_int_equal(kc_meter_init(&m), KC_OK);
    return m;
}

static struct kc_cost cost(uint64_t tokens)
{
    return (struct kc_cost){.tokens = tokens};
}

static struct kc_limits only(enum kc_window w, enum kc_unit u, uint64_t max)
{
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.max[w][u] = max;
    return l;
}

static struct kc_block check(struct kc_meter *m, uint64_t now,
                             const struct kc_limits *l, uint64_t tokens)
{
    struct kc_block b;
    kc_block_clear(&b, 1);
    kc_meter_check(m, now, l, cost(tokens), false, &b);
    return b;
}

static void each_window_and_unit_refuses_under_its_own_name(void **state)
{
    (void)state;
    for (int w = 0; w < KC_WINDOWS; w++) {
        for (int u = 0; u < KC_UNITS; u++) {
            struct kc_meter m = a_meter();
            struct kc_limits l = only((enum kc_window)w, (enum kc_unit)u,
                                      u == KC_REQUESTS ? 2 : 20);
            struct kc_charge c = {.reserved = {.tokens = 10}, .requests = 1, .used = {.tokens = 10}};
            for (int i = 0; i < 2; i++) {
                assert_int_equal(check(&m, 1000, &l, 10).err, KC_OK);
                kc_meter_hold(&m, cost(10));
                kc_meter_settle(&m, 1000, &c);
            }
            struct kc_block b = check(&m, 1000, &l, 10);
            uint64_t at = 1001 + kc_window_ms((enum kc_window)w);
            assert_int_equal(b.err, KC_ELIMITED);
            assert_int_equal(b.at_ms, at);
            assert_string_equal(
                b.limit, kc_limit_name((enum kc_window)w, (enum kc_unit)u));
            assert_int_equal(check(&m, at - 1, &l, 10).err, KC_ELIMITED);
            assert_int_equal(check(&m, at, &l, 10).err, KC_OK);
            kc_meter_deinit(&m);
        }
    }
}

/* Though the log is full and has to fuse two of its entries meanwhile. */
static void a_told_time_stays_while_nothing_happens(void **state)
{
    (void)state;
    struct kc_meter m = a_meter();
    struct kc_limits l = only(KC_DAY, KC_TOKENS, 65);
    struct kc_charge c = {
        .reserved = {.tokens = 1}, .requests = 1, .used = {.tokens = 1}};
    uint64_t now = 1000;
    for (int i = 0; i < 65; i++) {
        now += 400000;
        kc_meter_hold(&m, cost(1));
        kc_meter_settle(&m, now, &c);
    }
    uint64_t at = check(&m, now, &l, 2).at_ms;
    assert_int_equal(check(&m, now + 3600000, &l, 2).at_ms, at);
    assert_int_equal(check(&m, at - 1, &l, 2).at_ms, at);
    assert_int_equal(check(&m, at, &l, 2).err, KC_OK);
    kc_meter_deinit(&m);
}

static void what_is_held_counts_and_does_not_age(void **state)
{
    (void)state;
    struct kc_meter m = a_meter();
    struct kc_limits l = only(KC_MINUTE, KC_TOKENS, 100);
    kc_meter_hold(&m, cost(60));
    struct kc_block b = check(&m, 1000, &l, 41);
    assert_int_equal(b.err, KC_ELIMITED);
    assert_true(b.at_ms == KC_NEVER);
    assert_int_equal(check(&m, 86400000, &l, 41).err, KC_ELIMITED);
    assert_int_equal(check(&m, 86400000, &l, 40).err, KC_OK);
    kc_meter_deinit(&m);
}

static void a_stamp_lets_it_age_and_settling_gives_the_rest_back(void **state)
{
    (void)state;
    struct kc_meter m = a_meter();
    struct kc_limits l = only(KC_MINUTE, KC_TOKENS, 100);
    kc_meter_hold(&m, cost(60));
    uint64_t stamp = kc_meter_stamp(&m, 1000, cost(60));
    assert_int_equal(stamp, 1001);
    assert_int_equal(check(&m, 2000, &l, 50).at_ms, 61001);
    struct kc_charge c = {
        .stamp_ms = stamp, .reserved = {.tokens = 60}, .requests = 1, .used = {.tokens = 20}};
    kc_meter_settle(&m, 30000, &c);
    assert_int_equal(check(&m, 30000, &l, 80).err, KC_OK);
    assert_int_equal(check(&m, 30000, &l, 81).at_ms, 61001);
    assert_int_equal(m.in_flight, 0);
    assert_int_equal(m.unsettled_tokens, 0);
    kc_meter_deinit(&m);
}

static void more_than_was_reserved_is_added_when_it_is_known(void **state)
{
    (void)state;
    struct kc_meter m = a_meter();
    struct kc_limits l = only(KC_MINUTE, KC_TOKENS, 100);
    kc_meter_hold(&m, cost(10));
    struct kc_charge c = {.stamp_ms = kc_meter_stamp(&m, 1000, cost(10)),
                          .reserved = {.tokens = 10},
                          .requests = 1,
                          .used = {.tokens = 150}};
    kc_meter_settle(&m, 20000, &c);
    struct kc_block b = check(&m, 20000, &l, 0);
    assert_int_equal(b.err, KC_ELIMITED); /* a debt only blocks */
    assert_int_equal(b.at_ms, 80001);
    kc_meter_deinit(&m);
}

static void a_limit_of_zero_blocks_even_what_costs_nothing(void **state)
{
    (void)state;
    struct kc_limits l = only(KC_DAY, KC_TOKENS, 0);
    struct kc_block b = check(NULL, 1000, &l, 0);
    assert_int_equal(b.err, KC_EIMPOSSIBLE);
    assert_string_equal(b.limit, "tokens_per_day");
    assert_int_equal(b.max, 0);
}

static void of_impossible_limits_the_smallest_is_named(void **state)
{
    (void)state;
    struct kc_limits l = only(KC_MINUTE, KC_TOKENS, 500);
    l.max[KC_HOUR][KC_TOKENS] = 300;
    struct kc_block b = check(NULL, 1000, &l, 501);
    assert_int_equal(b.err, KC_EIMPOSSIBLE);
    assert_string_equal(b.limit, "tokens_per_hour");
    assert_int_equal(b.max, 300);
    assert_int_equal(check(NULL, 1000, &l, 300).err, KC_OK);
}

static void requests_in_flight_are_bounded_stamped_or_not(void **state)
{
    (void)state;
    struct kc_meter m = a_meter();
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.concurrent = 2;
    kc_meter_hold(&m, cost(1));
    kc_meter_stamp(&m, 1000, cost(1));
    assert_int_equal(check(&m, 1000, &l, 1).err, KC_OK);
    kc_meter_hold(&m, cost(1));
    struct kc_block b = check(&m, 1000, &l, 1);
    assert_int_equal(b.err, KC_ELIMITED);
    assert_true(b.at_ms == KC_NEVER);
    assert_string_equal(b.limit, "concurrent_requests");
    kc_meter_deinit(&m);
}

static void idle_reckons_as_if_all_were_given_back(void **state)
{
    (void)state;
    struct kc_meter m = a_meter();
    struct kc_limits l = only(KC_MINUTE, KC_TOKENS, 100);
    l.concurrent = 1;
    kc_meter_hold(&m, cost(50));
    kc_meter_hold(&m, cost(50));
    kc_meter_stamp(&m, 1000, cost(50));
    struct kc_block b;
    kc_block_clear(&b, 1);
    kc_meter_check(&m, 1000, &l, cost(100), true, &b);
    assert_int_equal(b.err, KC_OK);
    kc_meter_deinit(&m);
}

static void old_use_is_booked_in_the_windows_that_reach_it(void **state)
{
    (void)state;
    struct kc_meter m = a_meter();
    uint64_t now = 100000000;
    uint64_t used[KC_WINDOWS][KC_UNITS] = {{0}};
    kc_meter_book(&m, now, now - 90000000, 1,
                  (struct kc_cost){.tokens = 1});
    kc_meter_book(&m, now, now - 7200000, 1,
                  (struct kc_cost){.tokens = 10});
    kc_meter_book(&m, now, now - 60000, 1,
                  (struct kc_cost){.tokens = 100});
    kc_meter_book(&m, now, now - 59999, 1,
                  (struct kc_cost){.tokens = 1000});
    kc_meter_book(&m, now, now + 99999, 1,
                  (struct kc_cost){.tokens = 10000});
    kc_meter_used(&m, now, used);
    assert_int_equal(used[KC_MINUTE][KC_TOKENS], 11000);
    assert_int_equal(used[KC_HOUR][KC_TOKENS], 11100);
    assert_int_equal(used[KC_DAY][KC_TOKENS], 11110);
    assert_int_equal(used[KC_DAY][KC_REQUESTS], 4);
    kc_meter_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_window_and_unit_refuses_under_its_own_name),
        cmocka_unit_test(a_told_time_stays_while_nothing_happens),
        cmocka_unit_test(what_is_held_counts_and_does_not_age),
        cmocka_unit_test(a_stamp_lets_it_age_and_settling_gives_the_rest_back),
        cmocka_unit_test(more_than_was_reserved_is_added_when_it_is_known),
        cmocka_unit_test(a_limit_of_zero_blocks_even_what_costs_nothing),
        cmocka_unit_test(of_impossible_limits_the_smallest_is_named),
        cmocka_unit_test(requests_in_flight_are_bounded_stamped_or_not),
        cmocka_unit_test(idle_reckons_as_if_all_were_given_back),
        cmocka_unit_test(old_use_is_booked_in_the_windows_that_reach_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
