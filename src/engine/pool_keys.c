/* pool_keys.c -- keys come, go and are looked at. */
#include "engine/pool_impl.h"

#include <stdlib.h>
#include <string.h>

int kc_pool_need_group(struct kc_pool *p, const char *name,
                       struct kc_key **out)
{
    *out = kc_map_get(&p->by_group, name);
    if (*out)
        return KC_OK;
    struct kc_key **groups =
        realloc(p->groups, (p->group_count + 1) * sizeof *groups);
    if (!groups)
        return KC_ENOMEM;
    p->groups = groups;
    struct kc_key *g;
    int err = kc_key_new_group(name, p->config.strategy == KC_GLOBAL, &g);
    if (err == KC_OK)
        err = kc_map_set(&p->by_group, name, g);
    if (err != KC_OK) {
        kc_key_free(g);
        return err;
    }
    groups[p->group_count++] = g;
    g->index = p->group_count;
    *out = g;
    return KC_OK;
}

static int put_new(struct kc_pool *p, struct kc_key *k)
{
    if (p->key_count == p->key_cap) {
        uint32_t cap = p->key_cap ? p->key_cap * 2 : 8;
        struct kc_key **keys = realloc(p->keys, cap * sizeof *keys);
        if (!keys)
            return KC_ENOMEM;
        p->keys = keys;
        p->key_cap = cap;
    }
    k->index = p->key_count + 1;
    int err = kc_selector_put(&p->selector, k->index, k->priority);
    if (err != KC_OK)
        return err;
    err = kc_map_set(&p->by_hash, k->hash, k);
    if (err != KC_OK) {
        kc_selector_remove(&p->selector, k->index, k->priority);
        return err;
    }
    p->keys[p->key_count++] = k;
    return KC_OK;
}

static int put_again(struct kc_pool *p, struct kc_key *old,
                     const struct kc_key_config *config)
{
    int before = old->priority;
    bool moves = old->removed || before != config->priority;
    if (moves) {
        int err = kc_selector_put(&p->selector, old->index, config->priority);
        if (err != KC_OK)
            return err;
    }
    int err = kc_key_update(old, config);
    if (moves && err != KC_OK)
        kc_selector_remove(&p->selector, old->index, config->priority);
    if (err != KC_OK)
        return err;
    if (moves && !old->removed)
        kc_selector_remove(&p->selector, old->index, before);
    if (old->removed && old->disabled) {
        old->disabled = false;
        kc_pool_restated(p, &old->told);
    }
    old->removed = false;
    return KC_OK;
}

int kc_pool_add_key(struct kc_pool *p, uint64_t now_ms,
                    const struct kc_key_config *config, uint32_t *index)
{
    *index = 0;
    struct kc_key *k;
    int err = kc_key_new(config, p->config.strategy == KC_GLOBAL, &k);
    if (err != KC_OK)
        return err;
    kc_pool_enter(p, now_ms);
    struct kc_key *old = kc_map_get(&p->by_hash, k->hash), *group = NULL;
    bool joined = old && old->shared && !old->group; /* by an answer */
    if (config->group)
        err = kc_pool_need_group(p, config->group, &group);
    bool moves = old && group && group != old->shared;
    if (err == KC_OK && moves)
        err = kc_key_need_scopes(group, old);
    if (err == KC_OK)
        err = old ? put_again(p, old, config) : put_new(p, k);
    if (err == KC_OK) {
        struct kc_key *mine = old ? old : k;
        if (moves)
            kc_pool_sum_in(p, group, old);
        kc_pool_others_before(mine);
        if (group || !joined)
            mine->shared = group;
        kc_pool_others_after(mine);
        *index = mine->index;
        kc_pool_renamed(p, &mine->told);
        kc_pool_relimited(p);
    }
    kc_pool_leave(p);
    if (old || err != KC_OK)
        kc_key_free(k);
    return err;
}

int kc_pool_remove_key(struct kc_pool *p, uint64_t now_ms, uint32_t index)
{
    kc_pool_enter(p, now_ms);
    struct kc_key *k = kc_pool_key(p, index);
    int err = k && !k->removed ? KC_OK : KC_ENOTFOUND;
    if (err == KC_OK) {
        kc_selector_remove(&p->selector, index, k->priority);
        k->removed = true;
        kc_pool_changed(p);
    }
    kc_pool_leave(p);
    return err;
}

int kc_pool_find_key(struct kc_pool *p, const char *id, size_t len,
                     uint32_t *index)
{
    *index = 0;
    int err = KC_ENOTFOUND;
    kc_pool_enter(p, 0);
    for (uint32_t i = 0; i < p->key_count; i++) {
        const struct kc_key *k = p->keys[i];
        enum kc_match match = KC_NO_MATCH;
        if (!k->removed)
            match = kc_key_match(k, id, len);
        if (match == KC_NO_MATCH)
            continue;
        err = *index == 0 || match == KC_WHOLE_MATCH ? KC_OK : KC_EAMBIGUOUS;
        *index = k->index;
        if (match == KC_WHOLE_MATCH)
            break;
    }
    if (err != KC_OK)
        *index = 0;
    kc_pool_leave(p);
    return err;
}

uint32_t kc_pool_key_count(struct kc_pool *p)
{
    kc_pool_enter(p, 0);
    uint32_t n = p->key_count;
    kc_pool_leave(p);
    return n;
}

/* -- what may be shown ----------------------------------------------------- */

/* How bad a model's state is beside another's of the same key. */
static int badness(enum kc_state s)
{
    switch (s) {
    case KC_READY:
        return 0;
    case KC_PROBING:
        return 1;
    case KC_COOLING:
        return 2;
    default:
        return 3;
    }
}

static const struct kc_cooldown *worst_model(const struct kc_pool *p,
                                             const struct kc_key *k,
                                             uint64_t now, const char **name)
{
    const struct kc_cooldown *worst = NULL;
    for (uint32_t i = 0; i < p->model_count; i++) {
        const struct kc_scope *s = kc_key_scope(k, i);
        const struct kc_cooldown *c = kc_scope_rare(s) ? &s->rare->cool : NULL;
        if (!c || c->state == KC_READY)
            continue;
        int was = worst ? badness(kc_cooldown_state(worst, now)) : 0;
        int is = badness(kc_cooldown_state(c, now));
        if (is > was || (is == was && c->until_ms > worst->until_ms)) {
            worst = c;
            *name = p->models[i]->name;
        }
    }
    return worst;
}

/* The state of one record: a key's, or its group's. */
static void tell_state(const struct kc_pool *p, const struct kc_key *k,
                       uint64_t now, const char *model, struct kc_key_info *out)
{
    const struct kc_cooldown *c = &k->cool;
    const char *name = "";
    out->state = kc_key_state(k, now);
    if (out->state == KC_READY) {
        const struct kc_model *m = model ? kc_pool_find_model(p, model) : NULL;
        const struct kc_scope *s = m ? kc_key_scope(k, m->id) : NULL;
        c = kc_scope_rare(s) ? &s->rare->cool : NULL;
        name = model;
        if (!model)
            c = worst_model(p, k, now, &name);
        out->state = c ? kc_cooldown_state(c, now) : KC_READY;
    }
    if (!c || out->state != kc_cooldown_state(c, now) || out->state == KC_READY)
        return;
    kc_copy_cut(out->model, sizeof out->model, name);
    kc_copy_cut(out->reason, sizeof out->reason, c->reason);
    if (out->state != KC_PROBING && c->until_ms != KC_NEVER)
        out->until_ms = c->until_ms;
}

int kc_pool_key_info(struct kc_pool *p, uint64_t now_ms, uint32_t index,
                     const char *model, struct kc_key_info *out)
{
    *out = (struct kc_key_info){.index = index};
    uint64_t now = kc_pool_enter(p, now_ms);
    const struct kc_key *k = kc_pool_key(p, index);
    if (k) {
        kc_copy_cut(out->suffix, sizeof out->suffix, k->suffix);
        kc_copy_cut(out->label, sizeof out->label, k->label);
        kc_copy_cut(out->group, sizeof out->group,
                    k->shared ? k->shared->group : NULL);
        kc_copy_cut(out->hash, sizeof out->hash, k->hash);
        out->priority = k->priority;
        tell_state(p, k, now, model, out);
        if (out->state == KC_READY && k->shared) {
            tell_state(p, k->shared, now, model, out);
            out->of_group = out->state != KC_READY;
        }
    }
    kc_pool_leave(p);
    return k ? KC_OK : KC_ENOTFOUND;
}

/* -- what may not --------------------------------------------------------- */

/* Locks; the key may still be needed: not GONE. */
static const struct kc_key *enter_live(struct kc_pool *p, uint32_t index)
{
    uint64_t now = kc_pool_enter(p, 0);
    const struct kc_key *k = kc_pool_key(p, index);
    return k && kc_key_state(k, now) != KC_GONE ? k : NULL;
}

int kc_pool_key_secret(struct kc_pool *p, uint32_t index, struct kc_buf *out)
{
    const struct kc_key *k = enter_live(p, index);
    int err = KC_ENOTFOUND;
    if (k)
        err =
            kc_buf_add(out, kc_secret_get(k->secret), kc_secret_len(k->secret));
    kc_pool_leave(p);
    return err;
}

int kc_pool_key_param(struct kc_pool *p, uint32_t index, const char *name,
                      struct kc_buf *out)
{
    const struct kc_key *k = enter_live(p, index);
    int err = KC_ENOTFOUND;
    for (size_t i = 0; k && i < k->param_count; i++) {
        if (strcmp(k->params[2 * i], name) == 0) {
            err = kc_buf_addstr(out, k->params[2 * i + 1]);
            break;
        }
    }
    kc_pool_leave(p);
    return err;
}

int kc_pool_key_param_name(struct kc_pool *p, uint32_t index, size_t n,
                           struct kc_buf *out)
{
    const struct kc_key *k = enter_live(p, index);
    int err = KC_ENOTFOUND;
    if (k)
        err =
            n < k->param_count ? kc_buf_addstr(out, k->params[2 * n]) : KC_EEND;
    kc_pool_leave(p);
    return err;
}

int kc_pool_redact(struct kc_pool *p, uint32_t index, struct kc_buf *text)
{
    kc_pool_enter(p, 0);
    const struct kc_key *k = kc_pool_key(p, index);
    int err = k ? kc_secret_redact(k->secret, text) : KC_ENOTFOUND;
    kc_pool_leave(p);
    return err;
}
