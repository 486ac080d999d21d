/* key.c -- the record of one key. */
#include "engine/key.h"

#include <stdlib.h>
#include <string.h>

const char *kc_state_name(enum kc_state s)
{
    static const char *const names[KC_STATES] = {
        "ready",   "cooling",  "probing",  "exhausted", "suspended",
        "invalid", "disabled", "draining", "gone",
    };
    return (unsigned)s < KC_STATES ? names[s] : "unknown";
}

static int copy_text(const char *text, char **out)
{
    *out = text ? strdup(text) : NULL;
    return text && !*out ? KC_ENOMEM : KC_OK;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
}

static int copy_params(const struct kc_key_config *config, char ***out)
{
    *out = NULL;
    if (config->param_count == 0)
        return KC_OK;
    char **params = calloc(config->param_count, 2 * sizeof *params);
    if (!params)
        return KC_ENOMEM;
    for (size_t i = 0; i < config->param_count; i++) {
        const struct kc_param *p = &config->params[i];
        if (copy_text(p->name ? p->name : "", &params[2 * i]) != KC_OK ||
            copy_text(p->value ? p->value : "", &params[2 * i + 1]) != KC_OK) {
            free_texts(params, 2 * config->param_count);
            return KC_ENOMEM;
        }
    }
    *out = params;
    return KC_OK;
}

static int copy_models(const struct kc_key_config *config, char ***out)
{
    *out = NULL;
    if (config->model_count == 0)
        return KC_OK;
    char **models = calloc(config->model_count, sizeof *models);
    if (!models)
        return KC_ENOMEM;
    for (size_t i = 0; i < config->model_count; i++) {
        if (copy_text(config->models[i], &models[i]) != KC_OK) {
            free_texts(models, config->model_count);
            return KC_ENOMEM;
        }
    }
    *out = models;
    return KC_OK;
}

int kc_key_update(struct kc_key *k, const struct kc_key_config *config)
{
    char *label = NULL;
    char *group = NULL;
    char **params = NULL;
    char **models = NULL;
    int err = copy_text(config->label, &label);
    if (err == KC_OK)
        err = copy_text(config->group, &group);
    if (err == KC_OK)
        err = copy_params(config, &params);
    if (err == KC_OK)
        err = copy_models(config, &models);
    if (err != KC_OK) {
        free(label);
        free(group);
        free_texts(params, 2 * config->param_count);
        return err;
    }
    free(k->label);
    free(k->group);
    free_texts(k->params, 2 * k->param_count);
    free_texts(k->models, k->model_count);
    k->label = label;
    k->group = group;
    k->params = params;
    k->param_count = config->param_count;
    k->models = models;
    k->model_count = config->model_count;
    k->priority = config->priority;
    k->weight = config->weight ? config->weight : 1;
    return KC_OK;
}

bool kc_key_serves(const struct kc_key *k, const char *model)
{
    for (size_t i = 0; i < k->model_count; i++)
        if (strcmp(k->models[i], model) == 0)
            return true;
    return k->model_count == 0;
}

static int new_meter(struct kc_meter **out)
{
    struct kc_meter *m = malloc(sizeof *m);
    int err = m ? kc_meter_init(m) : KC_ENOMEM;
    if (err != KC_OK) {
        free(m);
        m = NULL;
    }
    *out = m;
    return err;
}

int kc_key_new(const struct kc_key_config *config, bool global,
               struct kc_key **out)
{
    *out = NULL;
    if (!config->secret)
        return KC_EINVALID;
    struct kc_key *k = calloc(1, sizeof *k);
    if (!k)
        return KC_ENOMEM;
    int err = kc_secret_new(config->secret, strlen(config->secret), &k->secret);
    if (err == KC_OK)
        err = kc_key_update(k, config);
    if (err == KC_OK && global)
        err = new_meter(&k->meter);
    if (err != KC_OK) {
        kc_key_free(k);
        return err;
    }
    kc_secret_suffix(k->secret, k->suffix);
    kc_secret_hash(k->secret, k->hash);
    k->place = kc_affinity(k->hash);
    *out = k;
    return KC_OK;
}

int kc_key_new_group(const char *name, bool global, struct kc_key **out)
{
    *out = NULL;
    struct kc_key *k = calloc(1, sizeof *k);
    if (!k)
        return KC_ENOMEM;
    int err = copy_text(name, &k->group);
    if (err == KC_OK && global)
        err = new_meter(&k->meter);
    if (err != KC_OK) {
        kc_key_free(k);
        return err;
    }
    *out = k;
    return KC_OK;
}

static void free_scope(struct kc_scope *s)
{
    if (!s)
        return;
    kc_meter_deinit(&s->meter);
    if (s->rare) {
        free(s->rare->line);
        free(s->rare->learned);
    }
    free(s->rare);
    free(s);
}

void kc_key_free(struct kc_key *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->scope_cap; i++)
        free_scope(k->scopes[i]);
    free(k->scopes);
    if (k->meter)
        kc_meter_deinit(k->meter);
    free(k->meter);
    free(k->line);
    free(k->learned);
    free(k->label);
    free(k->group);
    free_texts(k->params, 2 * k->param_count);
    free_texts(k->models, k->model_count);
    kc_secret_free(k->secret);
    free(k);
}

enum kc_match kc_key_match(const struct kc_key *k, const char *id, size_t len)
{
    size_t own = kc_secret_len(k->secret);
    if (len == 0 || len > own ||
        memcmp(kc_secret_get(k->secret) + own - len, id, len) != 0)
        return KC_NO_MATCH;
    if (len == own)
        return KC_WHOLE_MATCH;
    return len < 2 ? KC_NO_MATCH : KC_SUFFIX_MATCH;
}

enum kc_state kc_key_state(const struct kc_key *k, uint64_t now_ms)
{
    if (k->removed)
        return k->leases > 0 ? KC_DRAINING : KC_GONE;
    if (k->disabled)
        return KC_DISABLED;
    return kc_cooldown_state(&k->cool, now_ms);
}

static int grow_scopes(struct kc_key *k, uint32_t model)
{
    size_t cap = k->scope_cap ? k->scope_cap : 4;
    while (cap <= model)
        cap *= 2;
    struct kc_scope **scopes = realloc(k->scopes, cap * sizeof *scopes);
    if (!scopes)
        return KC_ENOMEM;
    for (size_t i = k->scope_cap; i < cap; i++)
        scopes[i] = NULL;
    k->scopes = scopes;
    k->scope_cap = cap;
    return KC_OK;
}

int kc_key_need_scope(struct kc_key *k, uint32_t model, struct kc_scope **out)
{
    *out = kc_key_scope(k, model);
    if (*out)
        return KC_OK;
    if (model >= k->scope_cap) {
        int err = grow_scopes(k, model);
        if (err != KC_OK)
            return err;
    }
    struct kc_scope *s = calloc(1, sizeof *s);
    if (!s)
        return KC_ENOMEM;
    int err = kc_meter_init(&s->meter);
    if (err != KC_OK) {
        free(s);
        return err;
    }
    k->scopes[model] = s;
    *out = s;
    return KC_OK;
}

int kc_key_need_scopes(struct kc_key *k, const struct kc_key *other)
{
    struct kc_scope *s;
    int err = KC_OK;
    for (uint32_t i = 0; err == KC_OK && i < other->scope_cap; i++)
        if (other->scopes[i])
            err = kc_key_need_scope(k, i, &s);
    return err;
}

int kc_key_need_rare(struct kc_key *k, uint32_t model, struct kc_rare **out)
{
    struct kc_scope *s;
    *out = NULL;
    int err = kc_key_need_scope(k, model, &s);
    if (err != KC_OK)
        return err;
    if (!s->rare)
        s->rare = calloc(1, sizeof *s->rare);
    *out = s->rare;
    return s->rare ? KC_OK : KC_ENOMEM;
}
