/* cpool_impl.h -- what cpool.c and clease.c share; nobody else includes it.
 */
#ifndef KC_RUNTIME_CPOOL_IMPL_H
#define KC_RUNTIME_CPOOL_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "keycycle.h"
#include "runtime/hub.h"

#define EXPORT __attribute__((visibility("default")))

struct keycycle_pool {
    unsigned generation; /* of forks */
    char *name;          /* NULL: private */
    char *provider;
    atomic_bool ready;    /* the hub is the one that stays */
    pthread_mutex_t lock; /* of changes before and after that; comes before
                           * the hub's and the registry's */
    struct kc_hub *hub;
};

/* kc_cpool_use gives the hub to work on: with the first use the name takes
 * effect. */
KC_CHECKED int kc_cpool_use(struct keycycle_pool *p, struct kc_hub **hub);

#endif
