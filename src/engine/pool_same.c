/* pool_same.c -- whether two pools were set up alike.
 *
 * Keys correspond by their order among those in use: a pool whose keys were
 * swapped has other indexes than a new one.
 */
#include "engine/pool_impl.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_line(const struct kc_limits *a, const struct kc_limits *b)
{
    return a && b ? kc_limits_equal(a, b) : a == b;
}

static bool same_models(const struct kc_key *a, const struct kc_key *b)
{
    if (a->model_count != b->model_count)
        return false;
    for (size_t i = 0; i < a->model_count; i++)
        if (strcmp(a->models[i], b->models[i]) != 0)
            return false;
    return true;
}

static const char *param_of(const struct kc_key *k, const char *name)
{
    for (size_t i = 0; i < k->param_count; i++)
        if (strcmp(k->params[2 * i], name) == 0)
            return k->params[2 * i + 1];
    return NULL;
}

/* Parameters have no order. */
static bool same_params(const struct kc_key *a, const struct kc_key *b)
{
    if (a->param_count != b->param_count)
        return false;
    for (size_t i = 0; i < a->param_count; i++)
        if (!same_text(a->params[2 * i + 1], param_of(b, a->params[2 * i])))
            return false;
    return true;
}

static bool same_key(const struct kc_key *a, const struct kc_key *b)
{
    return strcmp(a->hash, b->hash) == 0 && same_text(a->label, b->label) &&
           same_text(a->group, b->group) && a->priority == b->priority &&
           a->weight == b->weight && same_models(a, b) && same_params(a, b);
}

static const struct kc_limits *key_line(const struct kc_key *k,
                                        const struct kc_model *m)
{
    const struct kc_scope *s = m ? kc_key_scope(k, m->id) : NULL;
    return kc_scope_rare(s) ? s->rare->line : NULL;
}

/* Whether what `a` says of the key's models, `b` says too. */
static bool lines_hold(const struct kc_pool *a, const struct kc_key *k,
                       const struct kc_pool *b, const struct kc_key *l)
{
    for (uint32_t i = 0; i < a->model_count; i++) {
        const struct kc_model *m = a->models[i];
        const struct kc_limits *line = key_line(k, m);
        if (line &&
            !same_line(line, key_line(l, kc_pool_find_model(b, m->name))))
            return false;
    }
    return true;
}

/* The next key in use after *at, which moves on; NULL: no more. */
static const struct kc_key *next_key(const struct kc_pool *p, uint32_t *at)
{
    while (*at < p->key_count) {
        const struct kc_key *k = p->keys[(*at)++];
        if (!k->removed)
            return k;
    }
    return NULL;
}

static bool same_keys(const struct kc_pool *a, const struct kc_pool *b)
{
    uint32_t i = 0, j = 0;
    for (;;) {
        const struct kc_key *k = next_key(a, &i), *l = next_key(b, &j);
        if (!k || !l)
            return k == l;
        if (!same_key(k, l) || !same_line(k->line, l->line) ||
            !lines_hold(a, k, b, l) || !lines_hold(b, l, a, k))
            return false;
    }
}

static bool model_lines_hold(const struct kc_pool *a, const struct kc_pool *b)
{
    for (uint32_t i = 0; i < a->model_count; i++) {
        const struct kc_model *m = a->models[i];
        const struct kc_model *n = kc_pool_find_model(b, m->name);
        if (m->line && !same_line(m->line, n ? n->line : NULL))
            return false;
    }
    return true;
}

static bool same(const struct kc_pool *a, const struct kc_pool *b)
{
    return a->config.strategy == b->config.strategy &&
           same_text(a->only, b->only) &&
           a->selector.mode == b->selector.mode &&
           a->config.max_waiters == b->config.max_waiters &&
           same_line(a->line, b->line) && model_lines_hold(a, b) &&
           model_lines_hold(b, a) && same_keys(a, b);
}

bool kc_pool_same(struct kc_pool *a, struct kc_pool *b)
{
    if (a == b)
        return true;
    bool in_order = (uintptr_t)a < (uintptr_t)b;
    struct kc_pool *first = in_order ? a : b, *second = in_order ? b : a;
    kc_pool_enter(first, 0);
    kc_pool_enter(second, 0);
    bool result = same(a, b);
    kc_pool_leave(second);
    kc_pool_leave(first);
    return result;
}

static bool is_lined(const struct kc_pool *p, const struct kc_model *m)
{
    for (uint32_t i = 0; i < p->key_count; i++)
        if (!p->keys[i]->removed && key_line(p->keys[i], m))
            return true;
    return false;
}

int kc_pool_lined_model(struct kc_pool *p, size_t n, struct kc_buf *out)
{
    int err = KC_EEND;
    kc_pool_enter(p, 0);
    for (uint32_t i = 0; i < p->model_count; i++) {
        if (!is_lined(p, p->models[i]) || n-- > 0)
            continue;
        err = kc_buf_addstr(out, p->models[i]->name);
        break;
    }
    kc_pool_leave(p);
    return err;
}
