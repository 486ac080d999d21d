/* A ring forgets nothing too soon and holds nothing too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/ring.h"
#include "util/rng.h"

#define SPAN 60000

static struct kc_ring a_ring(void)
{
    struct kc_ring r;
    assert_int_equal(kc_ring_init(&r, SPAN, 32), KC_OK);
    return r;
}

static void an_entry_leaves_at_its_tick_and_span_and_never_earlier(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    kc_ring_add(&r, 1001, 1, 50);
    kc_ring_drop(&r, 1000 + SPAN);
    assert_int_equal(r.sum[KC_REQUESTS], 1);
    kc_ring_drop(&r, 1001 + SPAN);
    assert_int_equal(r.sum[KC_REQUESTS], 0);
    assert_int_equal(r.sum[KC_TOKENS], 0);
    kc_ring_deinit(&r);
}

static void equal_and_older_stamps_share_the_newest_entry(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    kc_ring_add(&r, 1000, 1, 5);
    kc_ring_add(&r, 1000, 1, 5);
    kc_ring_add(&r, 900, 1, 5);
    assert_int_equal(r.len, 1);
    assert_int_equal(r.sum[KC_REQUESTS], 3);
    kc_ring_drop(&r, 900 + SPAN);
    assert_int_equal(r.sum[KC_REQUESTS], 3);
    kc_ring_deinit(&r);
}

static void it_is_an_exact_log_up_to_its_bound(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    for (uint64_t i = 1; i <= 32; i++)
        kc_ring_add(&r, i * 1000, 1, i);
    assert_int_equal(r.len, 32);
    for (uint64_t i = 1; i <= 32; i++) {
        assert_int_equal(kc_ring_free_at(&r, KC_REQUESTS, i), i * 1000 + SPAN);
        kc_ring_drop(&r, i * 1000 + SPAN - 1);
        assert_int_equal(r.sum[KC_REQUESTS], 33 - i);
        kc_ring_drop(&r, i * 1000 + SPAN);
        assert_int_equal(r.sum[KC_REQUESTS], 32 - i);
        if (i < 32)
            assert_int_equal(kc_ring_free_at(&r, KC_REQUESTS, 1),
                             (i + 1) * 1000 + SPAN);
        kc_ring_deinit(&r);
        r = a_ring();
        for (uint64_t j = 1; j <= 32; j++)
            kc_ring_add(&r, j * 1000, 1, j);
    }
    kc_ring_deinit(&r);
}

static void a_full_ring_fuses_the_closest_neighbours(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    for (uint64_t i = 0; i < 32; i++)
        kc_ring_add(&r, 1000 + i * 1000 - (i == 20 ? 900 : 0), 1, 1);
    kc_ring_add(&r, 40000, 1, 1);
    assert_int_equal(r.len, 32);
    assert_int_equal(r.sum[KC_REQUESTS], 33);
    /* Of the pair at 20,000 and 20,100 the older joined the newer. */
    kc_ring_drop(&r, 20000 + SPAN);
    assert_int_equal(r.sum[KC_REQUESTS], 33 - 19);
    kc_ring_drop(&r, 20100 + SPAN);
    assert_int_equal(r.sum[KC_REQUESTS], 33 - 21);
    kc_ring_deinit(&r);
}

static void a_full_ring_keeps_its_newest_entry_open_for_a_granule(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    for (uint64_t i = 0; i < 32; i++)
        kc_ring_add(&r, 1000 + i * 1000, 1, 1);
    kc_ring_add(&r, 32000 + kc_ring_granule_ms(&r), 1, 1);
    assert_int_equal(r.len, 32);
    assert_int_equal(kc_ring_free_at(&r, KC_REQUESTS, 32),
                     32000 + kc_ring_granule_ms(&r) + SPAN);
    kc_ring_deinit(&r);
}

static void a_refund_finds_the_entry_of_its_stamp_through_fusing(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    for (uint64_t i = 1; i <= 500; i++)
        kc_ring_add(&r, i * 100, 1, 10);
    assert_int_equal(r.sum[KC_TOKENS], 5000);
    for (uint64_t i = 1; i <= 500; i++)
        kc_ring_refund(&r, i * 100, 1, 10);
    assert_int_equal(r.sum[KC_REQUESTS], 0);
    assert_int_equal(r.sum[KC_TOKENS], 0);
    for (uint32_t i = 0; i < r.len; i++)
        assert_int_equal(r.entries[i].tokens, 0);
    kc_ring_deinit(&r);
}

static void a_refund_after_the_entry_left_takes_nothing(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    kc_ring_add(&r, 1000, 1, 10);
    kc_ring_add(&r, 50000, 1, 10);
    kc_ring_drop(&r, 1000 + SPAN);
    kc_ring_refund(&r, 1000, 1, 10);
    assert_int_equal(r.sum[KC_TOKENS], 10);
    kc_ring_refund(&r, 50001, 1, 10);
    assert_int_equal(r.sum[KC_TOKENS], 10);
    kc_ring_refund(&r, 50000, 9, 99);
    assert_int_equal(r.sum[KC_TOKENS], 0);
    assert_int_equal(r.sum[KC_REQUESTS], 0);
    kc_ring_deinit(&r);
}

static void free_at_counts_from_the_oldest(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    kc_ring_add(&r, 1000, 1, 10);
    kc_ring_add(&r, 2000, 3, 20);
    assert_int_equal(kc_ring_free_at(&r, KC_TOKENS, 10), 1000 + SPAN);
    assert_int_equal(kc_ring_free_at(&r, KC_TOKENS, 11), 2000 + SPAN);
    assert_int_equal(kc_ring_free_at(&r, KC_REQUESTS, 4), 2000 + SPAN);
    assert_true(kc_ring_free_at(&r, KC_REQUESTS, 5) == KC_NEVER);
    kc_ring_deinit(&r);
}

static void ticks_do_not_wrap_in_two_years(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    uint64_t at = UINT64_C(1700000000000);
    for (uint64_t i = 0; i < 1100; i++) {
        /* Two a window, then a day and a half of silence now and then. */
        at += i % 3 == 0 ? UINT64_C(129600000) : 20000;
        kc_ring_drop(&r, at - 1);
        kc_ring_add(&r, at, 1, 7);
        assert_int_equal(r.sum[KC_REQUESTS], 1 + i % 3);
        kc_ring_refund(&r, at, 0, 7);
        assert_int_equal(r.sum[KC_TOKENS], 0);
    }
    kc_ring_deinit(&r);
}

static void a_base_moves_along_under_steady_use(void **state)
{
    (void)state;
    struct kc_ring r;
    assert_int_equal(kc_ring_init(&r, 86400000, 64), KC_OK);
    uint64_t at = 1;
    for (uint64_t i = 0; i < 20000; i++, at += 1200000) {
        kc_ring_drop(&r, at - 1);
        kc_ring_add(&r, at, 1, 1);
        uint64_t least = i + 1 < 72 ? i + 1 : 72;
        assert_in_range(r.sum[KC_REQUESTS], least, least + 5);
    }
    assert_true(r.base_ms > UINT32_MAX);
    kc_ring_deinit(&r);
}

static void sums_do_not_overflow(void **state)
{
    (void)state;
    struct kc_ring r = a_ring();
    kc_ring_add(&r, 1, UINT64_MAX, UINT64_MAX - 5);
    kc_ring_add(&r, 1, 1, 10);
    kc_ring_add(&r, 2, 1, 10);
    assert_true(r.sum[KC_TOKENS] == UINT64_MAX);
    kc_ring_drop(&r, 2 + SPAN);
    assert_int_equal(r.sum[KC_TOKENS], 0);
    assert_int_equal(r.sum[KC_REQUESTS], 0);
    kc_ring_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            an_entry_leaves_at_its_tick_and_span_and_never_earlier),
        cmocka_unit_test(equal_and_older_stamps_share_the_newest_entry),
        cmocka_unit_test(it_is_an_exact_log_up_to_its_bound),
        cmocka_unit_test(a_full_ring_fuses_the_closest_neighbours),
        cmocka_unit_test(a_full_ring_keeps_its_newest_entry_open_for_a_granule),
        cmocka_unit_test(a_refund_finds_the_entry_of_its_stamp_through_fusing),
        cmocka_unit_test(a_refund_after_the_entry_left_takes_nothing),
        cmocka_unit_test(free_at_counts_from_the_oldest),
        cmocka_unit_test(ticks_do_not_wrap_in_two_years),
        cmocka_unit_test(a_base_moves_along_under_steady_use),
        cmocka_unit_test(sums_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
