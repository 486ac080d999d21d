/* rng.h -- a small random generator for jitter and choice; never for secrets.
 *
 * splitmix64 (Steele, Lea, Flood 2014). Seeded by its owner, so that a test
 * repeats. Not thread-safe.
 */
#ifndef KC_UTIL_RNG_H
#define KC_UTIL_RNG_H

#include <stdint.h>

struct kc_rng {
    uint64_t state;
};

void kc_rng_seed(struct kc_rng *r, uint64_t seed);
uint64_t kc_rng_next(struct kc_rng *r);

/* kc_rng_below returns a number in [0, n); 0 for n = 0. */
uint64_t kc_rng_below(struct kc_rng *r, uint64_t n);

/* kc_rng_entropy asks the system for a seed (getrandom, else the clocks). */
uint64_t kc_rng_entropy(void);

#endif
