/* The clocks: a manual one obeys, a real one agrees with the wall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/clock.h"

static void a_manual_clock_moves_when_told(void **state)
{
    (void)state;
    struct kc_clock *c;
    assert_int_equal(kc_clock_new_manual(1000, &c), KC_OK);
    assert_true(kc_clock_is_manual(c));
    assert_int_equal(kc_clock_now_ms(c), 1000);
    kc_clock_advance(c, 250);
    assert_int_equal(kc_clock_now_ms(c), 1250);
    kc_clock_unref(c);
}

static void a_real_clock_starts_at_the_wall_and_is_not_moved(void **state)
{
    (void)state;
    struct kc_clock *c;
    uint64_t before = kc_wall_ms();
    assert_int_equal(kc_clock_new_real(&c), KC_OK);
    assert_false(kc_clock_is_manual(c));
    uint64_t now = kc_clock_now_ms(c);
    assert_true(now + 1 >= before);
    kc_clock_advance(c, 3600 * 1000);
    /* Had it moved, it would be an hour ahead of the wall. */
    assert_true(kc_clock_now_ms(c) < kc_wall_ms() + 1800 * 1000);
    for (int i = 0; i < 1000; i++) {
        uint64_t next = kc_clock_now_ms(c);
        assert_true(next >= now);
        now = next;
    }
    kc_clock_unref(c);
}

static void lives_as_long_as_one_owner(void **state)
{
    (void)state;
    struct kc_clock *c;
    assert_int_equal(kc_clock_new_manual(5, &c), KC_OK);
    assert_ptr_equal(kc_clock_ref(c), c);
    kc_clock_unref(c);
    assert_int_equal(kc_clock_now_ms(c), 5);
    kc_clock_unref(c);
    kc_clock_unref(NULL);
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t us = kc_mono_us();
    assert_true(us > 0);
    assert_true(kc_mono_us() >= us);
    assert_true(kc_mono_ms() >= us / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manual_clock_moves_when_told),
        cmocka_unit_test(a_real_clock_starts_at_the_wall_and_is_not_moved),
        cmocka_unit_test(lives_as_long_as_one_owner),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
