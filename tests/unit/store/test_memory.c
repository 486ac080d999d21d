/* The store in memory keeps what the contract of a store says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/memory.h"
#include "unit/store/folder.h"

static struct kc_store *open_memory(void)
{
    struct kc_store *s;
    assert_int_equal(kc_memory_open(&s), KC_OK);
    return s;
}

static void gives_back_in_order_what_was_written(void **state)
{
    (void)state;
    struct kc_store *s = open_memory();
    struct sums sums = {0};
    for (uint64_t i = 0; i < 50; i++) {
        struct kc_row row = a_row(START_MS + i * 7919 % 50 * 2000, 1);
        assert_int_equal(kc_store_write(s, "w", &row, 1), KC_OK);
    }
    assert_int_equal(kc_store_read(s, "groq", sum_row, &sums), KC_OK);
    assert_int_equal(sums.rows, 50);
    assert_int_equal(sums.requests, 50);
    assert_false(sums.disorder);
    kc_store_close(s);
}

static void a_row_is_overwritten_by_its_own_writer_only(void **state)
{
    (void)state;
    struct kc_store *s = open_memory();
    struct sums sums = {0};
    struct kc_row row = a_row(START_MS, 5);
    assert_int_equal(kc_store_write(s, "a", &row, 1), KC_OK);
    assert_int_equal(kc_store_write(s, "b", &row, 1), KC_OK);
    row.requests = 2;
    assert_int_equal(kc_store_write(s, "a", &row, 1), KC_OK);
    assert_int_equal(kc_store_read(s, NULL, sum_row, &sums), KC_OK);
    assert_int_equal(sums.rows, 2);
    assert_int_equal(sums.requests, 7);
    kc_store_close(s);
}

static void tells_providers_apart(void **state)
{
    (void)state;
    struct kc_store *s = open_memory();
    struct sums none = {0}, both = {0};
    struct kc_row rows[2] = {a_row(START_MS, 5), a_row(START_MS, 6)};
    rows[1].provider = "openai";
    assert_int_equal(kc_store_write(s, "a", rows, 2), KC_OK);
    assert_int_equal(kc_store_read(s, "cohere", sum_row, &none), KC_OK);
    assert_int_equal(none.rows, 0);
    assert_int_equal(kc_store_read(s, NULL, sum_row, &both), KC_OK);
    assert_int_equal(both.requests, 11);
    assert_string_equal(kc_store_error(s), "");
    kc_store_forget(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_in_order_what_was_written),
        cmocka_unit_test(a_row_is_overwritten_by_its_own_writer_only),
        cmocka_unit_test(tells_providers_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
