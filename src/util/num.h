/* num.h -- minima, sums that must not wrap, and a text as a number.
 */
#ifndef KC_UTIL_NUM_H
#define KC_UTIL_NUM_H

#include <stdint.h>

static inline uint64_t kc_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* kc_add_capped returns a + b, or the largest number where that would wrap. */
static inline uint64_t kc_add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* kc_hash is FNV-1a (Fowler, Noll, Vo): for tables, never for secrets. */
static inline uint64_t kc_hash(const char *s)
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

#endif
