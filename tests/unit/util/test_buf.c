/* The buffer: its maximum, its NUL, and who owns the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "util/buf.h"

static void an_empty_buffer_is_an_empty_text(void **state)
{
    (void)state;
    struct kc_buf b;
    kc_buf_init(&b, 10);
    assert_string_equal(kc_buf_str(&b), "");
    kc_buf_clear(&b);
    assert_int_equal(b.len, 0);
    kc_buf_deinit(&b);
}

static void grows_and_stays_a_text(void **state)
{
    (void)state;
    struct kc_buf b;
    kc_buf_init(&b, 100000);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(kc_buf_addch(&b, (char)('a' + i % 26)), KC_OK);
        assert_int_equal(b.data[b.len], '\0');
    }
    assert_int_equal(b.len, 10000);
    assert_int_equal(b.data[9999], 'a' + 9999 % 26);
    kc_buf_deinit(&b);
    assert_int_equal(kc_buf_addstr(&b, "again"), KC_OK);
    assert_string_equal(kc_buf_str(&b), "again");
    kc_buf_deinit(&b);
}

static void never_passes_its_maximum(void **state)
{
    (void)state;
    struct kc_buf b;
    kc_buf_init(&b, 8);
    assert_int_equal(kc_buf_addstr(&b, "12345678"), KC_OK);
    assert_int_equal(kc_buf_addch(&b, '9'), KC_ETOOLARGE);
    assert_int_equal(kc_buf_addf(&b, "%d", 9), KC_ETOOLARGE);
    assert_int_equal(kc_buf_reserve(&b, SIZE_MAX), KC_ETOOLARGE);
    assert_int_equal(kc_buf_add(&b, NULL, 0), KC_OK);
    assert_string_equal(kc_buf_str(&b), "12345678");
    kc_buf_deinit(&b);
}

static void formats_what_is_longer_than_its_room(void **state)
{
    (void)state;
    struct kc_buf b;
    kc_buf_init(&b, 1000);
    assert_int_equal(kc_buf_addstr(&b, "n="), KC_OK);
    assert_int_equal(kc_buf_addf(&b, "%200d.", 7), KC_OK);
    assert_int_equal(b.len, 203);
    assert_string_equal(b.data + 200, " 7.");
    kc_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_text),
        cmocka_unit_test(grows_and_stays_a_text),
        cmocka_unit_test(never_passes_its_maximum),
        cmocka_unit_test(formats_what_is_longer_than_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
