/* block.h -- what stands in a request's way, and until when.
 *
 * One block collects what a key's state and all its windows say; the blocks of
 * several keys are then compared for the most hopeful one.
 */
#ifndef KC_ENGINE_BLOCK_H
#define KC_ENGINE_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/limits.h"
#include "util/err.h"

struct kc_block {
    int err; /* KC_OK: nothing; else KC_ELIMITED, KC_EIMPOSSIBLE, KC_ENOKEY,
              * KC_ENOMEM */
    uint64_t at_ms;    /* when it ends; KC_NEVER: by an event or not at all */
    uint64_t max;      /* of the limit, where it is a number */
    const char *limit; /* its name, static text */
    uint64_t span_ms;  /* of the limit's window, where the name does not say */
    uint32_t key;
};

/* kc_block_clear makes a block that lets everything pass. */
void kc_block_clear(struct kc_block *b, uint32_t key);

/* kc_block_add adds one reason: the worst and the latest one stays. Of two
 * limits that are too small for the request the smaller one stays. True when
 * it is the one that stays. */
bool kc_block_add(struct kc_block *b, int err, uint64_t at_ms,
                  const char *limit, uint64_t max);

/* kc_block_better says whether a request is better served by `a`'s key. Of two
 * impossible ones that is the key with the larger limit. */
bool kc_block_better(const struct kc_block *a, const struct kc_block *b);

#endif
