/* side.h -- a window that few limits ask for: of any length, or of input and
 * output tokens told apart.
 *
 * Beside the meter, which counts what everybody asks for; made when limits
 * first want it, kept from then. Held, stamped and settled as there.
 */
#ifndef KC_ENGINE_SIDE_H
#define KC_ENGINE_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/block.h"
#include "engine/limits.h"
#include "engine/ring.h"
#include "util/err.h"

struct kc_cost { /* of one request */
    uint64_t tokens;
    uint64_t input; /* of them; the rest is output */
};

struct kc_held { /* by several requests: reserved, not settled */
    uint64_t requests;
    uint64_t tokens;
    uint64_t input; /* of them */
};

struct kc_side {
    struct kc_side *next;
    struct kc_ring ring;
    bool parts; /* its units are input and output tokens */
    uint64_t held[KC_UNITS];
    uint64_t unsettled[KC_UNITS]; /* stamped: some may come back */
};

/* kc_side_new makes an empty side. */
KC_CHECKED int kc_side_new(uint64_t span_ms, bool parts, struct kc_side **out);

/* kc_side_free takes NULL. */
void kc_side_free(struct kc_side *s);

/* kc_side_find returns the side of that length and kind in a list, or NULL. */
struct kc_side *kc_side_find(struct kc_side *list, uint64_t span_ms,
                             bool parts);

/* kc_side_check adds to `b` what keeps a request from passing; `s` NULL:
 * nothing was used yet. See kc_meter_check. */
void kc_side_check(struct kc_side *s, uint64_t now_ms,
                   const struct kc_side_limit *limit, struct kc_cost cost,
                   bool idle, struct kc_block *b);

/* kc_side_carry takes a request in: held, or stamped already. */
void kc_side_carry(struct kc_side *s, bool stamped, struct kc_cost cost);

/* kc_side_carry_others holds what other processes do, or with `back` does no
 * longer. */
void kc_side_carry_others(struct kc_side *s, bool back,
                          const struct kc_held *held);

void kc_side_stamp(struct kc_side *s, uint64_t now_ms, struct kc_cost cost);

/* kc_side_settle replaces what was reserved by the truth: `requests` is 1, or 0
 * when it was not sent. `stamp_ms` 0: it was never stamped. */
void kc_side_settle(struct kc_side *s, uint64_t now_ms, uint64_t stamp_ms,
                    struct kc_cost reserved, uint64_t requests,
                    struct kc_cost truth);

/* kc_side_clamp makes it count at least `total` of a unit. */
void kc_side_clamp(struct kc_side *s, uint64_t now_ms, int unit,
                   uint64_t total);

/* kc_side_book_at counts what happened at `at_ms`. */
void kc_side_book_at(struct kc_side *s, uint64_t now_ms, uint64_t at_ms,
                     uint64_t requests, struct kc_cost cost);

/* kc_side_book counts what a ring of requests and tokens holds. What was input
 * and what output nobody knows any more: either may be all of it. */
void kc_side_book(struct kc_side *s, uint64_t now_ms,
                  const struct kc_ring *from);

#endif
