/* clease.c -- the engine for programs in C: keycycle.h's leases. */
#include "keycycle.h"

#include <string.h>

#include "runtime/cpool_impl.h"

#define MAX_KEY (64 * 1024)

/* -- to get one ------------------------------------------------------------ */

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
        err = kc_cpool_use(p, &hub);
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
        err = kc_cpool_use(p, &hub);
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

/* -- what becomes of it ---------------------------------------------------- */

static int hub_of(const struct keycycle_lease *lease, struct kc_hub **hub)
{
    *hub = NULL;
    return lease->id ? kc_cpool_use(lease->pool, hub) : KC_ESTALE;
}

EXPORT int keycycle_lease_key(const struct keycycle_lease *lease, char *out,
                              size_t size)
{
    struct kc_hub *hub;
    struct kc_buf key;
    if (size == 0)
        return KC_ETOOLARGE;
    out[0] = '\0';
    int err = hub_of(lease, &hub);
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

EXPORT int keycycle_lease_refuse(const struct keycycle_lease *lease)
{
    return settle(lease, KC_REFUSED, NULL);
}

/* -- what a refusal proves about its key ----------------------------------- */

EXPORT int keycycle_lease_cooldown(const struct keycycle_lease *lease,
                                   uint64_t delay_ms)
{
    struct kc_hub *hub;
    int err = hub_of(lease, &hub);
    if (err == KC_OK)
        err = kc_pool_cool(kc_hub_pool(hub), kc_hub_now(hub), lease->key,
                           lease->model, delay_ms, "cooldown", NULL);
    if (err == KC_OK) {
        kc_hub_pump(hub);
        kc_hub_hurry(hub);
    }
    return err;
}

EXPORT int keycycle_lease_suspend(const struct keycycle_lease *lease)
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

EXPORT int keycycle_lease_unpaid(const struct keycycle_lease *lease)
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
