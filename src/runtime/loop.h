/* loop.h -- sockets, timers and wake-ups behind one pollable descriptor.
 *
 * Linux: an epoll that holds the watched sockets, a timerfd for the earliest
 * timer and an eventfd for wake-ups. A host may watch kc_loop_fd alone
 * and call kc_loop_step(l, 0, …) when it is readable. One thread, but for
 * kc_loop_wake. Timers run on CLOCK_MONOTONIC, in milliseconds.
 *
 * A forked child shares the descriptors with its parent (see registry.h). There
 * timers may be disarmed and the loop be freed, and the parent's runs on.
 */
#ifndef KC_RUNTIME_LOOP_H
#define KC_RUNTIME_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

struct kc_loop;

/* Called by kc_loop_step for a watched socket; `events` as KC_POLL_*. */
typedef void kc_loop_fd_fn(void *ctx, int fd, int events);

/* A timer lies in its owner's memory, the heap's links with it: to arm one
 * cannot fail. Zeroed, it is not armed. */
struct kc_timer {
    uint64_t at_ms;
    bool armed;
    struct kc_timer *child, *next, *prev;
    void (*fn)(void *ctx);
    void *ctx;
};

KC_CHECKED int kc_loop_new(struct kc_loop **out);

/* kc_loop_free closes the descriptors; timers are forgotten. Takes NULL. */
void kc_loop_free(struct kc_loop *l);

/* kc_loop_on_fd sets the one handler of all watched sockets. */
void kc_loop_on_fd(struct kc_loop *l, kc_loop_fd_fn *fn, void *ctx);

/* kc_loop_watch watches `fd` for KC_POLL_* events, 0 forgets it. */
KC_CHECKED int kc_loop_watch(struct kc_loop *l, int fd, int events);

/* kc_loop_arm sets `t` to fire at `at_ms` (kc_mono_ms time), again where it was
 * armed. Its `fn` may arm and disarm any timer. */
void kc_loop_arm(struct kc_loop *l, struct kc_timer *t, uint64_t at_ms);
void kc_loop_disarm(struct kc_loop *l, struct kc_timer *t);

/* kc_loop_wake makes the descriptor readable; any thread. */
void kc_loop_wake(struct kc_loop *l);

/* kc_loop_on_wake sets what kc_loop_step calls after it has taken a wake-up:
 * whatever was done before that kc_loop_wake can be seen there. */
void kc_loop_on_wake(struct kc_loop *l, void (*fn)(void *ctx), void *ctx);

/* kc_loop_spent: the budget of the step that runs is spent. Who has more to do
 * calls kc_loop_wake, and does it in the next one. */
bool kc_loop_spent(const struct kc_loop *l);

/* kc_loop_fd returns the descriptor, which from now on is readable whenever
 * kc_loop_step has something to do. */
int kc_loop_fd(struct kc_loop *l);

/* kc_loop_timeout_ms returns the time until the earliest timer, -1: none. */
int64_t kc_loop_timeout_ms(const struct kc_loop *l);

/* kc_loop_worked: the last step handled an event or a timer. */
bool kc_loop_worked(const struct kc_loop *l);

/* kc_loop_step waits at most `timeout_ms` (-1: for ever) for something to do
 * and does it. With budget_us >= 0 no further event or timer is started once
 * that long has passed since; one is in any case, and the two take turns where
 * there are both. KC_EINTR when a signal came while it waited; KC_EFORKED in a
 * forked child. */
KC_CHECKED int kc_loop_step(struct kc_loop *l, int64_t timeout_ms,
                            int64_t budget_us);

#endif
