/* split.h -- input and output tokens of a minute, where limits tell them apart.
 *
 * Beside the meter, which counts their sum, and made only where it is asked
 * for. Held, stamped and settled as there.
 */
#ifndef KC_ENGINE_SPLIT_H
#define KC_ENGINE_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/block.h"
#include "engine/limits.h"
#include "engine/ring.h"
#include "util/err.h"

struct kc_parts {
    uint64_t input;
    uint64_t output;
};

struct kc_split {
    struct kc_ring ring; /* input in place of requests, output of tokens */
    struct kc_parts held;
    struct kc_parts open; /* stamped, not settled */
};

/* kc_split_wanted: the limits tell input and output apart. */
bool kc_split_wanted(const struct kc_limits *limits);

/* kc_split_need makes *s where there is none. */
KC_CHECKED int kc_split_need(struct kc_split **s);

/* kc_split_free takes NULL. */
void kc_split_free(struct kc_split *s);

/* kc_split_check adds to `b` what keeps the parts from passing; `s` NULL:
 * nothing was used yet. See kc_meter_check. */
void kc_split_check(struct kc_split *s, uint64_t now_ms,
                    const struct kc_limits *limits, struct kc_parts cost,
                    bool idle, struct kc_block *b);

void kc_split_hold(struct kc_split *s, struct kc_parts cost);
void kc_split_stamp(struct kc_split *s, uint64_t now_ms, struct kc_parts cost);

/* kc_split_settle replaces what was reserved by the truth. `stamp_ms` 0: it was
 * never stamped. */
void kc_split_settle(struct kc_split *s, uint64_t now_ms, uint64_t stamp_ms,
                     struct kc_parts reserved, struct kc_parts truth);

/* kc_split_move gives `to` all that `from` counts, in flight too. */
void kc_split_move(struct kc_split *to, struct kc_split *from);

#endif
