/* pool_acquire.c -- a request's charge, or the words of its refusal.
 *
 * Every meter of a key was tested before any is written here, so a refusal
 * changes nothing.
 */
#include "engine/pool_impl.h"

/* Holds one request on a key's record, or on its group's. */
static void hold(struct kc_key *k, uint32_t model, const struct kc_lease *l)
{
    struct kc_scope *s = kc_key_scope(k, model);
    kc_meter_hold(&s->meter, l->tokens);
    if (k->meter)
        kc_meter_hold(k->meter, l->tokens);
    kc_cooldown_granted(&k->cool, l->acquired_ms, l->id);
    kc_cooldown_granted(&s->cool, l->acquired_ms, l->id);
}

/* Where the parts of a request are held; NULL: they are not told apart. */
static int need_split(struct kc_pool *p, struct kc_key *k,
                      const struct kc_model *m, struct kc_split **out)
{
    struct kc_limits both;
    struct kc_key *quota = kc_key_quota(k);
    *out = NULL;
    if (!kc_split_wanted(kc_pool_holding(p, k, m, &both)))
        return KC_OK;
    struct kc_scope *s = kc_key_scope(quota, m->id);
    struct kc_split **slot = kc_pool_split(p, quota, s);
    int err = kc_split_need(slot);
    *out = *slot;
    return err;
}

static void tell_grant(struct kc_pool *p, const struct kc_offer *offer,
                       uint32_t key)
{
    struct kc_note n = {
        .type = KC_EVENT_ACQUIRE, .key = key, .model = offer->model};
    kc_pool_note(p, &n);
    n.from = offer->request->not_key;
    n.type = KC_EVENT_ROTATE;
    if (n.from != 0 && n.from != key)
        kc_pool_note(p, &n);
}

static int charge(struct kc_pool *p, const struct kc_offer *offer,
                  struct kc_key *k, struct kc_grant *grant)
{
    struct kc_scope *s, *shared;
    struct kc_lease *l;
    int err = kc_key_need_scope(k, offer->model->id, &s);
    if (err == KC_OK && k->shared)
        err = kc_key_need_scope(k->shared, offer->model->id, &shared);
    struct kc_split *split = NULL;
    if (err == KC_OK)
        err = need_split(p, k, offer->model, &split);
    if (err == KC_OK)
        err = kc_leases_open(&p->leases, &l);
    if (err != KC_OK)
        return err;
    uint64_t tokens = offer->request->tokens;
    l->serial = ++p->grants;
    l->acquired_ms = p->now_ms;
    l->tokens = tokens;
    l->input = offer->request->input;
    l->split = split;
    if (split)
        kc_split_hold(split, kc_parts_of(tokens, l->input));
    l->key = k->index;
    l->model = offer->model->id;
    hold(k, l->model, l);
    if (k->shared) {
        l->group = k->shared->index;
        hold(k->shared, l->model, l);
    }
    kc_pool_changed(p);
    if (p->listeners > 0)
        tell_grant(p, offer, k->index);
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
