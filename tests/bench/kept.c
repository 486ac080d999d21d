/* kept.c -- a lease and its settling in C over a ledger (runtime/ledger.h) with a
 * store, beside one without: prints the calling thread's CPU time of a pair in
 * nanoseconds, with and without, then the wall time of both. As kept.lua, which
 * measures the same from Lua.
 *
 * usage: kept URL, a store that is written
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/ledger.h"

#define COUNT 200000
#define RUNS 16
#define KEYS 3
#define MUCH (UINT64_C(1) << 50) /* a limit that is never reached */

struct least {
    double cpu_ns, wall_ns;
};

static void must(int err, const char *why)
{
    if (err != KC_OK) {
        fprintf(stderr, "kept: %s %s\n", kc_err_name(err), why ? why : "");
        exit(1);
    }
}

static double ns_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct kc_ledger *new_ledger(struct kc_runtime *rt)
{
    struct kc_pool_config config = {.selection = KC_BALANCED,
                                    .max_waiters = 10,
                                    .max_lease_ms = 600000,
                                    .guard_ms = KC_GUARD_MS,
                                    .seed = 1};
    struct kc_limits limits;
    struct kc_ledger *l;
    must(kc_ledger_new(rt, "bench", &config, NULL, &l), NULL);
    for (int i = 0; i < KEYS; i++) {
        char secret[32];
        uint32_t index;
        snprintf(secret, sizeof secret, "sk-bench-%08d", i);
        struct kc_key_config key = {.secret = secret};
        must(kc_pool_add_key(kc_ledger_pool(l), kc_ledger_now(l), &key, &index),
             NULL);
    }
    kc_limits_unlimited(&limits);
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            limits.max[w][u] = MUCH;
    must(kc_pool_set_limits(kc_ledger_pool(l), kc_ledger_now(l), 0, NULL,
                            &limits),
         NULL);
    return l;
}

static void measure(struct kc_ledger *l, struct least *best)
{
    struct kc_request request = {.model = "m", .tokens = 10};
    struct kc_usage usage = {.total = 8};
    double wall = ns_of(CLOCK_MONOTONIC), cpu = ns_of(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < COUNT; i++) {
        struct kc_lease lease;
        struct kc_refusal refusal;
        must(kc_lease_acquire(l, &request, &lease, &refusal), NULL);
        must(kc_lease_settle(&lease, KC_DONE, &usage), NULL);
        kc_lease_deinit(&lease);
    }
    cpu = (ns_of(CLOCK_THREAD_CPUTIME_ID) - cpu) / COUNT;
    wall = (ns_of(CLOCK_MONOTONIC) - wall) / COUNT;
    if (best->cpu_ns == 0 || cpu < best->cpu_ns)
        best->cpu_ns = cpu;
    if (best->wall_ns == 0 || wall < best->wall_ns)
        best->wall_ns = wall;
}

int main(int argc, char **argv)
{
    struct kc_runtime *rt;
    struct kc_writer *writer;
    struct least with = {0, 0}, without = {0, 0};
    char *why = NULL;
    if (argc != 2)
        return 2;
    must(kc_runtime_new(&rt), NULL);
    must(kc_writer_open(argv[1], 0, &writer, &why), why);
    struct kc_ledger *kept = new_ledger(rt), *bare = new_ledger(rt);
    must(kc_ledger_attach(kept, writer, &why), why);
    for (int i = 0; i < RUNS; i++) {
        measure(kept, &with);
        measure(bare, &without);
    }
    printf("%.1f %.1f %.1f %.1f\n", with.cpu_ns, without.cpu_ns, with.wall_ns,
           without.wall_ns);
    kc_ledger_unref(kept);
    kc_ledger_unref(bare);
    size_t lost = kc_writer_close(writer, 5000);
    kc_writer_unref(writer);
    kc_runtime_unref(rt);
    return lost == 0 ? 0 : 1;
}
