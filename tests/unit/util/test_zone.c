/* Days begin at local midnight, also where one has 23 hours or 25. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "util/zone.h"

#define HOUR_MS UINT64_C(3600000)
/* 2026-03-08T00:00 and 2026-11-01T00:00 in Los Angeles, as UTC. */
#define MARCH_8 (UINT64_C(1772956800) * 1000)
#define NOVEMBER_1 (UINT64_C(1793516400) * 1000)

static struct kc_zone pacific(void)
{
    struct kc_zone z;
    assert_int_equal(kc_zone_parse("PST8PDT,M3.2.0,M11.1.0", &z), KC_OK);
    return z;
}

static void a_day_begins_at_midnight(void **state)
{
    (void)state;
    struct kc_zone utc;
    assert_int_equal(kc_zone_parse("UTC0", &utc), KC_OK);
    uint64_t day = UINT64_C(1767225600000); /* 2026-01-01 */
    assert_true(kc_zone_midnight(&utc, day) == day + 24 * HOUR_MS);
    assert_true(kc_zone_midnight(&utc, day - 1) == day);
    assert_true(kc_zone_last_midnight(&utc, day) == day);
    assert_true(kc_zone_last_midnight(&utc, day + 24 * HOUR_MS - 1) == day);
}

static void a_day_in_march_has_23_hours_and_one_in_november_25(void **state)
{
    (void)state;
    struct kc_zone z = pacific();
    assert_true(kc_zone_midnight(&z, MARCH_8 - 1) == MARCH_8);
    assert_true(kc_zone_midnight(&z, MARCH_8) == MARCH_8 + 23 * HOUR_MS);
    assert_true(kc_zone_last_midnight(&z, MARCH_8 + 22 * HOUR_MS) == MARCH_8);
    assert_true(kc_zone_midnight(&z, NOVEMBER_1) == NOVEMBER_1 + 25 * HOUR_MS);
    assert_true(kc_zone_last_midnight(&z, NOVEMBER_1 + 24 * HOUR_MS) ==
                NOVEMBER_1);
}

static void rules_are_read_in_their_forms(void **state)
{
    (void)state;
    struct kc_zone z;
    assert_int_equal(kc_zone_parse("CET-1CEST,M3.5.0,M10.5.0/3", &z), KC_OK);
    assert_int_equal(z.offset_s, 3600);
    assert_int_equal(z.summer_offset_s, 7200);
    assert_int_equal(z.end.at_s, 3 * 3600);
    assert_int_equal(kc_zone_parse("<+0545>-5:45", &z), KC_OK);
    assert_int_equal(z.offset_s, 5 * 3600 + 45 * 60);
    assert_int_equal(kc_zone_parse("AEST-10AEDT,M10.1.0,M4.1.0/3", &z), KC_OK);
    assert_int_equal(z.begin.month, 10);
    static const char *const bad[] = {
        "", "X", "PST", "PST8PDT", "PST8PDT,M13.1.0,M1.1.0", "PST8PDT,J60,J300",
        "PST8PDT,M3.2.0", "PST8PDT,M3.2.0,M11.1.0x", "<+03", "UTC999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(kc_zone_parse(bad[i], &z), KC_EINVALID);
}

static void zones_have_names(void **state)
{
    (void)state;
    struct kc_zone z;
    assert_int_equal(kc_zone_find("UTC", &z), KC_OK);
    assert_int_equal(z.offset_s, 0);
    assert_int_equal(kc_zone_find("America/Los_Angeles", &z), KC_OK);
    assert_true(kc_zone_midnight(&z, MARCH_8) == MARCH_8 + 23 * HOUR_MS);
    static const char *const bad[] = {"", "Nowhere", "../../etc/passwd",
                                      "/etc/passwd", "UTC\n", "America"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(kc_zone_find(bad[i], &z), KC_ENOTFOUND);
}

/* Beside the C library, hour by hour over three years, north and south. */
static void midnights_are_those_of_the_c_library(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "PST8PDT,M3.2.0,M11.1.0", "CET-1CEST,M3.5.0,M10.5.0/3",
        "AEST-10AEDT,M10.1.0,M4.1.0/3", "<+0545>-5:45", "NST3:30NDT,M3.2.0,M11.1.0"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct kc_zone z;
        assert_int_equal(kc_zone_parse(rules[i], &z), KC_OK);
        setenv("TZ", rules[i], 1);
        tzset();
        for (time_t t = 1767225600; t < 1767225600 + 3 * 31536000; t += 3600) {
            struct tm tm;
            localtime_r(&t, &tm);
            tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
            tm.tm_isdst = -1;
            time_t last = mktime(&tm);
            uint64_t ours = kc_zone_last_midnight(&z, (uint64_t)t * 1000);
            assert_true(ours == (uint64_t)last * 1000);
            uint64_t next = kc_zone_midnight(&z, (uint64_t)t * 1000);
            assert_true(kc_zone_last_midnight(&z, next) == next);
            assert_true(kc_zone_last_midnight(&z, next - 1) == ours);
        }
    }
    unsetenv("TZ");
    tzset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_begins_at_midnight),
        cmocka_unit_test(a_day_in_march_has_23_hours_and_one_in_november_25),
        cmocka_unit_test(rules_are_read_in_their_forms),
        cmocka_unit_test(zones_have_names),
        cmocka_unit_test(midnights_are_those_of_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
