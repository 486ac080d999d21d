/* engine.c -- the benches of the engine, and what they share. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST_WAITERS 10000
#define MOST_LEASE_MS (10 * 60 * 1000)

void bench_must(int err)
{
    if (err != KC_OK) {
        fprintf(stderr, "bench: %s\n", kc_err_name(err));
        exit(1);
    }
}

struct kc_limits bench_limits(uint64_t max)
{
    struct kc_limits limits;
    kc_limits_unlimited(&limits);
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            limits.max[w][u] = max;
    return limits;
}

struct kc_pool *bench_pool(uint32_t keys, enum kc_selection selection,
                           const struct kc_limits *limits)
{
    struct kc_pool_config config = {.selection = selection,
                                    .max_waiters = MOST_WAITERS,
                                    .max_lease_ms = MOST_LEASE_MS,
                                    .guard_ms = KC_GUARD_MS,
                                    .seed = 1};
    struct kc_pool *p;
    bench_must(kc_pool_new(&config, &p));
    for (uint32_t i = 0; i < keys; i++) {
        char secret[32];
        uint32_t index;
        snprintf(secret, sizeof secret, "sk-bench-%08u", i);
        struct kc_key_config key = {.secret = secret};
        bench_must(kc_pool_add_key(p, BENCH_START_MS, &key, &index));
    }
    bench_must(kc_pool_set_limits(p, BENCH_START_MS, 0, NULL, limits));
    return p;
}

int main(void)
{
    bench_cost();
    bench_use();
    bench_hold();
    bench_queue();
    bench_memory();
    return 0;
}
