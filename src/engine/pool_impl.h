/* pool_impl.h -- the body of a pool, for the pool_*.c files and snapshot.c
 * only.
 *
 * Whoever comes in through pool.h enters (which locks and moves the time on)
 * and leaves; the functions below expect the lock to be held.
 */
#ifndef KC_ENGINE_POOL_IMPL_H
#define KC_ENGINE_POOL_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/block.h"
#include "engine/key.h"
#include "engine/lease.h"
#include "engine/pool.h"
#include "engine/pool_store.h"
#include "engine/queue.h"
#include "engine/selection.h"
#include "engine/tally.h"
#include "util/map.h"
#include "util/rng.h"

/* More tokens than this are no request; it keeps every sum far from 2^64. */
#define KC_TOKENS_MAX ((UINT64_C(1) << 40) - 1)

/* The last refusal to a plain request: the same request is refused in the same
 * words until its time or until something changes. */
struct kc_refused {
    uint64_t version; /* of the pool; 0: none */
    uint64_t tokens, input;
    uint64_t until_ms;
    struct kc_block block;
};

struct kc_seat { /* what the last look at a key found, see pool_seats.c */
    uint64_t parked_ms;     /* before then it cannot serve a request of … */
    uint64_t parked_tokens; /* … so many tokens, or more */
    uint64_t load_until_ms; /* until then its load is known */
    uint64_t load;
};

struct kc_model {
    uint32_t id; /* its place in pool->models and in each key's scopes */
    char *name;
    struct kc_limits *line; /* of every key; NULL: none */
    bool used;
    bool apart; /* its limits are its own though the pool's are together */
    struct kc_refused refused;
    struct kc_seat *seats; /* by key - 1; NULL: few keys, or no memory */
    uint32_t seat_len;
    uint64_t seat_epoch; /* of the pool; another one's are void */
    struct kc_queue queue;
    struct kc_waiter *cursor; /* of a running pump */
    struct kc_model *next_active;
};

struct kc_pool {
    pthread_mutex_t lock;
    struct kc_pool_config config;
    uint64_t now_ms;
    uint64_t grants; /* ever given: the serial number of the last one */
    uint64_t pumps;  /* names what a scope is shut for */
    uint64_t version; /* from 1: another one at each change */
    uint64_t seat_epoch; /* another one when any key may have got free */
    uint32_t epoch;      /* of all limits, from 1; see kc_pool_relimited */
    bool has_sides;      /* some limits ask for windows beyond the three */
    bool told_sides;     /* so do limits that answers told of */
    struct kc_rng rng;

    struct kc_key **keys; /* index - 1 */
    uint32_t key_count, key_cap;
    struct kc_map by_hash;
    struct kc_key *taken; /* what a store told of last was its; or NULL */
    struct kc_key **groups; /* each key's `index` is its place + 1 */
    uint32_t group_count;
    struct kc_map by_group;
    struct kc_selector selector;

    struct kc_model **models;
    uint32_t model_count, model_cap;
    struct kc_map by_name;
    struct kc_model *recent; /* the one that was asked for last, or NULL */
    uint32_t *used; /* ids in the order of their first use */
    uint32_t used_count;

    struct kc_limits *line; /* of every key and model; NULL: none */
    char *only;             /* models whose limits are together; NULL: all */
    struct kc_leases leases;
    struct kc_note *notes; /* the last events, where somebody listens */
    uint64_t note_count;   /* ever kept */
    uint32_t listeners;
    struct kc_model *active; /* models with waiters */
    size_t waiting;

    bool kept;              /* for a store: see pool_store.h */
    atomic_bool news;       /* some for it since it collected last */
    atomic_uint_fast64_t told; /* kc_pool_state_version */
    struct kc_tally *tallies;
    struct kc_tally *listed, *last_listed; /* to be collected */
    uint64_t longest_ms; /* of a side that limits ever wanted */
};

/* kc_pool_enter locks and returns engine time: the greatest ever told. */
uint64_t kc_pool_enter(struct kc_pool *p, uint64_t now_ms);
void kc_pool_leave(struct kc_pool *p);

/* kc_pool_changed: what was refused may be served now, or must be refused in
 * other words. */
static inline void kc_pool_changed(struct kc_pool *p)
{
    p->version++;
    p->seat_epoch++;
}

/* kc_pool_relimited: other limits hold for some key, or may. */
static inline void kc_pool_relimited(struct kc_pool *p)
{
    kc_pool_changed(p);
    if (++p->epoch == 0)
        p->epoch = 1; /* 0 is no epoch */
}

/* kc_pool_need_tally makes the tally of a key's scope. */
KC_CHECKED int kc_pool_need_tally(struct kc_pool *p, const struct kc_key *k,
                                  const struct kc_model *m, struct kc_scope *s);

static inline void kc_pool_has_new(struct kc_pool *p)
{
    if (!atomic_load_explicit(&p->news, memory_order_relaxed))
        atomic_store_explicit(&p->news, true, memory_order_relaxed);
}

/* kc_pool_tell: a tally has changed; the store is to be told. */
static inline void kc_pool_tell(struct kc_pool *p, struct kc_tally *t)
{
    kc_pool_has_new(p);
    if (t->listed)
        return;
    t->listed = true;
    t->next_listed = NULL;
    if (p->listed)
        p->last_listed->next_listed = t;
    else
        p->listed = t;
    p->last_listed = t;
}

/* kc_pool_restated: a state has changed, or what was learned, and not because a
 * store told so. kc_pool_renamed: a label has, which makes no state newer. */
void kc_pool_restated(struct kc_pool *p, struct kc_told *t);
void kc_pool_renamed(struct kc_pool *p, struct kc_told *t);

/* kc_pool_others_before gives back on the group of a key what others hold of
 * the key, kc_pool_others_after holds it there: a key moves between the two. */
void kc_pool_others_before(struct kc_key *k);
void kc_pool_others_after(struct kc_key *k);

/* kc_pool_touched: one key's use has changed, for a model or, where limits are
 * all models', for each; `eased`: it may have got free. */
void kc_pool_touched(struct kc_pool *p, struct kc_key *k, uint32_t model,
                     bool eased);

/* kc_pool_keep_seats makes the seats of a model current; without memory there
 * are none for the newest keys. */
void kc_pool_keep_seats(struct kc_pool *p, struct kc_model *m);

static inline struct kc_seat *kc_model_seat(const struct kc_model *m,
                                            uint32_t key)
{
    return key <= m->seat_len ? &m->seats[key - 1] : NULL;
}

/* kc_pool_due returns the oldest lease whose request was sent so long ago that
 * the provider has counted it, or NULL; kc_pool_stamp_due stamps them all. */
static inline struct kc_lease *kc_pool_due(const struct kc_pool *p)
{
    struct kc_lease *l = kc_leases_due(&p->leases);
    bool due = l && p->config.guard_ms > 0 &&
               p->now_ms - l->start_ms >= p->config.guard_ms;
    return due ? l : NULL;
}
void kc_pool_stamp_due(struct kc_pool *p);

/* kc_pool_key returns a key, removed ones too; NULL for a bad index. */
struct kc_key *kc_pool_key(const struct kc_pool *p, uint32_t index);

/* kc_pool_need_group finds or makes the record of a group of keys. */
KC_CHECKED int kc_pool_need_group(struct kc_pool *p, const char *name,
                                  struct kc_key **out);

/* kc_pool_sum_in books in a group, which has the key's scopes, what the key has
 * used and has in flight. What was charged to another group stays there until
 * it is settled. */
void kc_pool_sum_in(struct kc_pool *p, struct kc_key *group, struct kc_key *k);

/* kc_pool_end_on counts a lease's answer as ended, or as not ended again, on a
 * key's record or its group's. */
void kc_pool_end_on(struct kc_key *k, const struct kc_lease *l, bool ended);

/* kc_pool_need_model finds or makes the record of a model; NULL is "". */
KC_CHECKED int kc_pool_need_model(struct kc_pool *p, const char *name,
                                  struct kc_model **out);
struct kc_model *kc_pool_find_model(const struct kc_pool *p, const char *name);

/* kc_pool_use_model notes that a model was used. */
void kc_pool_use_model(struct kc_pool *p, struct kc_model *m);

/* kc_pool_limits returns the line that holds; `k` and `m` may be NULL. */
const struct kc_limits *kc_pool_limits(const struct kc_pool *p,
                                       const struct kc_key *k,
                                       const struct kc_model *m);

struct kc_note { /* an event as it is kept */
    enum kc_event_type type;
    uint64_t at_ms, until_ms, amount;
    uint32_t key, from;
    const struct kc_model *model; /* NULL: the whole key */
    char reason[64];
};

/* kc_pool_note keeps an event and sets its time; nothing without listeners. */
void kc_pool_note(struct kc_pool *p, const struct kc_note *event);

/* kc_pool_holding is kc_pool_limits with what was learned: one of the two
 * tables, or *both of them, filled in. */
const struct kc_limits *kc_pool_holding(const struct kc_pool *p,
                                        struct kc_key *k,
                                        const struct kc_model *m,
                                        struct kc_limits *both);

/* kc_pool_together: the limits of a model (NULL: of all) are those of all
 * models together. */
static inline bool kc_pool_together(const struct kc_pool *p,
                                    const struct kc_model *m)
{
    return p->config.strategy == KC_GLOBAL && !(m && m->apart);
}

/* kc_pool_meter returns where the limits of a quota are tested for a model;
 * NULL: nothing was used yet. */
static inline struct kc_meter *kc_pool_meter(const struct kc_pool *p,
                                             struct kc_key *quota,
                                             uint32_t model)
{
    struct kc_scope *s = kc_key_scope(quota, model);
    if (kc_pool_together(p, p->models[model]))
        return quota->meter;
    return s ? &s->meter : NULL;
}

/* kc_cost_of tells what a request reserves. */
static inline struct kc_cost kc_cost_of(const struct kc_request *r)
{
    return (struct kc_cost){.tokens = r->tokens,
                            .input = r->input < r->tokens ? r->input
                                                          : r->tokens};
}

/* kc_pool_need_sides makes the further windows that limits want of a scope that
 * is there. */
KC_CHECKED int kc_pool_need_sides(struct kc_pool *p, struct kc_key *k,
                                  const struct kc_model *m);

/* How a choice is made for a request. */
struct kc_offer {
    const struct kc_request *request;
    struct kc_model *model;
    uint64_t pump; /* 0, or leave out the scopes that it has shut */
    bool idle;     /* as if all that is in flight were given back */
};

/* kc_pool_choose finds the key to serve a request: KC_OK (b->key), or as
 * kc_pool_acquire with the reason in *b. It changes no count; with `commit`
 * the selection moves on. */
int kc_pool_choose(struct kc_pool *p, const struct kc_offer *offer, bool commit,
                   struct kc_block *b);

/* kc_pool_grant chooses and charges. KC_ENOMEM changes no count. */
KC_CHECKED int kc_pool_grant(struct kc_pool *p, const struct kc_offer *offer,
                             struct kc_grant *grant, struct kc_block *b);

/* kc_pool_refuse puts a block into the caller's words; `out` may be NULL. */
void kc_pool_refuse(const struct kc_pool *p, const struct kc_block *b,
                    struct kc_refusal *out);

/* kc_pool_expire_now is kc_pool_expire under the lock. */
size_t kc_pool_expire_now(struct kc_pool *p);

/* kc_pool_queue_block tells whether a caller who comes now must wait behind
 * others: *b gets the time of the first of them. */
bool kc_pool_queue_block(struct kc_pool *p, const struct kc_request *request,
                         struct kc_model *m, struct kc_block *b);

#endif
