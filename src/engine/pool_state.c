/* pool_state.c -- what refusals prove about a key, and what the user says. */
#include "engine/pool_impl.h"

#include <string.h>

#define LAST_KEY_MS 1000

static void note(struct kc_pool *p, enum kc_event_type type, uint32_t key,
                 const char *model, uint64_t until_ms, const char *reason)
{
    struct kc_note n = {.type = type, .key = key, .until_ms = until_ms};
    n.model = model ? kc_pool_find_model(p, model) : NULL;
    kc_copy_cut(n.reason, sizeof n.reason, reason);
    kc_pool_note(p, &n);
}

/* Whether another key could serve what `k` serves, as far as states say. */
static bool has_other(const struct kc_pool *p, const struct kc_key *k,
                      const struct kc_model *m)
{
    for (uint32_t i = 0; i < p->key_count; i++) {
        struct kc_key *o = p->keys[i], *quota = kc_key_quota(o);
        const struct kc_rare *own =
            m ? kc_scope_rare(kc_key_scope(quota, m->id)) : NULL;
        if (o == k || quota == k || (m && !kc_key_serves(o, m->name)))
            continue;
        enum kc_state state = kc_key_state(o, p->now_ms);
        if (state == KC_READY && quota != o)
            state = kc_key_state(quota, p->now_ms);
        if (state == KC_READY && own)
            state = kc_cooldown_state(&own->cool, p->now_ms);
        if (state == KC_READY || state == KC_PROBING)
            return true;
    }
    return false;
}

/* A store is told where anything has changed: of a burst of refusals, once. */
static void restated(struct kc_pool *p, const struct kc_cooldown *c,
                     const struct kc_cooldown *before, struct kc_told *told)
{
    if (memcmp(c, before, sizeof *c) != 0)
        kc_pool_restated(p, told);
}

static uint64_t cool(struct kc_pool *p, struct kc_key *k, struct kc_rare *own,
                     const struct kc_model *m, uint64_t delay_ms,
                     const char *reason)
{
    struct kc_cooldown *c = own ? &own->cool : &k->cool, before = *c;
    /* A guess must not keep the last usable key away: it is tried again soon,
     * however often it was refused. */
    if (delay_ms == KC_NEVER && !has_other(p, k, m))
        delay_ms = 1 + kc_rng_below(&p->rng, LAST_KEY_MS);
    kc_pool_changed(p);
    uint64_t until_ms = kc_cooldown_cool(c, p->now_ms, delay_ms, p->grants,
                                         &p->rng, reason);
    restated(p, c, &before, own ? &own->told : &k->told);
    return until_ms;
}

int kc_pool_cool(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                 const char *model, uint64_t delay_ms, const char *reason,
                 uint64_t *until_ms)
{
    kc_pool_enter(p, now_ms);
    struct kc_key *k = kc_pool_key(p, key);
    struct kc_rare *own = NULL;
    struct kc_model *m = NULL;
    int err = k ? KC_OK : KC_ENOTFOUND;
    if (k)
        k = kc_key_quota(k);
    if (k && model) {
        err = kc_pool_need_model(p, model, &m);
        if (err == KC_OK)
            err = kc_key_need_rare(k, m->id, &own);
    }
    uint64_t until = 0;
    if (err == KC_OK) {
        until = cool(p, k, own, m, delay_ms, reason);
        note(p, KC_EVENT_COOLDOWN, key, model, until, reason);
    }
    kc_pool_leave(p);
    if (until_ms)
        *until_ms = until;
    return err;
}

int kc_pool_suspend(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                    uint64_t confirm_ms, const char *reason)
{
    uint64_t now = kc_pool_enter(p, now_ms);
    struct kc_key *k = kc_pool_key(p, key);
    if (k) {
        struct kc_cooldown before = k->cool;
        kc_pool_changed(p);
        kc_cooldown_suspend(&k->cool, now, confirm_ms, p->grants, reason);
        restated(p, &k->cool, &before, &k->told);
        note(p, KC_EVENT_INVALID, key, NULL, 0, reason);
    }
    kc_pool_leave(p);
    return k ? KC_OK : KC_ENOTFOUND;
}

int kc_pool_unpaid(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                   const char *reason)
{
    kc_pool_enter(p, now_ms);
    struct kc_key *k = kc_pool_key(p, key);
    if (k) {
        struct kc_key *quota = kc_key_quota(k);
        struct kc_cooldown before = quota->cool;
        kc_pool_changed(p);
        kc_cooldown_unpaid(&quota->cool, p->grants, reason);
        restated(p, &quota->cool, &before, &quota->told);
        note(p, KC_EVENT_INVALID, key, NULL, 0, reason);
    }
    kc_pool_leave(p);
    return k ? KC_OK : KC_ENOTFOUND;
}

int kc_pool_disable(struct kc_pool *p, uint64_t now_ms, uint32_t key)
{
    kc_pool_enter(p, now_ms);
    struct kc_key *k = kc_pool_key(p, key);
    int err = k && !k->removed ? KC_OK : KC_ENOTFOUND;
    if (err == KC_OK) {
        k->disabled = true;
        kc_pool_changed(p);
        kc_pool_restated(p, &k->told);
    }
    kc_pool_leave(p);
    return err;
}

static void revive(struct kc_pool *p, struct kc_key *k)
{
    kc_cooldown_clear(&k->cool);
    kc_pool_restated(p, &k->told);
    for (size_t i = 0; i < k->scope_cap; i++) {
        struct kc_rare *r = kc_scope_rare(k->scopes[i]);
        if (!r || r->cool.state == KC_READY)
            continue;
        kc_cooldown_clear(&r->cool);
        kc_pool_restated(p, &r->told);
    }
}

int kc_pool_enable(struct kc_pool *p, uint64_t now_ms, uint32_t key)
{
    kc_pool_enter(p, now_ms);
    struct kc_key *k = kc_pool_key(p, key);
    int err = k && !k->removed ? KC_OK : KC_ENOTFOUND;
    if (err == KC_OK) {
        if (kc_key_state(k, p->now_ms) != KC_READY)
            note(p, KC_EVENT_RECOVER, key, NULL, 0, "enabled");
        k->disabled = false;
        kc_pool_changed(p);
        revive(p, k);
        if (k->shared)
            revive(p, k->shared);
    }
    kc_pool_leave(p);
    return err;
}
