/* limits.c -- the names and the lengths of the windows. */
#include "engine/limits.h"

#include <stddef.h>

#include "util/num.h"

void kc_limits_unlimited(struct kc_limits *l)
{
    *l = (struct kc_limits){.concurrent = KC_UNLIMITED};
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            l->max[w][u] = KC_UNLIMITED;
}

static uint32_t find_side(const struct kc_limits *l, uint64_t span_ms,
                          bool parts)
{
    uint32_t i = 0;
    while (i < l->side_count &&
           (l->sides[i].span_ms != span_ms || l->sides[i].parts != parts))
        i++;
    return i;
}

struct kc_side_limit *kc_limits_side(struct kc_limits *l, uint64_t span_ms,
                                     bool parts)
{
    uint32_t i = find_side(l, span_ms, parts);
    if (i == KC_SIDES_MAX)
        return NULL;
    struct kc_side_limit *side = &l->sides[i];
    if (i == l->side_count) {
        l->side_count++;
        *side = (struct kc_side_limit){.span_ms = span_ms,
                                       .parts = parts,
                                       .max = {KC_UNLIMITED, KC_UNLIMITED}};
    }
    return side;
}

int kc_limits_lower(struct kc_limits *l, uint64_t span_ms, bool parts,
                    const uint64_t max[KC_UNITS])
{
    if (span_ms == 0 || span_ms > KC_SPAN_MAX_MS)
        return KC_EINVALID;
    if (max[0] == KC_UNLIMITED && max[1] == KC_UNLIMITED)
        return KC_OK;
    struct kc_side_limit *side = kc_limits_side(l, span_ms, parts);
    if (!side)
        return KC_EINVALID;
    for (int u = 0; u < KC_UNITS; u++)
        side->max[u] = kc_least(side->max[u], max[u]);
    return KC_OK;
}

void kc_limits_told(struct kc_limits *l, const struct kc_limits *told)
{
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            l->max[w][u] = kc_least(l->max[w][u], told->max[w][u]);
    for (uint32_t i = 0; i < told->side_count; i++) {
        const struct kc_side_limit *from = &told->sides[i];
        struct kc_side_limit *to =
            kc_limits_side(l, from->span_ms, from->parts);
        for (int u = 0; to && u < KC_UNITS; u++)
            to->max[u] = kc_least(to->max[u], from->max[u]);
    }
}

static bool same_sides(const struct kc_limits *a, const struct kc_limits *b)
{
    for (uint32_t i = 0; i < a->side_count; i++) {
        const struct kc_side_limit *x = &a->sides[i];
        uint32_t j = find_side(b, x->span_ms, x->parts);
        if (j == b->side_count || b->sides[j].max[0] != x->max[0] ||
            b->sides[j].max[1] != x->max[1])
            return false;
    }
    return a->side_count == b->side_count;
}

bool kc_limits_equal(const struct kc_limits *a, const struct kc_limits *b)
{
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            if (a->max[w][u] != b->max[w][u])
                return false;
    return same_sides(a, b) && a->concurrent == b->concurrent &&
           a->calendar == b->calendar &&
           (!a->calendar || kc_zone_equal(&a->zone, &b->zone));
}

uint64_t kc_window_ms(enum kc_window w)
{
    static const uint64_t ms[KC_WINDOWS] = {KC_MINUTE_MS, KC_HOUR_MS,
                                            KC_DAY_MS};
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
