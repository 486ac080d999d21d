/* registry.h -- the one place with static state: what belongs to the process.
 */
#ifndef KC_RUNTIME_REGISTRY_H
#define KC_RUNTIME_REGISTRY_H

#include <stdbool.h>

#include "util/err.h"
#include "util/map.h"

/* kc_registry_init makes libcurl ready and installs the fork handler, once a
 * process; any thread, any number of times. libcurl is never cleaned up: a
 * resolver thread may outlive every runtime. */
KC_CHECKED int kc_registry_init(void);

/* kc_registry_generation counts the forks this process descends through since
 * kc_registry_init: what was opened in another generation is the parent's. */
unsigned kc_registry_generation(void);

/* kc_registry_enter locks and returns the process's pools by name (see hub.h),
 * which kc_registry_leave unlocks. A forked child begins with none: what the
 * parent had there is the parent's. */
struct kc_map *kc_registry_enter(void);
void kc_registry_leave(void);

struct kc_farewell { /* in its owner's memory */
    void (*fn)(void *ctx);
    void *ctx;
    struct kc_farewell *prev, *next;
    bool listed;
};

/* kc_registry_at_exit has fn(ctx) called when the process exits with its Lua
 * states open, as a script's os.exit does; kc_registry_not_at_exit waits for a
 * call that is going on. A forked child begins with none. */
void kc_registry_at_exit(struct kc_farewell *f);
void kc_registry_not_at_exit(struct kc_farewell *f);

#endif
