/* calendar.c -- see calendar.h. */
#include "engine/calendar.h"

#include <stdlib.h>

#include "util/num.h"

#define SKEW_MS 2000 /* ENGINE.md, section 2 */

bool kc_calendar_keep(struct kc_calendar **c, uint64_t now_ms,
                      const struct kc_limits *limits)
{
    if (!limits->calendar) {
        if (*c)
            (*c)->end_ms = 0;
        return false;
    }
    if (!*c)
        *c = calloc(1, sizeof **c);
    if (!*c)
        return false;
    bool other = !kc_zone_equal(&(*c)->zone, &limits->zone);
    (*c)->zone = limits->zone;
    return (*c)->end_ms == 0 || other || kc_calendar_over(*c, now_ms);
}

void kc_calendar_begin(struct kc_calendar *c, uint64_t now_ms,
                       const struct kc_ring *day)
{
    uint64_t then = now_ms > SKEW_MS ? now_ms - SKEW_MS : 0;
    c->start_ms = kc_zone_last_midnight(&c->zone, then);
    c->end_ms = kc_zone_midnight(&c->zone, then) + SKEW_MS;
    c->sum[KC_REQUESTS] = c->sum[KC_TOKENS] = 0;
    kc_ring_since(day, c->start_ms, c->sum);
}

uint64_t kc_calendar_midnight(const struct kc_calendar *c)
{
    return c->end_ms - SKEW_MS;
}

uint64_t kc_calendar_free_at(const struct kc_calendar *c, enum kc_unit u,
                             uint64_t need, const uint64_t next[KC_UNITS])
{
    uint64_t sum = c->sum[u];
    if (need > sum)
        return KC_NEVER;
    if (need <= sum - kc_least(sum, next[u]))
        return c->end_ms;
    return kc_zone_midnight(&c->zone, c->end_ms) + SKEW_MS;
}

void kc_calendar_add(struct kc_calendar *c, uint64_t stamp_ms,
                     uint64_t requests, uint64_t tokens)
{
    if (!kc_calendar_on(c) || stamp_ms <= c->start_ms)
        return;
    c->sum[KC_REQUESTS] = kc_add_capped(c->sum[KC_REQUESTS], requests);
    c->sum[KC_TOKENS] = kc_add_capped(c->sum[KC_TOKENS], tokens);
}

void kc_calendar_refund(struct kc_calendar *c, uint64_t stamp_ms,
                        uint64_t requests, uint64_t tokens)
{
    if (!kc_calendar_on(c) || stamp_ms <= c->start_ms)
        return;
    c->sum[KC_REQUESTS] -= kc_least(c->sum[KC_REQUESTS], requests);
    c->sum[KC_TOKENS] -= kc_least(c->sum[KC_TOKENS], tokens);
}
