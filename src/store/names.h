/* names.h -- keys and models by their numbers, and the other way round. */
#ifndef KC_STORE_NAMES_H
#define KC_STORE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "store/db.h"
#include "util/buf.h"
#include "util/map.h"

#define KC_NAME_MAX 255 /* bytes, of a provider or a model */

/* -- for who writes: numbers that are known -------------------------------- */

struct kc_ids {
    struct kc_map keys, models;
};

void kc_ids_init(struct kc_ids *ids);
void kc_ids_deinit(struct kc_ids *ids);

/* kc_ids_clear forgets all: what a transaction made is gone with it. */
void kc_ids_clear(struct kc_ids *ids);

/* kc_ids_key finds or makes the number of a key, kc_ids_model that of a model
 * (0 for ""). KC_ETOOLARGE: a name is too long. */
KC_CHECKED int kc_ids_key(struct kc_ids *ids, struct kc_db *db,
                          const char *provider, const char *hash, int64_t *id);
KC_CHECKED int kc_ids_model(struct kc_ids *ids, struct kc_db *db,
                            const char *name, int64_t *id);

/* -- for who reads: all names at once -------------------------------------- */

struct kc_key_name {
    int64_t id;
    const char *provider, *hash, *label, *suffix;
};

struct kc_model_name {
    int64_t id;
    const char *name;
};

struct kc_names {
    struct kc_key_name *keys; /* by number, as are: */
    struct kc_model_name *models;
    size_t key_len, key_cap;
    size_t model_len, model_cap;
};

/* kc_names_load reads them, in the transaction that runs; keys of `provider`
 * (NULL: all). On failure, too, the caller frees them with kc_names_deinit. */
KC_CHECKED int kc_names_load(struct kc_names *names, struct kc_db *db,
                             const char *provider);
void kc_names_deinit(struct kc_names *names);

/* kc_names_key returns the key's name or NULL, kc_names_model the model's. */
const struct kc_key_name *kc_names_key(const struct kc_names *names,
                                       int64_t id);
const char *kc_names_model(const struct kc_names *names, int64_t id);

#endif
