/* queue.h -- the waiters of one model, in the order in which they are served.
 *
 * By priority, then by arrival; ten seconds of waiting are worth one priority,
 * so nobody starves. That makes a fixed number for each waiter, and the order
 * of two waiters never changes. Waiters lie in their owners' memory.
 */
#ifndef KC_ENGINE_QUEUE_H
#define KC_ENGINE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pool.h"

struct kc_queue { /* all zero: empty */
    struct kc_waiter *first, *last;
    size_t len;
    bool mixed;           /* some deadline is before that of one ahead of it */
    uint64_t deadline_ms; /* when mixed: the least one, unless stale */
    bool stale;
};

/* kc_waiter_order returns the number by which waiters are served. */
uint64_t kc_waiter_order(const struct kc_waiter *w);

/* kc_queue_insert puts `w` (queued_ms and priority are set) into its place. */
void kc_queue_insert(struct kc_queue *q, struct kc_waiter *w);

/* kc_queue_remove takes out a waiter that is in. */
void kc_queue_remove(struct kc_queue *q, struct kc_waiter *w);

/* kc_queue_deadline returns the least deadline of all waiters, or KC_NEVER. */
uint64_t kc_queue_deadline(struct kc_queue *q);

#endif
