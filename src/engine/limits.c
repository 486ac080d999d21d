/* limits.c -- the names and the lengths of the windows. */
#include "engine/limits.h"

void kc_limits_unlimited(struct kc_limits *l)
{
    *l = (struct kc_limits){.minute_input = KC_UNLIMITED,
                            .minute_output = KC_UNLIMITED,
                            .concurrent = KC_UNLIMITED};
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            l->max[w][u] = KC_UNLIMITED;
}

uint64_t kc_window_ms(enum kc_window w)
{
    static const uint64_t ms[KC_WINDOWS] = {60000, 3600000, 86400000};
    return ms[w];
}

const char *kc_limit_name(enum kc_window w, enum kc_unit u)
{
    static const char *const names[KC_WINDOWS][KC_UNITS] = {
        {"requests_per_minute", "tokens_per_minute"},
        {"requests_per_hour", "tokens_per_hour"},
        {"requests_per_day", "tokens_per_day"},
    };
    return names[w][u];
}
