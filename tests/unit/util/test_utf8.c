/* What is UTF-8 and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/utf8.h"

static void whole_characters_are(void **state)
{
    (void)state;
    assert_true(kc_is_utf8(""));
    assert_true(kc_is_utf8("gpt-4o"));
    assert_true(kc_is_utf8("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91"));
    assert_int_equal(kc_utf8_len("\xe2\x82\xac", 3), 3);
}

static void cut_long_and_impossible_ones_are_not(void **state)
{
    static const char *const odd[] = {"\xff",
                                      "a\xc3",
                                      "\xe2\x82",
                                      "\xa9",
                                      "\xc0\xaf",
                                      "\xe0\x80\xaf",
                                      "\xed\xa0\x80",
                                      "\xc3(",
                                      "\xf4\x90\x80\x80",
                                      "\xf0\x80\x80\xaf"};
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_false(kc_is_utf8(odd[i]));
    assert_int_equal(kc_utf8_len("\xe2\x82\xac", 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_characters_are),
        cmocka_unit_test(cut_long_and_impossible_ones_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
