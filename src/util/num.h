/* num.h -- minima, sums that must not wrap, a text as a number, and how long a
 * minute, an hour and a day are.
 */
#ifndef KC_UTIL_NUM_H
#define KC_UTIL_NUM_H

#include <stdint.h>

#define KC_MINUTE_MS UINT64_C(60000)
#define KC_HOUR_MS (60 * KC_MINUTE_MS)
#define KC_DAY_MS (24 * KC_HOUR_MS) /* of UTC; a zone's see zone.h */

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
