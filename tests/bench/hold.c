/* hold.c -- long calls against a provider that counts a request when it
 * arrives: how much of the limit is used, and what it refuses.
 *
 * The provider is a log of its own, a rolling minute. A request arrives up to a
 * second after its key was given, and the answer with its headers is there 30
 * seconds after that: nothing is known of it before. Callers always want more.
 */
#include "bench/bench.h"

#include <stdio.h>

#include "util/rng.h"

#define LIMIT 60 /* a minute */
#define MINUTES 120
#define LATENCY_MS 1000
#define HOLD_MS 30000
#define MINUTE_MS 60000
#define CALLS 1024 /* most at once */

struct call {
    uint64_t lease; /* 0: none */
    uint64_t arrives_ms, ends_ms;
    bool arrived;
};

struct sim {
    struct kc_pool *pool;
    struct kc_rng rng;
    struct call calls[CALLS];
    uint64_t counted[LIMIT]; /* by the provider; the oldest is at `next` */
    uint64_t next;
    uint64_t served, refused;
};

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void settle(struct sim *s, struct call *c, uint64_t now_ms,
                   enum kc_outcome outcome)
{
    bench_must(kc_pool_settle(s->pool, now_ms, c->lease, outcome, NULL));
    c->lease = 0;
}

static void arrive(struct sim *s, struct call *c, uint64_t now_ms)
{
    c->arrived = true;
    if (s->counted[s->next] + MINUTE_MS > now_ms) {
        s->refused++;
        settle(s, c, now_ms, KC_REFUSED);
        return;
    }
    s->counted[s->next] = now_ms;
    s->next = (s->next + 1) % LIMIT;
    s->served++;
}

static void work(struct sim *s, uint64_t now_ms)
{
    for (struct call *c = s->calls; c < s->calls + CALLS; c++) {
        if (c->lease && !c->arrived && c->arrives_ms <= now_ms)
            arrive(s, c, now_ms);
        if (c->lease && c->ends_ms <= now_ms)
            settle(s, c, now_ms, KC_DONE);
    }
}

static uint64_t next_event(const struct sim *s)
{
    uint64_t next = KC_NEVER;
    for (const struct call *c = s->calls; c < s->calls + CALLS; c++)
        if (c->lease)
            next = earlier(next, c->arrived ? c->ends_ms : c->arrives_ms);
    return next;
}

/* Starts calls until the pool says no; returns when it may say yes. */
static uint64_t start(struct sim *s, uint64_t now_ms)
{
    struct kc_request request = {.model = "m"};
    for (struct call *c = s->calls; c < s->calls + CALLS; c++) {
        if (c->lease)
            continue;
        struct kc_grant g;
        struct kc_refusal r;
        int err = kc_pool_acquire(s->pool, now_ms, &request, &g, &r);
        if (err == KC_ELIMITED)
            return r.wait_ms == KC_NEVER ? KC_NEVER : now_ms + r.wait_ms;
        bench_must(err);
        uint64_t arrives = now_ms + kc_rng_below(&s->rng, LATENCY_MS + 1);
        *c = (struct call){.lease = g.lease,
                           .arrives_ms = arrives,
                           .ends_ms = arrives + HOLD_MS};
    }
    return KC_NEVER;
}

void bench_hold(void)
{
    struct kc_limits limits;
    kc_limits_unlimited(&limits);
    limits.max[KC_MINUTE][KC_REQUESTS] = LIMIT;
    struct sim s = {.pool = bench_pool(1, KC_BALANCED, &limits)};
    kc_rng_seed(&s.rng, 1);
    uint64_t now = BENCH_START_MS;
    while (now < BENCH_START_MS + MINUTES * MINUTE_MS) {
        work(&s, now);
        uint64_t free_at = start(&s, now);
        now = earlier(free_at, next_event(&s));
    }
    printf("hold_30s_use %.1f %%\n",
           100 * (double)s.served / (LIMIT * MINUTES));
    printf("hold_30s_refused %llu n\n", (unsigned long long)s.refused);
    kc_pool_free(s.pool);
}
