/* A refused key comes back by a probe, later each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "engine/cooldown.h"

#define NOW UINT64_C(1000000)

static int passes(const struct kc_cooldown *c, uint64_t now)
{
    struct kc_block b;
    kc_block_clear(&b, 1);
    kc_cooldown_check(c, now, false, &b);
    return b.err;
}

static struct kc_cooldown cooled(uint64_t delay_ms)
{
    struct kc_cooldown c = {.state = KC_READY};
    struct kc_rng rng;
    kc_rng_seed(&rng, 7);
    assert_int_equal(kc_cooldown_cool(&c, NOW, delay_ms, 5, &rng, "why"),
                     NOW + delay_ms);
    return c;
}

static void it_cools_until_the_stated_time_then_probes(void **state)
{
    (void)state;
    struct kc_cooldown c = cooled(60000);
    assert_int_equal(kc_cooldown_state(&c, NOW), KC_COOLING);
    assert_string_equal(c.reason, "why");
    assert_int_equal(passes(&c, NOW + 59999), KC_ELIMITED);
    assert_int_equal(kc_cooldown_state(&c, NOW + 60000), KC_PROBING);
    assert_int_equal(passes(&c, NOW + 60000), KC_OK);
}

static void over_a_minute_it_is_exhausted_and_at_most_a_month(void **state)
{
    (void)state;
    struct kc_cooldown c = cooled(60001);
    assert_int_equal(kc_cooldown_state(&c, NOW), KC_EXHAUSTED);
    struct kc_rng rng;
    kc_rng_seed(&rng, 7);
    kc_cooldown_clear(&c);
    assert_int_equal(
        kc_cooldown_cool(&c, NOW, UINT64_MAX - 1, 5, &rng, "year"),
        NOW + 31 * 86400000ULL);
}

static void one_probe_is_out_until_one_works(void **state)
{
    (void)state;
    struct kc_cooldown c = cooled(1000);
    uint64_t now = NOW + 1000;
    kc_cooldown_granted(&c, now, 77);
    assert_int_equal(passes(&c, now), KC_ELIMITED);
    kc_cooldown_settled(&c, 76);
    assert_int_equal(passes(&c, now), KC_ELIMITED);
    kc_cooldown_settled(&c, 77);
    assert_int_equal(passes(&c, now), KC_OK);
    assert_int_equal(kc_cooldown_state(&c, now), KC_PROBING);
    kc_cooldown_success(&c, now, 6);
    assert_int_equal(kc_cooldown_state(&c, now), KC_READY);
}

static void a_success_from_before_the_refusal_proves_nothing(void **state)
{
    (void)state;
    struct kc_cooldown c = cooled(1000);
    kc_cooldown_success(&c, NOW + 1000, 5);
    assert_int_equal(kc_cooldown_state(&c, NOW + 1000), KC_PROBING);
    kc_cooldown_success(&c, NOW + 999, 6);
    assert_int_equal(kc_cooldown_state(&c, NOW + 999), KC_COOLING);
}

static void guesses_double_up_to_a_minute_and_start_again(void **state)
{
    (void)state;
    struct kc_cooldown c = {.state = KC_READY};
    struct kc_rng rng;
    uint64_t longest[12] = {0};
    kc_rng_seed(&rng, 7);
    for (int round = 0; round < 400; round++) {
        uint64_t now = NOW;
        kc_cooldown_clear(&c);
        for (int i = 0; i < 12; i++) {
            uint64_t end = kc_cooldown_cool(&c, now, KC_NEVER, 1, &rng, "");
            assert_in_range(end, now + 1, now + 60000);
            if (end - now > longest[i])
                longest[i] = end - now;
            now = end;
        }
    }
    for (int i = 0; i < 12; i++) {
        uint64_t most = i < 6 ? UINT64_C(1000) << i : 60000;
        assert_in_range(longest[i], most * 9 / 10, most);
    }
}

static void an_end_never_moves_earlier_by_a_guess(void **state)
{
    (void)state;
    struct kc_rng rng;
    kc_rng_seed(&rng, 7);
    struct kc_cooldown c = cooled(3600000);
    for (int i = 0; i < 50; i++)
        assert_int_equal(
            kc_cooldown_cool(&c, NOW + 1, KC_NEVER, 5, &rng, "guess"),
            NOW + 3600000);
    assert_int_equal(c.state, KC_EXHAUSTED);
    assert_string_equal(c.reason, "why");
    /* Another window's shorter word does not shorten it either. */
    assert_int_equal(kc_cooldown_cool(&c, NOW + 1, 2000, 5, &rng, "minute"),
                     NOW + 3600000);
}

static void a_burst_of_refusals_is_one_step(void **state)
{
    (void)state;
    struct kc_cooldown c = {.state = KC_READY};
    struct kc_rng rng;
    kc_rng_seed(&rng, 7);
    for (int i = 0; i < 20; i++)
        assert_in_range(kc_cooldown_cool(&c, NOW, KC_NEVER, 5, &rng, ""),
                        NOW + 1, NOW + 1000);
}

static void a_statement_corrects_a_guess(void **state)
{
    (void)state;
    struct kc_cooldown c = {.state = KC_READY};
    struct kc_rng rng;
    kc_rng_seed(&rng, 7);
    uint64_t guess = kc_cooldown_cool(&c, NOW, KC_NEVER, 5, &rng, "");
    assert_true(guess > NOW + 0);
    assert_int_equal(kc_cooldown_cool(&c, NOW, 0, 5, &rng, ""), NOW);
    assert_int_equal(kc_cooldown_state(&c, NOW), KC_PROBING);
}

static void auth_is_suspended_probed_and_then_invalid(void **state)
{
    (void)state;
    struct kc_cooldown c = {.state = KC_READY};
    kc_cooldown_suspend(&c, NOW, 30000, 5, "401");
    assert_int_equal(kc_cooldown_state(&c, NOW), KC_SUSPENDED);
    /* What was sent at the same time is no confirmation. */
    kc_cooldown_suspend(&c, NOW + 10, 30000, 5, "401");
    assert_int_equal(c.until_ms, NOW + 30000);
    assert_int_equal(passes(&c, NOW + 29999), KC_ENOKEY);
    assert_int_equal(passes(&c, NOW + 30000), KC_OK);
    kc_cooldown_suspend(&c, NOW + 30000, 30000, 5, "401");
    assert_int_equal(kc_cooldown_state(&c, NOW + 30000), KC_INVALID);
    assert_int_equal(passes(&c, UINT64_MAX / 8), KC_ENOKEY);
}

static void a_probe_that_works_ends_a_suspension(void **state)
{
    (void)state;
    struct kc_cooldown c = {.state = KC_READY};
    kc_cooldown_suspend(&c, NOW, 1000, 5, "401");
    kc_cooldown_success(&c, NOW + 1000, 6);
    kc_cooldown_suspend(&c, NOW + 2000, 1000, 7, "401");
    assert_int_equal(c.state, KC_SUSPENDED);
}

static void auth_refused_by_a_probe_after_a_429_is_the_first_time(void **state)
{
    (void)state;
    struct kc_cooldown c = cooled(1000);
    kc_cooldown_suspend(&c, NOW + 1000, 1000, 5, "401");
    assert_int_equal(c.state, KC_SUSPENDED);
}

static void unpaid_has_no_end(void **state)
{
    (void)state;
    struct kc_cooldown c = {.state = KC_READY};
    struct kc_rng rng;
    kc_rng_seed(&rng, 7);
    kc_cooldown_unpaid(&c, 5, "402");
    assert_int_equal(kc_cooldown_state(&c, UINT64_MAX / 8), KC_EXHAUSTED);
    assert_int_equal(passes(&c, NOW), KC_ENOKEY);
    assert_true(kc_cooldown_cool(&c, NOW, 10, 5, &rng, "") == KC_NEVER);
    kc_cooldown_success(&c, NOW, 6);
    assert_int_equal(kc_cooldown_state(&c, NOW), KC_EXHAUSTED);
}

static void text_is_cut_between_characters(void **state)
{
    (void)state;
    char out[6];
    kc_copy_cut(out, sizeof out, "abcd\xc3\xa9x");
    assert_string_equal(out, "abcd");
    kc_copy_cut(out, sizeof out, "abc\xc3\xa9");
    assert_string_equal(out, "abc\xc3\xa9");
    kc_copy_cut(out, sizeof out, NULL);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_cools_until_the_stated_time_then_probes),
        cmocka_unit_test(over_a_minute_it_is_exhausted_and_at_most_a_month),
        cmocka_unit_test(one_probe_is_out_until_one_works),
        cmocka_unit_test(a_success_from_before_the_refusal_proves_nothing),
        cmocka_unit_test(guesses_double_up_to_a_minute_and_start_again),
        cmocka_unit_test(an_end_never_moves_earlier_by_a_guess),
        cmocka_unit_test(a_burst_of_refusals_is_one_step),
        cmocka_unit_test(a_statement_corrects_a_guess),
        cmocka_unit_test(auth_is_suspended_probed_and_then_invalid),
        cmocka_unit_test(a_probe_that_works_ends_a_suspension),
        cmocka_unit_test(auth_refused_by_a_probe_after_a_429_is_the_first_time),
        cmocka_unit_test(unpaid_has_no_end),
        cmocka_unit_test(text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
