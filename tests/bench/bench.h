/* bench.h -- what the benches of the engine share. Each prints its figures as
 * `name value unit` lines; engine.c calls them one after the other.
 */
#ifndef KC_BENCH_H
#define KC_BENCH_H

#include <stdint.h>

#include "engine/pool.h"

#define BENCH_START_MS UINT64_C(1767225600000)
#define BENCH_MUCH (UINT64_C(1) << 50) /* a limit that is never reached */

void bench_cost(void);
void bench_use(void);
void bench_hold(void);
void bench_memory(void);
void bench_queue(void);

/* bench_must ends the program where `err` is not KC_OK. */
void bench_must(int err);

/* bench_pool makes a pool of so many keys, all with `limits`. The caller frees
 * it. */
struct kc_pool *bench_pool(uint32_t keys, enum kc_selection selection,
                           const struct kc_limits *limits);

/* bench_limits returns limits of `max` in all six windows. */
struct kc_limits bench_limits(uint64_t max);

#endif
