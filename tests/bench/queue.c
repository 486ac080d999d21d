/* queue.c -- how often somebody is woken for a grant: ten thousand wait for one
 * of a thousand keys, which become free at instants of their own.
 *
 * A wake-up is a timer that goes off, set to the deadline that the pool names,
 * or a waiter that is handed out. Once with calls that end at once, and once
 * with calls of a second, each of whose commits pumps the queue as well. Who
 * was served waits again.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "util/rng.h"

#define KEYS 1000
#define LIMIT 10 /* a minute and key */
#define WAITERS 10000
#define GRANTS 30000
#define MINUTE_MS 60000
#define GAP_MS 10 /* most between two requests of the first minute */
#define IDLE_STEP_MS 10

struct sim {
    struct kc_pool *pool;
    struct kc_rng rng;
    uint64_t now_ms;
    uint64_t hold_ms;
    struct kc_waiter *waiters;
    struct kc_waiter *calls[WAITERS]; /* under way, in the order of their end */
    uint64_t begun, ended;            /* of them, ever */
    uint64_t timers;
};

static void settle(struct sim *s, uint64_t lease)
{
    bench_must(kc_pool_settle(s->pool, s->now_ms, lease, KC_DONE, NULL));
}

/* Takes all that a minute allows, at random instants of it. */
static void use_up(struct sim *s)
{
    struct kc_request request = {.model = "m"};
    struct kc_grant g;
    for (int i = 0; i < KEYS * LIMIT; i++) {
        bench_must(kc_pool_acquire(s->pool, s->now_ms, &request, &g, NULL));
        settle(s, g.lease);
        s->now_ms += 1 + kc_rng_below(&s->rng, GAP_MS);
    }
}

static void wait_for_key(struct sim *s, struct kc_waiter *w)
{
    *w = (struct kc_waiter){.request = {.model = "m"},
                            .priority = 4,
                            .deadline_ms = KC_NEVER};
    if (kc_pool_enqueue(s->pool, s->now_ms, w) != KC_EAGAIN)
        bench_must(KC_EINVALID); /* nothing is free: it was used up */
}

static void begin(struct sim *s)
{
    struct kc_limits limits;
    kc_limits_unlimited(&limits);
    limits.max[KC_MINUTE][KC_REQUESTS] = LIMIT;
    s->pool = bench_pool(KEYS, KC_BALANCED, &limits);
    s->now_ms = BENCH_START_MS;
    kc_rng_seed(&s->rng, 1);
    s->waiters = calloc(WAITERS, sizeof *s->waiters);
    if (!s->waiters)
        bench_must(KC_ENOMEM);
    use_up(s);
    for (int i = 0; i < WAITERS; i++)
        wait_for_key(s, &s->waiters[i]);
}

static void end(struct sim *s)
{
    for (int i = 0; i < WAITERS; i++)
        kc_pool_dequeue(s->pool, &s->waiters[i]);
    kc_pool_free(s->pool);
    free(s->waiters);
}

static void pump(struct sim *s)
{
    struct kc_waiter *next;
    for (struct kc_waiter *w = kc_pool_pump(s->pool, s->now_ms); w; w = next) {
        next = w->next;
        bench_must(w->result);
        s->calls[s->begun++ % WAITERS] = w;
    }
}

/* When the call that was begun first ends. */
static uint64_t next_end(const struct sim *s)
{
    if (s->ended == s->begun)
        return KC_NEVER;
    return s->calls[s->ended % WAITERS]->grant.acquired_ms + s->hold_ms;
}

static double wakeups_per_grant(uint64_t hold_ms)
{
    struct sim s = {.hold_ms = hold_ms};
    begin(&s);
    while (s.begun < GRANTS) {
        uint64_t timer = kc_pool_next_deadline(s.pool, s.now_ms);
        uint64_t call = next_end(&s);
        s.now_ms = timer < call ? timer : call;
        if (timer <= s.now_ms) {
            s.timers++;
            pump(&s);
        }
        while (next_end(&s) <= s.now_ms) {
            struct kc_waiter *w = s.calls[s.ended++ % WAITERS];
            settle(&s, w->grant.lease);
            pump(&s);
            wait_for_key(&s, w);
        }
    }
    double wakeups = (double)(s.timers + s.begun) / (double)s.begun;
    end(&s);
    return wakeups;
}

/* Until the first key is free: deadlines that moved, and pumps that found
 * something to do. */
static uint64_t idle_wakeups(void)
{
    struct sim s = {.hold_ms = 0};
    uint64_t n = 0;
    begin(&s);
    uint64_t first = kc_pool_next_deadline(s.pool, s.now_ms);
    for (; s.now_ms < first; s.now_ms += IDLE_STEP_MS) {
        if (kc_pool_next_deadline(s.pool, s.now_ms) != first)
            n++;
        pump(&s);
    }
    n += s.begun;
    end(&s);
    return n;
}

void bench_queue(void)
{
    printf("wakeups_per_grant %.2f n\n", wakeups_per_grant(0));
    printf("wakeups_per_grant_held %.2f n\n", wakeups_per_grant(1000));
    printf("idle_wakeups %llu n\n", (unsigned long long)idle_wakeups());
}
