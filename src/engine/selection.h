/* selection.h -- in which order the keys are asked.
 *
 * Keys stand in tiers by priority, lower numbers first, and by index within a
 * tier. A choice looks at a tier's keys from `start` on, round and round. This
 * knows nothing of limits; the pool says what was taken.
 */
#ifndef KC_ENGINE_SELECTION_H
#define KC_ENGINE_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pool.h"

struct kc_tier {
    int priority;
    uint32_t *keys; /* indexes, ascending */
    size_t len;
    size_t cap;
    size_t start; /* where a choice begins */
    size_t last;  /* the place taken last, or forced */
    bool begun;   /* a choice was made */
};

struct kc_selector {
    enum kc_selection mode;
    struct kc_tier *tiers; /* ascending by priority; may be empty ones */
    size_t len;
};

void kc_selector_init(struct kc_selector *s, enum kc_selection mode);
void kc_selector_deinit(struct kc_selector *s);

/* kc_selector_put adds a key that is not there yet. */
KC_CHECKED int kc_selector_put(struct kc_selector *s, uint32_t key,
                               int priority);

/* kc_selector_remove takes a key out; harmless when it is not there. */
void kc_selector_remove(struct kc_selector *s, uint32_t key, int priority);

/* kc_selector_took says that the key at `place` of a tier was chosen. */
void kc_selector_took(struct kc_selector *s, size_t tier, size_t place);

/* kc_selector_rotate makes the next choice begin behind the last one. */
void kc_selector_rotate(struct kc_selector *s);

#endif
