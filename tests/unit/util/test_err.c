/* The table of errors: every code has its own name and words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "util/err.h"

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < KC_ERR_COUNT; i++) {
        assert_true(strlen(kc_err_name(i)) > 1);
        assert_true(strlen(kc_err_text(i)) > 1);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(kc_err_name(i), kc_err_name(k));
    }
    assert_string_equal(kc_err_name(KC_ELIMITED), "limited");
    assert_string_equal(kc_err_text(KC_ENOMEM), "out of memory");
}

static void what_is_no_code_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(kc_err_name(KC_OK), "ok");
    assert_string_equal(kc_err_name(-1), "unknown");
    assert_string_equal(kc_err_name(KC_ERR_COUNT), "unknown");
    assert_string_equal(kc_err_text(99999), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(what_is_no_code_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
