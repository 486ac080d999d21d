/* registry.h -- the one place with static state: what belongs to the process.
 */
#ifndef KC_RUNTIME_REGISTRY_H
#define KC_RUNTIME_REGISTRY_H

#include "util/err.h"

/* kc_registry_init makes libcurl ready and installs the fork handler, once a
 * process; any thread, any number of times. libcurl is never cleaned up: a
 * resolver thread may outlive every runtime. */
KC_CHECKED int kc_registry_init(void);

/* kc_registry_generation counts the forks this process descends through since
 * kc_registry_init: what was opened in another generation is the parent's. */
unsigned kc_registry_generation(void);

#endif
