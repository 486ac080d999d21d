/* calendar.c -- see calendar.h. */
#include "engine/calendar.h"

#include <stdlib.h>

#include "util/num.h"

#define SKEW_MS 2000 /* by which the provider's clock may differ from ours */

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
    if (!kc_zone_equal(&(*c)->zone, &limits->zone))
        (*c)->end_ms = 0;
    (*c)->zone = limits->zone;
    return (*c)->end_ms == 0 || kc_calendar_over(*c, now_ms);
}

static uint64_t midnight(const struct kc_calendar *c)
{
    return c->end_ms - SKEW_MS;
}

void kc_calendar_merge(struct kc_calendar *c, const struct kc_ring *day)
{
    kc_ring_since(day, c->start_ms, c->sum);
    kc_ring_since(day, midnight(c), c->next);
}

void kc_calendar_begin(struct kc_calendar *c, uint64_t now_ms,
                       const struct kc_ring *day)
{
    uint64_t then = now_ms > SKEW_MS ? now_ms - SKEW_MS : 0;
    uint64_t start_ms = kc_zone_last_midnight(&c->zone, then);
    /* The ring may be too short for a day of 25 hours and the skew. */
    bool follows = kc_calendar_on(c) && start_ms == midnight(c);
    c->start_ms = start_ms;
    c->end_ms = kc_zone_midnight(&c->zone, then) + SKEW_MS;
    for (int u = 0; u < KC_UNITS; u++) {
        c->sum[u] = follows ? c->next[u] : 0;
        c->next[u] = 0;
    }
    if (!follows)
        kc_calendar_merge(c, day);
}

uint64_t kc_calendar_free_at(const struct kc_calendar *c, enum kc_unit u,
                             uint64_t need)
{
    if (need > c->sum[u])
        return KC_NEVER;
    if (need <= c->sum[u] - kc_least(c->sum[u], c->next[u]))
        return c->end_ms;
    return kc_zone_midnight(&c->zone, c->end_ms) + SKEW_MS;
}

static void add(uint64_t sum[KC_UNITS], uint64_t requests, uint64_t tokens)
{
    sum[KC_REQUESTS] = kc_add_capped(sum[KC_REQUESTS], requests);
    sum[KC_TOKENS] = kc_add_capped(sum[KC_TOKENS], tokens);
}

void kc_calendar_add(struct kc_calendar *c, uint64_t stamp_ms,
                     uint64_t requests, uint64_t tokens)
{
    if (!kc_calendar_on(c) || stamp_ms <= c->start_ms)
        return;
    add(c->sum, requests, tokens);
    if (stamp_ms > midnight(c))
        add(c->next, requests, tokens);
}

static void take(uint64_t sum[KC_UNITS], uint64_t requests, uint64_t tokens)
{
    sum[KC_REQUESTS] -= kc_least(sum[KC_REQUESTS], requests);
    sum[KC_TOKENS] -= kc_least(sum[KC_TOKENS], tokens);
}

void kc_calendar_refund(struct kc_calendar *c, uint64_t stamp_ms,
                        uint64_t requests, uint64_t tokens)
{
    if (!kc_calendar_on(c) || stamp_ms <= c->start_ms)
        return;
    take(c->sum, requests, tokens);
    if (stamp_ms > midnight(c))
        take(c->next, requests, tokens);
}
