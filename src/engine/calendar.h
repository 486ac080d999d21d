/* calendar.h -- a day that begins at midnight of a zone, and what it has used.
 *
 * Beside the rolling day of a meter, whose ring tells what happened before the
 * limits asked for a calendar. Our day is held to last a little longer than the
 * zone's: the provider's clock is another.
 */
#ifndef KC_ENGINE_CALENDAR_H
#define KC_ENGINE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/limits.h"
#include "engine/ring.h"

struct kc_calendar {
    struct kc_zone zone;
    uint64_t start_ms;
    uint64_t end_ms; /* 0: the day rolls */
    uint64_t sum[KC_UNITS];
    uint64_t next[KC_UNITS]; /* of them what the next day begins with */
};

/* kc_calendar_keep makes *c the kind of day that the limits want and tells
 * whether it must be begun: it is new, over, or another zone's. Without memory
 * the day rolls, which is never looser for long: it forgets later. */
bool kc_calendar_keep(struct kc_calendar **c, uint64_t now_ms,
                      const struct kc_limits *limits);

/* kc_calendar_begin begins the day that `now_ms` lies in: with what came after
 * midnight where it follows the last one, else with what the ring of the
 * rolling day knows of it. */
void kc_calendar_begin(struct kc_calendar *c, uint64_t now_ms,
                       const struct kc_ring *day);

/* kc_calendar_on: the day is one of the calendar; `c` may be NULL. */
static inline bool kc_calendar_on(const struct kc_calendar *c)
{
    return c && c->end_ms != 0;
}

/* kc_calendar_over: the day is over and another must be begun. */
static inline bool kc_calendar_over(const struct kc_calendar *c,
                                    uint64_t now_ms)
{
    return kc_calendar_on(c) && now_ms >= c->end_ms;
}

/* kc_calendar_free_at returns when `need` units of `u` will have left; KC_NEVER
 * when there are fewer. */
uint64_t kc_calendar_free_at(const struct kc_calendar *c, enum kc_unit u,
                             uint64_t need);

/* kc_calendar_merge adds what the ring of another rolling day knows. */
void kc_calendar_merge(struct kc_calendar *c, const struct kc_ring *day);

/* kc_calendar_add and _refund book what was stamped at `stamp_ms`. */
void kc_calendar_add(struct kc_calendar *c, uint64_t stamp_ms,
                     uint64_t requests, uint64_t tokens);
void kc_calendar_refund(struct kc_calendar *c, uint64_t stamp_ms,
                        uint64_t requests, uint64_t tokens);

#endif
