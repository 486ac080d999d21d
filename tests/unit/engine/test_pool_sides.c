/* Windows beyond the common three: input and output tokens told apart, and
 * windows of any length.
 */
#include "unit/engine/pool_fixture.h"

static struct kc_pool *split_pool(enum kc_strategy strategy, uint64_t input,
                                  uint64_t output)
{
    struct kc_pool *p = new_pool(strategy, KC_ROUND_ROBIN, 1);
    struct kc_limits l;
    kc_limits_unlimited(&l);
    struct kc_side_limit *side = kc_limits_side(&l, MINUTE_MS, true);
    side->max[0] = input;
    side->max[1] = output;
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
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_limits l;
    struct kc_grant before, g;
    struct kc_refusal r;
    assert_int_equal(ask(p, START_MS, 90, 0, &before, &r), KC_OK);
    kc_limits_unlimited(&l);
    kc_limits_side(&l, MINUTE_MS, true)->max[0] = 100;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    /* What is in flight counts: it was told apart when it was granted. */
    assert_int_equal(ask(p, START_MS, 11, 0, &g, &r), KC_ELIMITED);
    assert_int_equal(ask(p, START_MS, 10, 0, &g, &r), KC_OK);
    assert_int_equal(
        kc_pool_settle(p, START_MS, before.lease, KC_NOT_SENT, NULL), KC_OK);
    assert_int_equal(ask(p, START_MS, 91, 0, &g, &r), KC_ELIMITED);
    assert_int_equal(ask(p, START_MS, 90, 0, &g, &r), KC_OK);
    kc_pool_free(p);
}

static void what_ended_before_may_be_all_of_either(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_limits l;
    struct kc_grant g;
    struct kc_refusal r;
    use(p, START_MS, "m", 60);
    kc_limits_unlimited(&l);
    kc_limits_side(&l, MINUTE_MS, true)->max[0] = 100;
    kc_limits_side(&l, MINUTE_MS, true)->max[1] = 70;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    assert_int_equal(ask(p, START_MS, 41, 0, &g, &r), KC_ELIMITED);
    assert_int_equal(ask(p, START_MS, 0, 11, &g, &r), KC_ELIMITED);
    assert_int_equal(r.wait_ms, MINUTE_MS + 1);
    assert_int_equal(ask(p, START_MS + MINUTE_MS + 1, 100, 70, &g, &r), KC_OK);
    kc_pool_free(p);
}

/* -- windows of any length ------------------------------------------------- */

static struct kc_pool *window_pool(enum kc_strategy strategy, uint64_t span_ms,
                                   uint64_t requests, uint64_t tokens)
{
    struct kc_pool *p = new_pool(strategy, KC_ROUND_ROBIN, 1);
    struct kc_limits l;
    kc_limits_unlimited(&l);
    struct kc_side_limit *side = kc_limits_side(&l, span_ms, false);
    side->max[KC_REQUESTS] = requests;
    side->max[KC_TOKENS] = tokens;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    return p;
}

static void a_window_of_ten_seconds_rolls_like_any_other(void **state)
{
    (void)state;
    for (int strategy = 0; strategy < 2; strategy++) {
        struct kc_pool *p = window_pool((enum kc_strategy)strategy,
                                        10 * SECOND_MS, 2, 100);
        struct kc_grant g;
        struct kc_refusal r;
        use(p, START_MS, "m", 10);
        use(p, START_MS + 4000, "m", 80);
        assert_int_equal(acquire(p, START_MS + 5000, "m", 1, &g, &r),
                         KC_ELIMITED);
        assert_string_equal(r.limit, "requests_per_window");
        assert_int_equal(r.span_ms, 10 * SECOND_MS);
        assert_int_equal(r.max, 2);
        assert_int_equal(r.wait_ms, 5001);
        assert_int_equal(acquire(p, START_MS + 10001, "m", 21, &g, &r),
                         KC_ELIMITED);
        assert_string_equal(r.limit, "tokens_per_window");
        granted(p, START_MS + 10001, "m", 20, &g);
        assert_int_equal(acquire(p, START_MS + 20000, "m", 101, &g, &r),
                         KC_EIMPOSSIBLE);
        assert_string_equal(r.limit, "tokens_per_window");
        kc_pool_free(p);
    }
}

static void a_month_remembers_more_than_a_day(void **state)
{
    (void)state;
    struct kc_pool *p =
        window_pool(KC_PER_MODEL, KC_SPAN_MAX_MS, 30, KC_UNLIMITED);
    struct kc_grant g;
    struct kc_refusal r;
    for (uint64_t day = 0; day < 30; day++)
        use(p, START_MS + day * 24 * HOUR_MS, "m", 1);
    uint64_t now = START_MS + 29 * 24 * HOUR_MS;
    assert_int_equal(acquire(p, now, "m", 0, &g, &r), KC_ELIMITED);
    assert_int_equal(r.wait_ms, START_MS + KC_SPAN_MAX_MS + 1 - now);
    now += r.wait_ms;
    assert_int_equal(acquire(p, now - 1, "m", 0, &g, &r), KC_ELIMITED);
    granted(p, now, "m", 0, &g);
    kc_pool_free(p);
}

static void a_window_that_comes_late_knows_what_the_next_longer_one_does(
    void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_limits l;
    struct kc_grant held, g;
    struct kc_refusal r;
    use(p, START_MS, "m", 1);
    use(p, START_MS + 8000, "m", 1);
    granted(p, START_MS + 8000, "m", 1, &held);
    kc_limits_unlimited(&l);
    kc_limits_side(&l, 10 * SECOND_MS, false)->max[KC_REQUESTS] = 3;
    assert_int_equal(kc_pool_set_limits(p, START_MS + 9000, 0, NULL, &l),
                     KC_OK);
    assert_int_equal(acquire(p, START_MS + 9000, "m", 1, &g, &r), KC_ELIMITED);
    assert_int_equal(r.wait_ms, 1001);
    granted(p, START_MS + 10001, "m", 1, &g);
    kc_pool_free(p);
}

static void keys_that_join_bring_their_windows(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_FILL_FIRST, 2);
    struct kc_limits l;
    struct kc_grant g;
    struct kc_refusal r;
    bool joined;
    kc_limits_unlimited(&l);
    kc_limits_side(&l, 10 * SECOND_MS, false)->max[KC_REQUESTS] = 3;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    struct kc_request second = {.model = "m", .key = 2, .pin = true};
    use(p, START_MS, "m", 1);
    assert_int_equal(kc_pool_join(p, START_MS, 1, "org", &joined), KC_OK);
    use(p, START_MS + 1000, "m", 1); /* the group's window is there now */
    assert_int_equal(kc_pool_acquire(p, START_MS + 2000, &second, &g, &r),
                     KC_OK);
    assert_int_equal(kc_pool_join(p, START_MS + 2000, 2, "org", &joined),
                     KC_OK);
    assert_int_equal(acquire(p, START_MS + 3000, "m", 1, &g, &r), KC_ELIMITED);
    assert_int_equal(r.wait_ms, 7001);
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

static void a_long_window_is_as_exact_as_a_day(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_FILL_FIRST, 1);
    struct kc_limits l;
    struct kc_grant g;
    struct kc_refusal r;
    uint64_t now = START_MS;
    kc_limits_unlimited(&l);
    kc_limits_side(&l, 48 * HOUR_MS, false)->max[KC_TOKENS] = 50;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    for (int i = 0; i < 50; i++) {
        use(p, now, "m", 1);
        now += HOUR_MS / 2;
    }
    assert_int_equal(acquire(p, now, "m", 4, &g, &r), KC_ELIMITED);
    assert_int_equal(now + r.wait_ms, START_MS + 99 * HOUR_MS / 2 + 1);
    kc_pool_free(p);
}

/* The key had no such window of its own. */
static void a_group_books_in_its_windows_what_a_key_brings(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_FILL_FIRST, 2);
    struct kc_request second = {.model = "m", .key = 2, .pin = true};
    struct kc_limits l;
    struct kc_grant g;
    struct kc_refusal r;
    bool joined;
    kc_limits_unlimited(&l);
    kc_limits_side(&l, 10 * SECOND_MS, false)->max[KC_REQUESTS] = 3;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 1, NULL, &l), KC_OK);
    assert_int_equal(kc_pool_join(p, START_MS, 1, "org", &joined), KC_OK);
    use(p, START_MS, "m", 1);
    use(p, START_MS + 1000, "m", 1); /* the group's window is there now */
    assert_int_equal(kc_pool_acquire(p, START_MS + 2000, &second, &g, &r),
                     KC_OK);
    kc_pool_stamp(p, START_MS + 2000, g.lease);
    assert_int_equal(kc_pool_join(p, START_MS + 2000, 2, "org", &joined),
                     KC_OK);
    struct kc_request first = {.model = "m", .key = 1, .pin = true};
    assert_int_equal(kc_pool_acquire(p, START_MS + 3000, &first, &g, &r),
                     KC_ELIMITED);
    assert_int_equal(r.wait_ms, 7001);
    kc_pool_free(p);
}

/* What was charged to a key and to its group is settled on both. */
static void a_key_that_leaves_its_group_keeps_what_is_in_flight(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_FILL_FIRST, 0);
    struct kc_key_config key = {.secret = "sk-leaves-0000001",
                                .group = "org"};
    struct kc_limits l;
    struct kc_grant held, g;
    struct kc_refusal r;
    uint32_t index;
    kc_limits_unlimited(&l);
    kc_limits_side(&l, 10 * SECOND_MS, false)->max[KC_REQUESTS] = 2;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    granted(p, START_MS, "m", 1, &held);
    key.group = NULL;
    assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    granted(p, START_MS, "m", 1, &g);
    assert_int_equal(acquire(p, START_MS, "m", 1, &g, &r), KC_ELIMITED);
    assert_int_equal(
        kc_pool_settle(p, START_MS, held.lease, KC_NOT_SENT, NULL), KC_OK);
    granted(p, START_MS, "m", 1, &g);
    assert_int_equal(acquire(p, START_MS, "m", 1, &g, &r), KC_ELIMITED);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_has_its_limit),
        cmocka_unit_test(what_was_used_replaces_what_was_reserved),
        cmocka_unit_test(a_total_alone_leaves_the_input_as_reserved),
        cmocka_unit_test(limits_that_come_late_forget_nothing_they_saw),
        cmocka_unit_test(what_ended_before_may_be_all_of_either),
        cmocka_unit_test(joining_takes_them_along),
        cmocka_unit_test(a_window_of_ten_seconds_rolls_like_any_other),
        cmocka_unit_test(a_month_remembers_more_than_a_day),
        cmocka_unit_test(
            a_window_that_comes_late_knows_what_the_next_longer_one_does),
        cmocka_unit_test(a_long_window_is_as_exact_as_a_day),
        cmocka_unit_test(keys_that_join_bring_their_windows),
        cmocka_unit_test(a_group_books_in_its_windows_what_a_key_brings),
        cmocka_unit_test(a_key_that_leaves_its_group_keeps_what_is_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
