/* lease.h -- what is in flight: a table of slots.
 *
 * A lease is named by its slot and the slot's generation in one number, so the
 * name of a settled one is told from the lease that came after it. The leases
 * form a list by their start, the oldest first: a lease starts when it is
 * granted, or anew when our own transport has sent its request.
 */
#ifndef KC_ENGINE_LEASE_H
#define KC_ENGINE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/side.h"
#include "util/err.h"

struct kc_lease {
    uint64_t id; /* 0 while the slot is free */
    uint64_t generation;
    uint64_t serial;   /* number of the grant */
    uint64_t start_ms; /* granted, or sent where our transport tells */
    uint64_t stamp_ms; /* 0: not stamped */
    struct kc_cost cost; /* reserved */
    uint32_t key;        /* index, from 1 */
    uint32_t group;      /* place + 1 in the pool's groups; 0: none */
    uint32_t model;      /* id */
    uint32_t prev, next; /* slot + 1; 0 ends the list */
    bool apart;          /* not charged to what all models have together */
    bool unsent;         /* our transport will tell when it is sent */
    bool ended;          /* our transport has its whole answer */
    bool tallied;        /* the tally of its scope holds it */
};

struct kc_leases {
    struct kc_lease *slots;
    uint32_t cap;
    uint32_t len;
    uint32_t free;           /* slot + 1 of a list by `next` */
    uint32_t oldest, newest; /* slot + 1 */
    uint32_t due; /* slot + 1 of the oldest that is to be stamped by itself */
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

/* kc_leases_due returns the oldest one that is sent and not stamped, or NULL.
 */
struct kc_lease *kc_leases_due(const struct kc_leases *t);

/* kc_leases_pass: `l` was stamped, or waits for its transport. */
void kc_leases_pass(struct kc_leases *t, const struct kc_lease *l);

/* kc_leases_restart makes `l`, which is not stamped, the newest of all. */
void kc_leases_restart(struct kc_leases *t, struct kc_lease *l);

/* kc_leases_close ends a lease: its name is stale from now. */
void kc_leases_close(struct kc_leases *t, struct kc_lease *l);

#endif
