/* num.h -- sums and minima of counts that must not wrap.
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

#endif
