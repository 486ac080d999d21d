/* cpool_impl.h -- what the files of keycycle.h's pools share; nobody else
 * includes it. */
#ifndef KC_RUNTIME_CPOOL_IMPL_H
#define KC_RUNTIME_CPOOL_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "keycycle.h"
#include "runtime/hub.h"
#include "runtime/writer.h"
#include "util/export.h"

struct keycycle_pool {
    unsigned generation; /* of forks */
    char *name;          /* NULL: private */
    char *provider;
    bool kept; /* a store was named */
    uint32_t keep_days;
    atomic_bool ready;    /* the hub is the one that stays */
    atomic_bool stopped;  /* nothing more is given */
    pthread_mutex_t lock; /* of changes before and after that; comes before
                           * the hub's and the registry's */
    /* under the lock until `ready`, and then as they are: */
    struct kc_hub *hub;
    struct kc_writer *writer; /* NULL: none, or not open yet */
    struct kc_buf url;        /* of the store, until it is open */
    bool member;              /* of the name */
    char error[256];          /* why the pool could not begin */
};

/* kc_cpool_is_forked: it is the parent's, and its lock may be held for ever. */
bool kc_cpool_is_forked(const struct keycycle_pool *p);

/* kc_cpool_free lets go of all; in another process than its own, too. */
void kc_cpool_free(struct keycycle_pool *p);

/* kc_cpool_use gives the hub to work on: with the first use the name and the
 * store take effect. KC_EINVALID for NULL. */
KC_CHECKED int kc_cpool_use(struct keycycle_pool *p, struct kc_hub **hub);

/* kc_cpool_serve is the same for what gives keys or events: KC_ECLOSED once the
 * pool is stopped. */
KC_CHECKED int kc_cpool_serve(struct keycycle_pool *p, struct kc_hub **hub);

#endif
