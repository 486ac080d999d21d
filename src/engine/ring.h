/* ring.h -- what was used in the last `span` milliseconds, in few entries.
 *
 * An entry is (newest tick, requests, tokens), oldest first; it leaves at its
 * newest tick + span, never earlier, so no unit is forgotten too soon. As long
 * as no more than `bound` stamps are alive the ring is an exact log. A full one
 * fuses the two neighbours that lie closest, which holds no unit longer than
 * span + 2 span / bound + granule + 2 ms. A tick is 1 ms above a base that
 * moves along, so 32 bits are enough. Pure: no clock; every call is told now.
 */
#ifndef KC_ENGINE_RING_H
#define KC_ENGINE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/limits.h"
#include "util/err.h"

#define KC_RING_START 4 /* entries of a new ring; it doubles up to its bound \
                         */

struct kc_ring_entry {
    uint32_t tick;
    uint32_t requests;
    uint64_t tokens;
};

struct kc_ring {
    struct kc_ring_entry *entries;
    uint64_t base_ms; /* ticks count from here */
    uint64_t sum[KC_UNITS];
    uint32_t span_ms;
    uint32_t gone;   /* newest tick that has left */
    uint32_t opened; /* first tick of the newest entry */
    uint8_t cap;     /* a power of two */
    uint8_t bound;
    uint8_t head;
    uint8_t len;
};

/* kc_ring_bound returns the usual bound for a span. */
static inline uint32_t kc_ring_bound(uint64_t span_ms)
{
    return span_ms < kc_window_ms(KC_DAY) ? 32 : 64;
}

/* kc_ring_init makes an empty ring. `bound` is a power of two from
 * KC_RING_START to 128; `span_ms` is at most KC_SPAN_MAX_MS. */
KC_CHECKED int kc_ring_init(struct kc_ring *r, uint64_t span_ms,
                            uint32_t bound);
void kc_ring_deinit(struct kc_ring *r);

/* kc_ring_drop forgets what has left at `now_ms`. The sums are right for the
 * time of the last drop. */
void kc_ring_drop(struct kc_ring *r, uint64_t now_ms);

/* kc_ring_expiry returns when the oldest entry leaves; KC_NEVER for none. */
uint64_t kc_ring_expiry(const struct kc_ring *r);

/* kc_ring_add books units at `stamp_ms`, which is at least 1; before the newest
 * stamp it counts as the newest. It cannot fail: without memory it fuses. */
void kc_ring_add(struct kc_ring *r, uint64_t stamp_ms, uint64_t requests,
                 uint64_t tokens);

/* kc_ring_add_run books as one entry what was stamped from `first_ms` to
 * `last_ms`, all of it later than the newest entry. */
void kc_ring_add_run(struct kc_ring *r, uint64_t first_ms, uint64_t last_ms,
                     uint64_t requests, uint64_t tokens);

/* kc_ring_newest returns the newest stamp; 0 for none. */
uint64_t kc_ring_newest(const struct kc_ring *r);

/* kc_ring_granule_ms: for so long the newest entry of a full ring stays open.
 */
static inline uint32_t kc_ring_granule_ms(const struct kc_ring *r)
{
    return r->span_ms / (4 * (uint32_t)r->bound);
}

/* kc_ring_refund takes units back from the entry that holds `stamp_ms`; once
 * that has left there is nothing to take. */
void kc_ring_refund(struct kc_ring *r, uint64_t stamp_ms, uint64_t requests,
                    uint64_t tokens);

/* kc_ring_merge books in `r` all that `from` holds; what is older than the
 * newest of `r` counts as that. With `twice` the tokens of `from` are booked in
 * both units, and its requests in none. */
void kc_ring_merge(struct kc_ring *r, const struct kc_ring *from, bool twice);

/* kc_ring_since adds to `sum` what was stamped after `ms`; of an entry that
 * holds older units too, all of it. */
void kc_ring_since(const struct kc_ring *r, uint64_t ms,
                   uint64_t sum[KC_UNITS]);

/* kc_ring_free_at returns the first time at which `need` units of `u` have
 * left; KC_NEVER when there are fewer. */
uint64_t kc_ring_free_at(const struct kc_ring *r, enum kc_unit u,
                         uint64_t need);

#endif
