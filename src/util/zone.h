/* zone.h -- when a day begins in a time zone.
 *
 * Only what lies ahead is asked, so a zone is its standing rule: an offset, and
 * where there is one, a second for the summer with the two days on which it
 * comes and goes (POSIX.1-2017, section 8.3, TZ; RFC 8536, section 3.3: the
 * last line of a zone's file). Plain data; pure but for kc_zone_find.
 */
#ifndef KC_UTIL_ZONE_H
#define KC_UTIL_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"

struct kc_zone_change { /* the week-th day of a month, 5: the last one */
    int month, week, weekday; /* from 1, from 1, from Sunday 0 */
    int32_t at_s;             /* local time of the change, seconds of the day */
};

struct kc_zone {
    int32_t offset_s;        /* local minus UTC */
    int32_t summer_offset_s; /* where has_summer */
    bool has_summer;
    struct kc_zone_change begin, end; /* of the summer time */
};

/* kc_zone_parse reads a rule such as "PST8PDT,M3.2.0,M11.1.0". KC_EINVALID for
 * any other form. */
KC_CHECKED int kc_zone_parse(const char *rule, struct kc_zone *out);

/* kc_zone_find looks a zone up by its name in the IANA database ("UTC",
 * "America/Los_Angeles") in the system's files; without them those of the
 * United States are known. KC_ENOTFOUND. */
KC_CHECKED int kc_zone_find(const char *name, struct kc_zone *out);

bool kc_zone_equal(const struct kc_zone *a, const struct kc_zone *b);

/* kc_zone_midnight returns the first local midnight after `ms`, UTC since the
 * epoch; kc_zone_last_midnight the last one at or before it. */
uint64_t kc_zone_midnight(const struct kc_zone *z, uint64_t ms);
uint64_t kc_zone_last_midnight(const struct kc_zone *z, uint64_t ms);

#endif
