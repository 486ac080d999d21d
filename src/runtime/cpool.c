/* cpool.c -- the engine for programs in C: keycycle.h's pool, its keys and
 * their limits. How it begins and ends is cpool_start.c's, what is acquired of
 * it clease.c's. */
#include "keycycle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cooldown.h"
#include "runtime/cpool_impl.h"
#include "runtime/registry.h"
#include "util/rng.h"

#define MAX_URL 4096
#define MOST_DAYS 36500 /* as in Lua: a hundred years */

/* The public enums are the engine's. */
#define X(name, code, text) \
    _Static_assert((int)KEYCYCLE_E##name == (int)KC_E##name, code);
KC_ERRORS(X)
#undef X
_Static_assert((int)KEYCYCLE_GLOBAL == (int)KC_GLOBAL, "strategy");
_Static_assert((int)KEYCYCLE_ROUND_ROBIN == (int)KC_ROUND_ROBIN, "selection");
_Static_assert((int)KEYCYCLE_WEIGHTED == (int)KC_WEIGHTED, "selection");
_Static_assert((int)KEYCYCLE_BEST_FIT == (int)KC_BEST_FIT, "selection");
_Static_assert((int)KEYCYCLE_PROBING == (int)KC_PROBING, "state");
_Static_assert((int)KEYCYCLE_DISABLED == (int)KC_DISABLED, "state");
_Static_assert((int)KEYCYCLE_GONE == (int)KC_GONE, "state");

_Static_assert((int)KEYCYCLE_EVENT_LEARN == (int)KC_EVENT_LEARN, "event");
_Static_assert(KEYCYCLE_EVENT_LEARN + 1 == (int)KC_EVENTS, "event");

KC_EXPORT const char *keycycle_version(void)
{
    return KEYCYCLE_VERSION;
}

KC_EXPORT const char *keycycle_error_name(int err)
{
    return kc_err_name(err);
}

KC_EXPORT const char *keycycle_error_text(int err)
{
    return kc_err_text(err);
}

/* -- the pool -------------------------------------------------------------- */

static bool is_sound(const struct keycycle_pool_options *o)
{
    return o && o->provider && (!o->name || o->name[0]) &&
           (!o->db_url || o->db_url[0]) && o->keep_days <= MOST_DAYS &&
           (unsigned)o->strategy <= KC_GLOBAL &&
           (unsigned)o->selection <= KC_BEST_FIT;
}

static int copy_texts(struct keycycle_pool *p,
                      const struct keycycle_pool_options *o)
{
    p->provider = strdup(o->provider);
    p->name = o->name ? strdup(o->name) : NULL;
    kc_buf_init(&p->url, MAX_URL);
    if (!p->provider || (o->name && !p->name))
        return KC_ENOMEM;
    return o->db_url ? kc_buf_addstr(&p->url, o->db_url) : KC_OK;
}

KC_EXPORT int keycycle_pool_open(const struct keycycle_pool_options *options,
                                 struct keycycle_pool **out)
{
    if (out)
        *out = NULL;
    if (!out || !is_sound(options))
        return KC_EINVALID;
    int err = kc_registry_init();
    if (err != KC_OK)
        return err;
    struct keycycle_pool *p = calloc(1, sizeof *p);
    if (!p || pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p);
        return KC_ENOMEM;
    }
    struct kc_pool_config config = {
        .strategy = (enum kc_strategy)options->strategy,
        .selection = (enum kc_selection)options->selection,
        .max_waiters =
            options->max_waiters ? options->max_waiters : KC_MAX_WAITERS,
        .max_lease_ms = KC_MAX_LEASE_MS,
        .guard_ms = KC_GUARD_MS,
        .seed = kc_rng_entropy(),
        .random_start = true,
    };
    p->generation = kc_registry_generation();
    p->kept = options->db_url != NULL;
    p->keep_days = options->keep_days;
    atomic_init(&p->ready, !options->name && !options->db_url);
    atomic_init(&p->stopped, false);
    err = copy_texts(p, options);
    if (err == KC_OK)
        err = kc_hub_new(&config, NULL, true, &p->hub);
    if (err != KC_OK) {
        kc_cpool_free(p);
        return err;
    }
    *out = p;
    return KC_OK;
}

/* Keys and limits change while nobody else is there. */
static int begin_change(struct keycycle_pool *p)
{
    if (!p)
        return KC_EINVALID;
    if (kc_cpool_is_forked(p))
        return KC_EFORKED;
    pthread_mutex_lock(&p->lock);
    if (kc_hub_claim(p->hub))
        return KC_OK;
    pthread_mutex_unlock(&p->lock);
    return KC_EDIFFERS;
}

static void end_change(struct keycycle_pool *p)
{
    kc_hub_pump(p->hub);
    kc_hub_release(p->hub);
    pthread_mutex_unlock(&p->lock);
}

/* -- keys and limits ------------------------------------------------------- */

static bool key_is_sound(const struct keycycle_key *key)
{
    if (!key || !key->api_key || (key->model_count > 0 && !key->models) ||
        (key->param_count > 0 && !key->params))
        return false;
    for (size_t i = 0; i < key->model_count; i++)
        if (!key->models[i])
            return false;
    for (size_t i = 0; i < key->param_count; i++)
        if (!key->params[i].name || !key->params[i].value)
            return false;
    return true;
}

static int add_key(struct keycycle_pool *p, const struct kc_key_config *config,
                   unsigned *index)
{
    uint32_t given = 0;
    int err = begin_change(p);
    if (err != KC_OK)
        return err;
    err = kc_pool_add_key(kc_hub_pool(p->hub), kc_hub_now(p->hub), config,
                          &given);
    end_change(p);
    *index = given;
    return err;
}

KC_EXPORT int keycycle_pool_add_key(struct keycycle_pool *p,
                                    const struct keycycle_key *key,
                                    unsigned *index)
{
    struct kc_param *params = NULL;
    if (index)
        *index = 0;
    if (!p || !index || !key_is_sound(key))
        return KC_EINVALID;
    if (key->param_count > 0) {
        params = calloc(key->param_count, sizeof *params);
        if (!params)
            return KC_ENOMEM;
    }
    for (size_t i = 0; i < key->param_count; i++)
        params[i] = (struct kc_param){.name = key->params[i].name,
                                      .value = key->params[i].value};
    struct kc_key_config config = {.secret = key->api_key,
                                   .label = key->label,
                                   .group = key->group,
                                   .priority = key->priority,
                                   .weight = key->weight,
                                   .models = key->models,
                                   .model_count = key->model_count,
                                   .params = params,
                                   .param_count = key->param_count};
    int err = add_key(p, &config, index);
    free(params);
    return err;
}

KC_EXPORT int keycycle_pool_remove_key(struct keycycle_pool *p, unsigned key)
{
    int err = begin_change(p);
    if (err != KC_OK)
        return err;
    err = kc_pool_remove_key(kc_hub_pool(p->hub), kc_hub_now(p->hub), key);
    end_change(p);
    return err;
}

KC_EXPORT int keycycle_pool_key_count(struct keycycle_pool *p, unsigned *count)
{
    struct kc_hub *hub;
    if (!count)
        return KC_EINVALID;
    *count = 0;
    int err = kc_cpool_use(p, &hub);
    if (err == KC_OK)
        *count = kc_pool_key_count(kc_hub_pool(hub));
    return err;
}

KC_EXPORT int keycycle_pool_find_key(struct keycycle_pool *p, const char *text,
                                     unsigned *index)
{
    struct kc_hub *hub;
    uint32_t found = 0;
    if (index)
        *index = 0;
    if (!index || !text)
        return KC_EINVALID;
    int err = kc_cpool_use(p, &hub);
    if (err == KC_OK)
        err = kc_pool_find_key(kc_hub_pool(hub), text, strlen(text), &found);
    *index = found;
    return err;
}

KC_EXPORT void keycycle_limits_init(struct keycycle_limits *l)
{
    if (!l)
        return;
    *l = (struct keycycle_limits){
        .requests_per_minute = KEYCYCLE_UNLIMITED,
        .requests_per_hour = KEYCYCLE_UNLIMITED,
        .requests_per_day = KEYCYCLE_UNLIMITED,
        .tokens_per_minute = KEYCYCLE_UNLIMITED,
        .tokens_per_hour = KEYCYCLE_UNLIMITED,
        .tokens_per_day = KEYCYCLE_UNLIMITED,
        .input_tokens_per_minute = KEYCYCLE_UNLIMITED,
        .output_tokens_per_minute = KEYCYCLE_UNLIMITED,
        .concurrent_requests = KEYCYCLE_UNLIMITED,
    };
}

KC_EXPORT void keycycle_window_init(struct keycycle_window *w,
                                    uint64_t window_ms)
{
    if (!w)
        return;
    *w = (struct keycycle_window){.window_ms = window_ms,
                                  .requests = KEYCYCLE_UNLIMITED,
                                  .tokens = KEYCYCLE_UNLIMITED,
                                  .input_tokens = KEYCYCLE_UNLIMITED,
                                  .output_tokens = KEYCYCLE_UNLIMITED};
}

static int read_window(const struct keycycle_window *w, struct kc_limits *out)
{
    const uint64_t whole[KC_UNITS] = {w->requests, w->tokens};
    const uint64_t parts[KC_UNITS] = {w->input_tokens, w->output_tokens};
    int err = kc_limits_lower(out, w->window_ms, false, whole);
    return err == KC_OK ? kc_limits_lower(out, w->window_ms, true, parts) : err;
}

static int read_limits(const struct keycycle_limits *l, struct kc_limits *out)
{
    if (!l || (l->window_count > 0 && !l->windows))
        return KC_EINVALID;
    kc_limits_unlimited(out);
    out->max[KC_MINUTE][KC_REQUESTS] = l->requests_per_minute;
    out->max[KC_HOUR][KC_REQUESTS] = l->requests_per_hour;
    out->max[KC_DAY][KC_REQUESTS] = l->requests_per_day;
    out->max[KC_MINUTE][KC_TOKENS] = l->tokens_per_minute;
    out->max[KC_HOUR][KC_TOKENS] = l->tokens_per_hour;
    out->max[KC_DAY][KC_TOKENS] = l->tokens_per_day;
    out->concurrent = l->concurrent_requests;
    out->calendar = l->day_resets_at != NULL;
    if (out->calendar && kc_zone_find(l->day_resets_at, &out->zone) != KC_OK)
        return KC_ENOTFOUND;
    const uint64_t parts[KC_UNITS] = {l->input_tokens_per_minute,
                                      l->output_tokens_per_minute};
    int err = kc_limits_lower(out, kc_window_ms(KC_MINUTE), true, parts);
    for (size_t i = 0; err == KC_OK && i < l->window_count; i++)
        err = read_window(&l->windows[i], out);
    return err;
}

KC_EXPORT int keycycle_pool_set_limits(struct keycycle_pool *p, unsigned key,
                                       const char *model,
                                       const struct keycycle_limits *limits)
{
    struct kc_limits own;
    int err = read_limits(limits, &own);
    if (err == KC_OK)
        err = begin_change(p);
    if (err != KC_OK)
        return err;
    err = kc_pool_set_limits(kc_hub_pool(p->hub), kc_hub_now(p->hub), key,
                             model, &own);
    end_change(p);
    return err;
}

/* -- states ---------------------------------------------------------------- */

KC_EXPORT const char *keycycle_state_name(enum keycycle_state state)
{
    return (unsigned)state < KC_STATES ? kc_state_name((enum kc_state)state)
                                       : "unknown";
}

static int change_state(struct keycycle_pool *p, unsigned key,
                        int (*change)(struct kc_pool *, uint64_t, uint32_t))
{
    struct kc_hub *hub;
    int err = kc_cpool_use(p, &hub);
    if (err == KC_OK)
        err = change(kc_hub_pool(hub), kc_hub_now(hub), key);
    if (err == KC_OK)
        kc_hub_pump(hub);
    return err;
}

KC_EXPORT int keycycle_pool_disable(struct keycycle_pool *p, unsigned key)
{
    return change_state(p, key, kc_pool_disable);
}

KC_EXPORT int keycycle_pool_enable(struct keycycle_pool *p, unsigned key)
{
    return change_state(p, key, kc_pool_enable);
}

KC_EXPORT int keycycle_pool_key_state(struct keycycle_pool *p, unsigned key,
                                      const char *model,
                                      struct keycycle_key_state *out)
{
    struct kc_hub *hub;
    struct kc_key_info info;
    if (!out)
        return KC_EINVALID;
    *out = (struct keycycle_key_state){.state = KEYCYCLE_GONE};
    int err = kc_cpool_use(p, &hub);
    if (err == KC_OK)
        err = kc_pool_key_info(kc_hub_pool(hub), kc_hub_now(hub), key, model,
                               &info);
    if (err != KC_OK)
        return err;
    out->state = (enum keycycle_state)info.state;
    out->of_group = info.of_group;
    out->until_ms = info.until_ms;
    kc_copy_cut(out->reason, sizeof out->reason, info.reason);
    kc_copy_cut(out->model, sizeof out->model, info.model);
    kc_copy_cut(out->suffix, sizeof out->suffix, info.suffix);
    kc_copy_cut(out->label, sizeof out->label, info.label);
    kc_copy_cut(out->group, sizeof out->group, info.group);
    return KC_OK;
}

/* -- statistics ------------------------------------------------------------ */

KC_EXPORT int keycycle_pool_stats(struct keycycle_pool *p, unsigned key,
                                  const char *model, struct keycycle_stats *out)
{
    struct kc_hub *hub;
    struct kc_snapshot s;
    if (!out)
        return KC_EINVALID;
    *out = (struct keycycle_stats){.in_flight = 0};
    int err = kc_cpool_use(p, &hub);
    if (err == KC_OK)
        err =
            kc_pool_snapshot(kc_hub_pool(hub), kc_hub_now(hub), key, model, &s);
    if (err != KC_OK)
        return err;
    *out = (struct keycycle_stats){
        .rpm = s.used[KC_MINUTE][KC_REQUESTS],
        .rph = s.used[KC_HOUR][KC_REQUESTS],
        .rpd = s.used[KC_DAY][KC_REQUESTS],
        .tpm = s.used[KC_MINUTE][KC_TOKENS],
        .tph = s.used[KC_HOUR][KC_TOKENS],
        .tpd = s.used[KC_DAY][KC_TOKENS],
        .total_requests = s.total_requests,
        .total_tokens = s.total_tokens,
        .in_flight = s.in_flight,
        .waiting = kc_pool_waiting(kc_hub_pool(hub)),
        .longest_wait_ms =
            kc_pool_longest_wait(kc_hub_pool(hub), kc_hub_now(hub)),
    };
    return KC_OK;
}
