/* Log lines: levels, the cut, silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "util/log.h"

struct heard {
    int lines;
    enum kc_level level;
    char last[2000];
};

static void listen_to(void *ctx, enum kc_level level, const char *line)
{
    struct heard *h = ctx;
    h->lines++;
    h->level = level;
    strncpy(h->last, line, sizeof h->last - 1);
}

static void passes_what_is_at_its_level_or_graver(void **state)
{
    (void)state;
    struct heard h = {0};
    struct kc_log log = {listen_to, &h, KC_LOG_WARN};
    kc_log_line(&log, KC_LOG_INFO, "not heard");
    assert_int_equal(h.lines, 0);
    kc_log_line(&log, KC_LOG_WARN, "key %d of %s", 2, "groq");
    assert_string_equal(h.last, "key 2 of groq");
    kc_log_line(&log, KC_LOG_ERROR, "graver");
    assert_int_equal(h.lines, 2);
    assert_int_equal(h.level, KC_LOG_ERROR);
}

static void cuts_what_is_too_long(void **state)
{
    (void)state;
    struct heard h = {0};
    struct kc_log log = {listen_to, &h, KC_LOG_DEBUG};
    kc_log_line(&log, KC_LOG_DEBUG, "%1500d", 1);
    assert_int_equal(strlen(h.last), 1000);
}

static void is_silent_without_a_sink(void **state)
{
    (void)state;
    struct kc_log log = {NULL, NULL, KC_LOG_DEBUG};
    kc_log_line(&log, KC_LOG_ERROR, "nobody");
    kc_log_line(NULL, KC_LOG_ERROR, "nobody");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_what_is_at_its_level_or_graver),
        cmocka_unit_test(cuts_what_is_too_long),
        cmocka_unit_test(is_silent_without_a_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
