/* What a pool takes from a store: what it remembers, what others use and hold.
 */
#include "unit/engine/pool_fixture.h"

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
    assert_int_equal(kc_pool_collect(p, START_MS, n, 2), 1);
    assert_int_equal(n[0].sum.requests, 1);
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

/* 2026-11-01 has 25 hours in New York: more than the day that rolls knows. */
static void the_longest_day_of_a_calendar_knows_its_first_hour(void **state)
{
    (void)state;
    struct kc_pool *p = kept_pool(1);
    struct kc_limits l;
    char hash[40];
    uint64_t midnight = START_MS + 304 * 24 * HOUR_MS + 4 * HOUR_MS;
    uint64_t now = midnight + 25 * HOUR_MS - MINUTE_MS;
    hash_of(p, 1, hash);
    kc_limits_unlimited(&l);
    l.calendar = true;
    l.max[KC_DAY][KC_REQUESTS] = 3;
    assert_int_equal(kc_zone_parse("EST5EDT,M3.2.0,M11.1.0", &l.zone), KC_OK);
    assert_int_equal(kc_pool_set_limits(p, now, 0, NULL, &l), KC_OK);
    assert_true(kc_pool_longest_ms(p) > 25 * HOUR_MS);
    kc_pool_begin_restore(p);
    assert_int_equal(kc_pool_take_use(p, now, KC_PAST, hash, "m",
                                      midnight + MINUTE_MS, &some),
                     KC_OK);
    kc_pool_end_restore(p, true);
    assert_string_equal(blocked_by(p, now, 1, 0), "requests_per_day");
    assert_string_equal(blocked_by(p, now + 2 * MINUTE_MS, 1, 0), "");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_past_is_taken_once_a_key_then_what_others_use),
        cmocka_unit_test(what_was_read_is_no_use_of_our_own),
        cmocka_unit_test(the_past_fills_windows_of_any_length_and_of_input),
        cmocka_unit_test(a_days_limit_of_a_calendar_knows_the_past),
        cmocka_unit_test(the_longest_day_of_a_calendar_knows_its_first_hour),
        cmocka_unit_test(what_others_hold_counts_and_does_not_age),
        cmocka_unit_test(what_others_hold_takes_their_places),
        cmocka_unit_test(a_waiter_gets_what_others_give_back),
        cmocka_unit_test(a_window_made_later_knows_what_others_hold),
        cmocka_unit_test(what_others_hold_moves_with_its_key),
        cmocka_unit_test(the_limits_of_all_models_know_what_others_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
