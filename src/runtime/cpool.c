/* cpool.c -- the engine for programs in C: keycycle.h's pool. */
#include "keycycle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/hub.h"
#include "runtime/registry.h"
#include "util/num.h"
#include "util/rng.h"

#define EXPORT __attribute__((visibility("default")))

#define MAX_WAITERS 10000
#define MAX_LEASE_MS (10 * 60 * 1000) /* ENGINE.md section 3 */
#define MAX_KEY (64 * 1024)

/* The public enums are the engine's. */
#define X(name, code, text) \
    _Static_assert((int)KEYCYCLE_E##name == (int)KC_E##name, code);
KC_ERRORS(X)
#undef X
_Static_assert((int)KEYCYCLE_GLOBAL == (int)KC_GLOBAL, "strategy");
_Static_assert((int)KEYCYCLE_ROUND_ROBIN == (int)KC_ROUND_ROBIN, "selection");
_Static_assert((int)KEYCYCLE_WEIGHTED == (int)KC_WEIGHTED, "selection");
_Static_assert((int)KEYCYCLE_BEST_FIT == (int)KC_BEST_FIT, "selection");

struct keycycle_pool {
    unsigned generation; /* of forks */
    char *name;          /* NULL: private */
    char *provider;
    atomic_bool ready;    /* the hub is the one that stays */
    pthread_mutex_t lock; /* of changes before and after that */
    struct kc_hub *hub;
};

EXPORT const char *keycycle_error_name(int err)
{
    return kc_err_name(err);
}

/* -- the pool -------------------------------------------------------------- */

static void destroy(struct keycycle_pool *p)
{
    kc_hub_unref(p->hub);
    pthread_mutex_destroy(&p->lock);
    free(p->name);
    free(p->provider);
    free(p);
}

EXPORT int keycycle_pool_open(const struct keycycle_pool_options *options,
                              struct keycycle_pool **out)
{
    *out = NULL;
    if (!options->provider || (options->name && !options->name[0]) ||
        (unsigned)options->strategy > KC_GLOBAL ||
        (unsigned)options->selection > KC_BEST_FIT)
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
            options->max_waiters ? options->max_waiters : MAX_WAITERS,
        .max_lease_ms = MAX_LEASE_MS,
        .guard_ms = KC_GUARD_MS,
        .seed = kc_rng_entropy(),
        .random_start = true,
    };
    p->generation = kc_registry_generation();
    p->provider = strdup(options->provider);
    p->name = options->name ? strdup(options->name) : NULL;
    atomic_init(&p->ready, !options->name);
    err = p->provider && (p->name || !options->name) ? KC_OK : KC_ENOMEM;
    if (err == KC_OK)
        err = kc_hub_new(&config, NULL, true, &p->hub);
    if (err != KC_OK) {
        destroy(p);
        return err;
    }
    *out = p;
    return KC_OK;
}

static bool is_forked(const struct keycycle_pool *p)
{
    return p->generation != kc_registry_generation();
}

EXPORT void keycycle_pool_close(struct keycycle_pool *p)
{
    if (!p)
        return;
    if (p->name && atomic_load(&p->ready))
        kc_hub_leave(p->hub);
    destroy(p);
}

/* The program knows keys by the indexes that its own pool gave. */
static bool same_indexes(struct kc_pool *a, struct kc_pool *b)
{
    uint32_t n = kc_pool_key_count(a);
    for (uint32_t i = 1; i <= n; i++) {
        struct kc_key_info k, l;
        if (kc_pool_key_info(a, 0, i, NULL, &k) != KC_OK ||
            kc_pool_key_info(b, 0, i, NULL, &l) != KC_OK ||
            strcmp(k.hash, l.hash) != 0)
            return false;
    }
    return true;
}

/* Goes to the hub of the name, or stays where that is another. */
static int share(struct keycycle_pool *p)
{
    struct kc_hub *mine = kc_hub_ref(p->hub);
    int err = kc_hub_share(&p->hub, p->name, p->provider);
    if (err == KC_OK &&
        !same_indexes(kc_hub_pool(mine), kc_hub_pool(p->hub))) {
        kc_hub_leave(p->hub);
        kc_hub_unref(p->hub);
        p->hub = kc_hub_ref(mine);
        err = KC_EDIFFERS;
    }
    kc_hub_unref(mine);
    if (err == KC_OK)
        atomic_store(&p->ready, true);
    return err;
}

/* Gives the hub to work on. */
static int use(struct keycycle_pool *p, struct kc_hub **hub)
{
    *hub = NULL;
    if (is_forked(p))
        return KC_EFORKED;
    int err = KC_OK;
    if (!atomic_load(&p->ready)) {
        pthread_mutex_lock(&p->lock);
        if (!atomic_load(&p->ready))
            err = share(p);
        pthread_mutex_unlock(&p->lock);
    }
    if (err == KC_OK)
        *hub = p->hub;
    return err;
}

/* Keys and limits change while nobody else is there. */
static int begin_change(struct keycycle_pool *p)
{
    if (is_forked(p))
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

EXPORT int keycycle_pool_add_key(struct keycycle_pool *p,
                                 const struct keycycle_key *key,
                                 unsigned *index)
{
    *index = 0;
    if (!key->api_key)
        return KC_EINVALID;
    struct kc_param *params = NULL;
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
    uint32_t given = 0;
    int err = begin_change(p);
    if (err == KC_OK) {
        err = kc_pool_add_key(kc_hub_pool(p->hub), kc_hub_now(p->hub), &config,
                              &given);
        end_change(p);
    }
    free(params);
    *index = given;
    return err;
}

EXPORT void keycycle_limits_init(struct keycycle_limits *l)
{
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

/* Of two limits on the same window the lower one holds. */
static int add_side(struct kc_limits *out, uint64_t span_ms, bool parts,
                    uint64_t first, uint64_t second)
{
    if (first == KC_UNLIMITED && second == KC_UNLIMITED)
        return KC_OK;
    struct kc_side_limit *side = kc_limits_side(out, span_ms, parts);
    if (!side)
        return KC_EINVALID;
    side->max[0] = kc_least(side->max[0], first);
    side->max[1] = kc_least(side->max[1], second);
    return KC_OK;
}

static int read_window(const struct keycycle_window *w, struct kc_limits *out)
{
    if (w->window_ms == 0 || w->window_ms > KC_SPAN_MAX_MS)
        return KC_EINVALID;
    int err = add_side(out, w->window_ms, false, w->requests, w->tokens);
    if (err != KC_OK)
        return err;
    return add_side(out, w->window_ms, true, w->input_tokens,
                    w->output_tokens);
}

static int read_limits(const struct keycycle_limits *l, struct kc_limits *out)
{
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
    int err = add_side(out, kc_window_ms(KC_MINUTE), true,
                       l->input_tokens_per_minute, l->output_tokens_per_minute);
    for (size_t i = 0; err == KC_OK && i < l->window_count; i++)
        err = read_window(&l->windows[i], out);
    return err;
}

EXPORT int keycycle_pool_set_limits(struct keycycle_pool *p, unsigned key,
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

/* -- leases ---------------------------------------------------------------- */

static int read_request(const struct keycycle_request *from,
                        struct kc_request *to)
{
    *to = (struct kc_request){
        .model = from->model ? from->model : "",
        .tokens = from->tokens,
        .input = from->input_tokens,
        .key = from->key,
        .pin = from->pin != 0,
        .affinity = from->affinity ? kc_affinity(from->affinity) : 0,
    };
    return strlen(to->model) < KEYCYCLE_MODEL_MAX ? KC_OK : KC_ETOOLARGE;
}

static void tell_refusal(const struct kc_refusal *from,
                         struct keycycle_refusal *to)
{
    if (to)
        *to = (struct keycycle_refusal){.wait_ms = from->wait_ms,
                                        .limit = from->limit ? from->limit : "",
                                        .max = from->max,
                                        .window_ms = from->span_ms,
                                        .key = from->key};
}

static void hold(struct keycycle_pool *p, const char *model,
                 const struct kc_grant *grant, struct keycycle_lease *lease)
{
    *lease = (struct keycycle_lease){.pool = p,
                                     .id = grant->lease,
                                     .tokens = grant->tokens,
                                     .key = grant->key};
    memcpy(lease->model, model, strlen(model));
}

EXPORT int keycycle_pool_acquire(struct keycycle_pool *p,
                                 const struct keycycle_request *request,
                                 struct keycycle_lease *lease,
                                 struct keycycle_refusal *refusal)
{
    struct kc_hub *hub;
    struct kc_request r;
    struct kc_grant grant;
    struct kc_refusal why = {.wait_ms = KC_NEVER};
    *lease = (struct keycycle_lease){.pool = p};
    int err = read_request(request, &r);
    if (err == KC_OK)
        err = use(p, &hub);
    if (err == KC_OK) {
        err = kc_pool_acquire(kc_hub_pool(hub), kc_hub_now(hub), &r, &grant,
                              &why);
        kc_hub_tell(hub);
    }
    tell_refusal(&why, refusal);
    if (err == KC_OK)
        hold(p, r.model, &grant, lease);
    return err;
}

EXPORT int keycycle_pool_wait(struct keycycle_pool *p,
                              const struct keycycle_request *request,
                              uint64_t timeout_ms, struct keycycle_lease *lease,
                              struct keycycle_refusal *refusal)
{
    struct kc_hub *hub;
    struct kc_waiter w = {.priority = request->priority,
                          .refusal = {.wait_ms = KC_NEVER}};
    *lease = (struct keycycle_lease){.pool = p};
    int err = read_request(request, &w.request);
    if (err == KC_OK)
        err = use(p, &hub);
    if (err == KC_OK) {
        uint64_t now = kc_hub_now(hub);
        w.deadline_ms =
            timeout_ms >= KC_NEVER - now ? KC_NEVER : now + timeout_ms;
        err = kc_hub_sleep(hub, &w);
    }
    tell_refusal(&w.refusal, refusal);
    if (err == KC_OK)
        hold(p, w.request.model, &w.grant, lease);
    return err;
}

EXPORT int keycycle_lease_key(const struct keycycle_lease *lease, char *out,
                              size_t size)
{
    struct kc_hub *hub;
    struct kc_buf key;
    if (size == 0)
        return KC_ETOOLARGE;
    out[0] = '\0';
    if (!lease->id)
        return KC_ESTALE;
    int err = use(lease->pool, &hub);
    if (err != KC_OK)
        return err;
    kc_buf_init(&key, MAX_KEY);
    err = kc_pool_key_secret(kc_hub_pool(hub), lease->key, &key);
    if (err == KC_OK && key.len >= size)
        err = KC_ETOOLARGE;
    if (err == KC_OK)
        memcpy(out, kc_buf_str(&key), key.len + 1);
    kc_buf_wipe(&key);
    return err;
}

EXPORT int keycycle_lease_headers(const struct keycycle_lease *lease)
{
    struct kc_hub *hub;
    int err = use(lease->pool, &hub);
    if (err != KC_OK)
        return err;
    kc_pool_stamp(kc_hub_pool(hub), kc_hub_now(hub), lease->id);
    kc_hub_retime(hub); /* who waits for its end knows the time now */
    return KC_OK;
}

static int settle(const struct keycycle_lease *lease, enum kc_outcome outcome,
                  const struct kc_usage *usage)
{
    struct kc_hub *hub;
    int err = use(lease->pool, &hub);
    if (err == KC_OK)
        err = kc_pool_settle(kc_hub_pool(hub), kc_hub_now(hub), lease->id,
                             outcome, usage);
    if (err == KC_OK)
        kc_hub_pump(hub);
    return err;
}

EXPORT int keycycle_lease_commit(const struct keycycle_lease *lease,
                                 uint64_t input, uint64_t output,
                                 uint64_t total)
{
    struct kc_usage usage = {.input = input, .output = output, .total = total};
    return settle(lease, KC_DONE, total == KEYCYCLE_RESERVED ? NULL : &usage);
}

EXPORT int keycycle_lease_cancel(const struct keycycle_lease *lease, int sent)
{
    return settle(lease, sent ? KC_UNKNOWN : KC_NOT_SENT, NULL);
}

EXPORT int keycycle_lease_cooldown(const struct keycycle_lease *lease,
                                   uint64_t delay_ms)
{
    struct kc_hub *hub;
    if (!lease->id)
        return KC_ESTALE;
    int err = use(lease->pool, &hub);
    if (err == KC_OK)
        err = kc_pool_cool(kc_hub_pool(hub), kc_hub_now(hub), lease->key,
                           lease->model, delay_ms, "cooldown", NULL);
    if (err == KC_OK)
        kc_hub_pump(hub);
    return err;
}

/* -- statistics ------------------------------------------------------------ */

EXPORT int keycycle_pool_stats(struct keycycle_pool *p, unsigned key,
                               const char *model, struct keycycle_stats *out)
{
    struct kc_hub *hub;
    struct kc_snapshot s;
    *out = (struct keycycle_stats){.in_flight = 0};
    int err = use(p, &hub);
    if (err == KC_OK)
        err = kc_pool_snapshot(kc_hub_pool(hub), kc_hub_now(hub), key, model,
                               &s);
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
    };
    return KC_OK;
}
