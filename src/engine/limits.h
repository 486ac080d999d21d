/* limits.h -- how much a key may be used, as plain data.
 *
 * Three rolling windows by two units, a few more windows of any length, and how
 * many requests may be in flight. The day may be that of a calendar instead.
 */
#ifndef KC_ENGINE_LIMITS_H
#define KC_ENGINE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"
#include "util/zone.h"

#define KC_UNLIMITED UINT64_MAX /* a limit of 0 blocks */
#define KC_NEVER UINT64_MAX     /* a time that does not come by itself */

enum kc_window { KC_MINUTE, KC_HOUR, KC_DAY, KC_WINDOWS };
enum kc_unit { KC_REQUESTS, KC_TOKENS, KC_UNITS };

#define KC_SPAN_MAX_MS UINT64_C(2678400000) /* 31 days */
#define KC_SIDES_MAX 4

struct kc_side_limit { /* a window beyond the common three */
    uint64_t span_ms;
    bool parts;      /* of input and of output tokens; else as the others */
    uint64_t max[KC_UNITS]; /* requests, tokens; or input, output */
};

struct kc_limits {
    uint64_t max[KC_WINDOWS][KC_UNITS];
    struct kc_side_limit sides[KC_SIDES_MAX];
    uint32_t side_count;
    uint64_t concurrent; /* requests in flight at once */
    bool calendar;       /* the day is no rolling one: it begins at midnight */
    struct kc_zone zone; /* where `calendar` */
};

/* kc_limits_unlimited fills every field with KC_UNLIMITED, without sides. */
void kc_limits_unlimited(struct kc_limits *l);

/* kc_limits_side finds or adds (unlimited) the window of that length and kind;
 * NULL when KC_SIDES_MAX others are there. Borrowed from `l`. */
struct kc_side_limit *kc_limits_side(struct kc_limits *l, uint64_t span_ms,
                                     bool parts);

/* kc_limits_lower sets two limits (KC_UNLIMITED: none) on the window of
 * that length and kind; of two on the same one the lower holds. KC_EINVALID
 * for a length that is none, or one window too many. */
KC_CHECKED int kc_limits_lower(struct kc_limits *l, uint64_t span_ms,
                               bool parts, const uint64_t max[KC_UNITS]);

/* kc_limits_told lowers `l` to what `told` says. A window that is one too many
 * is left out. */
void kc_limits_told(struct kc_limits *l, const struct kc_limits *told);

/* kc_limits_equal: both say the same. */
bool kc_limits_equal(const struct kc_limits *a, const struct kc_limits *b);

/* kc_window_ms returns the length of a window in milliseconds. */
uint64_t kc_window_ms(enum kc_window w);

/* kc_side_limit_name returns the public name of a side's limit by unit; where
 * it says "…_per_window" the span tells which. */
const char *kc_side_limit_name(const struct kc_side_limit *side, int unit);

/* kc_limit_name returns the public name of a limit, "requests_per_minute". */
const char *kc_limit_name(enum kc_window w, enum kc_unit u);

#endif
