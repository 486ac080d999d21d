/* Limits of all models together, of which some models are none: what is free is
 * counted together, what is paid is not.
 */
#include "unit/engine/pool_fixture.h"

static struct kc_pool *free_pool(uint64_t requests)
{
    struct kc_pool *p = new_pool(KC_GLOBAL, KC_ROUND_ROBIN, 1);
    limit(p, KC_MINUTE, KC_REQUESTS, requests);
    assert_int_equal(kc_pool_set_only(p, START_MS, "*:free"), KC_OK);
    return p;
}

static int ask(struct kc_pool *p, const char *model)
{
    struct kc_grant g;
    struct kc_refusal r;
    return acquire(p, START_MS, model, 0, &g, &r);
}

static void those_that_fit_share_and_the_others_are_free(void **state)
{
    (void)state;
    struct kc_pool *p = free_pool(2);
    assert_int_equal(ask(p, "a:free"), KC_OK);
    for (int i = 0; i < 9; i++)
        assert_int_equal(ask(p, "paid"), KC_OK);
    assert_int_equal(ask(p, "b:free"), KC_OK);
    assert_int_equal(ask(p, "c:free"), KC_ELIMITED);
    assert_int_equal(ask(p, ":free"), KC_ELIMITED);
    assert_int_equal(ask(p, "free"), KC_OK);
    struct kc_snapshot s = counts(p, START_MS, 1, NULL);
    assert_int_equal(s.used[KC_MINUTE][KC_REQUESTS], 12);
    assert_int_equal(s.in_flight, 12);
    kc_pool_free(p);
}

static void a_star_may_stand_at_either_end(void **state)
{
    (void)state;
    struct kc_pool *p = free_pool(1);
    assert_int_equal(kc_pool_set_only(p, START_MS, "a*"), KC_OK);
    assert_int_equal(ask(p, "a"), KC_OK);
    assert_int_equal(ask(p, "ab"), KC_ELIMITED);
    assert_int_equal(ask(p, "ba"), KC_OK);
    assert_int_equal(kc_pool_set_only(p, START_MS, "exact"), KC_OK);
    assert_int_equal(ask(p, "ab"), KC_OK);
    assert_int_equal(ask(p, "exact"), KC_ELIMITED); /* "a" is still out */
    assert_int_equal(kc_pool_set_only(p, START_MS, NULL), KC_OK);
    assert_false(kc_pool_has_only(p));
    assert_int_equal(ask(p, "ab"), KC_ELIMITED);
    assert_int_equal(ask(p, "new"), KC_ELIMITED);
    kc_pool_free(p);
}

static void what_names_a_model_holds_for_it_alone(void **state)
{
    (void)state;
    struct kc_pool *p = free_pool(5);
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.max[KC_MINUTE][KC_REQUESTS] = 1;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 1, NULL, &l), KC_OK);
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, "paid", &l), KC_OK);
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, "b:free", &l), KC_OK);
    assert_int_equal(ask(p, "paid"), KC_OK);
    assert_int_equal(ask(p, "paid"), KC_ELIMITED);
    assert_int_equal(ask(p, "other"), KC_OK);
    assert_int_equal(ask(p, "other"), KC_OK);
    assert_int_equal(ask(p, "a:free"), KC_OK);
    assert_int_equal(ask(p, "b:free"), KC_ELIMITED); /* the key's line */
    kc_pool_free(p);
}

static void what_a_store_tells_is_counted_where_it_belongs(void **state)
{
    (void)state;
    struct kc_pool *p = free_pool(2);
    struct kc_key_info info;
    assert_int_equal(kc_pool_key_info(p, START_MS, 1, NULL, &info), KC_OK);
    assert_int_equal(restore(p, START_MS, info.hash, "paid", START_MS,
                                     7, 0),
                     KC_OK);
    assert_int_equal(restore(p, START_MS, info.hash, "a:free",
                                     START_MS, 1, 0),
                     KC_OK);
    assert_int_equal(ask(p, "b:free"), KC_OK);
    assert_int_equal(ask(p, "b:free"), KC_ELIMITED);
    kc_pool_free(p);
}

static void what_an_answer_tells_is_of_its_own_kind(void **state)
{
    (void)state;
    struct kc_pool *p = free_pool(9);
    struct kc_observation o = {.window = KC_MINUTE,
                               .unit = KC_REQUESTS,
                               .limit = 1,
                               .remaining = 0};
    struct kc_grant g;
    granted(p, START_MS, "paid", 0, &g);
    assert_int_equal(kc_pool_observe(p, START_MS, g.lease, &o), KC_OK);
    assert_int_equal(ask(p, "paid"), KC_ELIMITED);
    assert_int_equal(ask(p, "other"), KC_OK);
    granted(p, START_MS, "a:free", 0, &g);
    assert_int_equal(kc_pool_observe(p, START_MS, g.lease, &o), KC_OK);
    assert_int_equal(ask(p, "b:free"), KC_ELIMITED);
    kc_pool_free(p);
}

static void pools_with_other_patterns_are_not_the_same(void **state)
{
    (void)state;
    struct kc_pool *a = free_pool(2), *b = free_pool(2);
    assert_true(kc_pool_same(a, b));
    assert_int_equal(kc_pool_set_only(b, START_MS, "a*"), KC_OK);
    assert_false(kc_pool_same(a, b));
    assert_int_equal(kc_pool_set_only(b, START_MS, NULL), KC_OK);
    assert_false(kc_pool_same(a, b));
    kc_pool_free(a);
    kc_pool_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_fit_share_and_the_others_are_free),
        cmocka_unit_test(a_star_may_stand_at_either_end),
        cmocka_unit_test(what_names_a_model_holds_for_it_alone),
        cmocka_unit_test(what_a_store_tells_is_counted_where_it_belongs),
        cmocka_unit_test(what_an_answer_tells_is_of_its_own_kind),
        cmocka_unit_test(pools_with_other_patterns_are_not_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
