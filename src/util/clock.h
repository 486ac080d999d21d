/* clock.h -- the clocks of the machine and the one that a test advances.
 *
 * Engine time is integer milliseconds near the Unix epoch: the wall clock read
 * once when the clock is made, carried on by BOOTTIME (MONOTONIC where there is
 * none), so it never steps and runs on through a suspend. A manual clock moves
 * only when told. Reads are thread-safe.
 */
#ifndef KC_UTIL_CLOCK_H
#define KC_UTIL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"

struct kc_clock; /* reference counted */

/* kc_clock_new_real makes a clock that follows the machine. */
KC_CHECKED int kc_clock_new_real(struct kc_clock **out);

/* kc_clock_new_manual makes a clock that stands at `start_ms` since the epoch.
 */
KC_CHECKED int kc_clock_new_manual(uint64_t start_ms, struct kc_clock **out);

/* kc_clock_ref adds an owner and returns `c`; kc_clock_unref removes one and
 * frees the clock with the last. unref takes NULL. */
struct kc_clock *kc_clock_ref(struct kc_clock *c);
void kc_clock_unref(struct kc_clock *c);

/* kc_clock_now_ms returns engine time; it never goes back. */
uint64_t kc_clock_now_ms(const struct kc_clock *c);

bool kc_clock_is_manual(const struct kc_clock *c);

/* kc_clock_advance moves a manual clock on by `ms`; a real one is left alone.
 */
void kc_clock_advance(struct kc_clock *c, uint64_t ms);

/* kc_mono_ms reads CLOCK_MONOTONIC, for I/O time-outs and loop timers. */
uint64_t kc_mono_ms(void);
uint64_t kc_mono_us(void);

/* kc_wall_ms reads the wall clock, UTC, since the epoch; it may step. */
uint64_t kc_wall_ms(void);

#endif
