/* snapshot.c -- what was used, told and remembered. */
#include "engine/pool_impl.h"

#define KEYS_AT_ONCE 64

static void add_scope(struct kc_scope *s, uint64_t now, bool windows,
                      struct kc_snapshot *out)
{
    if (windows)
        kc_meter_used(&s->meter, now, out->used);
    out->total_requests += s->total_requests;
    if (s->tally) /* what others have in flight is none of their totals yet */
        out->total_requests += s->tally->others.requests;
    out->total_tokens += s->total_tokens;
    out->in_flight += s->meter.in_flight;
}

/* Adds one key. For all models together the limiting meter, where there is
 * one of all, tells the windows: it is what decides. */
static void add_key(const struct kc_pool *p, struct kc_key *k,
                    const struct kc_model *m, struct kc_snapshot *out)
{
    uint64_t now = p->now_ms;
    bool by_meter = k->meter && !p->only;
    if (m) {
        struct kc_scope *s = kc_key_scope(k, m->id);
        if (s)
            add_scope(s, now, true, out);
        return;
    }
    if (by_meter)
        kc_meter_used(k->meter, now, out->used);
    for (size_t i = 0; i < k->scope_cap; i++)
        if (k->scopes[i])
            add_scope(k->scopes[i], now, !by_meter, out);
}

/* Adds all keys, a few at a time: between them others may have the lock. */
static void add_all(struct kc_pool *p, const struct kc_model *m,
                    struct kc_snapshot *out)
{
    for (uint32_t i = 0; i < p->key_count; i++) {
        if (i > 0 && i % KEYS_AT_ONCE == 0) {
            kc_pool_leave(p);
            kc_pool_enter(p, 0);
        }
        add_key(p, p->keys[i], m, out);
    }
}

int kc_pool_snapshot(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                     const char *model, struct kc_snapshot *out)
{
    *out = (struct kc_snapshot){.in_flight = 0};
    kc_pool_enter(p, now_ms);
    const struct kc_model *m = model ? kc_pool_find_model(p, model) : NULL;
    struct kc_key *one = kc_pool_key(p, key);
    int err = key == 0 || one ? KC_OK : KC_ENOTFOUND;
    if (model && !m) {
        /* never used: all zero */
    } else if (one) {
        add_key(p, one, m, out);
    } else if (key == 0) {
        add_all(p, m, out);
    }
    kc_pool_leave(p);
    return err;
}

int kc_pool_model(struct kc_pool *p, size_t n, struct kc_buf *out)
{
    kc_pool_enter(p, 0);
    int err = KC_EEND;
    if (n < p->used_count)
        err = kc_buf_addstr(out, p->models[p->used[n]]->name);
    kc_pool_leave(p);
    return err;
}
