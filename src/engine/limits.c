/* limits.c -- the names and the lengths of the windows. */
#include "engine/limits.h"

#include <stddef.h>

void kc_limits_unlimited(struct kc_limits *l)
{
    *l = (struct kc_limits){.concurrent = KC_UNLIMITED};
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            l->max[w][u] = KC_UNLIMITED;
}

struct kc_side_limit *kc_limits_side(struct kc_limits *l, uint64_t span_ms,
                                     bool parts)
{
    for (uint32_t i = 0; i < l->side_count; i++)
        if (l->sides[i].span_ms == span_ms && l->sides[i].parts == parts)
            return &l->sides[i];
    if (l->side_count == KC_SIDES_MAX)
        return NULL;
    struct kc_side_limit *side = &l->sides[l->side_count++];
    *side = (struct kc_side_limit){.span_ms = span_ms,
                                   .parts = parts,
                                   .max = {KC_UNLIMITED, KC_UNLIMITED}};
    return side;
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

const char *kc_side_limit_name(const struct kc_side_limit *side, int unit)
{
    static const char *const names[2][2][KC_UNITS] = {
        {{"requests_per_window", "tokens_per_window"},
         {"input_tokens_per_window", "output_tokens_per_window"}},
        {{"requests_per_minute", "tokens_per_minute"},
         {"input_tokens_per_minute", "output_tokens_per_minute"}},
    };
    bool minute = side->span_ms == kc_window_ms(KC_MINUTE);
    return names[minute][side->parts][unit];
}
