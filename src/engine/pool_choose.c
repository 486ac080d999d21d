/* pool_choose.c -- which key serves a request. */
#include "engine/pool_impl.h"

#include "util/num.h"

#define FEW_KEYS 8 /* a tier of so many is looked at whole */
#define SAMPLE 4   /* of a larger one, as many by chance */

/* The best key so far. */
struct pick {
    uint32_t key;     /* 0: none yet */
    uint64_t score;   /* lower is better */
    uint64_t weights; /* of all that had room */
    size_t place;     /* in its tier */
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
    struct kc_key *key;
    struct kc_meter *meter;         /* NULL: nothing was used yet */
    const struct kc_limits *limits; /* NULL: not looked up yet */
    struct kc_limits both;          /* what `limits` may point to */
};

static const struct kc_limits *limits_of(const struct kc_pool *p,
                                         const struct kc_offer *offer,
                                         struct view *v)
{
    if (!v->limits)
        v->limits = kc_pool_holding(p, v->key, offer->model, &v->both);
    return v->limits;
}

static void check_states(const struct kc_pool *p, const struct kc_key *k,
                         const struct kc_offer *offer, struct kc_block *b)
{
    const struct kc_rare *own =
        kc_scope_rare(kc_key_scope(k, offer->model->id));
    kc_cooldown_check(&k->cool, p->now_ms, offer->idle, b);
    if (own)
        kc_cooldown_check(&own->cool, p->now_ms, offer->idle, b);
    if (offer->pump != 0 && own && own->shut == offer->pump)
        kc_block_add(b, KC_ELIMITED, KC_NEVER, "queue", 0);
}

/* The common case at a glance: a key of its own, in use, ready, with room. */
static bool passes(const struct kc_pool *p, const struct kc_offer *offer,
                   const struct view *v)
{
    const struct kc_key *k = v->key;
    if (!v->meter || k->shared || k->removed || k->disabled ||
        k->cool.state != KC_READY || k->model_count > 0 || offer->idle)
        return false;
    const struct kc_rare *own =
        kc_scope_rare(kc_key_scope(k, offer->model->id));
    if (own && (own->cool.state != KC_READY ||
                (offer->pump != 0 && own->shut == offer->pump)))
        return false;
    return kc_meter_passes(v->meter, p->now_ms, p->epoch,
                           offer->request->tokens);
}

/* Adds to `b` what states and limits put in the way of a request that costs
 * `cost`. */
static void check(struct kc_pool *p, const struct kc_offer *offer,
                  struct view *v, struct kc_cost cost, struct kc_block *b)
{
    check_states(p, v->key, offer, b);
    if (v->key->shared)
        check_states(p, v->key->shared, offer, b);
    kc_meter_check(v->meter, p->now_ms, limits_of(p, offer, v), cost,
                   offer->idle, b);
}

/* Adds to `b` all that keeps key `k` from serving the request. */
static void weigh(struct kc_pool *p, struct kc_key *k,
                  const struct kc_offer *offer, struct view *v,
                  struct kc_block *b)
{
    kc_block_clear(b, k->index);
    v->key = k;
    v->meter = kc_pool_meter(p, kc_key_quota(k), offer->model->id);
    v->limits = NULL;
    if (passes(p, offer, v))
        return;
    if (k->removed || k->disabled) {
        kc_block_add(b, KC_ENOKEY, KC_NEVER,
                     kc_state_name(kc_key_state(k, p->now_ms)), 0);
        return;
    }
    if (k->model_count > 0 && !kc_key_serves(k, offer->model->name)) {
        kc_block_add(b, KC_ENOKEY, KC_NEVER, "models", 0);
        return;
    }
    if (p->has_sides && v->meter && kc_pool_need_sides(p, k, offer->model)) {
        /* It cannot be counted now; the next may try at once. */
        kc_block_add(b, KC_ENOMEM, p->now_ms, "", 0);
        return;
    }
    check(p, offer, v, kc_cost_of(offer->request), b);
    /* Keys of a group may have limits of their own on the same meter. */
    if (v->meter && !k->shared && !offer->idle)
        kc_meter_remember(v->meter, v->limits, p->epoch);
}

/* The seat to keep what was found of a key; NULL: it is not worth it. */
static struct kc_seat *seat_of(const struct kc_offer *offer,
                               const struct view *v)
{
    if (offer->idle || v->key->shared)
        return NULL;
    return kc_model_seat(offer->model, v->key->index);
}

/* Notes until when the key cannot serve the request, nor one of more tokens. A
 * place kept for a waiter is no such reason, and where input and output are
 * told apart more tokens may pass where fewer do not: then it is noted of none.
 * What is known of fewer tokens stays. */
static void park(struct kc_pool *p, const struct kc_offer *offer,
                 struct view *v, const struct kc_block *b)
{
    struct kc_block least = *b;
    uint64_t tokens = offer->request->tokens;
    struct kc_seat *seat = seat_of(offer, v);
    if (!seat)
        return;
    if (offer->pump != 0 || p->has_sides) {
        struct kc_offer anybody = {.request = offer->request,
                                   .model = offer->model};
        tokens = 0;
        kc_block_clear(&least, v->key->index);
        check(p, &anybody, v, (struct kc_cost){0}, &least);
    }
    if (least.err != KC_ELIMITED ||
        (seat->parked_ms > p->now_ms && seat->parked_tokens < tokens))
        return;
    seat->parked_ms = least.at_ms;
    seat->parked_tokens = tokens;
}

static uint64_t load_of(struct kc_pool *p, const struct kc_offer *offer,
                        struct view *v)
{
    uint64_t load = kc_meter_load(v->meter, limits_of(p, offer, v));
    struct kc_seat *seat = seat_of(offer, v);
    if (seat && v->meter) {
        seat->load = load;
        seat->load_until_ms = v->meter->expiry_ms;
    }
    return load;
}

static uint64_t score_of(struct kc_pool *p, const struct kc_key *k,
                         const struct kc_offer *offer, struct view *v)
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
        return load_of(p, offer, v);
    case KC_MOST_REMAINING:
        return UINT64_MAX -
               kc_meter_fits(v->meter, limits_of(p, offer, v), r->tokens);
    case KC_BEST_FIT:
        return kc_meter_fits(v->meter, limits_of(p, offer, v), r->tokens);
    default:
        return 0;
    }
}

/* Whether a key can serve; of those that cannot the most hopeful reason is kept
 * in `refusal`. */
static bool can_serve(struct kc_pool *p, struct kc_key *k,
                      const struct kc_offer *offer, struct view *v,
                      struct kc_block *refusal)
{
    struct kc_block b;
    weigh(p, k, offer, v, &b);
    if (b.err == KC_OK)
        return true;
    if (b.at_ms < offer->model->refused.until_ms)
        offer->model->refused.until_ms = b.at_ms;
    if (refusal->key == 0 || kc_block_better(&b, refusal))
        *refusal = b;
    if (b.err == KC_ELIMITED)
        park(p, offer, v, &b);
    return false;
}

/* Looks at one key: a better one becomes the pick. */
static void consider(struct kc_pool *p, struct kc_key *k, size_t place,
                     const struct kc_offer *offer, struct pick *pick,
                     struct kc_block *refusal)
{
    struct view v;
    if (!can_serve(p, k, offer, &v, refusal))
        return;
    uint64_t score = score_of(p, k, offer, &v);
    bool better = !pick->key || score < pick->score;
    if (p->selector.mode == KC_WEIGHTED && !offer->request->affinity) {
        pick->weights += k->weight;
        better = kc_rng_below(&p->rng, pick->weights) < k->weight;
    }
    if (better) {
        pick->key = k->index;
        pick->score = score;
        pick->place = place;
    }
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

static bool wanted_otherwise(const struct kc_request *r, uint32_t key)
{
    return key == r->key || key == r->not_key; /* asked first, or last */
}

/* Before then the key of the seat cannot serve the request; 0: nobody knows. */
static uint64_t parked_until(const struct kc_offer *offer,
                             const struct kc_seat *seat)
{
    bool known = seat && !offer->idle &&
                 offer->request->tokens >= seat->parked_tokens;
    return known ? seat->parked_ms : 0;
}

/* Draws some keys and looks at the least loaded one. What their seats know is
 * believed, so that the others are not touched. */
static void draw(struct kc_pool *p, const struct kc_tier *t, size_t draws,
                 const struct kc_offer *offer, struct pick *pick,
                 struct kc_block *refusal)
{
    size_t best = t->len;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < draws; i++) {
        size_t place = kc_rng_below(&p->rng, t->len);
        uint32_t key = t->keys[place];
        const struct kc_seat *seat = kc_model_seat(offer->model, key);
        if (wanted_otherwise(offer->request, key) ||
            parked_until(offer, seat) > p->now_ms)
            continue;
        if (!seat || seat->load_until_ms <= p->now_ms) {
            consider(p, p->keys[key - 1], place, offer, pick, refusal);
        } else if (seat->load < least) {
            least = seat->load;
            best = place;
        }
    }
    if (best == t->len || (pick->key && pick->score <= least))
        return;
    struct view v;
    uint32_t key = t->keys[best];
    if (can_serve(p, p->keys[key - 1], offer, &v, refusal))
        *pick = (struct pick){.key = key, .score = least, .place = best};
}

/* Looks at the key at a place, unless it is parked and its time could not be
 * the first. */
static void look_at(struct kc_pool *p, const struct kc_tier *t, size_t place,
                    const struct kc_offer *offer, struct pick *pick,
                    struct kc_block *refusal)
{
    uint32_t key = t->keys[place];
    const struct kc_seat *seat = kc_model_seat(offer->model, key);
    uint64_t parked_ms = parked_until(offer, seat);
    if (wanted_otherwise(offer->request, key))
        return;
    if (parked_ms > p->now_ms && refusal->key != 0 &&
        refusal->err == KC_ELIMITED && parked_ms >= refusal->at_ms)
        return;
    consider(p, p->keys[key - 1], place, offer, pick, refusal);
}

/* A tier of one key: there is nothing to compare. */
static void take_only(struct kc_pool *p, const struct kc_tier *t,
                      const struct kc_offer *offer, struct pick *pick,
                      struct kc_block *refusal)
{
    struct view v;
    uint32_t key = t->keys[0];
    if (!wanted_otherwise(offer->request, key) &&
        can_serve(p, p->keys[key - 1], offer, &v, refusal))
        *pick = (struct pick){.key = key};
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
    if (t->len == 1) {
        take_only(p, t, offer, pick, refusal);
        return;
    }
    if (t->len > FEW_KEYS || offer->model->seats) /* stale ones mislead */
        kc_pool_keep_seats(p, offer->model);
    if (draws > 0)
        draw(p, t, draws, offer, pick, refusal);
    for (size_t i = 0; i < t->len; i++) {
        if (pick->key && first_will_do)
            return;
        size_t place = t->start + i; /* a division would cost more than this */
        if (place >= t->len)
            place -= t->len;
        look_at(p, t, place, offer, pick, refusal);
    }
}

static bool pick_any(struct kc_pool *p, const struct kc_offer *offer,
                     bool commit, struct kc_block *b)
{
    for (size_t i = 0; i < p->selector.len; i++) {
        struct pick pick = {.key = 0};
        pick_in_tier(p, &p->selector.tiers[i], offer, &pick, b);
        if (!pick.key)
            continue;
        if (commit)
            kc_selector_took(&p->selector, i, pick.place);
        kc_block_clear(b, pick.key);
        return true;
    }
    return false;
}

/* One key alone. */
static bool pick_key(struct kc_pool *p, struct kc_key *k,
                     const struct kc_offer *offer, struct kc_block *b)
{
    struct view v;
    if (!can_serve(p, k, offer, &v, b))
        return false;
    kc_block_clear(b, k->index);
    return true;
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
