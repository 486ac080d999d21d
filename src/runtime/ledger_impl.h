/* ledger_impl.h -- what ledger.c and lease.c share; nobody else includes it. */
#ifndef KC_RUNTIME_LEDGER_IMPL_H
#define KC_RUNTIME_LEDGER_IMPL_H

#include "runtime/ledger.h"
#include "util/map.h"

struct kc_ledger {
    size_t refs;
    struct kc_runtime *rt;
    struct kc_hub *hub;
    struct kc_peer peer;
    char *provider;
    struct kc_map models; /* name -> our copy of it */
    struct kc_timer timer;
    struct kc_follower follower; /* of a manual clock */
    struct kc_follower woken;    /* where others may serve its waits: */
    bool watches;                /* then it is followed */
    bool member;                 /* of a shared pool */
    size_t counted;              /* of its subscriptions, as calls */
    bool closed;
    struct kc_wait *waits; /* not yet ended */
};

/* kc_ledger_intern gives the model's name as long as the ledger lives: leases
 * and waiters point at it, so that a lease is one object. */
KC_CHECKED int kc_ledger_intern(struct kc_ledger *l, const char *model,
                                const char **out);

/* kc_ledger_arm sets the timer to the instant at which the queue moves;
 * KC_NEVER: to none. */
void kc_ledger_arm(struct kc_ledger *l, uint64_t at_ms);

/* kc_ledger_deliver takes in a waiter that was settled: marks its wait ready.
 */
void kc_ledger_deliver(struct kc_waiter *w);

#endif
