/* lease.h -- what is in flight: a table of slots.
 *
 * A lease is named by its slot and the slot's generation in one number, so the
 * name of a settled one is told from the lease that came after it. The leases
 * form a list in the order of their grants, the oldest first.
 */
#ifndef KC_ENGINE_LEASE_H
#define KC_ENGINE_LEASE_H

#include <stdint.h>

#include "util/err.h"

struct kc_split;

struct kc_lease {
    uint64_t id; /* 0 while the slot is free */
    uint64_t generation;
    uint64_t serial; /* number of the grant */
    uint64_t acquired_ms;
    uint64_t stamp_ms;   /* 0: not stamped */
    uint64_t tokens;     /* reserved */
    uint64_t input;      /* of them; at most all */
    struct kc_split *split; /* where its parts are held; NULL: nowhere */
    uint32_t key;        /* index, from 1 */
    uint32_t group;      /* place + 1 in the pool's groups; 0: none */
    uint32_t model;      /* id */
    uint32_t prev, next; /* slot + 1; 0 ends the list */
};

struct kc_leases {
    struct kc_lease *slots;
    uint32_t cap;
    uint32_t len;
    uint32_t free;           /* slot + 1 of a list by `next` */
    uint32_t oldest, newest; /* slot + 1 */
};

void kc_leases_init(struct kc_leases *t);
void kc_leases_deinit(struct kc_leases *t);

/* kc_leases_open takes a slot, sets its id and clears the rest. *out is
 * borrowed until the next open. KC_ENOMEM. */
KC_CHECKED int kc_leases_open(struct kc_leases *t, struct kc_lease **out);

/* kc_leases_get returns a lease that is out, or NULL for a stale name. */
struct kc_lease *kc_leases_get(const struct kc_leases *t, uint64_t id);

/* kc_leases_oldest returns the lease that is out the longest, or NULL. */
struct kc_lease *kc_leases_oldest(const struct kc_leases *t);

/* kc_leases_next returns the one that was granted after `l`, or NULL. */
struct kc_lease *kc_leases_next(const struct kc_leases *t,
                                const struct kc_lease *l);

/* kc_leases_close ends a lease: its name is stale from now. */
void kc_leases_close(struct kc_leases *t, struct kc_lease *l);

#endif
