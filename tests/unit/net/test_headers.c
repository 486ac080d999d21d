/* Header fields: any case, in order, and never two lines out of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/headers.h"

static void names_have_any_case_and_are_kept_lower(void **state)
{
    (void)state;
    struct kc_headers h;
    kc_headers_init(&h);
    assert_int_equal(kc_headers_add(&h, "Retry-After", "5"), KC_OK);
    assert_string_equal(h.list[0].name, "retry-after");
    assert_string_equal(kc_headers_get(&h, "RETRY-AFTER"), "5");
    assert_null(kc_headers_get(&h, "retry"));
    kc_headers_deinit(&h);
}

static void add_keeps_all_and_set_keeps_one(void **state)
{
    (void)state;
    struct kc_headers h;
    kc_headers_init(&h);
    for (int i = 0; i < 40; i++)
        assert_int_equal(kc_headers_add(&h, i % 2 ? "a" : "b", "old"), KC_OK);
    assert_int_equal(kc_headers_set(&h, "A", "new"), KC_OK);
    assert_int_equal(h.len, 21);
    assert_string_equal(kc_headers_get(&h, "a"), "new");
    assert_string_equal(kc_headers_get(&h, "b"), "old");
    kc_headers_deinit(&h);
    assert_int_equal(h.len, 0);
}

static void what_would_break_a_line_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "a b", "a:", "a\r\nb", "\xc3\xa4"};
    static const char *const values[] = {"x\r\nEvil: 1", "x\ny", "x\ry",
                                         "\x01", "\x7f"};
    struct kc_headers h;
    kc_headers_init(&h);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(kc_headers_add(&h, names[i], "x"), KC_EINVALID);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(kc_headers_add(&h, "a", values[i]), KC_EINVALID);
        assert_int_equal(kc_headers_set(&h, "a", values[i]), KC_EINVALID);
    }
    assert_int_equal(h.len, 0);
    assert_int_equal(kc_headers_add(&h, "a", ""), KC_OK);
    assert_int_equal(kc_headers_add(&h, "a", "b\tc \xe4"), KC_OK);
    kc_headers_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_any_case_and_are_kept_lower),
        cmocka_unit_test(add_keeps_all_and_set_keeps_one),
        cmocka_unit_test(what_would_break_a_line_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
