/* map.h -- a hash table from a string to a pointer.
 *
 * Open addressing, keys copied. Not thread-safe. Iteration is in no order and
 * ends when something is stored; what it has told may be removed.
 */
#ifndef KC_UTIL_MAP_H
#define KC_UTIL_MAP_H

#include <stddef.h>

#include "util/err.h"

struct kc_map_slot;
struct kc_map {
    struct kc_map_slot *slots;
    size_t cap; /* 0 or a power of two */
    size_t len;
    size_t used; /* len and the graves of removed entries */
};

void kc_map_init(struct kc_map *m);

/* kc_map_deinit frees the table and the copied keys, not the values. */
void kc_map_deinit(struct kc_map *m);

/* kc_map_get returns the value, or NULL. */
void *kc_map_get(const struct kc_map *m, const char *key);

/* kc_map_set stores a value that is not NULL; it replaces an older one. */
KC_CHECKED int kc_map_set(struct kc_map *m, const char *key, void *value);

/* kc_map_remove returns the value that was there, or NULL. */
void *kc_map_remove(struct kc_map *m, const char *key);

/* kc_map_next walks: start with *at = 0; returns 0 at the end. */
int kc_map_next(const struct kc_map *m, size_t *at, const char **key,
                void **value);

#endif
