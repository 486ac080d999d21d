/* hub.h -- a pool and those who use it: one ledger, or many in many threads.
 *
 * Whoever frees capacity pumps for all its peers: what is settled for another
 * is put into that one's inbox and its loop is woken, and everybody who waits
 * keeps the time by himself. So nobody depends on another thread's next step. A
 * hub of one thread (the common case) takes no lock of its own. Lock order:
 * registry, hub, pool; under the hub's no system call but the waking of a loop.
 *
 * After a fork the child may not wait for locks that a thread of the parent may
 * hold: of a hub of several threads it is told KC_EFORKED, and forgets.
 */
#ifndef KC_RUNTIME_HUB_H
#define KC_RUNTIME_HUB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pool.h"
#include "runtime/loop.h"
#include "util/clock.h"
#include "util/err.h"

struct kc_hub; /* reference counted, any thread */

/* kc_hub_new makes a hub over a new pool. Refs `clock` (NULL: the machine's).
 * `threads`: several will use it from the start. */
KC_CHECKED int kc_hub_new(const struct kc_pool_config *config,
                          struct kc_clock *clock, bool threads,
                          struct kc_hub **out);
struct kc_hub *kc_hub_ref(struct kc_hub *h);
void kc_hub_unref(struct kc_hub *h); /* takes NULL */

struct kc_pool *kc_hub_pool(struct kc_hub *h);
struct kc_clock *kc_hub_clock(struct kc_hub *h);
uint64_t kc_hub_now(const struct kc_hub *h);

/* kc_hub_is_shared: several threads may use it. */
bool kc_hub_is_shared(const struct kc_hub *h);

/* kc_hub_is_forked: it is shared, and the parent's. */
bool kc_hub_is_forked(const struct kc_hub *h);

/* -- by name ------------------------------------------------------------- */

/* kc_hub_share makes *hub the one that this process has under (name, provider),
 * or, where there is one set up alike (kc_pool_same), lets *hub go and gives
 * that one; the caller is a member then. KC_EDIFFERS: it is set up otherwise,
 * or being changed; *hub stays as it was. */
KC_CHECKED int kc_hub_share(struct kc_hub **hub, const char *name,
                            const char *provider);

/* kc_hub_leave ends a membership; with the last one the name is free. */
void kc_hub_leave(struct kc_hub *h);

/* kc_hub_claim: the caller may change keys and limits, because nobody else is a
 * member, and nobody becomes one before kc_hub_release. */
bool kc_hub_claim(struct kc_hub *h);
void kc_hub_release(struct kc_hub *h);

/* kc_hub_note_key: a key was added; kc_hub_keys_noted counts how often. Each of
 * those who share it can tell so that others have added keys. */
void kc_hub_note_key(struct kc_hub *h);
unsigned kc_hub_keys_noted(const struct kc_hub *h);

/* kc_hub_peek appends the n-th (from 0) model for which a key of the pool under
 * (name, provider) has a line of limits; KC_EEND after the last. */
KC_CHECKED int kc_hub_peek(const char *name, const char *provider, size_t n,
                           struct kc_buf *out);

/* -- for a store --------------------------------------------------------- */

struct kc_writer;

/* kc_hub_keep has the writer's journal keep the pool, from now until the hub is
 * gone (see kc_journal_keep); where another writer of the same store has, that
 * one goes on, and `w` joins it. KC_EDIFFERS: it is another store, or the
 * writer keeps another pool of that provider. KC_ECLOSED, KC_EFORKED, or as
 * kc_journal_keep; *why may get words, which the caller frees with free(). */
KC_CHECKED int kc_hub_keep(struct kc_hub *h, const char *provider,
                           struct kc_writer *w, char **why);

/* kc_hub_note wakes the journal where the pool has news, which the functions
 * below do, too; kc_hub_hurry has it look at what others use: some provider has
 * refused a request. */
void kc_hub_note(struct kc_hub *h);
void kc_hub_hurry(struct kc_hub *h);

/* -- peers --------------------------------------------------------------- */

/* A peer lies in its owner's memory; each has one thread. The fields are the
 * hub's. */
struct kc_peer {
    struct kc_hub *hub;
    struct kc_loop *loop;           /* woken for it, or: */
    pthread_cond_t *cond;           /* of a thread that sleeps */
    struct kc_waiter *first, *last; /* the inbox */
    size_t queued;                  /* its waiters in the queue */
    uint64_t armed_ms;              /* when its owner will pump by itself */
    size_t listens;                 /* subscriptions to events */
    bool called;                    /* woken, and has not looked since */
    const atomic_bool *stop;        /* who ends it: a name, not read again */
    atomic_bool ended;
    struct kc_peer *prev, *next;
};

void kc_peer_init(struct kc_peer *p, struct kc_hub *h, struct kc_loop *loop);

/* kc_peer_deinit leaves; no waiter of it may be queued or in its inbox. */
void kc_peer_deinit(struct kc_peer *p);

/* kc_peer_enqueue is kc_pool_enqueue; sets the waiter's owner to the peer. Here
 * and below *next_ms is when the peer's owner must pump, KC_NEVER: never. */
KC_CHECKED int kc_peer_enqueue(struct kc_peer *p, struct kc_waiter *w,
                               uint64_t *next_ms);

/* kc_peer_dequeue takes a waiter back that was not collected; true when it had
 * been settled. */
bool kc_peer_dequeue(struct kc_peer *p, struct kc_waiter *w);

/* kc_peer_pump pumps for all and collects. */
struct kc_waiter *kc_peer_pump(struct kc_peer *p, uint64_t *next_ms);

/* kc_peer_collect returns (by `next`) the peer's waiters that were settled.
 * Call it when the loop was woken. */
struct kc_waiter *kc_peer_collect(struct kc_peer *p, uint64_t *next_ms);

/* kc_peer_retime looks at the queue's time again: something in flight has got
 * its end. */
void kc_peer_retime(struct kc_peer *p, uint64_t *next_ms);

/* kc_peer_listen is kc_pool_listen: the loop is woken for events. */
KC_CHECKED int kc_peer_listen(struct kc_peer *p, bool on, uint64_t *serial);

/* kc_peer_heed: kc_hub_stop with the same `stop` ends the peer, whose loop is
 * woken; where *stop is true already, it is ended. `stop` need not live on.
 * kc_peer_ended tells. */
void kc_peer_heed(struct kc_peer *p, const atomic_bool *stop);
bool kc_peer_ended(const struct kc_peer *p);

/* -- without a peer ------------------------------------------------------ */

/* kc_hub_tell wakes those who listen if there is an event; the others here do
 * that, too. */
void kc_hub_tell(struct kc_hub *h);

/* kc_hub_pump pumps for all; kc_hub_retime as kc_peer_retime. */
void kc_hub_pump(struct kc_hub *h);
void kc_hub_retime(struct kc_hub *h);

/* kc_hub_sleep queues and blocks this thread until the waiter is settled, and
 * returns its result; KC_ECLOSED as soon as *stop is true. Of the threads that
 * sleep the one who came first keeps the time; the others wake when they are
 * served, or at their own deadline. The hub must be shared. */
KC_CHECKED int kc_hub_sleep(struct kc_hub *h, struct kc_waiter *w,
                            const atomic_bool *stop);

/* kc_hub_stop, after *stop was set: wakes the threads that sleep with it and
 * ends the peers that heed it. */
void kc_hub_stop(struct kc_hub *h, const atomic_bool *stop);

#endif
