/* key.h -- one key: its secret, what may be shown of it, its states, its use;
 * and a group of keys that share one quota, which is a key without a secret.
 *
 * What belongs to the key for one model is a scope; scopes are made when first
 * charged, limited or put away. A removed key keeps its use, and its secret so
 * that late texts can still be redacted, until the pool is freed.
 */
#ifndef KC_ENGINE_KEY_H
#define KC_ENGINE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cooldown.h"
#include "engine/meter.h"
#include "engine/pool.h"
#include "util/secret.h"

struct kc_tally;

struct kc_told { /* of a state, for a store */
    uint64_t version; /* of all states when it changed; 0: never */
    uint64_t changed_ms; /* 0: never */
};

struct kc_rare { /* what few scopes have */
    struct kc_cooldown cool;
    struct kc_limits *line;    /* NULL: none of its own */
    struct kc_limits *learned; /* from answers; NULL: nothing */
    struct kc_told told;
    uint64_t observed;         /* serial of the newest answer's grant */
    uint64_t shut; /* the pump that keeps this key for a waiter ahead */
};

enum kc_reading { KC_UNREAD, KC_READING, KC_READ };

struct kc_scope {
    struct kc_rare *rare; /* NULL: nothing of that */
    struct kc_tally *tally; /* for a store, and of others; the pool's or NULL */
    uint64_t total_requests;
    uint64_t total_tokens;
    struct kc_meter meter;
};

struct kc_key { /* what every choice looks at stands first */
    struct kc_scope **scopes; /* by model id; NULL where unused */
    size_t scope_cap;
    struct kc_meter *meter;   /* of all models, where limits are GLOBAL */
    struct kc_key *shared;    /* the record of its group; NULL: none */
    size_t model_count;
    uint32_t index;
    uint32_t leases; /* out */
    bool disabled;
    bool removed;
    enum kc_reading past; /* what a store remembers of it */
    struct kc_cooldown cool;
    struct kc_told told;
    struct kc_limits *line;
    struct kc_limits *learned; /* as `meter` */
    char **models;             /* those it serves; none: all */
    int priority;
    uint32_t weight; /* at least 1 */
    uint64_t place;  /* a number of its own, for affinity */
    struct kc_secret *secret;
    char suffix[KC_SUFFIX_MAX];
    char hash[33];
    char *label; /* NULL: none */
    char *group;
    char **params; /* name, value, name, value, … */
    size_t param_count;
};

enum kc_match { KC_NO_MATCH, KC_SUFFIX_MATCH, KC_WHOLE_MATCH };

/* kc_key_new copies `config`; with `global` it has a meter for all models.
 * KC_EINVALID for a secret that is none. */
KC_CHECKED int kc_key_new(const struct kc_key_config *config, bool global,
                          struct kc_key **out);

/* kc_key_new_group makes the record that the keys of a group share: their
 * limits are tested, and their refusals kept, there. */
KC_CHECKED int kc_key_new_group(const char *name, bool global,
                                struct kc_key **out);

/* kc_key_quota returns the record whose use and states decide: the group's, or
 * the key itself. */
static inline struct kc_key *kc_key_quota(struct kc_key *k)
{
    return k->shared ? k->shared : k;
}

/* kc_key_free wipes the secret and frees all; takes NULL. */
void kc_key_free(struct kc_key *k);

/* kc_key_update takes all of `config` but the secret; on failure the key is as
 * before. */
KC_CHECKED int kc_key_update(struct kc_key *k,
                             const struct kc_key_config *config);

/* kc_key_match compares the key with what a user typed. */
enum kc_match kc_key_match(const struct kc_key *k, const char *id, size_t len);

/* kc_key_serves: the key's list of models lets `model` pass. */
bool kc_key_serves(const struct kc_key *k, const char *model);

/* kc_key_state returns the state that holds for all models. */
enum kc_state kc_key_state(const struct kc_key *k, uint64_t now_ms);

/* kc_key_scope returns the scope of a model, or NULL. */
static inline struct kc_scope *kc_key_scope(const struct kc_key *k,
                                            uint32_t model)
{
    return model < k->scope_cap ? k->scopes[model] : NULL;
}

/* kc_key_need_scope makes it where there is none. */
KC_CHECKED int kc_key_need_scope(struct kc_key *k, uint32_t model,
                                 struct kc_scope **out);

/* kc_key_need_scopes makes all those that `other` has. */
KC_CHECKED int kc_key_need_scopes(struct kc_key *k, const struct kc_key *other);

/* kc_key_need_rare makes the scope's rare part where there is none. */
KC_CHECKED int kc_key_need_rare(struct kc_key *k, uint32_t model,
                                struct kc_rare **out);

/* kc_scope_rare returns the rare part of a scope, or NULL; `s` may be NULL. */
static inline struct kc_rare *kc_scope_rare(const struct kc_scope *s)
{
    return s ? s->rare : NULL;
}

#endif
