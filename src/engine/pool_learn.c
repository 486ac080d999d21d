/* pool_learn.c -- limits and use that answers tell of. */
#include "engine/pool_impl.h"

#include <stdlib.h>

#include "util/num.h"

const struct kc_limits *kc_pool_holding(const struct kc_pool *p,
                                        struct kc_key *k,
                                        const struct kc_model *m,
                                        struct kc_limits *both)
{
    const struct kc_limits *set = kc_pool_limits(p, k, m);
    const struct kc_key *quota = kc_key_quota(k);
    const struct kc_rare *own =
        m ? kc_scope_rare(kc_key_scope(quota, m->id)) : NULL;
    const struct kc_limits *learned = own ? own->learned : NULL;
    if (kc_pool_together(p, m))
        learned = quota->learned;
    if (!learned)
        return set;
    *both = *set;
    kc_limits_told(both, learned);
    return both;
}

static struct kc_side_limit *parts_of(struct kc_limits *l)
{
    return kc_limits_side(l, KC_MINUTE_MS, true);
}

/* Takes a limit; true when it is another than before. */
static bool take_limit(struct kc_limits **learned,
                       const struct kc_observation *o, int *err)
{
    if (o->limit == KC_UNLIMITED || o->limit == 0)
        return false; /* none at all is an odd way to say something else */
    if (!*learned) {
        *learned = malloc(sizeof **learned);
        if (!*learned) {
            *err = KC_ENOMEM;
            return false;
        }
        kc_limits_unlimited(*learned);
    }
    uint64_t *max = &(*learned)->max[o->window][o->unit];
    if (o->parts) /* the only side that is ever learned: there is room */
        max = &parts_of(*learned)->max[o->unit];
    bool changed = *max != o->limit;
    *max = o->limit; /* it may be higher than before */
    return changed;
}

static void tell_limit(struct kc_pool *p, const struct kc_lease *l,
                       const struct kc_observation *o)
{
    static const struct kc_side_limit minute = {.span_ms = KC_MINUTE_MS,
                                                .parts = true};
    struct kc_note n = {.type = KC_EVENT_LEARN, .key = l->key};
    const struct kc_model *m = p->models[l->model];
    n.model = kc_pool_together(p, m) ? NULL : m;
    n.amount = o->limit;
    kc_copy_cut(n.reason, sizeof n.reason,
                o->parts ? kc_side_limit_name(&minute, (int)o->unit)
                         : kc_limit_name(o->window, o->unit));
    kc_pool_note(p, &n);
}

/* Has the meter count at least what `remaining` leaves of the limit. */
static int clamp(struct kc_pool *p, struct kc_key *k, const struct kc_model *m,
                 const struct kc_observation *o)
{
    struct kc_limits both;
    const struct kc_limits *limits = kc_pool_holding(p, k, m, &both);
    struct kc_meter *meter = kc_pool_meter(p, kc_key_quota(k), m->id);
    uint64_t used = kc_least(o->limit - o->remaining, KC_TOKENS_MAX);
    if (!o->parts) {
        kc_meter_clamp(meter, p->now_ms, limits, o->window, o->unit, used);
        return KC_OK;
    }
    int err = kc_pool_need_sides(p, k, m);
    struct kc_side *s = kc_side_find(meter->sides, KC_MINUTE_MS, true);
    if (s) /* not where a window too many was left out */
        kc_side_clamp(s, p->now_ms, (int)o->unit, used);
    return err;
}

static int observe(struct kc_pool *p, const struct kc_lease *l,
                   const struct kc_observation *o)
{
    struct kc_key *k = kc_pool_key(p, l->key);
    struct kc_key *quota = kc_key_quota(k);
    struct kc_rare *own;
    int err = kc_key_need_rare(quota, l->model, &own);
    if (err != KC_OK)
        return err;
    bool together = kc_pool_together(p, p->models[l->model]);
    struct kc_limits **learned = together ? &quota->learned : &own->learned;
    kc_pool_touched(p, k, l->model, false);
    if (take_limit(learned, o, &err)) {
        if (o->parts)
            p->has_sides = p->told_sides = true;
        kc_pool_relimited(p);
        kc_pool_restated(p, together ? &quota->told : &own->told);
        tell_limit(p, l, o);
    }
    bool newest = l->serial >= own->observed;
    if (newest && o->limit != KC_UNLIMITED && o->remaining < o->limit) {
        own->observed = l->serial;
        int failed = clamp(p, k, p->models[l->model], o);
        err = err != KC_OK ? err : failed;
    }
    return err;
}

int kc_pool_observe(struct kc_pool *p, uint64_t now_ms, uint64_t lease,
                    const struct kc_observation *o)
{
    kc_pool_enter(p, now_ms);
    const struct kc_lease *l = kc_leases_get(&p->leases, lease);
    int err = l ? observe(p, l, o) : KC_ESTALE;
    kc_pool_leave(p);
    return err;
}

/* -- keys of one organisation ---------------------------------------------- */

/* A window beyond the three that only the key has is made in the group at its
 * next charge, with all that is in flight then. */
void kc_pool_sum_in(struct kc_pool *p, struct kc_key *group, struct kc_key *k)
{
    for (uint32_t i = 0; i < k->scope_cap; i++)
        if (k->scopes[i])
            kc_meter_merge(&kc_key_scope(group, i)->meter, p->now_ms,
                           &k->scopes[i]->meter);
    if (k->meter)
        kc_meter_merge(group->meter, p->now_ms, k->meter);
    struct kc_lease *l = kc_leases_oldest(&p->leases);
    for (; l; l = kc_leases_next(&p->leases, l)) {
        if (l->key != k->index || l->group != 0)
            continue;
        l->group = group->index;
        bool stamped = l->stamp_ms != 0;
        kc_meter_carry(&kc_key_scope(group, l->model)->meter, stamped, l->cost);
        if (group->meter && !l->apart)
            kc_meter_carry(group->meter, stamped, l->cost);
        if (l->ended)
            kc_pool_end_on(group, l, true);
    }
}

int kc_pool_join(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                 const char *name, bool *joined)
{
    *joined = false;
    kc_pool_enter(p, now_ms);
    struct kc_key *k = kc_pool_key(p, key), *group;
    int err = k ? KC_OK : KC_ENOTFOUND;
    if (err == KC_OK && !k->shared) {
        err = kc_pool_need_group(p, name, &group);
        if (err == KC_OK)
            err = kc_key_need_scopes(group, k);
        if (err == KC_OK) {
            kc_pool_sum_in(p, group, k);
            kc_pool_relimited(p);
            k->shared = group;
            kc_pool_others_after(k);
            *joined = true;
        }
    }
    kc_pool_leave(p);
    return err;
}
