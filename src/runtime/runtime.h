/* runtime.h -- one Lua state's (or one thread's) engine room.
 *
 * It owns the loop and its transports, reads the clocks, and keeps the queue of
 * *waitables* that may have become ready: calls, key waits, timers. Reference
 * counted: whatever lives in it holds a reference, so no order of closing can
 * dangle. One thread; kc_loop_wake alone is for any.
 */
#ifndef KC_RUNTIME_RUNTIME_H
#define KC_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/transport.h"
#include "runtime/loop.h"
#include "util/clock.h"
#include "util/err.h"

struct kc_runtime;
struct kc_carrier; /* carrier.h */

/* The head of every waitable. */
struct kc_ready {
    struct kc_runtime *rt; /* NULL: not in use */
    uint64_t id;           /* never reused */
    bool queued;
    struct kc_ready *prev, *next;
};

KC_CHECKED int kc_runtime_new(struct kc_runtime **out);
struct kc_runtime *kc_runtime_ref(struct kc_runtime *rt);

/* kc_runtime_unref frees the runtime with its last reference. In a forked child
 * it only forgets: nothing shared with the parent is touched. Takes NULL. */
void kc_runtime_unref(struct kc_runtime *rt);

/* kc_runtime_close drops all connections, now or with the last call that is
 * under way. No call may begin afterwards; what lives may end. Idempotent. */
void kc_runtime_close(struct kc_runtime *rt);

/* kc_runtime_forked: the process has forked since the runtime was made. */
bool kc_runtime_forked(const struct kc_runtime *rt);

struct kc_loop *kc_runtime_loop(struct kc_runtime *rt);

/* kc_runtime_carrier returns the transport of calls that name none: the one in
 * use, else that over libcurl, opened when first asked for. Borrowed. */
KC_CHECKED int kc_runtime_carrier(struct kc_runtime *rt,
                                  struct kc_carrier **out);

/* kc_runtime_use has the calls that begin from now on carried by `c`, and keeps
 * a reference; NULL: by libcurl again. */
void kc_runtime_use(struct kc_runtime *rt, struct kc_carrier *c);

/* kc_runtime_step runs the loop once; see kc_loop_step. It does not wait while
 * a waitable is queued. KC_EFORKED. */
KC_CHECKED int kc_runtime_step(struct kc_runtime *rt, int64_t timeout_ms,
                               int64_t budget_us);

/* kc_runtime_next_ready takes the oldest id off the queue; 0: it is empty. */
uint64_t kc_runtime_next_ready(struct kc_runtime *rt);

/* kc_runtime_timeout_ms: 0 when a waitable is queued, else the loop's. */
int64_t kc_runtime_timeout_ms(struct kc_runtime *rt);

/* kc_runtime_pending counts the waitables in use. */
size_t kc_runtime_pending(const struct kc_runtime *rt);

/* kc_runtime_calls counts what may go on through somebody else, at no time that
 * the loop knows: the calls under way, and those who listen for the events of a
 * shared pool. kc_runtime_add_call changes it by `n`. */
size_t kc_runtime_calls(const struct kc_runtime *rt);
void kc_runtime_add_call(struct kc_runtime *rt, int n);

/* kc_ready_init makes a waitable of `rt` and takes a reference on it;
 * kc_ready_deinit ends it. kc_ready_mark queues it, once. */
void kc_ready_init(struct kc_ready *r, struct kc_runtime *rt);
void kc_ready_deinit(struct kc_ready *r);
void kc_ready_mark(struct kc_ready *r);

/* -- pauses -------------------------------------------------------------- */

/* A pause is a waitable that becomes ready at a time, by the machine's clock or
 * by a manual one. */
struct kc_pause {
    struct kc_ready ready;
    struct kc_timer timer;
    struct kc_clock *clock; /* NULL: the machine's */
    uint64_t at_ms;
    bool done;
    struct kc_pause *prev, *next; /* those on manual clocks */
};

/* kc_pause_init starts a pause of `ms`; refs `clock` (NULL: real time). */
void kc_pause_init(struct kc_pause *p, struct kc_runtime *rt,
                   struct kc_clock *clock, uint64_t ms);

/* kc_pause_end makes it ready before its time. */
void kc_pause_end(struct kc_pause *p);
void kc_pause_deinit(struct kc_pause *p);

/* -- what must be told when a manual clock moves, or of wake-ups --------- */

struct kc_follower {
    void (*fn)(void *ctx); /* look again */
    void *ctx;
    struct kc_clock *clock; /* NULL: told whenever the loop was woken */
    struct kc_follower *prev, *next;
};

void kc_runtime_follow(struct kc_runtime *rt, struct kc_follower *f);
void kc_runtime_unfollow(struct kc_runtime *rt, struct kc_follower *f);

/* kc_runtime_advance moves a manual clock and tells pauses and followers. */
void kc_runtime_advance(struct kc_runtime *rt, struct kc_clock *clock,
                        uint64_t ms);

#endif
