/* The random generator: known numbers, an even spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/rng.h"

/* The first numbers for the seed 1234567, of the reference program. */
static void gives_the_published_numbers(void **state)
{
    (void)state;
    struct kc_rng r;
    kc_rng_seed(&r, 1234567);
    assert_true(kc_rng_next(&r) == 6457827717110365317u);
    assert_true(kc_rng_next(&r) == 3203168211198807973u);
    assert_true(kc_rng_next(&r) == 9817491932198370423u);
}

static void stays_below_its_bound_and_reaches_all(void **state)
{
    (void)state;
    struct kc_rng r;
    int seen[7] = {0};
    kc_rng_seed(&r, 1);
    for (int i = 0; i < 7000; i++) {
        uint64_t n = kc_rng_below(&r, 7);
        assert_true(n < 7);
        seen[n]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 850, 1150);
    assert_int_equal(kc_rng_below(&r, 0), 0);
    assert_int_equal(kc_rng_below(&r, 1), 0);
    assert_true(kc_rng_below(&r, UINT64_MAX) < UINT64_MAX);
}

static void two_seeds_of_the_system_differ(void **state)
{
    (void)state;
    assert_true(kc_rng_entropy() != kc_rng_entropy());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_numbers),
        cmocka_unit_test(stays_below_its_bound_and_reaches_all),
        cmocka_unit_test(two_seeds_of_the_system_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
