/* Letters and numbers as C has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "util/ascii.h"

static void letters_are_those_of_ascii(void **state)
{
    (void)state;
    int alnum = 0, hex = 0, space = 0;
    for (int c = 0; c < 256; c++) {
        alnum += kc_is_alnum((char)c);
        hex += kc_is_hex((char)c);
        space += kc_is_space((char)c);
    }
    assert_int_equal(alnum, 62);
    assert_int_equal(hex, 22);
    assert_int_equal(space, 6);
}

static void words_are_compared_without_case(void **state)
{
    (void)state;
    assert_int_equal(kc_lower('I'), 'i');
    assert_int_equal(kc_lower('['), '[');
    assert_true(kc_same_word("Retry-ID", "retry-id"));
    assert_false(kc_same_word("retry", "retry-id"));
    assert_false(kc_same_word("retry-id", "retry"));
    assert_true(kc_same_word("", ""));
    assert_false(kc_same_word("\xc9", "\xe9"));
    assert_true(kc_starts_with("SQLITE:x", "sqlite"));
    assert_false(kc_starts_with("sql", "sqlite"));
    assert_true(kc_starts_with("sql", ""));
}

static void the_locale_is_given_back(void **state)
{
    (void)state;
    locale_t own = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
    if (!own)
        skip();
    locale_t before = uselocale(own);
    locale_t mine = kc_numbers_begin();
    assert_ptr_not_equal(uselocale((locale_t)0), own);
    assert_true(strtod("0.5", NULL) == 0.5);
    kc_numbers_end(mine);
    assert_ptr_equal(uselocale(before), own);
    freelocale(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_those_of_ascii),
        cmocka_unit_test(words_are_compared_without_case),
        cmocka_unit_test(the_locale_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
