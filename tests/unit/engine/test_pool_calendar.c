/* Days that begin at midnight: they forget all at once, and nothing before. */
#include "unit/engine/pool_fixture.h"

/* 2026-03-08T00:00 and 2026-11-01T00:00 in Los Angeles, as UTC. */
#define MARCH_8 (UINT64_C(1772956800) * 1000)
#define NOVEMBER_1 (UINT64_C(1793516400) * 1000)
#define SKEW_MS 2000

static struct kc_pool *by_day(enum kc_unit unit, uint64_t max)
{
    struct kc_pool_config config = {.selection = KC_ROUND_ROBIN,
                                    .max_waiters = 10};
    struct kc_key_config key = {.secret = "sk-calendar-00000001"};
    struct kc_limits l;
    struct kc_pool *p;
    uint32_t index;
    kc_limits_unlimited(&l);
    l.max[KC_DAY][unit] = max;
    l.calendar = true;
    assert_int_equal(kc_zone_parse("PST8PDT,M3.2.0,M11.1.0", &l.zone), KC_OK);
    assert_int_equal(kc_pool_new(&config, &p), KC_OK);
    assert_int_equal(kc_pool_add_key(p, 0, &key, &index), KC_OK);
    assert_int_equal(kc_pool_set_limits(p, 0, 0, NULL, &l), KC_OK);
    return p;
}

static void wait_from(struct kc_pool *p, uint64_t now, uint64_t wait_ms)
{
    struct kc_grant g;
    struct kc_refusal r;
    assert_int_equal(acquire(p, now, "m", 1, &g, &r), KC_ELIMITED);
    assert_true(r.wait_ms == wait_ms);
    assert_int_equal(acquire(p, now + wait_ms - 1, "m", 1, &g, &r),
                     KC_ELIMITED);
}

static void all_is_forgotten_at_midnight(void **state)
{
    (void)state;
    struct kc_pool *p = by_day(KC_REQUESTS, 2);
    use(p, MARCH_8 - 20 * HOUR_MS, "m", 0);
    use(p, MARCH_8 - MINUTE_MS, "m", 0);
    wait_from(p, MARCH_8 - 30 * SECOND_MS, 30 * SECOND_MS + SKEW_MS);
    use(p, MARCH_8 + SKEW_MS, "m", 0);
    use(p, MARCH_8 + SKEW_MS, "m", 0);
    struct kc_snapshot s = counts(p, MARCH_8 + SKEW_MS, 0, NULL);
    assert_int_equal(s.used[KC_DAY][KC_REQUESTS], 2);
    assert_int_equal(s.used[KC_HOUR][KC_REQUESTS], 3);
    kc_pool_free(p);
}

/* Until the new day is open what it has used already counts in both. */
static void what_came_after_midnight_is_not_forgotten_with_the_old_day(
    void **state)
{
    (void)state;
    struct kc_pool *p = by_day(KC_TOKENS, 100);
    struct kc_grant g;
    struct kc_refusal r;
    uint64_t now = MARCH_8 + SECOND_MS;
    use(p, MARCH_8 - HOUR_MS, "m", 10);
    use(p, now, "m", 90);
    assert_int_equal(acquire(p, now, "m", 10, &g, &r), KC_ELIMITED);
    assert_int_equal(r.wait_ms, SECOND_MS);
    assert_int_equal(acquire(p, now, "m", 11, &g, &r), KC_ELIMITED);
    assert_int_equal(r.wait_ms, 23 * HOUR_MS + SECOND_MS);
    granted(p, MARCH_8 + SKEW_MS, "m", 10, &g);
    assert_int_equal(acquire(p, MARCH_8 + SKEW_MS, "m", 1, &g, &r),
                     KC_ELIMITED);
    kc_pool_free(p);
}

/* Nobody asked in the whole of a day of 25 hours, but what was sent in its
 * first one counts in its last one. */
static void a_long_day_knows_its_first_hour(void **state)
{
    (void)state;
    struct kc_pool *p = by_day(KC_REQUESTS, 1);
    struct kc_grant g;
    uint64_t midnight = NOVEMBER_1;
    uint64_t now = midnight + 24 * HOUR_MS + 40 * MINUTE_MS;
    use(p, midnight - 50 * HOUR_MS, "m", 0);
    granted(p, midnight - MINUTE_MS, "m", 0, &g);
    kc_pool_stamp(p, midnight + MINUTE_MS, g.lease);
    wait_from(p, now, 20 * MINUTE_MS + SKEW_MS);
    kc_pool_free(p);
}

/* A day lasts its hours and two seconds more: the last ones of a rolling day
 * have forgotten what the first ones saw. */
static void what_came_after_midnight_counts_until_the_next_is_over(void **state)
{
    (void)state;
    struct kc_pool *p = by_day(KC_REQUESTS, 2);
    uint64_t midnight = MARCH_8 - 24 * HOUR_MS;
    use(p, midnight - HOUR_MS, "m", 0);
    use(p, midnight + SECOND_MS, "m", 0);
    use(p, MARCH_8 + SECOND_MS + SECOND_MS / 2, "m", 0);
    wait_from(p, MARCH_8 + SECOND_MS + SECOND_MS / 2, SECOND_MS / 2);
    kc_pool_free(p);
}

static void days_have_their_own_lengths(void **state)
{
    (void)state;
    struct kc_pool *p = by_day(KC_REQUESTS, 1);
    use(p, MARCH_8 + SKEW_MS, "m", 0);
    wait_from(p, MARCH_8 + HOUR_MS, 22 * HOUR_MS + SKEW_MS);
    use(p, NOVEMBER_1 + HOUR_MS, "m", 0);
    /* The 25th hour: a rolling day would have forgotten. */
    wait_from(p, NOVEMBER_1 + 25 * HOUR_MS - MINUTE_MS, MINUTE_MS + SKEW_MS);
    kc_pool_free(p);
}

static void what_is_in_flight_counts_in_both_days(void **state)
{
    (void)state;
    struct kc_pool *p = by_day(KC_TOKENS, 100);
    struct kc_usage usage = {.total = 10};
    struct kc_grant g, h;
    struct kc_refusal r;
    granted(p, MARCH_8 - SECOND_MS, "m", 60, &g);
    assert_int_equal(acquire(p, MARCH_8 + HOUR_MS, "m", 60, &h, &r),
                     KC_ELIMITED);
    assert_true(r.wait_ms == KC_NEVER);
    assert_int_equal(
        kc_pool_settle(p, MARCH_8 + HOUR_MS, g.lease, KC_DONE, &usage), KC_OK);
    assert_int_equal(acquire(p, MARCH_8 + HOUR_MS, "m", 90, &h, &r), KC_OK);
    kc_pool_free(p);
}

static void a_late_refund_touches_its_own_day_only(void **state)
{
    (void)state;
    struct kc_pool *p = by_day(KC_TOKENS, 100);
    struct kc_usage usage = {.total = 1};
    struct kc_grant g, h;
    granted(p, MARCH_8 - SECOND_MS, "m", 60, &g);
    kc_pool_stamp(p, MARCH_8 - SECOND_MS, g.lease);
    granted(p, MARCH_8 + HOUR_MS, "m", 70, &h);
    kc_pool_stamp(p, MARCH_8 + HOUR_MS, h.lease);
    assert_int_equal(
        kc_pool_settle(p, MARCH_8 + HOUR_MS, g.lease, KC_DONE, &usage), KC_OK);
    struct kc_snapshot s = counts(p, MARCH_8 + HOUR_MS, 0, NULL);
    assert_int_equal(s.used[KC_DAY][KC_TOKENS], 70);
    assert_int_equal(
        kc_pool_settle(p, MARCH_8 + HOUR_MS, h.lease, KC_DONE, &usage), KC_OK);
    s = counts(p, MARCH_8 + HOUR_MS, 0, NULL);
    assert_int_equal(s.used[KC_DAY][KC_TOKENS], 1);
    kc_pool_free(p);
}

static void it_begins_with_what_is_known(void **state)
{
    (void)state;
    struct kc_pool *p = by_day(KC_REQUESTS, 5);
    struct kc_key_info info;
    struct kc_grant g;
    struct kc_refusal r;
    uint64_t now = MARCH_8 + 3 * HOUR_MS;
    assert_int_equal(kc_pool_key_info(p, now, 1, NULL, &info), KC_OK);
    assert_int_equal(restore(p, now, info.hash, "m",
                                     MARCH_8 - HOUR_MS, 9, 0),
                     KC_OK);
    assert_int_equal(restore(p, now, info.hash, "m", MARCH_8 + HOUR_MS,
                                     4, 0),
                     KC_OK);
    granted(p, now, "m", 0, &g);
    assert_int_equal(acquire(p, now, "m", 0, &g, &r), KC_ELIMITED);
    kc_pool_free(p);
}

/* Though nobody has asked for a key since the first one was given. */
static void what_an_answer_tells_is_told_of_its_day(void **state)
{
    (void)state;
    struct kc_pool *p = by_day(KC_TOKENS, 100);
    struct kc_observation o = {
        .window = KC_DAY, .unit = KC_TOKENS, .limit = 100, .remaining = 30};
    struct kc_grant g;
    struct kc_refusal r;
    granted(p, MARCH_8 - HOUR_MS, "m", 60, &g);
    kc_pool_stamp(p, MARCH_8 - HOUR_MS, g.lease);
    assert_int_equal(kc_pool_observe(p, MARCH_8 + HOUR_MS, g.lease, &o), KC_OK);
    assert_int_equal(acquire(p, MARCH_8 + HOUR_MS, "m", 31, &g, &r),
                     KC_ELIMITED);
    granted(p, MARCH_8 + HOUR_MS, "m", 30, &g);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_forgotten_at_midnight),
        cmocka_unit_test(
            what_came_after_midnight_is_not_forgotten_with_the_old_day),
        cmocka_unit_test(a_long_day_knows_its_first_hour),
        cmocka_unit_test(
            what_came_after_midnight_counts_until_the_next_is_over),
        cmocka_unit_test(days_have_their_own_lengths),
        cmocka_unit_test(what_is_in_flight_counts_in_both_days),
        cmocka_unit_test(a_late_refund_touches_its_own_day_only),
        cmocka_unit_test(what_an_answer_tells_is_told_of_its_day),
        cmocka_unit_test(it_begins_with_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
