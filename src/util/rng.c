/* rng.c -- splitmix64; see rng.h. */
#include "util/rng.h"

#include <sys/random.h>

#include "util/clock.h"

void kc_rng_seed(struct kc_rng *r, uint64_t seed)
{
    r->state = seed;
}

uint64_t kc_rng_next(struct kc_rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Lemire, "Fast random integer generation in an interval" (2019): seldom a
 * division. */
static uint32_t below32(struct kc_rng *r, uint32_t n)
{
    uint64_t m = (kc_rng_next(r) >> 32) * n;
    if ((uint32_t)m < n) {
        uint32_t tail = (0 - n) % n;
        while ((uint32_t)m < tail)
            m = (kc_rng_next(r) >> 32) * n;
    }
    return (uint32_t)(m >> 32);
}

uint64_t kc_rng_below(struct kc_rng *r, uint64_t n)
{
    if (n == 0)
        return 0;
    if (n <= UINT32_MAX)
        return below32(r, (uint32_t)n);
    /* Reject the tail that would favour small numbers. */
    uint64_t tail = (0 - n) % n, x;
    do
        x = kc_rng_next(r);
    while (x < tail);
    return x % n;
}

uint64_t kc_rng_entropy(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    return kc_wall_ms() ^ (kc_mono_us() << 20);
}
