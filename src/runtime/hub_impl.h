/* hub_impl.h -- the body of a hub, for hub.c and hub_share.c only. */
#ifndef KC_RUNTIME_HUB_IMPL_H
#define KC_RUNTIME_HUB_IMPL_H

#include <stdatomic.h>

#include "runtime/hub.h"

struct kc_hub {
    atomic_size_t refs;
    unsigned generation; /* of forks */
    bool threads;        /* set before a second thread can know of it */
    struct kc_pool *pool;
    struct kc_clock *clock;
    atomic_bool restored;
    atomic_uint keys_noted;

    /* under the registry's lock */
    char *name; /* under which it can be found, or NULL */
    size_t members;
    size_t claims;

    pthread_mutex_t lock; /* guards the rest, and the fields of peers */
    struct kc_peer *peers;
    struct kc_peer *sleepers, *last_sleeper; /* in the order they came */
    size_t waiting;        /* in the queue, over all */
    uint64_t told;         /* the place after the last event told of */
    atomic_uint listeners; /* read without the lock, too */
};

#endif
