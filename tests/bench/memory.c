/* memory.c -- what a live meter takes, all six windows in use: asked of the
 * allocator over many keys, its own overhead included.
 *
 * A ring begins with 4 entries and is full with 32, that of the day with 64:
 * what was added in between tells the size of one.
 */
#include "bench/bench.h"

#include <malloc.h>
#include <stdio.h>

#define KEYS 1000
#define FIRST_ENTRIES (3 * 4)
#define FULL_ENTRIES (32 + 32 + 64)
#define SETTLED_S 400 /* longer than any two requests that a ring fuses */

struct sim {
    struct kc_pool *pool;
    uint64_t now_ms;
};

static double allocated(void)
{
    return (double)mallinfo2().uordblks;
}

/* One request on each key, `n` times, `gap_ms` apart. */
static void use(struct sim *s, int n, uint64_t gap_ms)
{
    for (int i = 0; i < n; i++) {
        s->now_ms += gap_ms;
        for (uint32_t key = 2; key <= KEYS + 1; key++) {
            struct kc_request request = {
                .model = "m", .tokens = 10, .key = key, .pin = true};
            struct kc_grant g;
            bench_must(
                kc_pool_acquire(s->pool, s->now_ms, &request, &g, NULL));
            bench_must(
                kc_pool_settle(s->pool, s->now_ms, g.lease, KC_DONE, NULL));
        }
    }
}

void bench_memory(void)
{
    struct kc_limits limits = bench_limits(BENCH_MUCH);
    struct sim s = {.pool = bench_pool(KEYS + 1, KC_BALANCED, &limits),
                    .now_ms = BENCH_START_MS};
    struct kc_request request = {.model = "m", .tokens = 10, .key = 1};
    struct kc_grant g;
    /* What is there once: the model, the first lease. */
    bench_must(kc_pool_acquire(s.pool, s.now_ms, &request, &g, NULL));
    bench_must(kc_pool_settle(s.pool, s.now_ms, g.lease, KC_DONE, NULL));
    double none = allocated();
    use(&s, 2, SETTLED_S * 1000);
    double first = allocated();
    use(&s, 70, SETTLED_S * 1000); /* fills the day */
    use(&s, 40, 40000);            /* the hour */
    use(&s, 40, 600);              /* the minute */
    double full = allocated();
    use(&s, 1000, 50);
    double later = allocated();
    double entry = (full - first) / KEYS / (FULL_ENTRIES - FIRST_ENTRIES);
    double rings = entry * FULL_ENTRIES;
    printf("meter_bytes %.0f B\n", (full - none) / KEYS - rings);
    printf("ring_bytes %.0f B\n", rings);
    printf("bytes_a_request %.3f B\n", (later - full) / KEYS / 1000);
    kc_pool_free(s.pool);
}
