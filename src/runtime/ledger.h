/* ledger.h -- a pool at work: its clock, its store, and those who wait.
 *
 * The engine is told the time and knows no store; the ledger reads the clock,
 * has a journal keep the pool, pumps the queue after whatever may have freed a
 * key and at the instant the engine names. Reference counted: leases,
 * waits and calls hold one. One thread; several ledgers may share one pool
 * (hub.h), and then each answers KC_EFORKED in a forked child.
 */
#ifndef KC_RUNTIME_LEDGER_H
#define KC_RUNTIME_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/pool.h"
#include "runtime/hub.h"
#include "runtime/runtime.h"
#include "runtime/writer.h"
#include "util/clock.h"
#include "util/err.h"

struct kc_ledger;

/* kc_ledger_new makes a ledger over a new pool. Refs `rt` and `clock` (NULL:
 * the machine's), copies `provider`. */
KC_CHECKED int kc_ledger_new(struct kc_runtime *rt, const char *provider,
                             const struct kc_pool_config *config,
                             struct kc_clock *clock, struct kc_ledger **out);
struct kc_ledger *kc_ledger_ref(struct kc_ledger *l);
void kc_ledger_unref(struct kc_ledger *l);

/* kc_ledger_close refuses the waiters and every later acquire (KC_ECLOSED);
 * leases that are out may still be settled. Idempotent. */
void kc_ledger_close(struct kc_ledger *l);

/* kc_ledger_share is kc_hub_share, for a ledger on the machine's clock that
 * nothing was acquired of yet, and that is not attached: KC_EINVALID else.
 * `kept`: it will be, so the pool counts for a store from the start. */
KC_CHECKED int kc_ledger_share(struct kc_ledger *l, const char *name,
                               bool kept);

/* kc_ledger_is_forked: its pool is the parent's; nothing of it may be asked. */
bool kc_ledger_is_forked(const struct kc_ledger *l);

struct kc_hub *kc_ledger_hub(struct kc_ledger *l);
struct kc_pool *kc_ledger_pool(struct kc_ledger *l);
struct kc_clock *kc_ledger_clock(struct kc_ledger *l);
const char *kc_ledger_provider(const struct kc_ledger *l);
uint64_t kc_ledger_now(const struct kc_ledger *l);

/* kc_ledger_attach is kc_hub_keep: the writer's journal keeps the pool. */
KC_CHECKED int kc_ledger_attach(struct kc_ledger *l, struct kc_writer *w,
                                char **why);

/* kc_ledger_pump serves the queue: call it after a change of the pool. */
void kc_ledger_pump(struct kc_ledger *l);

/* kc_ledger_stamp and kc_ledger_sent are kc_pool_stamp and kc_pool_sent; those
 * who wait for the lease's end know its time then. */
void kc_ledger_stamp(struct kc_ledger *l, uint64_t lease);
void kc_ledger_sent(struct kc_ledger *l, uint64_t lease);

/* kc_ledger_ended is kc_pool_ended; who waits for its place gets it. */
void kc_ledger_ended(struct kc_ledger *l, uint64_t lease);

/* kc_ledger_listen is kc_pool_listen; the loop is woken when another thread
 * causes an event, for which the runtime counts it as a call. Ends by itself
 * with the ledger. */
KC_CHECKED int kc_ledger_listen(struct kc_ledger *l, bool on, uint64_t *serial);

/* -- leases -------------------------------------------------------------- */

struct kc_lease { /* in its owner's memory; all zero: none */
    struct kc_ledger *ledger;
    struct kc_grant grant;
    const char *model; /* the ledger's copy */
    bool settled;
};

/* kc_lease_acquire sets `lease` on KC_OK and only then. */
KC_CHECKED int kc_lease_acquire(struct kc_ledger *l,
                                const struct kc_request *request,
                                struct kc_lease *lease,
                                struct kc_refusal *refusal);

/* kc_lease_settle ends it, once: KC_ESTALE after that. */
KC_CHECKED int kc_lease_settle(struct kc_lease *lease, enum kc_outcome outcome,
                               const struct kc_usage *usage);

/* kc_lease_deinit settles as KC_UNKNOWN what is not settled and lets go. */
void kc_lease_deinit(struct kc_lease *lease);

/* -- waiting for a key --------------------------------------------------- */

struct kc_wait {
    struct kc_waiter waiter; /* first: the engine hands it back */
    struct kc_ready ready;
    struct kc_ledger *ledger;
    bool done; /* the waiter is settled, and booked */
    bool taken;
    struct kc_wait *prev, *next; /* of its ledger */
};

/* kc_wait_init queues for a key. KC_OK: it is under way, perhaps granted
 * already. Else it was refused, as kc_pool_enqueue. On the machine's clock the
 * loop has a timer until it ends: whatever is in flight ends by itself once. */
KC_CHECKED int kc_wait_init(struct kc_wait *w, struct kc_ledger *l,
                            const struct kc_request *request, int priority,
                            uint64_t timeout_ms, struct kc_refusal *refusal);

/* kc_wait_done: kc_wait_take has an answer. */
bool kc_wait_done(const struct kc_wait *w);

/* kc_wait_take gives the lease: KC_OK, KC_EAGAIN, or why there is none. */
KC_CHECKED int kc_wait_take(struct kc_wait *w, struct kc_lease *lease,
                            struct kc_refusal *refusal);

/* kc_wait_deinit leaves the queue; a grant not taken is given back. */
void kc_wait_deinit(struct kc_wait *w);

#endif
