/* hub_impl.h -- the body of a hub, for hub.c and hub_share.c only. */
#ifndef KC_RUNTIME_HUB_IMPL_H
#define KC_RUNTIME_HUB_IMPL_H

#include <stdatomic.h>

#include "runtime/hub.h"
#include "runtime/writer.h"

struct kc_hub {
    atomic_size_t refs;
    atomic_size_t shares; /* of its memory: all refs together, a journal */
    unsigned generation; /* of forks */
    bool threads;        /* set before a second thread can know of it */
    struct kc_pool *pool;
    struct kc_clock *clock;
    atomic_uint keys_noted;
    pthread_mutex_t tie_lock;           /* held while the past is read */
    _Atomic(struct kc_writer *) writer; /* that keeps it, once there is one */

    /* under the registry's lock */
    char *name; /* under which it can be found, or NULL */
    size_t members;
    size_t claims;
    bool uses; /* they need the writer open */

    pthread_mutex_t lock; /* guards the rest, and the fields of peers */
    struct kc_peer *peers;
    struct kc_peer *sleepers, *last_sleeper; /* in the order they came */
    size_t waiting;        /* in the queue, over all */
    uint64_t told;         /* the place after the last event told of */
    atomic_uint listeners; /* read without the lock, too */
};

/* kc_hub_share_out gives up a share; with the last one the hub is freed. */
void kc_hub_share_out(struct kc_hub *h);

/* kc_hub_let_go: nobody can use the pool any more; its journal lets it go.
 * kc_hub_left: no member is left of its name. kc_hub_unuse: nor does the hub
 * need the writer open. */
void kc_hub_let_go(struct kc_hub *h);
void kc_hub_left(struct kc_hub *h);
void kc_hub_unuse(struct kc_hub *h, struct kc_writer *w);

#endif
