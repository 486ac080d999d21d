/* clease.c -- the engine for programs in C: keycycle.h's leases. */
#include "keycycle.h"

#include <string.h>

#include "runtime/cpool_impl.h"

#define MAX_TEXT (64 * 1024) /* of a key, or of a value that belongs to it */
#define LAST_PRIORITY 7

/* -- to get one ------------------------------------------------------------ */

static int read_request(const struct keycycle_request *from,
                        struct kc_request *to)
{
    if (!from || from->priority < 0 || from->priority > LAST_PRIORITY)
        return KC_EINVALID;
    *to = (struct kc_request){
        .model = from->model ? from->model : "",
        .tokens = from->tokens,
        .input = from->input_tokens,
        .key = from->key,
        .pin = from->pin != 0,
        .not_key = from->avoid,
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

/* What is told when it is not even tried. */
static const struct kc_refusal untold = {.wait_ms = KC_NEVER};

/* Sets what the caller hands over to what it is without a grant. */
static int begin(struct keycycle_pool *p, const struct keycycle_request *from,
                 struct kc_request *r, struct keycycle_lease *lease,
                 struct keycycle_refusal *refusal)
{
    tell_refusal(&untold, refusal);
    if (!lease)
        return KC_EINVALID;
    *lease = (struct keycycle_lease){.pool = p};
    return p ? read_request(from, r) : KC_EINVALID;
}

KC_EXPORT int keycycle_pool_acquire(struct keycycle_pool *p,
                                    const struct keycycle_request *request,
                                    struct keycycle_lease *lease,
                                    struct keycycle_refusal *refusal)
{
    struct kc_hub *hub;
    struct kc_request r;
    struct kc_grant grant;
    struct kc_refusal why;
    int err = begin(p, request, &r, lease, refusal);
    if (err == KC_OK)
        err = kc_cpool_serve(p, &hub);
    if (err != KC_OK)
        return err;
    err = kc_pool_acquire(kc_hub_pool(hub), kc_hub_now(hub), &r, &grant, &why);
    kc_hub_tell(hub);
    if (err == KC_OK)
        hold(p, r.model, &grant, lease);
    else
        tell_refusal(&why, refusal);
    return err;
}

KC_EXPORT int keycycle_pool_wait(struct keycycle_pool *p,
                                 const struct keycycle_request *request,
                                 uint64_t timeout_ms,
                                 struct keycycle_lease *lease,
                                 struct keycycle_refusal *refusal)
{
    struct kc_hub *hub;
    struct kc_waiter w = {.refusal = untold};
    int err = begin(p, request, &w.request, lease, refusal);
    if (err == KC_OK)
        err = kc_cpool_serve(p, &hub);
    if (err != KC_OK)
        return err;
    uint64_t now = kc_hub_now(hub);
    w.priority = request->priority;
    w.deadline_ms = timeout_ms >= KC_NEVER - now ? KC_NEVER : now + timeout_ms;
    err = kc_hub_sleep(hub, &w, &p->stopped);
    if (err == KC_OK)
        hold(p, w.request.model, &w.grant, lease);
    else
        tell_refusal(&w.refusal, refusal);
    return err;
}

KC_EXPORT int keycycle_pool_explain(struct keycycle_pool *p,
                                    const struct keycycle_request *request,
                                    struct keycycle_refusal *refusal)
{
    struct kc_hub *hub;
    struct kc_request r;
    struct kc_refusal why;
    if (!refusal)
        return KC_EINVALID;
    tell_refusal(&untold, refusal);
    int err = p ? read_request(request, &r) : KC_EINVALID;
    if (err == KC_OK)
        err = kc_cpool_use(p, &hub);
    if (err != KC_OK)
        return err;
    err = kc_pool_explain(kc_hub_pool(hub), kc_hub_now(hub), &r, &why);
    if (err == KC_OK)
        why = (struct kc_refusal){.wait_ms = 0};
    tell_refusal(&why, refusal);
    return err;
}

/* -- what becomes of it ---------------------------------------------------- */

static int hub_of(const struct keycycle_lease *lease, struct kc_hub **hub)
{
    *hub = NULL;
    if (!lease)
        return KC_EINVALID;
    return lease->id ? kc_cpool_use(lease->pool, hub) : KC_ESTALE;
}

/* Takes `text`, read with `err`, into the caller's `size` bytes. */
static int give_text(struct kc_buf *text, int err, char *out, size_t size)
{
    if (err == KC_OK && text->len >= size)
        err = KC_ETOOLARGE;
    if (err == KC_OK)
        memcpy(out, kc_buf_str(text), text->len + 1);
    kc_buf_wipe(text);
    return err;
}

/* Also where nothing is given, what is there is a text. */
static int check_room(char *out, size_t size)
{
    if (!out)
        return KC_EINVALID;
    if (size == 0)
        return KC_ETOOLARGE;
    out[0] = '\0';
    return KC_OK;
}

KC_EXPORT int keycycle_lease_key(const struct keycycle_lease *lease, char *out,
                                 size_t size)
{
    struct kc_hub *hub;
    struct kc_buf key;
    int err = check_room(out, size);
    if (err == KC_OK)
        err = hub_of(lease, &hub);
    if (err != KC_OK)
        return err;
    kc_buf_init(&key, MAX_TEXT);
    err = kc_pool_key_secret(kc_hub_pool(hub), lease->key, &key);
    return give_text(&key, err, out, size);
}

KC_EXPORT int keycycle_lease_param(const struct keycycle_lease *lease,
                                   const char *name, char *out, size_t size)
{
    struct kc_hub *hub;
    struct kc_buf value;
    int err = check_room(out, size);
    if (err == KC_OK)
        err = name ? hub_of(lease, &hub) : KC_EINVALID;
    if (err != KC_OK)
        return err;
    kc_buf_init(&value, MAX_TEXT);
    err = kc_pool_key_param(kc_hub_pool(hub), lease->key, name, &value);
    return give_text(&value, err, out, size);
}

KC_EXPORT int keycycle_lease_headers(const struct keycycle_lease *lease)
{
    struct kc_hub *hub;
    int err = hub_of(lease, &hub);
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
    int err = hub_of(lease, &hub);
    if (err == KC_OK)
        err = kc_pool_settle(kc_hub_pool(hub), kc_hub_now(hub), lease->id,
                             outcome, usage);
    if (err == KC_OK)
        kc_hub_pump(hub);
    return err;
}

KC_EXPORT int keycycle_lease_commit(const struct keycycle_lease *lease,
                                    uint64_t input, uint64_t output,
                                    uint64_t total)
{
    struct kc_usage usage = {.input = input, .output = output, .total = total};
    return settle(lease, KC_DONE, total == KEYCYCLE_RESERVED ? NULL : &usage);
}

KC_EXPORT int keycycle_lease_cancel(const struct keycycle_lease *lease,
                                    int sent)
{
    return settle(lease, sent ? KC_UNKNOWN : KC_NOT_SENT, NULL);
}

KC_EXPORT int keycycle_lease_refuse(const struct keycycle_lease *lease)
{
    return settle(lease, KC_REFUSED, NULL);
}

/* -- what a refusal proves about its key ----------------------------------- */

KC_EXPORT int keycycle_lease_cooldown(const struct keycycle_lease *lease,
                                      uint64_t delay_ms)
{
    struct kc_hub *hub;
    int err = hub_of(lease, &hub);
    if (err != KC_OK)
        return err;
    struct kc_pool *pool = kc_hub_pool(hub);
    /* Where some models stand apart, each is put away by itself. */
    bool whole = kc_pool_strategy(pool) == KC_GLOBAL && !kc_pool_has_only(pool);
    err = kc_pool_cool(pool, kc_hub_now(hub), lease->key,
                       whole ? NULL : lease->model, delay_ms, "cooldown", NULL);
    if (err == KC_OK) {
        kc_hub_pump(hub);
        kc_hub_hurry(hub);
    }
    return err;
}

KC_EXPORT int keycycle_lease_suspend(const struct keycycle_lease *lease)
{
    struct kc_hub *hub;
    int err = hub_of(lease, &hub);
    if (err == KC_OK)
        err = kc_pool_suspend(kc_hub_pool(hub), kc_hub_now(hub), lease->key,
                              KC_CONFIRM_MS, "refused");
    if (err == KC_OK)
        kc_hub_pump(hub);
    return err;
}

KC_EXPORT int keycycle_lease_unpaid(const struct keycycle_lease *lease)
{
    struct kc_hub *hub;
    int err = hub_of(lease, &hub);
    if (err == KC_OK)
        err = kc_pool_unpaid(kc_hub_pool(hub), kc_hub_now(hub), lease->key,
                             "payment required");
    if (err == KC_OK)
        kc_hub_pump(hub);
    return err;
}

/* -- what an answer tells of limits ---------------------------------------- */

static int read_observation(enum keycycle_unit unit, uint64_t window_ms,
                            struct kc_observation *o)
{
    bool known = (unsigned)unit <= KEYCYCLE_OUTPUT_TOKENS;
    o->parts = known && unit >= KEYCYCLE_INPUT_TOKENS;
    o->unit = unit == KEYCYCLE_REQUESTS || unit == KEYCYCLE_INPUT_TOKENS
                  ? KC_REQUESTS
                  : KC_TOKENS;
    for (int w = 0; known && w < (o->parts ? KC_HOUR : KC_WINDOWS); w++) {
        o->window = (enum kc_window)w;
        if (kc_window_ms(o->window) == window_ms)
            return KC_OK;
    }
    return KC_EINVALID;
}

KC_EXPORT int keycycle_lease_observe(const struct keycycle_lease *lease,
                                     enum keycycle_unit unit,
                                     uint64_t window_ms, uint64_t limit,
                                     uint64_t remaining)
{
    struct kc_hub *hub;
    struct kc_observation o = {.limit = limit, .remaining = remaining};
    int err = read_observation(unit, window_ms, &o);
    if (err == KC_OK)
        err = hub_of(lease, &hub);
    if (err != KC_OK)
        return err;
    err = kc_pool_observe(kc_hub_pool(hub), kc_hub_now(hub), lease->id, &o);
    kc_hub_pump(hub);
    return err;
}
