/* Leases are told from those that had their slot before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/lease.h"

static void a_settled_name_is_stale_though_its_slot_is_used_again(void **state)
{
    (void)state;
    struct kc_leases t;
    kc_leases_init(&t);
    struct kc_lease *l;
    assert_int_equal(kc_leases_open(&t, &l), KC_OK);
    uint64_t old = l->id;
    assert_true(old != 0);
    assert_ptr_equal(kc_leases_get(&t, old), l);
    kc_leases_close(&t, l);
    assert_null(kc_leases_get(&t, old));
    assert_int_equal(kc_leases_open(&t, &l), KC_OK);
    assert_true(l->id != old);
    assert_null(kc_leases_get(&t, old));
    assert_null(kc_leases_get(&t, 0));
    assert_null(kc_leases_get(&t, UINT64_MAX));
    kc_leases_deinit(&t);
}

static void the_table_grows_and_keeps_the_order_of_age(void **state)
{
    (void)state;
    struct kc_leases t;
    uint64_t ids[100];
    struct kc_lease *l;
    kc_leases_init(&t);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(kc_leases_open(&t, &l), KC_OK);
        l->serial = i;
        ids[i] = l->id;
    }
    for (int i = 0; i < 100; i += 2)
        kc_leases_close(&t, kc_leases_get(&t, ids[i]));
    assert_int_equal(t.len, 50);
    for (uint64_t i = 1; i < 100; i += 2) {
        l = kc_leases_oldest(&t);
        assert_int_equal(l->serial, i);
        kc_leases_close(&t, l);
    }
    assert_null(kc_leases_oldest(&t));
    assert_int_equal(t.len, 0);
    kc_leases_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_settled_name_is_stale_though_its_slot_is_used_again),
        cmocka_unit_test(the_table_grows_and_keeps_the_order_of_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
