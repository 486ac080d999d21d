/* Which of the keys with room is chosen. */
#include "unit/engine/pool_fixture.h"

#include <string.h>

static uint32_t hold(struct kc_pool *p, uint64_t tokens)
{
    struct kc_grant g;
    return granted(p, START_MS, "m", tokens, &g);
}

static void charge(struct kc_pool *p, uint32_t key, uint64_t tokens)
{
    struct kc_request r = {
        .model = "m", .tokens = tokens, .key = key, .pin = true};
    struct kc_grant g;
    struct kc_refusal refusal;
    assert_int_equal(kc_pool_acquire(p, START_MS, &r, &g, &refusal), KC_OK);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, NULL),
                     KC_OK);
}

static void balanced_takes_the_least_loaded(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_BALANCED, 3);
    limit(p, KC_MINUTE, KC_TOKENS, 1000);
    charge(p, 1, 500);
    charge(p, 3, 200);
    assert_int_equal(hold(p, 100), 2); /* 0, then 100 held */
    assert_int_equal(hold(p, 200), 2); /* 300 now */
    assert_int_equal(hold(p, 10), 3);
    kc_pool_free(p);
}

static void balanced_without_limits_goes_by_what_is_in_flight(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_BALANCED, 3);
    struct kc_grant a, b, c;
    granted(p, START_MS, "m", 0, &a);
    granted(p, START_MS, "m", 0, &b);
    granted(p, START_MS, "m", 0, &c);
    assert_int_equal(a.key + b.key + c.key, 6);
    assert_int_equal(kc_pool_settle(p, START_MS, b.lease, KC_DONE, NULL),
                     KC_OK);
    assert_int_equal(hold(p, 0), b.key);
    kc_pool_free(p);
}

static void a_large_tier_is_sampled_and_still_evenly_used(void **state)
{
    (void)state;
    enum kc_selection modes[] = {KC_BALANCED, KC_RANDOM_TWO};
    for (int i = 0; i < 2; i++) {
        struct kc_pool *p = new_pool(KC_PER_MODEL, modes[i], 20);
        limit(p, KC_MINUTE, KC_REQUESTS, 50);
        for (int n = 0; n < 20 * 30; n++)
            hold(p, 0);
        for (uint32_t k = 1; k <= 20; k++) {
            uint64_t n = counts(p, START_MS, k, NULL).in_flight;
            assert_in_range(n, 25, 35);
        }
        /* To the last place: no key with room is missed. */
        for (int n = 0; n < 20 * 20; n++)
            hold(p, 0);
        struct kc_grant g;
        struct kc_refusal r;
        assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_ELIMITED);
        kc_pool_free(p);
    }
}

static void weights_are_shares(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_WEIGHTED, 0);
    uint32_t weights[] = {1, 3, 6}, index;
    for (int i = 0; i < 3; i++) {
        char secret[32];
        snprintf(secret, sizeof secret, "sk-weight-%08d", i);
        struct kc_key_config key = {.secret = secret, .weight = weights[i]};
        assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    }
    for (int n = 0; n < 10000; n++)
        use(p, START_MS, "m", 0);
    assert_in_range(counts(p, START_MS, 1, NULL).total_requests, 850, 1150);
    assert_in_range(counts(p, START_MS, 2, NULL).total_requests, 2800, 3200);
    assert_in_range(counts(p, START_MS, 3, NULL).total_requests, 5800, 6200);
    kc_pool_free(p);
}

static void most_remaining_and_best_fit_are_opposites(void **state)
{
    (void)state;
    static const enum kc_selection modes[] = {KC_MOST_REMAINING, KC_BEST_FIT};
    static const uint32_t chosen[] = {2, 3};
    for (int i = 0; i < 2; i++) {
        struct kc_pool *p = new_pool(KC_PER_MODEL, modes[i], 4);
        limit(p, KC_MINUTE, KC_TOKENS, 1000);
        charge(p, 1, 500);
        charge(p, 2, 100);
        charge(p, 3, 700);
        charge(p, 4, 950); /* no room for this one */
        assert_int_equal(hold(p, 100), chosen[i]);
        kc_pool_free(p);
    }
}

static void lower_priorities_come_first(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_BALANCED, 2);
    struct kc_key_config free_key = {.secret = "sk-free-00000000001",
                                     .priority = -1};
    uint32_t index;
    limit(p, KC_MINUTE, KC_REQUESTS, 2);
    assert_int_equal(kc_pool_add_key(p, START_MS, &free_key, &index), KC_OK);
    assert_int_equal(hold(p, 0), 3);
    assert_int_equal(hold(p, 0), 3);
    assert_int_equal(hold(p, 0), 1);
    kc_pool_free(p);
}

static void a_key_serves_its_own_models_only(void **state)
{
    (void)state;
    static const char *const only[] = {"a", "b"};
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 0);
    struct kc_key_config key = {
        .secret = "sk-test-only-00001", .models = only, .model_count = 2};
    uint32_t index;
    struct kc_grant g;
    struct kc_refusal r;
    assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    granted(p, START_MS, "b", 0, &g);
    assert_int_equal(acquire(p, START_MS, "c", 0, &g, &r), KC_ENOKEY);
    assert_string_equal(r.limit, "models");
    key.model_count = 0;
    assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    granted(p, START_MS, "c", 0, &g);
    kc_pool_free(p);
}

static uint32_t with_affinity(struct kc_pool *p, const char *text)
{
    struct kc_request r = {.model = "m", .affinity = kc_affinity(text)};
    struct kc_grant g;
    struct kc_refusal refusal;
    assert_int_equal(kc_pool_acquire(p, START_MS, &r, &g, &refusal), KC_OK);
    return g.key;
}

static void affinity_keeps_to_a_key_while_it_has_room(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_BALANCED, 5);
    uint32_t seen[6] = {0};
    char text[32];
    limit(p, KC_MINUTE, KC_REQUESTS, 100);
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "session %d", i);
        uint32_t key = with_affinity(p, text);
        assert_int_equal(with_affinity(p, text), key);
        seen[key]++;
    }
    for (int k = 1; k <= 5; k++)
        assert_true(seen[k] > 2); /* all are used */
    uint32_t key = with_affinity(p, "one");
    assert_int_equal(kc_pool_disable(p, START_MS, key), KC_OK);
    uint32_t second = with_affinity(p, "one");
    assert_int_not_equal(second, key);
    assert_int_equal(with_affinity(p, "one"), second);
    assert_int_equal(kc_pool_enable(p, START_MS, key), KC_OK);
    assert_int_equal(with_affinity(p, "one"), key);
    kc_pool_free(p);
}

static void a_random_start_is_anywhere_but_for_fill_first(void **state)
{
    (void)state;
    uint32_t seen = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        for (int fill = 0; fill <= 1; fill++) {
            struct kc_pool_config config = {
                .selection = fill ? KC_FILL_FIRST : KC_ROUND_ROBIN,
                .seed = seed,
                .random_start = true};
            struct kc_pool *p;
            uint32_t index;
            assert_int_equal(kc_pool_new(&config, &p), KC_OK);
            for (int i = 1; i <= 3; i++) {
                char secret[32];
                snprintf(secret, sizeof secret, "sk-start-%08d", i);
                struct kc_key_config key = {.secret = secret};
                assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index),
                                 KC_OK);
            }
            uint32_t first = hold(p, 0);
            if (fill) {
                assert_int_equal(first, 1);
            } else {
                seen |= 1u << first;
                assert_int_equal(hold(p, 0), first % 3 + 1);
            }
            kc_pool_free(p);
        }
    }
    assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 3);
}

/* What was found of many keys is not believed of the few that are left. */
static void a_key_is_seen_to_be_free_when_there_are_few_keys_left(void **state)
{
    (void)state;
    for (int removed = 0; removed <= 4; removed += 4) {
        struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 12);
        struct kc_limits l;
        struct kc_grant g;
        struct kc_refusal r;
        limit(p, KC_MINUTE, KC_REQUESTS, 1);
        for (int i = 0; i < 12; i++)
            hold(p, 0);
        assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_ELIMITED);
        for (uint32_t key = 1; key <= (uint32_t)removed; key++)
            assert_int_equal(kc_pool_remove_key(p, START_MS, key), KC_OK);
        assert_int_equal(kc_pool_get_limits(p, 0, NULL, &l), KC_OK);
        l.max[KC_MINUTE][KC_REQUESTS] = 2;
        assert_int_equal(kc_pool_set_limits(p, START_MS, 7, NULL, &l), KC_OK);
        assert_int_equal(granted(p, START_MS, "m", 0, &g), 7);
        kc_pool_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(balanced_takes_the_least_loaded),
        cmocka_unit_test(balanced_without_limits_goes_by_what_is_in_flight),
        cmocka_unit_test(a_large_tier_is_sampled_and_still_evenly_used),
        cmocka_unit_test(weights_are_shares),
        cmocka_unit_test(most_remaining_and_best_fit_are_opposites),
        cmocka_unit_test(lower_priorities_come_first),
        cmocka_unit_test(a_key_serves_its_own_models_only),
        cmocka_unit_test(affinity_keeps_to_a_key_while_it_has_room),
        cmocka_unit_test(a_key_is_seen_to_be_free_when_there_are_few_keys_left),
        cmocka_unit_test(a_random_start_is_anywhere_but_for_fill_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
