/* pool_acquire.c -- which key serves a request, and its charge.
 *
 * Every meter of a key is tested before any is written, so a refusal changes
 * nothing.
 */
#include "engine/pool_impl.h"

/* Adds to `b` all that keeps key `k` from serving the request. */
static void weigh(struct kc_pool *p, struct kc_key *k,
                  const struct kc_offer *offer, struct kc_block *b)
{
    kc_block_clear(b, k->index);
    if (k->removed || k->disabled) {
        kc_block_add(b, KC_ENOKEY, KC_NEVER,
                     kc_state_name(kc_key_state(k, p->now_ms)), 0);
        return;
    }
    struct kc_scope *s = kc_key_scope(k, offer->model->id);
    struct kc_meter *m = s ? &s->meter : NULL;
    if (p->config.strategy == KC_GLOBAL)
        m = k->meter;
    kc_cooldown_check(&k->cool, p->now_ms, offer->idle, b);
    if (s)
        kc_cooldown_check(&s->cool, p->now_ms, offer->idle, b);
    kc_meter_check(m, p->now_ms, kc_pool_limits(p, k, offer->model),
                   offer->request->tokens, offer->idle, b);
    if (offer->pump != 0 && s && s->shut == offer->pump)
        kc_block_add(b, KC_ELIMITED, KC_NEVER, "queue", 0);
}

/* Asks one key; keeps the more hopeful of two refusals. */
static bool ask(struct kc_pool *p, struct kc_key *k,
                const struct kc_offer *offer, struct kc_block *best)
{
    struct kc_block b;
    weigh(p, k, offer, &b);
    if (best->key == 0 || kc_block_better(&b, best))
        *best = b;
    return best->err == KC_OK;
}

static bool ask_all(struct kc_pool *p, const struct kc_offer *offer,
                    bool commit, struct kc_block *best)
{
    const struct kc_request *r = offer->request;
    struct kc_walk walk = {0, 0};
    uint32_t key;
    while ((key = kc_selector_next(&p->selector, &walk)) != 0) {
        if (key == r->key || key == r->not_key)
            continue;
        if (ask(p, p->keys[key - 1], offer, best)) {
            if (commit)
                kc_selector_took(&p->selector, &walk);
            return true;
        }
    }
    return false;
}

int kc_pool_choose(struct kc_pool *p, const struct kc_offer *offer, bool commit,
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
    if (first && !first->removed && ask(p, first, offer, b))
        return KC_OK;
    if (first && r->pin)
        return b->err;
    if (ask_all(p, offer, commit, b))
        return KC_OK;
    if (last && last != first && !last->removed)
        ask(p, last, offer, b);
    return b->err;
}

static int charge(struct kc_pool *p, const struct kc_offer *offer,
                  struct kc_key *k, struct kc_grant *grant)
{
    struct kc_scope *s;
    struct kc_lease *l;
    int err = kc_key_need_scope(k, offer->model->id, &s);
    if (err == KC_OK)
        err = kc_leases_open(&p->leases, &l);
    if (err != KC_OK)
        return err;
    uint64_t tokens = offer->request->tokens;
    l->serial = ++p->grants;
    l->acquired_ms = p->now_ms;
    l->tokens = tokens;
    l->key = k->index;
    l->model = offer->model->id;
    kc_meter_hold(&s->meter, tokens);
    if (k->meter)
        kc_meter_hold(k->meter, tokens);
    kc_cooldown_granted(&k->cool, p->now_ms, l->id);
    kc_cooldown_granted(&s->cool, p->now_ms, l->id);
    kc_pool_use_model(p, offer->model);
    s->total_requests++;
    k->leases++;
    *grant = (struct kc_grant){.lease = l->id,
                               .key = k->index,
                               .acquired_ms = p->now_ms,
                               .tokens = tokens};
    return KC_OK;
}

int kc_pool_grant(struct kc_pool *p, const struct kc_offer *offer,
                  struct kc_grant *grant, struct kc_block *b)
{
    int err = kc_pool_choose(p, offer, true, b);
    if (err == KC_OK)
        err = charge(p, offer, p->keys[b->key - 1], grant);
    return err;
}

void kc_pool_refuse(const struct kc_pool *p, const struct kc_block *b,
                    struct kc_refusal *out)
{
    if (!out)
        return;
    uint64_t wait = KC_NEVER;
    if ((b->err == KC_ELIMITED || b->err == KC_ENOKEY) && b->at_ms != KC_NEVER)
        wait = b->at_ms > p->now_ms ? b->at_ms - p->now_ms : 0;
    *out = (struct kc_refusal){
        .wait_ms = wait, .limit = b->limit, .max = b->max, .key = b->key};
}

int kc_pool_acquire(struct kc_pool *p, uint64_t now_ms,
                    const struct kc_request *request, struct kc_grant *grant,
                    struct kc_refusal *refusal)
{
    *grant = (struct kc_grant){.lease = 0};
    if (refusal)
        *refusal = (struct kc_refusal){.limit = ""};
    kc_pool_enter(p, now_ms);
    struct kc_model *m;
    int err = kc_pool_need_model(p, request->model, &m);
    if (err == KC_OK) {
        struct kc_offer offer = {.request = request, .model = m};
        struct kc_block b;
        if (kc_pool_queue_block(p, request, m, &b)) {
            struct kc_block own;
            err = kc_pool_choose(p, &offer, false, &own);
            if (err == KC_OK || (err == KC_ELIMITED && own.at_ms < b.at_ms))
                own = b;
            err = own.err;
            b = own;
        } else {
            err = kc_pool_grant(p, &offer, grant, &b);
        }
        if (err != KC_OK && err != KC_ENOMEM)
            kc_pool_refuse(p, &b, refusal);
    }
    kc_pool_leave(p);
    return err;
}

int kc_pool_next_available(struct kc_pool *p, uint64_t now_ms,
                           const struct kc_request *request, uint64_t *wait_ms)
{
    *wait_ms = KC_NEVER;
    kc_pool_enter(p, now_ms);
    struct kc_model *m;
    int err = kc_pool_need_model(p, request->model, &m);
    if (err == KC_OK) {
        struct kc_offer offer = {.request = request, .model = m};
        struct kc_block b;
        struct kc_refusal refusal;
        err = kc_pool_choose(p, &offer, false, &b);
        kc_pool_refuse(p, &b, &refusal);
        *wait_ms = err == KC_OK ? 0 : refusal.wait_ms;
        if (err == KC_ELIMITED)
            err = KC_OK;
    }
    kc_pool_leave(p);
    return err;
}
