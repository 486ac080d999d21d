/* use.c -- how much of its limits the engine uses, beside an exact log: the
 * same arrivals, granted greedily by both. Once each arrival asks once and is
 * lost when it is refused, and once it waits for its turn.
 *
 * The log keeps every grant of the last window. A second one keeps those of the
 * engine and counts where it went over the limit.
 */
#include "bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/rng.h"

#define WINDOWS 60 /* so many windows long */

struct log { /* the last `max` grants; the oldest is at `next` */
    uint64_t *at_ms;
    uint64_t max, len, next;
};

static void log_init(struct log *l, uint64_t max)
{
    *l = (struct log){.max = max, .at_ms = calloc(max, sizeof *l->at_ms)};
    if (!l->at_ms)
        bench_must(KC_ENOMEM);
}

/* log_free_at returns the first instant at which one more keeps the window
 * (t - span, t] within the limit. */
static uint64_t log_free_at(const struct log *l, uint64_t span_ms)
{
    return l->len < l->max ? 0 : l->at_ms[l->next] + span_ms;
}

static void log_add(struct log *l, uint64_t now_ms)
{
    l->at_ms[l->next] = now_ms;
    l->next = (l->next + 1) % l->max;
    if (l->len < l->max)
        l->len++;
}

/* -- arrivals -------------------------------------------------------------- */

enum load { SATURATING, POISSON, BURSTY, LOADS };

struct arrivals {
    enum load load;
    double gap_ms; /* on average, when the limit is just used up */
    double at_ms;
    uint64_t burst; /* so many more at this instant */
    uint64_t most;  /* in a burst */
    struct kc_rng rng;
};

static double exponential(struct kc_rng *rng, double mean)
{
    double u = ((double)(kc_rng_next(rng) >> 11) + 1) / 9007199254740992.0;
    return -log(u) * mean;
}

/* Four times the limit, evenly; a fifth more, at random; half more, in bursts
 * of up to half the limit. */
static uint64_t next_arrival(struct arrivals *a)
{
    if (a->load == SATURATING) {
        a->at_ms += a->gap_ms / 4;
    } else if (a->load == POISSON) {
        a->at_ms += exponential(&a->rng, a->gap_ms / 1.2);
    } else if (a->burst > 0) {
        a->burst--;
    } else {
        a->burst = kc_rng_below(&a->rng, a->most);
        double mean = ((double)a->most + 1) / 2;
        a->at_ms += exponential(&a->rng, a->gap_ms * mean / 1.5);
    }
    return BENCH_START_MS + (uint64_t)a->at_ms;
}

/* -- both at work ---------------------------------------------------------- */

struct side {
    struct kc_pool *pool; /* NULL: the log itself decides */
    struct log log;
    uint64_t span_ms;
    uint64_t granted, over;
};

/* Returns 0 when one more was granted, else when to ask again. */
static uint64_t ask(struct side *s, uint64_t now_ms)
{
    uint64_t free_at = log_free_at(&s->log, s->span_ms);
    if (s->pool) {
        struct kc_request request = {.model = "m"};
        struct kc_grant g;
        struct kc_refusal r;
        if (kc_pool_acquire(s->pool, now_ms, &request, &g, &r) != KC_OK)
            return now_ms + r.wait_ms;
        bench_must(kc_pool_settle(s->pool, now_ms, g.lease, KC_DONE, NULL));
        s->over += free_at > now_ms;
    } else if (free_at > now_ms) {
        return free_at;
    }
    log_add(&s->log, now_ms);
    s->granted++;
    return 0;
}

static void serve(struct side *s, struct arrivals a, bool queued)
{
    uint64_t end = BENCH_START_MS + WINDOWS * s->span_ms;
    uint64_t arrival = next_arrival(&a), free_at = 0, waiting = 0;
    for (;;) {
        uint64_t now = waiting && free_at < arrival ? free_at : arrival;
        if (now >= end)
            break;
        for (; arrival <= now; arrival = next_arrival(&a))
            waiting++;
        while (waiting && (free_at = ask(s, now)) == 0)
            waiting--;
        if (!queued)
            waiting = 0;
    }
}

struct scene {
    enum load load;
    enum kc_window window;
    uint64_t max;
    bool queued;
};

/* The use in percent; adds to *over. */
static double run(const struct scene *c, uint64_t *over)
{
    struct kc_limits limits;
    struct side exact = {.span_ms = kc_window_ms(c->window)}, ours = exact;
    struct arrivals a = {.load = c->load,
                         .gap_ms = (double)exact.span_ms / (double)c->max,
                         .most = c->max / 2};
    kc_rng_seed(&a.rng, c->max + c->load);
    kc_limits_unlimited(&limits);
    limits.max[c->window][KC_REQUESTS] = c->max;
    ours.pool = bench_pool(1, KC_BALANCED, &limits);
    log_init(&exact.log, c->max);
    log_init(&ours.log, c->max);
    serve(&exact, a, c->queued);
    serve(&ours, a, c->queued);
    *over += ours.over;
    kc_pool_free(ours.pool);
    free(exact.log.at_ms);
    free(ours.log.at_ms);
    return 100 * (double)ours.granted / (double)exact.granted;
}

struct least {
    double by_load[LOADS], by_window[KC_WINDOWS];
};

static void run_all(bool queued, struct least *least, uint64_t *over)
{
    static const uint64_t max[] = {20, 100, 1000, 5000};
    *least = (struct least){{100, 100, 100}, {100, 100, 100}};
    for (int load = 0; load < LOADS; load++) {
        for (int w = 0; w < KC_WINDOWS; w++) {
            for (size_t i = 0; i < sizeof max / sizeof max[0]; i++) {
                struct scene c = {.load = (enum load)load,
                                  .window = (enum kc_window)w,
                                  .max = max[i],
                                  .queued = queued};
                double use = run(&c, over);
                least->by_load[load] = fmin(least->by_load[load], use);
                least->by_window[w] = fmin(least->by_window[w], use);
            }
        }
    }
}

void bench_use(void)
{
    struct least lost, queued;
    uint64_t over = 0;
    run_all(false, &lost, &over);
    run_all(true, &queued, &over);
    printf("use_saturating %.2f %%\n", lost.by_load[SATURATING]);
    printf("use_poisson %.2f %%\n", lost.by_load[POISSON]);
    printf("use_bursty %.2f %%\n", lost.by_load[BURSTY]);
    printf("use_hour_b32 %.2f %%\n", lost.by_window[KC_HOUR]);
    printf("use_day_b64 %.2f %%\n", lost.by_window[KC_DAY]);
    printf("use_saturating_queued %.2f %%\n", queued.by_load[SATURATING]);
    printf("use_poisson_queued %.2f %%\n", queued.by_load[POISSON]);
    printf("use_bursty_queued %.2f %%\n", queued.by_load[BURSTY]);
    printf("violations %llu n\n", (unsigned long long)over);
}
