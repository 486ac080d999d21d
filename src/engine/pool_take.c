/* pool_take.c -- what a store remembers of use, and what others use. */
#include <string.h>

#include "engine/pool_impl.h"
#include "util/num.h"

#define LONGEST_DAY_MS UINT64_C(90002000) /* of 25 hours, and the skew */
#define HELD_MAX (UINT64_C(1) << 23)      /* no pool has more leases */

size_t kc_pool_begin_restore(struct kc_pool *p)
{
    size_t n = 0;
    kc_pool_enter(p, 0);
    for (uint32_t i = 0; i < p->key_count; i++) {
        if (p->keys[i]->past == KC_UNREAD)
            p->keys[i]->past = KC_READING;
        n += p->keys[i]->past == KC_READING;
    }
    kc_pool_leave(p);
    return n;
}

void kc_pool_end_restore(struct kc_pool *p, bool done)
{
    kc_pool_enter(p, 0);
    for (uint32_t i = 0; i < p->key_count; i++)
        if (p->keys[i]->past == KC_READING)
            p->keys[i]->past = done ? KC_READ : KC_UNREAD;
    kc_pool_leave(p);
}

uint64_t kc_pool_longest_ms(struct kc_pool *p)
{
    kc_pool_enter(p, 0);
    uint64_t ms = p->longest_ms > LONGEST_DAY_MS ? p->longest_ms
                                                 : LONGEST_DAY_MS;
    kc_pool_leave(p);
    return ms;
}

struct place { /* where something is taken in */
    struct kc_key *key;
    struct kc_model *model;
    struct kc_scope *scope;
};

static int need_place(struct kc_pool *p, enum kc_origin origin,
                      const char *hash, const char *model, struct place *out)
{
    enum kc_reading past = origin == KC_PAST ? KC_READING : KC_READ;
    struct kc_key *k = p->taken;
    struct kc_scope *shared;
    if (!k || strcmp(k->hash, hash) != 0)
        p->taken = k = kc_map_get(&p->by_hash, hash);
    if (!k || k->past != past)
        return KC_ENOTFOUND;
    out->key = k;
    int err = kc_pool_need_model(p, model, &out->model);
    if (err == KC_OK)
        err = kc_key_need_scope(k, out->model->id, &out->scope);
    if (err == KC_OK && k->shared)
        err = kc_key_need_scope(k->shared, out->model->id, &shared);
    return err;
}

/* Makes the windows that are to know of it, the long ones too. */
static int need_windows(struct kc_pool *p, const struct place *at)
{
    struct kc_limits both;
    const struct kc_limits *limits =
        kc_pool_holding(p, at->key, at->model, &both);
    struct kc_meter *m =
        kc_pool_meter(p, kc_key_quota(at->key), at->model->id);
    kc_meter_keep_day(m, p->now_ms, limits);
    return p->has_sides ? kc_pool_need_sides(p, at->key, at->model) : KC_OK;
}

static void book_on(struct kc_pool *p, struct kc_key *k,
                    const struct kc_model *m, uint64_t at_ms,
                    uint64_t requests, struct kc_cost cost)
{
    kc_meter_book(&kc_key_scope(k, m->id)->meter, p->now_ms, at_ms, requests,
                  cost);
    if (k->meter && !m->apart)
        kc_meter_book(k->meter, p->now_ms, at_ms, requests, cost);
}

int kc_pool_take_use(struct kc_pool *p, uint64_t now_ms, enum kc_origin origin,
                     const char *key, const char *model, uint64_t at_ms,
                     const struct kc_used *used)
{
    struct place at;
    kc_pool_enter(p, now_ms);
    int err = need_place(p, origin, key, model, &at);
    if (err == KC_OK)
        err = need_windows(p, &at);
    if (err == KC_OK && (used->counted > 0 || used->counted_tokens > 0)) {
        uint64_t requests = kc_least(used->counted, KC_TOKENS_MAX);
        struct kc_cost cost = {
            .tokens = kc_least(used->counted_tokens, KC_TOKENS_MAX),
            .input = used->counted_input};
        book_on(p, at.key, at.model, at_ms, requests, cost);
        if (at.key->shared)
            book_on(p, at.key->shared, at.model, at_ms, requests, cost);
        kc_pool_changed(p);
    }
    kc_pool_leave(p);
    return err;
}

int kc_pool_take_total(struct kc_pool *p, uint64_t now_ms,
                       enum kc_origin origin, const char *key,
                       const char *model, uint64_t requests, uint64_t tokens)
{
    struct place at;
    kc_pool_enter(p, now_ms);
    int err = need_place(p, origin, key, model, &at);
    if (err == KC_OK) {
        struct kc_scope *s = at.scope;
        s->total_requests = kc_add_capped(s->total_requests, requests);
        s->total_tokens = kc_add_capped(s->total_tokens, tokens);
        kc_pool_use_model(p, at.model);
    }
    kc_pool_leave(p);
    return err;
}

/* -- what others hold ------------------------------------------------------ */

static bool holds(const struct kc_tally *t)
{
    return t && (t->others.requests > 0 || t->others.tokens > 0);
}

static void hold_on(struct kc_key *k, uint32_t model, const struct kc_tally *t,
                    bool back)
{
    kc_meter_hold_others(&kc_key_scope(k, model)->meter, back, &t->others);
    if (k->meter && !t->others_apart)
        kc_meter_hold_others(k->meter, back, &t->others);
}

static void hold_all(struct kc_key *k, bool back)
{
    for (uint32_t i = 0; k->shared && i < k->scope_cap; i++)
        if (k->scopes[i] && holds(k->scopes[i]->tally))
            hold_on(k->shared, i, k->scopes[i]->tally, back);
}

void kc_pool_others_before(struct kc_key *k)
{
    hold_all(k, true);
}

void kc_pool_others_after(struct kc_key *k)
{
    hold_all(k, false);
}

/* What was held before is a part of what is known, or was never told. */
static uint64_t moved(uint64_t known, uint64_t before, uint64_t now,
                      uint64_t most)
{
    before = kc_least(kc_least(before, most), known);
    return known - before + kc_least(now, most);
}

int kc_pool_take_held(struct kc_pool *p, uint64_t now_ms,
                      enum kc_origin origin, const char *key,
                      const char *model, const struct kc_held *before,
                      const struct kc_held *now)
{
    struct place at;
    kc_pool_enter(p, now_ms);
    int err = need_place(p, origin, key, model, &at);
    if (err == KC_OK)
        err = kc_pool_need_tally(p, at.key, at.model, at.scope);
    if (err == KC_OK) {
        struct kc_tally *t = at.scope->tally;
        struct kc_held *o = &t->others;
        struct kc_key *of[2] = {at.key, at.key->shared};
        for (int i = 0; i < 2 && of[i]; i++)
            hold_on(of[i], at.model->id, t, true);
        t->others_apart = at.model->apart;
        o->requests =
            moved(o->requests, before->requests, now->requests, HELD_MAX);
        o->tokens =
            moved(o->tokens, before->tokens, now->tokens, KC_TOKENS_MAX);
        o->input = moved(o->input, before->input, now->input, KC_TOKENS_MAX);
        for (int i = 0; i < 2 && of[i]; i++)
            hold_on(of[i], at.model->id, t, false);
        kc_pool_use_model(p, at.model);
        kc_pool_touched(p, at.key, at.model->id, true);
    }
    kc_pool_leave(p);
    return err;
}
