/* lease.c -- leases and the wait for one, over a ledger. */
#include "runtime/ledger.h"

#include "runtime/ledger_impl.h"

/* -- leases -------------------------------------------------------------- */

static void hold(struct kc_lease *lease, struct kc_ledger *l,
                 const struct kc_grant *grant, const char *model)
{
    *lease = (struct kc_lease){
        .ledger = kc_ledger_ref(l), .grant = *grant, .model = model};
}

int kc_lease_acquire(struct kc_ledger *l, const struct kc_request *request,
                     struct kc_lease *lease, struct kc_refusal *refusal)
{
    struct kc_request r = *request;
    struct kc_grant grant;
    *refusal = (struct kc_refusal){.wait_ms = KC_NEVER};
    if (l->closed)
        return KC_ECLOSED;
    if (kc_ledger_is_forked(l))
        return KC_EFORKED;
    int err = kc_ledger_intern(l, request->model, &r.model);
    if (err == KC_OK)
        err = kc_pool_acquire(kc_ledger_pool(l), kc_ledger_now(l), &r, &grant,
                              refusal);
    if (err != KC_OK)
        return err;
    hold(lease, l, &grant, r.model);
    kc_hub_tell(l->hub);
    return KC_OK;
}

int kc_lease_settle(struct kc_lease *lease, enum kc_outcome outcome,
                    const struct kc_usage *usage)
{
    struct kc_ledger *l = lease->ledger;
    if (!l || lease->settled)
        return KC_ESTALE;
    if (kc_ledger_is_forked(l))
        return KC_EFORKED;
    lease->settled = true;
    int err = kc_pool_settle(kc_ledger_pool(l), kc_ledger_now(l),
                             lease->grant.lease, outcome, usage);
    if (err != KC_OK)
        return err; /* over its age: the pool settled it as unknown */
    kc_ledger_pump(l);
    return KC_OK;
}

void kc_lease_deinit(struct kc_lease *lease)
{
    struct kc_ledger *l = lease->ledger;
    if (!l)
        return;
    if (!lease->settled) {
        int err = kc_lease_settle(lease, KC_UNKNOWN, NULL);
        (void)err; /* it may be over its age: settled then as well */
    }
    lease->ledger = NULL;
    kc_ledger_unref(l);
}

/* -- waiting ------------------------------------------------------------- */

/* The lease that nobody took goes back as if it had not been. */
static void give_back(struct kc_wait *w)
{
    struct kc_lease lease;
    hold(&lease, w->ledger, &w->waiter.grant, w->waiter.request.model);
    int err = kc_lease_settle(&lease, KC_NOT_SENT, NULL);
    (void)err; /* it cannot be settled already: nobody had it */
    kc_lease_deinit(&lease);
}

int kc_wait_init(struct kc_wait *w, struct kc_ledger *l,
                 const struct kc_request *request, int priority,
                 uint64_t timeout_ms, struct kc_refusal *refusal)
{
    *w = (struct kc_wait){
        .waiter = {.request = *request, .priority = priority}};
    *refusal = (struct kc_refusal){.wait_ms = KC_NEVER};
    if (l->closed)
        return KC_ECLOSED;
    int err = kc_ledger_intern(l, request->model, &w->waiter.request.model);
    if (err != KC_OK)
        return err;
    uint64_t next_ms, now = kc_ledger_now(l);
    w->waiter.deadline_ms =
        timeout_ms >= KC_NEVER - now ? KC_NEVER : now + timeout_ms;
    err = kc_peer_enqueue(&l->peer, &w->waiter, &next_ms);
    if (err != KC_OK && err != KC_EAGAIN) {
        *refusal = w->waiter.refusal;
        return err;
    }
    w->ledger = kc_ledger_ref(l);
    kc_ready_init(&w->ready, l->rt);
    w->next = l->waits;
    if (w->next)
        w->next->prev = w;
    l->waits = w;
    if (err == KC_OK)
        kc_ledger_deliver(&w->waiter);
    else
        kc_ledger_arm(l, next_ms);
    return KC_OK;
}

bool kc_wait_done(const struct kc_wait *w)
{
    return !w->ledger || w->ledger->closed || w->done;
}

int kc_wait_take(struct kc_wait *w, struct kc_lease *lease,
                 struct kc_refusal *refusal)
{
    *refusal = (struct kc_refusal){.wait_ms = KC_NEVER};
    if (!w->ledger || w->taken)
        return KC_ECLOSED;
    if (!w->done)
        return w->ledger->closed ? KC_ECLOSED : KC_EAGAIN;
    *refusal = w->waiter.refusal;
    if (w->waiter.result != KC_OK)
        return w->waiter.result;
    w->taken = true;
    hold(lease, w->ledger, &w->waiter.grant, w->waiter.request.model);
    return KC_OK;
}

void kc_wait_deinit(struct kc_wait *w)
{
    struct kc_ledger *l = w->ledger;
    if (!l)
        return;
    if (!w->done && kc_peer_dequeue(&l->peer, &w->waiter))
        kc_ledger_deliver(&w->waiter);
    if (w->prev)
        w->prev->next = w->next;
    else
        l->waits = w->next;
    if (w->next)
        w->next->prev = w->prev;
    if (w->done && w->waiter.result == KC_OK && !w->taken)
        give_back(w);
    else
        kc_ledger_pump(l); /* the next in line may go now */
    kc_ready_deinit(&w->ready);
    w->ledger = NULL;
    kc_ledger_unref(l);
}
