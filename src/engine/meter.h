/* meter.h -- the counting state of one scope: a key, or a key for one model.
 *
 * Three windows by two units. A request is held from acquire (it counts in
 * every window and does not age), stamped once the provider has counted it
 * (from then it ages), and settled when the truth is known. Stamps round up and
 * `now` rounds down: what happens in a millisecond counts until the end of it.
 *
 * What was stamped last lies open beside the rings, one entry for all windows,
 * so that the common call touches this struct alone. For the same reason the
 * least room that the windows leave is remembered: never more than there is,
 * less where something was given back.
 */
#ifndef KC_ENGINE_METER_H
#define KC_ENGINE_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/block.h"
#include "engine/calendar.h"
#include "engine/limits.h"
#include "engine/ring.h"
#include "engine/side.h"
#include "util/err.h"

struct kc_meter {
    struct kc_calendar *calendar; /* NULL: none was asked for yet */
    struct kc_side *sides;        /* the same */
    uint64_t held_tokens;         /* acquired, not stamped */
    uint64_t unsettled_tokens;    /* stamped, not settled: some may come back */
    uint32_t held_requests;
    uint32_t in_flight; /* not settled */
    uint32_t ended;     /* of them: nothing more of their answers will come */
    uint64_t open_ms;   /* its first stamp; 0: nothing is open */
    uint64_t open_tokens;
    uint32_t open_requests;
    uint32_t open_span; /* from its first stamp to its last */
    uint64_t expiry_ms; /* nothing leaves before, and no day ends */
    int64_t room_tokens; /* what the fullest window leaves to the open entry */
    int32_t room_requests;
    uint32_t epoch; /* of the limits for which that holds; 0: of none */
    struct kc_ring rings[KC_WINDOWS]; /* without what is open */
};

/* kc_meter_init makes an empty meter; on failure there is nothing to free. */
KC_CHECKED int kc_meter_init(struct kc_meter *m);
void kc_meter_deinit(struct kc_meter *m);

/* kc_meter_passes tells at a glance that the limits of `epoch` let one request
 * of `tokens` pass; false: kc_meter_check must tell. */
static inline bool kc_meter_passes(const struct kc_meter *m, uint64_t now_ms,
                                   uint32_t epoch, uint64_t tokens)
{
    int64_t n = (int64_t)(m->held_tokens + m->open_tokens + tokens);
    int64_t requests = (int64_t)m->held_requests + m->open_requests + 1;
    return m->epoch == epoch && now_ms < m->expiry_ms && n <= m->room_tokens &&
           requests <= m->room_requests;
}

/* kc_meter_check adds to `b` what keeps one request from passing. `m` NULL:
 * nothing was used yet. With `idle` it reckons as if all that is in flight were
 * given back: never later than the truth will be. Changes no count. */
void kc_meter_check(struct kc_meter *m, uint64_t now_ms,
                    const struct kc_limits *limits, struct kc_cost cost,
                    bool idle, struct kc_block *b);

/* kc_meter_remember has kc_meter_passes answer for these limits, which are the
 * only ones that `epoch` means here, until something changes. */
void kc_meter_remember(struct kc_meter *m, const struct kc_limits *limits,
                       uint32_t epoch);

/* kc_meter_load tells how full it is: the fullest window's share of its limit
 * in 1/2^16, then what is in flight. Of two meters the one with the lower
 * number is the less loaded. As of the last kc_meter_check; NULL: 0. */
uint64_t kc_meter_load(const struct kc_meter *m,
                       const struct kc_limits *limits);

/* kc_meter_fits tells how many requests of `tokens` would still pass at once;
 * UINT64_MAX without a limit. As of the last kc_meter_check; NULL: unused. */
uint64_t kc_meter_fits(const struct kc_meter *m,
                       const struct kc_limits *limits, uint64_t tokens);

/* kc_meter_need_side makes the window that a limit asks for, with what the next
 * longer one knows. *made gets it when it is new, else NULL: the caller carries
 * over what is in flight. */
KC_CHECKED int kc_meter_need_side(struct kc_meter *m, uint64_t now_ms,
                                  const struct kc_side_limit *limit,
                                  struct kc_side **made);

/* kc_meter_hold reserves one request and its tokens. */
void kc_meter_hold(struct kc_meter *m, struct kc_cost cost);

/* kc_meter_stamp lets a held request age and returns its stamp, which is the
 * same in every meter that is told the same time. */
uint64_t kc_meter_stamp(struct kc_meter *m, uint64_t now_ms,
                        struct kc_cost cost);

/* kc_meter_end: the answer to a request in flight has ended, which frees its
 * place; with `undo` it has not after all. */
void kc_meter_end(struct kc_meter *m, bool undo);

struct kc_charge {     /* how one request ended */
    uint64_t stamp_ms; /* 0: never stamped */
    struct kc_cost reserved;
    bool ended;        /* kc_meter_end was told */
    uint64_t requests; /* the truth: 1, or 0 when it was not sent */
    struct kc_cost used;
};

/* kc_meter_settle replaces a reservation by the truth. */
void kc_meter_settle(struct kc_meter *m, uint64_t now_ms,
                     const struct kc_charge *c);

/* kc_meter_hold_others: other processes hold requests of this, too, or with
 * `back` do no longer. Those do not age. */
void kc_meter_hold_others(struct kc_meter *m, bool back,
                          const struct kc_held *held);

/* kc_meter_keep_day makes the day the kind that the limits want, so that what
 * is booked counts in it. */
void kc_meter_keep_day(struct kc_meter *m, uint64_t now_ms,
                       const struct kc_limits *limits);

/* kc_meter_book counts what happened at `at_ms`, in the windows that still
 * reach there. */
void kc_meter_book(struct kc_meter *m, uint64_t now_ms, uint64_t at_ms,
                   uint64_t requests, struct kc_cost cost);

/* kc_meter_clamp makes one window count at least `total`: what it lacks, others
 * have used, and in the longer windows, too. The limits tell which day is
 * meant. */
void kc_meter_clamp(struct kc_meter *m, uint64_t now_ms,
                    const struct kc_limits *limits, enum kc_window w,
                    enum kc_unit u, uint64_t total);

/* kc_meter_merge adds to `m` all that `from` has stamped; what is in flight is
 * told lease by lease, by kc_meter_carry. */
void kc_meter_merge(struct kc_meter *m, uint64_t now_ms, struct kc_meter *from);
void kc_meter_carry(struct kc_meter *m, bool stamped, struct kc_cost cost);

/* kc_meter_used adds what counts in each window now, in flight included. */
void kc_meter_used(struct kc_meter *m, uint64_t now_ms,
                   uint64_t used[KC_WINDOWS][KC_UNITS]);

#endif
