/* Keys stand in order, tier by tier; the turn goes on from the last one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/selection.h"

static struct kc_selector of(enum kc_selection mode, uint32_t n)
{
    struct kc_selector s;
    kc_selector_init(&s, mode);
    for (uint32_t i = 1; i <= n; i++)
        assert_int_equal(kc_selector_put(&s, i, 0), KC_OK);
    return s;
}

static uint32_t choose(struct kc_selector *s)
{
    const struct kc_tier *t = &s->tiers[0];
    uint32_t key = t->keys[t->start];
    kc_selector_took(s, 0, t->start);
    return key;
}

static void round_robin_goes_on_from_the_last_one(void **state)
{
    (void)state;
    struct kc_selector s = of(KC_ROUND_ROBIN, 3);
    for (uint32_t i = 0; i < 9; i++)
        assert_int_equal(choose(&s), i % 3 + 1);
    kc_selector_deinit(&s);
}

static void fill_first_stays_until_it_is_rotated(void **state)
{
    (void)state;
    struct kc_selector s = of(KC_FILL_FIRST, 3);
    assert_int_equal(choose(&s), 1);
    assert_int_equal(choose(&s), 1);
    kc_selector_rotate(&s);
    assert_int_equal(choose(&s), 2);
    assert_int_equal(choose(&s), 2);
    kc_selector_rotate(&s);
    kc_selector_rotate(&s);
    assert_int_equal(choose(&s), 1);
    kc_selector_deinit(&s);
}

static void rotating_never_comes_back_to_the_key_just_used(void **state)
{
    (void)state;
    struct kc_selector s = of(KC_ROUND_ROBIN, 2);
    assert_int_equal(choose(&s), 1);
    kc_selector_rotate(&s);
    assert_int_equal(choose(&s), 2);
    kc_selector_deinit(&s);
}

static void tiers_stand_in_order_and_keys_within_them(void **state)
{
    (void)state;
    struct kc_selector s = of(KC_ROUND_ROBIN, 2);
    assert_int_equal(kc_selector_put(&s, 4, 5), KC_OK);
    assert_int_equal(kc_selector_put(&s, 3, -1), KC_OK);
    assert_int_equal(s.len, 3);
    assert_int_equal(s.tiers[0].keys[0], 3);
    assert_int_equal(s.tiers[1].keys[0], 1);
    assert_int_equal(s.tiers[1].keys[1], 2);
    assert_int_equal(s.tiers[2].keys[0], 4);
    kc_selector_deinit(&s);
}

static void removing_and_adding_keeps_the_turn(void **state)
{
    (void)state;
    struct kc_selector s = of(KC_ROUND_ROBIN, 4);
    choose(&s);
    choose(&s);
    kc_selector_remove(&s, 1, 0);
    kc_selector_remove(&s, 9, 0);
    assert_int_equal(choose(&s), 3);
    assert_int_equal(kc_selector_put(&s, 1, 0), KC_OK);
    assert_int_equal(choose(&s), 4);
    assert_int_equal(choose(&s), 1);
    for (uint32_t i = 1; i <= 4; i++)
        kc_selector_remove(&s, i, 0);
    assert_int_equal(s.tiers[0].len, 0);
    kc_selector_rotate(&s);
    assert_int_equal(kc_selector_put(&s, 7, 0), KC_OK);
    assert_int_equal(choose(&s), 7);
    kc_selector_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_goes_on_from_the_last_one),
        cmocka_unit_test(fill_first_stays_until_it_is_rotated),
        cmocka_unit_test(rotating_never_comes_back_to_the_key_just_used),
        cmocka_unit_test(tiers_stand_in_order_and_keys_within_them),
        cmocka_unit_test(removing_and_adding_keeps_the_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
