/* memory.h -- a store that ends with the process: for tests, and for programs
 * that want the same paths without a file.
 */
#ifndef KC_STORE_MEMORY_H
#define KC_STORE_MEMORY_H

#include "store/store.h"

/* kc_memory_open makes an empty store. */
KC_CHECKED int kc_memory_open(struct kc_store **out);

#endif
