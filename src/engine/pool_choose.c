/* pool_choose.c -- which key serves a request. */
#include "engine/pool_impl.h"
#include "util/num.h"

#define FEW_KEYS 8 /* a tier of so many is looked at whole */
#define SAMPLE 4   /* of a larger one, as ENGINE.md section 4 */

/* The best key so far. */
struct pick {
    struct kc_block block; /* of that key: nothing in the way */
    uint64_t score;        /* lower is better */
    uint64_t weights;      /* of all that had room */
    size_t place;          /* in its tier */
    bool found;
};

uint64_t kc_affinity(const char *text)
{
    uint64_t h = kc_hash(text); /* and a last stir */
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    h ^= h >> 33;
    return h ? h : 1;
}

/* What decides about one key: looked up once, tested, then scored. */
struct view {
    struct kc_meter *meter; /* NULL: nothing was used yet */
    const struct kc_limits *limits;
    struct kc_limits both; /* what `limits` may point to */
};

/* Where the limits of `k` are tested. */
static struct kc_meter *meter_of(const struct kc_pool *p, struct kc_key *k,
                                 const struct kc_offer *offer)
{
    struct kc_key *quota = kc_key_quota(k);
    struct kc_scope *s = kc_key_scope(quota, offer->model->id);
    if (p->config.strategy == KC_GLOBAL)
        return quota->meter;
    return s ? &s->meter : NULL;
}

static void check_states(const struct kc_pool *p, const struct kc_key *k,
                         const struct kc_offer *offer, struct kc_block *b)
{
    const struct kc_scope *s = kc_key_scope(k, offer->model->id);
    kc_cooldown_check(&k->cool, p->now_ms, offer->idle, b);
    if (s)
        kc_cooldown_check(&s->cool, p->now_ms, offer->idle, b);
    if (offer->pump != 0 && s && s->shut == offer->pump)
        kc_block_add(b, KC_ELIMITED, KC_NEVER, "queue", 0);
}

static void check_split(const struct kc_pool *p, struct kc_key *k,
                        const struct kc_offer *offer,
                        const struct kc_limits *limits, struct kc_block *b)
{
    struct kc_key *quota = kc_key_quota(k);
    struct kc_scope *s = kc_key_scope(quota, offer->model->id);
    struct kc_split *split = NULL;
    if (s || p->config.strategy == KC_GLOBAL)
        split = *kc_pool_split(p, quota, s);
    kc_split_check(split, p->now_ms, limits,
                   kc_parts_of(offer->request->tokens, offer->request->input),
                   offer->idle, b);
}

/* Adds to `b` all that keeps key `k` from serving the request. */
static void weigh(struct kc_pool *p, struct kc_key *k,
                  const struct kc_offer *offer, struct view *v,
                  struct kc_block *b)
{
    kc_block_clear(b, k->index);
    if (k->removed || k->disabled) {
        kc_block_add(b, KC_ENOKEY, KC_NEVER,
                     kc_state_name(kc_key_state(k, p->now_ms)), 0);
        return;
    }
    if (k->model_count > 0 && !kc_key_serves(k, offer->model->name)) {
        kc_block_add(b, KC_ENOKEY, KC_NEVER, "models", 0);
        return;
    }
    check_states(p, k, offer, b);
    if (k->shared)
        check_states(p, k->shared, offer, b);
    v->meter = meter_of(p, k, offer);
    v->limits = kc_pool_holding(p, k, offer->model, &v->both);
    kc_meter_check(v->meter, p->now_ms, v->limits, offer->request->tokens,
                   offer->idle, b);
    if (kc_split_wanted(v->limits))
        check_split(p, k, offer, v->limits, b);
}

static uint64_t score_of(const struct kc_pool *p, const struct kc_key *k,
                         const struct kc_offer *offer, const struct view *v)
{
    const struct kc_request *r = offer->request;
    if (r->affinity) {
        struct kc_rng rank;
        kc_rng_seed(&rank, r->affinity ^ k->place);
        return kc_rng_next(&rank);
    }
    switch (p->selector.mode) {
    case KC_BALANCED:
    case KC_RANDOM_TWO:
        return kc_meter_load(v->meter, v->limits);
    case KC_MOST_REMAINING:
        return UINT64_MAX - kc_meter_fits(v->meter, v->limits, r->tokens);
    case KC_BEST_FIT:
        return kc_meter_fits(v->meter, v->limits, r->tokens);
    default:
        return 0;
    }
}

/* Looks at one key: a better one becomes the pick; of those that are in the way
 * the most hopeful reason is kept in `refusal`. */
static void consider(struct kc_pool *p, struct kc_key *k, size_t place,
                     const struct kc_offer *offer, struct pick *pick,
                     struct kc_block *refusal)
{
    struct kc_block b;
    struct view v;
    weigh(p, k, offer, &v, &b);
    if (b.err != KC_OK) {
        if (b.at_ms < offer->model->refused.until_ms)
            offer->model->refused.until_ms = b.at_ms;
        if (refusal->key == 0 || kc_block_better(&b, refusal))
            *refusal = b;
        return;
    }
    uint64_t score = score_of(p, k, offer, &v);
    bool better = !pick->found || score < pick->score;
    if (p->selector.mode == KC_WEIGHTED && !offer->request->affinity) {
        pick->weights += k->weight;
        better = kc_rng_below(&p->rng, pick->weights) < k->weight;
    }
    if (better)
        *pick = (struct pick){.block = b,
                              .score = score,
                              .weights = pick->weights,
                              .place = place,
                              .found = true};
}

/* How many keys of a tier are drawn at random; 0: all are looked at. */
static size_t sample_of(const struct kc_pool *p, const struct kc_tier *t,
                        const struct kc_request *r)
{
    if (r->affinity)
        return 0;
    if (p->selector.mode == KC_BALANCED && t->len > FEW_KEYS)
        return SAMPLE;
    return p->selector.mode == KC_RANDOM_TWO && t->len > 2 ? 2 : 0;
}

static void pick_in_tier(struct kc_pool *p, struct kc_tier *t,
                         const struct kc_offer *offer, struct pick *pick,
                         struct kc_block *refusal)
{
    const struct kc_request *r = offer->request;
    enum kc_selection mode = p->selector.mode;
    size_t draws = sample_of(p, t, r);
    bool in_turn = mode == KC_ROUND_ROBIN || mode == KC_FILL_FIRST;
    bool first_will_do = draws > 0 || (in_turn && !r->affinity);
    if (p->config.random_start && !t->begun && mode != KC_FILL_FIRST)
        t->start = t->last = kc_rng_below(&p->rng, t->len);
    t->begun = t->len > 0;
    for (size_t i = 0; i < draws; i++) {
        size_t place = kc_rng_below(&p->rng, t->len);
        uint32_t key = t->keys[place];
        if (key != r->key && key != r->not_key)
            consider(p, p->keys[key - 1], place, offer, pick, refusal);
    }
    for (size_t i = 0; i < t->len; i++) {
        if (pick->found && first_will_do)
            return;
        size_t place = t->start + i; /* a division would cost more than this */
        if (place >= t->len)
            place -= t->len;
        uint32_t key = t->keys[place];
        if (key != r->key && key != r->not_key)
            consider(p, p->keys[key - 1], place, offer, pick, refusal);
    }
}

static bool pick_any(struct kc_pool *p, const struct kc_offer *offer,
                     bool commit, struct kc_block *b)
{
    for (size_t i = 0; i < p->selector.len; i++) {
        struct pick pick = {.found = false};
        pick_in_tier(p, &p->selector.tiers[i], offer, &pick, b);
        if (!pick.found)
            continue;
        if (commit)
            kc_selector_took(&p->selector, i, pick.place);
        *b = pick.block;
        return true;
    }
    return false;
}

/* One key alone. */
static bool pick_key(struct kc_pool *p, struct kc_key *k,
                     const struct kc_offer *offer, struct kc_block *b)
{
    struct pick pick = {.found = false};
    consider(p, k, 0, offer, &pick, b);
    if (pick.found)
        *b = pick.block;
    return pick.found;
}

static int choose(struct kc_pool *p, const struct kc_offer *offer, bool commit,
                  struct kc_block *b)
{
    const struct kc_request *r = offer->request;
    struct kc_key *first = kc_pool_key(p, r->key);
    struct kc_key *last = kc_pool_key(p, r->not_key);
    kc_block_clear(b, 0);
    kc_block_add(b, KC_ENOKEY, KC_NEVER, "no_key", 0);
    if (r->key != 0 && (!first || (r->pin && first->removed))) {
        b->err = KC_ENOTFOUND;
        return b->err;
    }
    if (r->tokens > KC_TOKENS_MAX) {
        kc_block_clear(b, 0);
        kc_block_add(b, KC_EIMPOSSIBLE, KC_NEVER, "tokens", KC_TOKENS_MAX);
        return b->err;
    }
    if (first && !first->removed && pick_key(p, first, offer, b))
        return KC_OK;
    if (first && r->pin)
        return b->err;
    if (pick_any(p, offer, commit, b))
        return KC_OK;
    if (last && last != first && !last->removed)
        pick_key(p, last, offer, b);
    return b->err;
}

/* A refusal is the same for all that ask for the same without wishes. */
static bool is_plain(const struct kc_offer *offer)
{
    const struct kc_request *r = offer->request;
    return !offer->idle && offer->pump == 0 && r->key == 0 && r->not_key == 0 &&
           r->affinity == 0;
}

int kc_pool_choose(struct kc_pool *p, const struct kc_offer *offer, bool commit,
                   struct kc_block *b)
{
    const struct kc_request *r = offer->request;
    struct kc_refused *last = &offer->model->refused;
    bool plain = is_plain(offer);
    if (plain && last->version == p->version && p->now_ms < last->until_ms &&
        r->tokens == last->tokens && r->input == last->input) {
        *b = last->block;
        return b->err;
    }
    uint64_t until_ms = last->until_ms;
    last->until_ms = KC_NEVER; /* what is considered brings it forward */
    int err = choose(p, offer, commit, b);
    if (!plain) {
        last->until_ms = until_ms;
        return err;
    }
    last->version = err == KC_OK ? 0 : p->version;
    last->tokens = r->tokens;
    last->input = r->input;
    if (err != KC_OK)
        last->block = *b;
    return err;
}
