/* cost.c -- what a request costs, beside a mutex pair (M) and a reading of the
 * clock (C) taken in the same run. A ratio is in M, or in M+C where the real
 * clock is read.
 *
 * The C library's mutex takes a short cut without atomic operations as long as
 * a process has one thread. A pool's lock is there for threads, so all is
 * measured while a second one lives, idle. What the short cut would give stands
 * beside it: mutex_pair_alone, and pair_one_key_alone in that.
 */
#include "bench/bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/pool_store.h"
#include "util/clock.h"

#define RUNS 5

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
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
    uint64_t other; /* of two refusals the second asks for so much more */
};

static struct kc_pool *pool_of(uint32_t keys, enum kc_selection selection,
                               uint64_t max)
{
    struct kc_limits limits = bench_limits(max);
    return bench_pool(keys, selection, &limits);
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
        bench_must(kc_pool_acquire(b->pool, now_of(b), &request, &g, &r));
        bench_must(
            kc_pool_settle(b->pool, now_of(b), g.lease, KC_DONE, &usage));
    }
}

static void refusals(void *ctx, long n)
{
    struct bench *b = ctx;
    struct kc_request request = {.model = "m", .tokens = 10};
    for (long i = 0; i < n; i++) {
        struct kc_grant g;
        struct kc_refusal r;
        request.tokens = 10 + (i & 1 ? b->other : 0);
        if (kc_pool_acquire(b->pool, b->now, &request, &g, &r) != KC_ELIMITED)
            bench_must(KC_EINVALID);
    }
}

static double pairs_ns(uint32_t keys, enum kc_selection selection,
                       struct kc_clock *clock)
{
    struct bench b = {.pool = pool_of(keys, selection, BENCH_MUCH),
                      .clock = clock,
                      .now = BENCH_START_MS,
                      .step_us = 50};
    pairs(&b, keys * 40L); /* rings full of history */
    double ns = least_ns(pairs, &b, 200000);
    kc_pool_free(b.pool);
    return ns;
}

struct keeper { /* a store's thread, without a store */
    struct kc_pool *pool;
    atomic_bool stop;
};

static void *keep(void *arg)
{
    struct keeper *k = arg;
    struct kc_use_news news[64];
    struct timespec pause_for = {.tv_nsec = 10 * 1000 * 1000};
    while (!atomic_load(&k->stop)) {
        size_t n = kc_pool_collect(k->pool, 0, news, 64);
        kc_pool_collected(k->pool, news, n, KC_NEWS_WRITTEN);
        nanosleep(&pause_for, NULL);
    }
    return NULL;
}

/* How much longer a pair takes in a pool that counts for a store, from which
 * another thread collects a hundred times a second. The two are measured in
 * turns, so that both have the same weather. */
static double kept_ratio(uint32_t keys)
{
    struct bench with = {.pool = pool_of(keys, KC_BALANCED, BENCH_MUCH),
                         .now = BENCH_START_MS,
                         .step_us = 50};
    struct bench without = with;
    double best[2] = {0, 0};
    pthread_t thread;
    without.pool = pool_of(keys, KC_BALANCED, BENCH_MUCH);
    kc_pool_keep(with.pool);
    struct keeper k = {.pool = with.pool, .stop = false};
    if (pthread_create(&thread, NULL, keep, &k) != 0)
        bench_must(KC_ESYSTEM);
    pairs(&with, keys * 40L);
    pairs(&without, keys * 40L);
    for (int i = 0; i < RUNS; i++) {
        double ns[2] = {least_ns(pairs, &with, 100000),
                        least_ns(pairs, &without, 100000)};
        for (int j = 0; j < 2; j++)
            if (i == 0 || ns[j] < best[j])
                best[j] = ns[j];
    }
    atomic_store(&k.stop, true);
    pthread_join(thread, NULL);
    kc_pool_free(with.pool);
    kc_pool_free(without.pool);
    return best[0] / best[1];
}

/* With `other` each request differs from the one before, so that none can be
 * refused by the pool's memory of the last refusal. */
static double refusal_ns(uint32_t keys, uint64_t other)
{
    struct bench b = {.pool = pool_of(keys, KC_ROUND_ROBIN, 4000),
                      .now = BENCH_START_MS,
                      .step_us = 1000,
                      .other = other};
    struct kc_request request = {.model = "m", .tokens = 10};
    struct kc_grant g;
    struct kc_refusal r;
    while (kc_pool_acquire(b.pool, now_of(&b), &request, &g, &r) == KC_OK)
        bench_must(kc_pool_settle(b.pool, now_of(&b), g.lease, KC_DONE, NULL));
    b.now += b.us / 1000;
    double ns = least_ns(refusals, &b, keys > 100 && other ? 2000 : 200000);
    kc_pool_free(b.pool);
    return ns;
}

/* A pair before any history, and after a million more of them. */
static double flatness(void)
{
    struct bench b = {.pool = pool_of(1, KC_ROUND_ROBIN, BENCH_MUCH),
                      .now = BENCH_START_MS,
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
    struct kc_pool *p = pool_of(100, KC_ROUND_ROBIN, BENCH_MUCH);
    uint64_t start = kc_mono_us();
    for (int i = 0; i < 2; i++) {
        jobs[i].n = 500000;
        jobs[i].bench = (struct bench){
            .pool = p, .now = BENCH_START_MS, .step_us = 50};
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
    struct bench b = {.pool = pool_of(100, KC_ROUND_ROBIN, BENCH_MUCH),
                      .now = BENCH_START_MS,
                      .step_us = 50};
    pairs(&b, 100000);
    long before = max_rss_kib();
    pairs(&b, 10000000);
    long grown = max_rss_kib() - before;
    kc_pool_free(b.pool);
    return grown;
}

static void *idle(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void tell_pairs(const char *name, enum kc_selection selection,
                       struct kc_clock *clock, double base)
{
    for (uint32_t keys = 1000; keys <= 10000; keys *= 10)
        printf("pair_%u_keys_%s %.1f M+C\n", keys, name,
               pairs_ns(keys, selection, clock) / base);
}

void bench_cost(void)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread;
    struct kc_clock *clock;
    bench_must(kc_clock_new_real(&clock));
    double alone = least_ns(mutex_pairs, &lock, 2000000);
    double pair_alone = pairs_ns(1, KC_BALANCED, NULL);
    if (pthread_create(&thread, NULL, idle, NULL) != 0)
        bench_must(KC_ESYSTEM);
    double m = least_ns(mutex_pairs, &lock, 2000000);
    double c = least_ns(clock_reads, NULL, 2000000);
    printf("mutex_pair %.1f ns\nmutex_pair_alone %.1f ns\n", m, alone);
    printf("clock_read %.1f ns\n", c);
    printf("pair_one_key %.1f M\n", pairs_ns(1, KC_BALANCED, NULL) / m);
    printf("pair_one_key_alone %.1f M\n", pair_alone / alone);
    tell_pairs("balanced", KC_BALANCED, clock, m + c);
    tell_pairs("round_robin", KC_ROUND_ROBIN, clock, m + c);
    printf("pair_after_a_million %.2f x\n", flatness());
    printf("refusal_one_key %.1f M\n", refusal_ns(1, 1) / m);
    printf("refusal_1000_keys %.1f M\n", refusal_ns(1000, 1) / m);
    printf("refusal_again_1000_keys %.1f M\n", refusal_ns(1000, 0) / m);
    printf("kept_one_key %.2f x\n", kept_ratio(1));
    printf("kept_1000_keys %.2f x\n", kept_ratio(1000));
    printf("two_threads %.2f M/s\n", two_threads_per_s() / 1e6);
    printf("growth_10M_leases %ld KiB\n", growth_kib());
    kc_clock_unref(clock);
}
