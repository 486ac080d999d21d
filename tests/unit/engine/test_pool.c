/* A pool: what a request costs, what an end gives back, who is served. */
#include "unit/engine/pool_fixture.h"

#include <stdlib.h>
#include <string.h>

static void a_reservation_counts_until_it_is_settled(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    struct kc_usage usage = {.input = 30, .output = 12};
    granted(p, START_MS, "m", 100, &g);
    struct kc_snapshot s = counts(p, START_MS, 0, NULL);
    assert_int_equal(s.in_flight, 1);
    assert_int_equal(s.used[KC_MINUTE][KC_REQUESTS], 1);
    assert_int_equal(s.used[KC_DAY][KC_TOKENS], 100);
    assert_int_equal(s.total_tokens, 0);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage),
                     KC_OK);
    s = counts(p, START_MS, 0, NULL);
    assert_int_equal(s.in_flight, 0);
    assert_int_equal(s.used[KC_MINUTE][KC_TOKENS], 42);
    assert_int_equal(s.total_tokens, 42);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage),
                     KC_ESTALE);
    kc_pool_free(p);
}

static void each_end_keeps_what_the_provider_counts(void **state)
{
    static const struct {
        enum kc_outcome outcome;
        uint64_t requests, tokens, counted;
    } ends[] = {
        {KC_DONE, 1, 100, 1}, {KC_NOT_SENT, 0, 0, 0},   {KC_REFUSED, 1, 0, 1},
        {KC_FREE, 1, 0, 0},   {KC_UNKNOWN, 1, 100, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        for (int stamped = 0; stamped <= 1; stamped++) {
            struct kc_pool *p = new_pool(KC_GLOBAL, KC_ROUND_ROBIN, 1);
            struct kc_grant g;
            granted(p, START_MS, "m", 100, &g);
            if (stamped)
                kc_pool_stamp(p, START_MS, g.lease);
            assert_int_equal(
                kc_pool_settle(p, START_MS, g.lease, ends[i].outcome, NULL),
                KC_OK);
            struct kc_snapshot s = counts(p, START_MS, 1, "m");
            assert_int_equal(s.total_requests, ends[i].requests);
            assert_int_equal(s.total_tokens, ends[i].tokens);
            assert_int_equal(s.used[KC_HOUR][KC_REQUESTS], ends[i].counted);
            assert_int_equal(s.used[KC_HOUR][KC_TOKENS], ends[i].tokens);
            kc_pool_free(p);
        }
    }
}

static void limits_may_count_other_tokens_than_were_used(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_GLOBAL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    struct kc_usage usage = {
        .input = 30, .output = 12, .apart = true, .counted = 100};
    granted(p, START_MS, "m", 100, &g);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage),
                     KC_OK);
    struct kc_snapshot s = counts(p, START_MS, 1, "m");
    assert_int_equal(s.used[KC_MINUTE][KC_TOKENS], 100);
    assert_int_equal(s.total_tokens, 42);
    usage.counted = 0; /* all of it came from a cache */
    granted(p, START_MS, "m", 50, &g);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage),
                     KC_OK);
    s = counts(p, START_MS, 1, "m");
    assert_int_equal(s.used[KC_MINUTE][KC_TOKENS], 100);
    assert_int_equal(s.total_tokens, 84);
    kc_pool_free(p);
}

static void a_refusal_says_which_limit_and_how_long(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    struct kc_refusal r;
    limit(p, KC_MINUTE, KC_REQUESTS, 2);
    limit(p, KC_HOUR, KC_TOKENS, 50);
    use(p, START_MS, "m", 10);
    use(p, START_MS + 20 * SECOND_MS, "m", 10);
    uint64_t now = START_MS + 30 * SECOND_MS;
    assert_int_equal(acquire(p, now, "m", 10, &g, &r), KC_ELIMITED);
    assert_string_equal(r.limit, "requests_per_minute");
    assert_int_equal(r.max, 2);
    assert_int_equal(r.key, 1);
    assert_true(r.wait_ms >= 30 * SECOND_MS && r.wait_ms <= 30 * SECOND_MS + 2);
    assert_int_equal(counts(p, now, 0, NULL).in_flight, 0);
    assert_int_equal(acquire(p, now, "m", 31, &g, &r), KC_ELIMITED);
    assert_string_equal(r.limit, "tokens_per_hour");
    assert_int_equal(acquire(p, now, "m", 51, &g, &r), KC_EIMPOSSIBLE);
    assert_string_equal(r.limit, "tokens_per_hour");
    assert_int_equal(r.max, 50);
    kc_pool_free(p);
}

static void a_wait_is_exact_to_the_millisecond(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    struct kc_refusal r;
    limit(p, KC_MINUTE, KC_REQUESTS, 5);
    for (uint64_t i = 0; i < 5; i++)
        use(p, START_MS + i * 777, "m", 1);
    uint64_t now = START_MS + 10 * SECOND_MS;
    assert_int_equal(acquire(p, now, "m", 1, &g, &r), KC_ELIMITED);
    uint64_t wait = r.wait_ms;
    assert_int_equal(acquire(p, now + wait - 1, "m", 1, &g, &r), KC_ELIMITED);
    assert_int_equal(r.wait_ms, 1);
    assert_int_equal(acquire(p, now + wait, "m", 1, &g, &r), KC_OK);
    kc_pool_free(p);
}

static void what_is_in_flight_has_no_time(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g, h;
    struct kc_refusal r;
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(acquire(p, START_MS + HOUR_MS / 10, "m", 0, &h, &r),
                     KC_ELIMITED);
    assert_true(r.wait_ms == KC_NEVER);
    kc_pool_free(p);
}

/* A refusal is remembered; nothing that matters to it may be missed. */
static void a_refusal_is_told_anew_when_something_changes(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g, h;
    struct kc_refusal r;
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(acquire(p, START_MS, "m", 0, &h, &r), KC_ELIMITED);
    assert_true(r.wait_ms == KC_NEVER);
    kc_pool_stamp(p, START_MS, g.lease);
    assert_int_equal(acquire(p, START_MS, "m", 0, &h, &r), KC_ELIMITED);
    assert_int_equal(r.wait_ms, MINUTE_MS + 1);
    assert_int_equal(acquire(p, START_MS + SECOND_MS, "m", 0, &h, &r),
                     KC_ELIMITED);
    assert_int_equal(r.wait_ms, MINUTE_MS + 1 - SECOND_MS);
    assert_int_equal(kc_pool_disable(p, START_MS, 1), KC_OK);
    assert_int_equal(acquire(p, START_MS, "m", 0, &h, &r), KC_ENOKEY);
    assert_int_equal(kc_pool_enable(p, START_MS, 1), KC_OK);
    assert_int_equal(acquire(p, START_MS, "m", 0, &h, &r), KC_ELIMITED);
    assert_int_equal(acquire(p, START_MS + MINUTE_MS + 1, "m", 0, &h, &r),
                     KC_OK);
    kc_pool_free(p);
}

static void a_blocked_limit_is_impossible(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 2);
    struct kc_grant g;
    struct kc_refusal r;
    limit(p, KC_DAY, KC_REQUESTS, 0);
    assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_EIMPOSSIBLE);
    assert_string_equal(r.limit, "requests_per_day");
    assert_int_equal(r.max, 0);
    kc_pool_free(p);
}

static void limits_hold_per_model_or_for_the_key(void **state)
{
    (void)state;
    struct kc_grant g;
    struct kc_refusal r;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    use(p, START_MS, "a", 0);
    use(p, START_MS, "b", 0);
    assert_int_equal(acquire(p, START_MS, "a", 0, &g, &r), KC_ELIMITED);
    kc_pool_free(p);
    p = new_pool(KC_GLOBAL, KC_ROUND_ROBIN, 1);
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    use(p, START_MS, "a", 0);
    assert_int_equal(acquire(p, START_MS, "b", 0, &g, &r), KC_ELIMITED);
    kc_pool_free(p);
}

static void the_nearest_line_of_limits_holds(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 2);
    struct kc_limits l, got;
    kc_limits_unlimited(&l);
    static const struct {
        uint32_t key;
        const char *model;
    } lines[] = {{0, NULL}, {0, "m"}, {1, NULL}, {1, "m"}};
    for (uint64_t i = 0; i < 4; i++) {
        l.max[KC_MINUTE][KC_REQUESTS] = i + 1;
        assert_int_equal(kc_pool_set_limits(p, START_MS, lines[i].key,
                                            lines[i].model, &l),
                         KC_OK);
    }
#define HOLDS(key, model, n)                                              \
    assert_int_equal(kc_pool_get_limits(p, key, model, &got), KC_OK);     \
    assert_int_equal(got.max[KC_MINUTE][KC_REQUESTS], n)
    HOLDS(1, "m", 4);
    HOLDS(1, "x", 3);
    HOLDS(2, "m", 2);
    HOLDS(2, "x", 1);
#undef HOLDS
    kc_pool_clear_limits(p);
    assert_int_equal(kc_pool_get_limits(p, 1, "m", &got), KC_OK);
    assert_true(got.max[KC_MINUTE][KC_REQUESTS] == KC_UNLIMITED);
    kc_pool_free(p);
}

static void concurrency_is_what_is_in_flight(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant a, b, c;
    struct kc_refusal r;
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.concurrent = 2;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
    granted(p, START_MS, "m", 0, &a);
    granted(p, START_MS, "m", 0, &b);
    assert_int_equal(acquire(p, START_MS, "m", 0, &c, &r), KC_ELIMITED);
    assert_string_equal(r.limit, "concurrent_requests");
    assert_int_equal(kc_pool_settle(p, START_MS, a.lease, KC_DONE, NULL),
                     KC_OK);
    granted(p, START_MS, "m", 0, &c);
    kc_pool_free(p);
}

static void keys_take_turns_and_full_ones_are_passed_over(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 3);
    struct kc_grant g;
    struct kc_refusal r;
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.max[KC_MINUTE][KC_REQUESTS] = 1;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 2, NULL, &l), KC_OK);
    static const uint32_t order[] = {1, 2, 3, 1, 3, 1};
    for (int i = 0; i < 6; i++)
        assert_int_equal(granted(p, START_MS, "m", 0, &g), order[i]);
    struct kc_request pinned = {.model = "m", .key = 2, .pin = true};
    assert_int_equal(kc_pool_acquire(p, START_MS, &pinned, &g, &r),
                     KC_ELIMITED);
    pinned.pin = false; /* a first choice only */
    assert_int_equal(kc_pool_acquire(p, START_MS, &pinned, &g, &r), KC_OK);
    assert_int_not_equal(g.key, 2);
    pinned.key = 9;
    assert_int_equal(kc_pool_acquire(p, START_MS, &pinned, &g, &r),
                     KC_ENOTFOUND);
    kc_pool_free(p);
}

static void a_key_to_avoid_is_used_when_no_other_will_do(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_FILL_FIRST, 2);
    struct kc_request request = {.model = "m", .not_key = 1};
    struct kc_grant g;
    struct kc_refusal r;
    assert_int_equal(kc_pool_acquire(p, START_MS, &request, &g, &r), KC_OK);
    assert_int_equal(g.key, 2);
    assert_int_equal(kc_pool_disable(p, START_MS, 2), KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &request, &g, &r), KC_OK);
    assert_int_equal(g.key, 1);
    kc_pool_free(p);
}

static enum kc_state state_of(struct kc_pool *p, uint64_t now, uint32_t key)
{
    struct kc_key_info info;
    assert_int_equal(kc_pool_key_info(p, now, key, NULL, &info), KC_OK);
    return info.state;
}

static void a_cooled_key_rests_is_probed_and_comes_back(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g, h;
    struct kc_refusal r;
    uint64_t until;
    assert_int_equal(kc_pool_cool(p, START_MS, 1, NULL, 20 * SECOND_MS, "429",
                                  &until),
                     KC_OK);
    assert_int_equal(until, START_MS + 20 * SECOND_MS);
    assert_int_equal(state_of(p, START_MS, 1), KC_COOLING);
    assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_ELIMITED);
    assert_string_equal(r.limit, "cooling");
    assert_int_equal(r.wait_ms, 20 * SECOND_MS);
    assert_int_equal(state_of(p, until, 1), KC_PROBING);
    granted(p, until, "m", 0, &g);
    assert_int_equal(acquire(p, until, "m", 0, &h, &r), KC_ELIMITED);
    assert_int_equal(kc_pool_settle(p, until, g.lease, KC_DONE, NULL), KC_OK);
    granted(p, until, "m", 0, &g);
    assert_int_equal(kc_pool_settle(p, until, g.lease, KC_DONE, NULL), KC_OK);
    assert_int_equal(state_of(p, until, 1), KC_READY);
    kc_pool_free(p);
}

static void a_long_stated_delay_is_exhaustion(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    uint64_t until;
    assert_int_equal(kc_pool_cool(p, START_MS, 1, NULL, 2 * HOUR_MS, "429",
                                  &until),
                     KC_OK);
    assert_int_equal(state_of(p, START_MS, 1), KC_EXHAUSTED);
    /* A later guess never brings the end forward. */
    assert_int_equal(
        kc_pool_cool(p, START_MS, 1, NULL, KC_NEVER, "429", &until), KC_OK);
    assert_int_equal(until, START_MS + 2 * HOUR_MS);
    kc_pool_free(p);
}

static void a_model_cools_alone(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    struct kc_refusal r;
    uint64_t until;
    assert_int_equal(
        kc_pool_cool(p, START_MS, 1, "a", SECOND_MS, "429", &until), KC_OK);
    assert_int_equal(acquire(p, START_MS, "a", 0, &g, &r), KC_ELIMITED);
    granted(p, START_MS, "b", 0, &g);
    kc_pool_free(p);
}

static void a_refused_key_is_confirmed_by_one_probe(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    struct kc_refusal r;
    assert_int_equal(kc_pool_suspend(p, START_MS, 1, MINUTE_MS, "401"), KC_OK);
    assert_int_equal(state_of(p, START_MS, 1), KC_SUSPENDED);
    assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_ENOKEY);
    uint64_t later = START_MS + MINUTE_MS;
    granted(p, later, "m", 0, &g);
    assert_int_equal(kc_pool_settle(p, later, g.lease, KC_REFUSED, NULL),
                     KC_OK);
    assert_int_equal(kc_pool_suspend(p, later, 1, MINUTE_MS, "401"), KC_OK);
    assert_int_equal(state_of(p, later + HOUR_MS, 1), KC_INVALID);
    assert_int_equal(acquire(p, later + HOUR_MS, "m", 0, &g, &r), KC_ENOKEY);
    assert_int_equal(kc_pool_enable(p, later + HOUR_MS, 1), KC_OK);
    granted(p, later + HOUR_MS, "m", 0, &g);
    kc_pool_free(p);
}

static void money_and_the_user_put_away_without_an_end(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 2);
    struct kc_grant g;
    struct kc_refusal r;
    assert_int_equal(kc_pool_unpaid(p, START_MS, 1, "402"), KC_OK);
    assert_int_equal(kc_pool_disable(p, START_MS, 2), KC_OK);
    assert_int_equal(state_of(p, START_MS, 1), KC_EXHAUSTED);
    assert_int_equal(state_of(p, START_MS, 2), KC_DISABLED);
    assert_int_equal(acquire(p, START_MS + 1000 * HOUR_MS, "m", 0, &g, &r),
                     KC_ENOKEY);
    assert_int_equal(kc_pool_enable(p, START_MS, 2), KC_OK);
    assert_int_equal(granted(p, START_MS, "m", 0, &g), 2);
    kc_pool_free(p);
}

static void a_removed_key_keeps_its_index_and_counts(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 2);
    struct kc_key_config key = {.secret = "sk-test-0007-key-0001"};
    struct kc_grant g;
    uint32_t index;
    assert_int_equal(granted(p, START_MS, "m", 5, &g), 1);
    assert_int_equal(kc_pool_remove_key(p, START_MS, 1), KC_OK);
    assert_int_equal(state_of(p, START_MS, 1), KC_DRAINING);
    assert_int_equal(kc_pool_find_key(p, "0001", 4, &index), KC_ENOTFOUND);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, NULL),
                     KC_OK);
    assert_int_equal(state_of(p, START_MS, 1), KC_GONE);
    assert_int_equal(granted(p, START_MS, "m", 0, &g), 2);
    assert_int_equal(counts(p, START_MS, 1, NULL).total_tokens, 5);
    assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    assert_int_equal(index, 1);
    assert_int_equal(counts(p, START_MS, 1, NULL).total_tokens, 5);
    assert_int_equal(kc_pool_key_count(p), 2);
    kc_pool_free(p);
}

static void keys_are_found_by_their_end(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 3);
    uint32_t index;
    const char *whole = "sk-test-0014-key-0002";
    assert_int_equal(kc_pool_find_key(p, whole, strlen(whole), &index), KC_OK);
    assert_int_equal(index, 2);
    assert_int_equal(kc_pool_find_key(p, "03", 2, &index), KC_OK);
    assert_int_equal(index, 3);
    assert_int_equal(kc_pool_find_key(p, "3", 1, &index), KC_ENOTFOUND);
    assert_int_equal(kc_pool_find_key(p, "nobody", 6, &index), KC_ENOTFOUND);
    struct kc_key_config twin = {.secret = "sk-other-long-key-0003"};
    assert_int_equal(kc_pool_add_key(p, START_MS, &twin, &index), KC_OK);
    assert_int_equal(kc_pool_find_key(p, "03", 2, &index), KC_EAMBIGUOUS);
    kc_pool_free(p);
}

static void an_old_lease_is_settled_as_unknown(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    granted(p, START_MS, "m", 9, &g);
    uint64_t late = START_MS + 10 * MINUTE_MS;
    assert_int_equal(kc_pool_expire(p, late - 1), 0);
    assert_int_equal(kc_pool_expire(p, late), 1);
    struct kc_snapshot s = counts(p, late, 0, NULL);
    assert_int_equal(s.in_flight, 0);
    assert_int_equal(s.used[KC_MINUTE][KC_TOKENS], 9);
    assert_int_equal(kc_pool_settle(p, late, g.lease, KC_DONE, NULL),
                     KC_ESTALE);
    kc_pool_free(p);
}

static void time_never_goes_back(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_grant g;
    struct kc_refusal r;
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    use(p, START_MS + HOUR_MS, "m", 0);
    assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_ELIMITED);
    assert_true(r.wait_ms <= MINUTE_MS + 1);
    kc_pool_free(p);
}

static void what_a_store_remembers_counts(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_key_info info;
    struct kc_grant g;
    struct kc_refusal r;
    limit(p, KC_HOUR, KC_REQUESTS, 10);
    assert_int_equal(kc_pool_key_info(p, START_MS, 1, NULL, &info), KC_OK);
    assert_int_equal(restore(p, START_MS, info.hash, "m",
                                     START_MS - HOUR_MS / 2, 10, 500),
                     KC_OK);
    assert_int_equal(restore(p, START_MS, "nobody", "m", START_MS, 1,
                                     1),
                     KC_ENOTFOUND);
    struct kc_snapshot s = counts(p, START_MS, 1, "m");
    assert_int_equal(s.used[KC_MINUTE][KC_REQUESTS], 0);
    assert_int_equal(s.used[KC_HOUR][KC_REQUESTS], 10);
    assert_int_equal(s.total_tokens, 500);
    assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_ELIMITED);
    assert_true(r.wait_ms <= HOUR_MS / 2 + 1);
    granted(p, START_MS + HOUR_MS / 2 + 1, "m", 0, &g);
    kc_pool_free(p);
}

static void a_request_that_was_made_is_charged_whatever_stands_against_it(
    void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    use(p, START_MS, "m", 5);
    struct kc_request request = {.model = "m", .key = 1, .made = true};
    struct kc_usage usage = {.total = 40};
    struct kc_grant g;
    struct kc_refusal r;
    uint64_t until;
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            assert_int_equal(kc_pool_cool(p, START_MS, 1, NULL, MINUTE_MS,
                                          "429", &until),
                             KC_OK);
        if (i == 2)
            assert_int_equal(kc_pool_disable(p, START_MS, 1), KC_OK);
        assert_int_equal(kc_pool_acquire(p, START_MS, &request, &g, &r), KC_OK);
        assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage),
                         KC_OK);
    }
    struct kc_snapshot s = counts(p, START_MS, 1, "m");
    assert_int_equal(s.used[KC_MINUTE][KC_REQUESTS], 4);
    assert_int_equal(s.total_requests, 4);
    assert_int_equal(s.total_tokens, 125);
    assert_int_equal(s.in_flight, 0);
    assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_ENOKEY);
    request.key = 2;
    assert_int_equal(kc_pool_acquire(p, START_MS, &request, &g, &r),
                     KC_ENOTFOUND);
    kc_pool_free(p);
}

static void enormous_tokens_overflow_nothing(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_usage usage = {.input = UINT64_MAX, .output = UINT64_MAX};
    struct kc_grant g;
    struct kc_refusal r;
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage),
                     KC_OK);
    limit(p, KC_MINUTE, KC_TOKENS, 100);
    assert_int_equal(acquire(p, START_MS, "m", UINT64_MAX, &g, &r),
                     KC_EIMPOSSIBLE);
    assert_int_equal(acquire(p, START_MS, "m", 1, &g, &r), KC_ELIMITED);
    granted(p, START_MS + MINUTE_MS + 2, "m", 1, &g);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reservation_counts_until_it_is_settled),
        cmocka_unit_test(each_end_keeps_what_the_provider_counts),
        cmocka_unit_test(limits_may_count_other_tokens_than_were_used),
        cmocka_unit_test(a_refusal_says_which_limit_and_how_long),
        cmocka_unit_test(a_wait_is_exact_to_the_millisecond),
        cmocka_unit_test(what_is_in_flight_has_no_time),
        cmocka_unit_test(a_refusal_is_told_anew_when_something_changes),
        cmocka_unit_test(a_blocked_limit_is_impossible),
        cmocka_unit_test(limits_hold_per_model_or_for_the_key),
        cmocka_unit_test(the_nearest_line_of_limits_holds),
        cmocka_unit_test(concurrency_is_what_is_in_flight),
        cmocka_unit_test(keys_take_turns_and_full_ones_are_passed_over),
        cmocka_unit_test(a_key_to_avoid_is_used_when_no_other_will_do),
        cmocka_unit_test(a_cooled_key_rests_is_probed_and_comes_back),
        cmocka_unit_test(a_long_stated_delay_is_exhaustion),
        cmocka_unit_test(a_model_cools_alone),
        cmocka_unit_test(a_refused_key_is_confirmed_by_one_probe),
        cmocka_unit_test(money_and_the_user_put_away_without_an_end),
        cmocka_unit_test(a_removed_key_keeps_its_index_and_counts),
        cmocka_unit_test(keys_are_found_by_their_end),
        cmocka_unit_test(an_old_lease_is_settled_as_unknown),
        cmocka_unit_test(time_never_goes_back),
        cmocka_unit_test(what_a_store_remembers_counts),
        cmocka_unit_test(
            a_request_that_was_made_is_charged_whatever_stands_against_it),
        cmocka_unit_test(enormous_tokens_overflow_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
