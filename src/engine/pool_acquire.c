/* pool_acquire.c -- a request's charge, or the words of its refusal.
 *
 * Every meter of a key was tested before any is written here, so a refusal
 * changes nothing.
 */
#include "engine/pool_impl.h"

#include <string.h>

#include "util/num.h"

/* Holds one request on a key's record, or on its group's. */
static void hold(struct kc_pool *p, struct kc_key *k, struct kc_scope *s,
                 const struct kc_lease *l)
{
    kc_meter_hold(&s->meter, l->cost);
    if (k->meter && !l->apart)
        kc_meter_hold(k->meter, l->cost);
    if (k->cool.state != KC_READY)
        kc_cooldown_granted(&k->cool, p->now_ms, l->id);
    if (s->rare && s->rare->cool.state != KC_READY)
        kc_cooldown_granted(&s->rare->cool, p->now_ms, l->id);
}

/* What others hold of a quota. */
static uint64_t carry_others(struct kc_pool *p, struct kc_side *side,
                             const struct kc_key *quota,
                             const struct kc_model *m)
{
    uint64_t requests = 0;
    for (struct kc_tally *t = p->tallies; t; t = t->next) {
        struct kc_key *k = kc_map_get(&p->by_hash, t->key);
        bool other = kc_pool_together(p, m) ? t->others_apart
                                            : strcmp(t->model, m->name) != 0;
        if (t->others.requests == 0 || other || kc_key_quota(k) != quota)
            continue;
        kc_side_carry_others(side, false, &t->others);
        requests += t->others.requests;
    }
    return requests;
}

/* A window that is new takes over what is in flight on its quota: `count`
 * leases, so that nobody looks further than to the last of them. */
static void carry_into(struct kc_pool *p, struct kc_side *side, uint64_t count,
                       const struct kc_key *quota, const struct kc_model *m)
{
    count -= kc_least(count, carry_others(p, side, quota, m));
    struct kc_lease *l = kc_leases_oldest(&p->leases);
    for (; l && count > 0; l = kc_leases_next(&p->leases, l)) {
        bool mine = kc_pool_key(p, l->key) == quota ||
                    (l->group && p->groups[l->group - 1] == quota);
        bool other = kc_pool_together(p, m) ? l->apart : l->model != m->id;
        if (!mine || other)
            continue;
        kc_side_carry(side, l->stamp_ms != 0, l->cost);
        count--;
    }
}

int kc_pool_need_sides(struct kc_pool *p, struct kc_key *k,
                       const struct kc_model *m)
{
    struct kc_limits both;
    struct kc_key *quota = kc_key_quota(k);
    struct kc_meter *meter = kc_pool_meter(p, quota, m->id);
    const struct kc_limits *limits = kc_pool_holding(p, k, m, &both);
    for (uint32_t i = 0; i < limits->side_count; i++) {
        struct kc_side *made;
        int err =
            kc_meter_need_side(meter, p->now_ms, &limits->sides[i], &made);
        if (err != KC_OK)
            return err;
        if (made)
            carry_into(p, made, meter->in_flight, quota, m);
    }
    return KC_OK;
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

/* All that a charge on (key, model) needs, before anything is changed. */
static int prepare(struct kc_pool *p, struct kc_key *k,
                   const struct kc_model *m, struct kc_scope *of[2],
                   struct kc_lease **l)
{
    of[1] = NULL;
    int err = kc_key_need_scope(k, m->id, &of[0]);
    if (err == KC_OK && k->shared)
        err = kc_key_need_scope(k->shared, m->id, &of[1]);
    if (err == KC_OK && p->has_sides)
        err = kc_pool_need_sides(p, k, m);
    if (err == KC_OK && p->kept && !of[0]->tally)
        err = kc_pool_need_tally(p, k, m, of[0]);
    return err == KC_OK ? kc_leases_open(&p->leases, l) : err;
}

static int charge(struct kc_pool *p, const struct kc_offer *offer,
                  struct kc_key *k, struct kc_grant *grant)
{
    struct kc_scope *of[2];
    struct kc_lease *l;
    struct kc_model *m = offer->model;
    struct kc_cost cost = kc_cost_of(offer->request);
    int err = prepare(p, k, m, of, &l);
    if (err != KC_OK)
        return err;
    l->serial = ++p->grants;
    l->start_ms = p->now_ms;
    l->cost = cost;
    l->key = k->index;
    l->model = m->id;
    l->apart = m->apart;
    hold(p, k, of[0], l);
    if (k->shared) {
        l->group = k->shared->index;
        hold(p, k->shared, of[1], l);
    }
    kc_pool_touched(p, k, m->id, false);
    if (p->listeners > 0)
        tell_grant(p, offer, k->index);
    if (!m->used)
        kc_pool_use_model(p, m);
    of[0]->total_requests++;
    if (p->kept) {
        l->tallied = true;
        kc_tally_hold(of[0]->tally, p->now_ms, cost.tokens, cost.input);
        kc_pool_tell(p, of[0]->tally);
    }
    k->leases++;
    *grant = (struct kc_grant){.lease = l->id,
                               .key = k->index,
                               .acquired_ms = p->now_ms,
                               .tokens = l->cost.tokens};
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

/* What has happened is counted; there is nothing to refuse. */
static int charge_made(struct kc_pool *p, const struct kc_offer *offer,
                       struct kc_grant *grant, struct kc_block *b)
{
    struct kc_key *k = kc_pool_key(p, offer->request->key);
    kc_block_clear(b, 0);
    if (!k)
        return KC_ENOTFOUND;
    if (offer->request->tokens > KC_TOKENS_MAX) {
        kc_block_add(b, KC_EIMPOSSIBLE, KC_NEVER, "tokens", KC_TOKENS_MAX);
        return b->err;
    }
    return charge(p, offer, k, grant);
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
        .wait_ms = wait, .limit = b->limit, .max = b->max,
        .span_ms = b->span_ms, .key = b->key};
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
        if (request->made) {
            err = charge_made(p, &offer, grant, &b);
        } else if (kc_pool_queue_block(p, request, m, &b)) {
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

int kc_pool_explain(struct kc_pool *p, uint64_t now_ms,
                    const struct kc_request *request,
                    struct kc_refusal *refusal)
{
    *refusal = (struct kc_refusal){.wait_ms = KC_NEVER, .limit = ""};
    kc_pool_enter(p, now_ms);
    struct kc_model *m;
    int err = kc_pool_need_model(p, request->model, &m);
    if (err == KC_OK) {
        struct kc_offer offer = {.request = request, .model = m};
        struct kc_block b;
        err = kc_pool_choose(p, &offer, false, &b);
        kc_pool_refuse(p, &b, refusal);
    }
    kc_pool_leave(p);
    return err;
}

int kc_pool_next_available(struct kc_pool *p, uint64_t now_ms,
                           const struct kc_request *request, uint64_t *wait_ms)
{
    struct kc_refusal refusal;
    int err = kc_pool_explain(p, now_ms, request, &refusal);
    *wait_ms = err == KC_OK ? 0 : refusal.wait_ms;
    return err == KC_ELIMITED ? KC_OK : err;
}
