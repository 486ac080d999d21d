/* engine.c -- what the engine costs, beside a mutex pair (M) and a reading of
 * the clock (C) taken in the same run. Prints `name value unit` lines; a ratio
 * is in M, or in M+C where the real clock is read.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "engine/pool.h"
#include "util/clock.h"

#define START_MS UINT64_C(1767225600000)
#define RUNS 5

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int err)
{
    if (err != KC_OK) {
        fprintf(stderr, "bench: %s\n", kc_err_name(err));
        exit(1);
    }
}

/* The least of several runs: what disturbs only ever adds. */
static double least_ns(void (*fn)(void *ctx, long n), void *ctx, long n)
{
    double best = 0;
    for (int i = 0; i < RUNS; i++) {
        double start = cpu_ns();
        fn(ctx, n);
        double ns = (cpu_ns() - start) / (double)n;
        if (i == 0 || ns < best)
            best = ns;
    }
    return best;
}

static void mutex_pairs(void *ctx, long n)
{
    for (long i = 0; i < n; i++) {
        pthread_mutex_lock(ctx);
        pthread_mutex_unlock(ctx);
    }
}

static void clock_reads(void *ctx, long n)
{
    struct timespec t;
    (void)ctx;
    for (long i = 0; i < n; i++)
        clock_gettime(CLOCK_BOOTTIME, &t);
}

struct bench {
    struct kc_pool *pool;
    struct kc_clock *clock; /* NULL: time stands on a number */
    uint64_t now;
    uint64_t step_us; /* how far it moves at each pair */
    uint64_t us;
};

static struct kc_pool *pool_of(uint32_t keys, enum kc_selection selection,
                               uint64_t max)
{
    struct kc_pool_config config = {.selection = selection, .seed = 1};
    struct kc_pool *p;
    struct kc_limits limits;
    kc_limits_unlimited(&limits);
    must(kc_pool_new(&config, &p));
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            limits.max[w][u] = max;
    for (uint32_t i = 0; i < keys; i++) {
        char secret[32];
        uint32_t index;
        snprintf(secret, sizeof secret, "sk-bench-%08u", i);
        struct kc_key_config key = {.secret = secret};
        must(kc_pool_add_key(p, START_MS, &key, &index));
    }
    must(kc_pool_set_limits(p, START_MS, 0, NULL, &limits));
    return p;
}

static uint64_t now_of(struct bench *b)
{
    if (b->clock)
        return kc_clock_now_ms(b->clock);
    b->us += b->step_us;
    return b->now + b->us / 1000;
}

static void pairs(void *ctx, long n)
{
    struct bench *b = ctx;
    struct kc_request request = {.model = "m", .tokens = 10};
    struct kc_usage usage = {.total = 8};
    for (long i = 0; i < n; i++) {
        struct kc_grant g;
        struct kc_refusal r;
        must(kc_pool_acquire(b->pool, now_of(b), &request, &g, &r));
        must(kc_pool_settle(b->pool, now_of(b), g.lease, KC_DONE, &usage));
    }
}

static void refusals(void *ctx, long n)
{
    struct bench *b = ctx;
    struct kc_request request = {.model = "m", .tokens = 10};
    for (long i = 0; i < n; i++) {
        struct kc_grant g;
        struct kc_refusal r;
        if (kc_pool_acquire(b->pool, b->now, &request, &g, &r) != KC_ELIMITED)
            must(KC_EINVALID);
    }
}

static double pairs_ns(uint32_t keys, enum kc_selection selection,
                       struct kc_clock *clock)
{
    struct bench b = {.pool = pool_of(keys, selection, UINT64_C(1) << 50),
                      .clock = clock,
                      .now = START_MS,
                      .step_us = 50};
    pairs(&b, keys * 40L); /* rings full of history */
    double ns = least_ns(pairs, &b, 200000);
    kc_pool_free(b.pool);
    return ns;
}

static double refusal_ns(uint32_t keys)
{
    struct bench b = {.pool = pool_of(keys, KC_ROUND_ROBIN, 4000),
                      .now = START_MS};
    struct kc_request request = {.model = "m", .tokens = 10};
    struct kc_grant g;
    struct kc_refusal r;
    b.step_us = 1000;
    while (kc_pool_acquire(b.pool, now_of(&b), &request, &g, &r) == KC_OK)
        must(kc_pool_settle(b.pool, now_of(&b), g.lease, KC_DONE, NULL));
    b.now += b.us / 1000;
    double ns = least_ns(refusals, &b, keys > 100 ? 2000 : 200000);
    kc_pool_free(b.pool);
    return ns;
}

/* A pair before any history, and after a million more of them. */
static double flatness(void)
{
    struct bench b = {.pool = pool_of(1, KC_ROUND_ROBIN, UINT64_C(1) << 50),
                      .now = START_MS,
                      .step_us = 50};
    double fresh = least_ns(pairs, &b, 20000);
    pairs(&b, 1000000);
    double old = least_ns(pairs, &b, 20000);
    kc_pool_free(b.pool);
    return old / fresh;
}

struct thread_job {
    struct bench bench;
    long n;
};

static void *run_pairs(void *arg)
{
    struct thread_job *j = arg;
    pairs(&j->bench, j->n);
    return NULL;
}

static double two_threads_per_s(void)
{
    struct thread_job jobs[2];
    pthread_t threads[2];
    struct kc_pool *p = pool_of(100, KC_ROUND_ROBIN, UINT64_C(1) << 50);
    uint64_t start = kc_mono_us();
    for (int i = 0; i < 2; i++) {
        jobs[i] = (struct thread_job){.bench = {.pool = p, .now = START_MS,
                                                .step_us = 50},
                                      .n = 500000};
        pthread_create(&threads[i], NULL, run_pairs, &jobs[i]);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    double s = (double)(kc_mono_us() - start) / 1e6;
    kc_pool_free(p);
    return 1e6 / s;
}

static long max_rss_kib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* What ten million leases leave behind. */
static long growth_kib(void)
{
    struct bench b = {.pool = pool_of(100, KC_ROUND_ROBIN, UINT64_C(1) << 50),
                      .now = START_MS,
                      .step_us = 50};
    pairs(&b, 100000);
    long before = max_rss_kib();
    pairs(&b, 10000000);
    long grown = max_rss_kib() - before;
    kc_pool_free(b.pool);
    return grown;
}

int main(void)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct kc_clock *clock;
    must(kc_clock_new_real(&clock));
    double m = least_ns(mutex_pairs, &lock, 2000000);
    double c = least_ns(clock_reads, NULL, 2000000);
    printf("mutex_pair %.1f ns\nclock_read %.1f ns\n", m, c);
    double one = pairs_ns(1, KC_ROUND_ROBIN, NULL);
    printf("pair_one_key %.1f M\n", one / m);
    double thousand = pairs_ns(1000, KC_ROUND_ROBIN, clock);
    printf("pair_1000_keys %.1f M+C\n", thousand / (m + c));
    double many = pairs_ns(10000, KC_ROUND_ROBIN, clock);
    printf("pair_10000_keys %.1f M+C\n", many / (m + c));
    printf("pair_after_a_million %.2f x\n", flatness());
    printf("refusal_one_key %.1f M\n", refusal_ns(1) / m);
    printf("refusal_1000_keys %.1f M\n", refusal_ns(1000) / m);
    printf("two_threads %.2f M/s\n", two_threads_per_s() / 1e6);
    printf("growth_10M_leases %ld KiB\n", growth_kib());
    kc_clock_unref(clock);
    return 0;
}
