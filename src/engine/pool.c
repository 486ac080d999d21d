/* pool.c -- the pool itself, its models and the lines of limits. */
#include "engine/pool_impl.h"

#include <stdlib.h>
#include <string.h>

/* Beyond any clock; sums of times cannot wrap. */
#define TIME_MAX (UINT64_MAX / 4)

int kc_pool_new(const struct kc_pool_config *config, struct kc_pool **out)
{
    *out = NULL;
    struct kc_pool *p = calloc(1, sizeof *p);
    if (!p)
        return KC_ENOMEM;
    if (pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p);
        return KC_ENOMEM;
    }
    p->config = *config;
    p->version = p->seat_epoch = p->epoch = 1;
    atomic_init(&p->news, false);
    atomic_init(&p->told, 0);
    kc_rng_seed(&p->rng, config->seed);
    kc_map_init(&p->by_hash);
    kc_map_init(&p->by_name);
    kc_map_init(&p->by_group);
    kc_selector_init(&p->selector, config->selection);
    kc_leases_init(&p->leases);
    *out = p;
    return KC_OK;
}

void kc_pool_free(struct kc_pool *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->key_count; i++)
        kc_key_free(p->keys[i]);
    free(p->keys);
    for (uint32_t i = 0; i < p->group_count; i++)
        kc_key_free(p->groups[i]);
    free(p->groups);
    for (uint32_t i = 0; i < p->model_count; i++) {
        free(p->models[i]->line);
        free(p->models[i]->seats);
        free(p->models[i]->name);
        free(p->models[i]);
    }
    free(p->models);
    free(p->used);
    free(p->notes);
    free(p->line);
    free(p->only);
    while (p->tallies) {
        struct kc_tally *next = p->tallies->next;
        kc_tally_free(p->tallies);
        p->tallies = next;
    }
    kc_map_deinit(&p->by_hash);
    kc_map_deinit(&p->by_name);
    kc_map_deinit(&p->by_group);
    kc_selector_deinit(&p->selector);
    kc_leases_deinit(&p->leases);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

uint64_t kc_pool_enter(struct kc_pool *p, uint64_t now_ms)
{
    pthread_mutex_lock(&p->lock);
    if (now_ms > TIME_MAX)
        now_ms = TIME_MAX;
    if (now_ms > p->now_ms)
        p->now_ms = now_ms;
    if (kc_pool_due(p))
        kc_pool_stamp_due(p);
    return p->now_ms;
}

void kc_pool_leave(struct kc_pool *p)
{
    pthread_mutex_unlock(&p->lock);
}

struct kc_key *kc_pool_key(const struct kc_pool *p, uint32_t index)
{
    return index > 0 && index <= p->key_count ? p->keys[index - 1] : NULL;
}

/* -- models --------------------------------------------------------------- */

struct kc_model *kc_pool_find_model(const struct kc_pool *p, const char *name)
{
    return kc_map_get(&p->by_name, name ? name : "");
}

static int grow_models(struct kc_pool *p)
{
    uint32_t cap = p->model_cap ? p->model_cap * 2 : 8;
    struct kc_model **models = realloc(p->models, cap * sizeof *models);
    if (!models)
        return KC_ENOMEM;
    p->models = models;
    uint32_t *used = realloc(p->used, cap * sizeof *used);
    if (!used)
        return KC_ENOMEM;
    p->used = used;
    p->model_cap = cap;
    return KC_OK;
}

static bool fits(const char *pattern, const char *name)
{
    size_t len = strlen(pattern), n = strlen(name);
    if (len > 0 && pattern[len - 1] == '*')
        return strncmp(name, pattern, len - 1) == 0;
    if (pattern[0] == '*')
        return n >= len - 1 && strcmp(name + n - (len - 1), pattern + 1) == 0;
    return strcmp(name, pattern) == 0;
}

static bool stands_apart(const struct kc_pool *p, const char *name)
{
    return p->config.strategy == KC_GLOBAL && p->only && !fits(p->only, name);
}

int kc_pool_need_model(struct kc_pool *p, const char *name,
                       struct kc_model **out)
{
    if (p->recent && strcmp(p->recent->name, name ? name : "") == 0) {
        *out = p->recent;
        return KC_OK;
    }
    /* A store tells of models in the same order again and again. */
    uint32_t next = p->recent ? p->recent->id + 1 : p->model_count;
    bool is_next = next < p->model_count && name &&
                   strcmp(p->models[next]->name, name) == 0;
    p->recent = *out = is_next ? p->models[next] : kc_pool_find_model(p, name);
    if (*out)
        return KC_OK;
    if (p->model_count == p->model_cap && grow_models(p) != KC_OK)
        return KC_ENOMEM;
    struct kc_model *m = calloc(1, sizeof *m);
    if (!m)
        return KC_ENOMEM;
    m->name = strdup(name ? name : "");
    if (!m->name || kc_map_set(&p->by_name, m->name, m) != KC_OK) {
        free(m->name);
        free(m);
        return KC_ENOMEM;
    }
    m->id = p->model_count;
    m->apart = stands_apart(p, m->name);
    p->models[p->model_count++] = m;
    *out = m;
    return KC_OK;
}

void kc_pool_use_model(struct kc_pool *p, struct kc_model *m)
{
    if (m->used)
        return;
    m->used = true;
    p->used[p->used_count++] = m->id;
}

/* -- limits --------------------------------------------------------------- */

const struct kc_limits *kc_pool_limits(const struct kc_pool *p,
                                       const struct kc_key *k,
                                       const struct kc_model *m)
{
    static const struct kc_limits unlimited = {
        .max = {{KC_UNLIMITED, KC_UNLIMITED},
                {KC_UNLIMITED, KC_UNLIMITED},
                {KC_UNLIMITED, KC_UNLIMITED}},
        .concurrent = KC_UNLIMITED,
    };
    if (kc_pool_together(p, m))
        m = NULL;
    const struct kc_rare *own =
        k && m ? kc_scope_rare(kc_key_scope(k, m->id)) : NULL;
    bool apart = m && m->apart; /* lines of all models mean the others */
    if (own && own->line)
        return own->line;
    if (k && k->line && !apart)
        return k->line;
    if (m && m->line)
        return m->line;
    return p->line && !apart ? p->line : &unlimited;
}

/* Finds where the line of (key, model) is kept. */
static int need_line(struct kc_pool *p, uint32_t key, const char *model,
                     struct kc_limits ***out)
{
    struct kc_key *k = kc_pool_key(p, key);
    struct kc_model *m = NULL;
    struct kc_rare *own;
    if (key != 0 && !k)
        return KC_ENOTFOUND;
    if (model) {
        int err = kc_pool_need_model(p, model, &m);
        if (err != KC_OK)
            return err;
    }
    if (k && m) {
        int err = kc_key_need_rare(k, m->id, &own);
        if (err != KC_OK)
            return err;
        *out = &own->line;
    } else if (k) {
        *out = &k->line;
    } else {
        *out = m ? &m->line : &p->line;
    }
    return KC_OK;
}

int kc_pool_set_limits(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                       const char *model, const struct kc_limits *limits)
{
    kc_pool_enter(p, now_ms);
    struct kc_limits **line = NULL;
    int err = need_line(p, key, model, &line);
    if (err == KC_OK && !*line) {
        *line = malloc(sizeof **line);
        if (!*line)
            err = KC_ENOMEM;
    }
    if (err == KC_OK) {
        **line = *limits;
        p->has_sides |= limits->side_count > 0;
        for (uint32_t i = 0; i < limits->side_count; i++)
            if (limits->sides[i].span_ms > p->longest_ms)
                p->longest_ms = limits->sides[i].span_ms;
        kc_pool_relimited(p);
    }
    kc_pool_leave(p);
    return err;
}

static void drop_line(struct kc_limits **line)
{
    free(*line);
    *line = NULL;
}

void kc_pool_clear_limits(struct kc_pool *p)
{
    kc_pool_enter(p, 0);
    kc_pool_relimited(p);
    p->has_sides = p->told_sides;
    drop_line(&p->line);
    for (uint32_t i = 0; i < p->model_count; i++)
        drop_line(&p->models[i]->line);
    for (uint32_t i = 0; i < p->key_count; i++) {
        struct kc_key *k = p->keys[i];
        drop_line(&k->line);
        for (size_t j = 0; j < k->scope_cap; j++)
            if (kc_scope_rare(k->scopes[j]))
                drop_line(&k->scopes[j]->rare->line);
    }
    kc_pool_leave(p);
}

int kc_pool_set_only(struct kc_pool *p, uint64_t now_ms, const char *pattern)
{
    char *copy = pattern ? strdup(pattern) : NULL;
    if (pattern && !copy)
        return KC_ENOMEM;
    kc_pool_enter(p, now_ms);
    free(p->only);
    p->only = copy;
    for (uint32_t i = 0; i < p->model_count; i++)
        p->models[i]->apart = stands_apart(p, p->models[i]->name);
    kc_pool_relimited(p);
    kc_pool_leave(p);
    return KC_OK;
}

bool kc_pool_has_only(struct kc_pool *p)
{
    kc_pool_enter(p, 0);
    bool has = p->only != NULL;
    kc_pool_leave(p);
    return has;
}

int kc_pool_get_limits(struct kc_pool *p, uint32_t key, const char *model,
                       struct kc_limits *out)
{
    kc_pool_enter(p, 0);
    struct kc_key *k = kc_pool_key(p, key);
    const struct kc_model *m = model ? kc_pool_find_model(p, model) : NULL;
    struct kc_limits both;
    *out = k ? *kc_pool_holding(p, k, m, &both) : *kc_pool_limits(p, k, m);
    kc_pool_leave(p);
    return key != 0 && !k ? KC_ENOTFOUND : KC_OK;
}

enum kc_strategy kc_pool_strategy(const struct kc_pool *p)
{
    return p->config.strategy;
}

void kc_pool_set_selection(struct kc_pool *p, enum kc_selection selection)
{
    kc_pool_enter(p, 0);
    p->selector.mode = selection;
    kc_pool_leave(p);
}

void kc_pool_force_rotate(struct kc_pool *p)
{
    kc_pool_enter(p, 0);
    kc_selector_rotate(&p->selector);
    kc_pool_leave(p);
}
