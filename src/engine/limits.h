/* limits.h -- how much a key may be used, as plain data.
 *
 * Three rolling windows by two units, and how many requests may be in flight.
 * The day may be that of a calendar instead.
 */
#ifndef KC_ENGINE_LIMITS_H
#define KC_ENGINE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "util/zone.h"

#define KC_UNLIMITED UINT64_MAX /* a limit of 0 blocks */
#define KC_NEVER UINT64_MAX     /* a time that does not come by itself */

enum kc_window { KC_MINUTE, KC_HOUR, KC_DAY, KC_WINDOWS };
enum kc_unit { KC_REQUESTS, KC_TOKENS, KC_UNITS };

struct kc_limits {
    uint64_t max[KC_WINDOWS][KC_UNITS];
    uint64_t minute_input, minute_output; /* tokens, told apart */
    uint64_t concurrent;                  /* requests in flight at once */
    bool calendar;       /* the day is no rolling one: it begins at midnight */
    struct kc_zone zone; /* where `calendar` */
};

/* kc_limits_unlimited fills every field with KC_UNLIMITED. */
void kc_limits_unlimited(struct kc_limits *l);

/* kc_window_ms returns the length of a window in milliseconds. */
uint64_t kc_window_ms(enum kc_window w);

/* kc_limit_name returns the public name of a limit, "requests_per_minute". */
const char *kc_limit_name(enum kc_window w, enum kc_unit u);

#endif
