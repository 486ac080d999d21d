/* ledger.c -- clock, journal and queue around one pool of the engine. */
#include "runtime/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "engine/pool_store.h"
#include "runtime/ledger_impl.h"

/* -- the ledger ---------------------------------------------------------- */

static void on_time(void *ctx)
{
    kc_ledger_pump(ctx);
}

static void deliver_all(struct kc_waiter *w)
{
    while (w) {
        struct kc_waiter *next = w->next;
        kc_ledger_deliver(w);
        w = next;
    }
}

static void on_wake(void *ctx)
{
    struct kc_ledger *l = ctx;
    uint64_t next_ms;
    deliver_all(kc_peer_collect(&l->peer, &next_ms));
    kc_ledger_arm(l, next_ms);
}

int kc_ledger_new(struct kc_runtime *rt, const char *provider,
                  const struct kc_pool_config *config, struct kc_clock *clock,
                  struct kc_ledger **out)
{
    *out = NULL;
    struct kc_ledger *l = calloc(1, sizeof *l);
    if (!l)
        return KC_ENOMEM;
    l->refs = 1;
    kc_map_init(&l->models);
    int err = KC_ENOMEM;
    l->provider = strdup(provider);
    if (l->provider)
        err = kc_hub_new(config, clock, false, &l->hub);
    if (err != KC_OK) {
        free(l->provider);
        free(l);
        return err;
    }
    l->rt = kc_runtime_ref(rt);
    kc_peer_init(&l->peer, l->hub, kc_runtime_loop(rt));
    l->timer = (struct kc_timer){.fn = on_time, .ctx = l};
    l->woken = (struct kc_follower){.fn = on_wake, .ctx = l};
    l->follower = (struct kc_follower){
        .fn = on_time, .ctx = l, .clock = kc_hub_clock(l->hub)};
    kc_runtime_follow(rt, &l->follower);
    *out = l;
    return KC_OK;
}

struct kc_ledger *kc_ledger_ref(struct kc_ledger *l)
{
    l->refs++;
    return l;
}

static void leave(struct kc_ledger *l)
{
    if (l->member)
        kc_hub_leave(l->hub);
    l->member = false;
}

void kc_ledger_unref(struct kc_ledger *l)
{
    if (!l || --l->refs > 0)
        return;
    leave(l);
    kc_runtime_unfollow(l->rt, &l->follower);
    if (l->watches)
        kc_runtime_unfollow(l->rt, &l->woken);
    kc_loop_disarm(kc_runtime_loop(l->rt), &l->timer);
    kc_runtime_add_call(l->rt, -(int)l->counted);
    kc_peer_deinit(&l->peer);
    kc_hub_unref(l->hub);
    size_t at = 0;
    const char *name;
    void *copy;
    while (kc_map_next(&l->models, &at, &name, &copy))
        free(copy);
    kc_map_deinit(&l->models);
    kc_runtime_unref(l->rt);
    free(l->provider);
    free(l);
}

void kc_ledger_close(struct kc_ledger *l)
{
    if (l->closed)
        return;
    l->closed = true;
    /* They leave the queue now: whoever closes may never step again. */
    for (struct kc_wait *w = l->waits; w; w = w->next) {
        if (!w->done && kc_peer_dequeue(&l->peer, &w->waiter))
            kc_ledger_deliver(&w->waiter);
        kc_ready_mark(&w->ready);
    }
    kc_ledger_pump(l);
    leave(l);
}

bool kc_ledger_is_forked(const struct kc_ledger *l)
{
    return kc_hub_is_forked(l->hub);
}

struct kc_hub *kc_ledger_hub(struct kc_ledger *l)
{
    return l->hub;
}

struct kc_pool *kc_ledger_pool(struct kc_ledger *l)
{
    return kc_hub_pool(l->hub);
}

struct kc_clock *kc_ledger_clock(struct kc_ledger *l)
{
    return kc_hub_clock(l->hub);
}

const char *kc_ledger_provider(const struct kc_ledger *l)
{
    return l->provider;
}

uint64_t kc_ledger_now(const struct kc_ledger *l)
{
    return kc_hub_now(l->hub);
}

/* From now other threads may serve its waits. */
static void watch(struct kc_ledger *l)
{
    if (!l->watches)
        kc_runtime_follow(l->rt, &l->woken);
    l->watches = true;
}

int kc_ledger_attach(struct kc_ledger *l, struct kc_writer *w, char **why)
{
    int err = kc_hub_keep(l->hub, l->provider, w, why);
    if (kc_hub_is_shared(l->hub))
        watch(l);
    return err;
}

/* -- several ledgers over one pool ---------------------------------------- */

/* Goes over to another hub; the peer of the old one is empty. */
static void move(struct kc_ledger *l, struct kc_hub *hub)
{
    kc_runtime_unfollow(l->rt, &l->follower);
    l->hub = hub;
    l->follower.clock = kc_hub_clock(hub);
    kc_runtime_follow(l->rt, &l->follower);
}

int kc_ledger_share(struct kc_ledger *l, const char *name, bool kept)
{
    if (l->refs > 1 || l->member || l->closed || l->peer.listens > 0 ||
        kc_clock_is_manual(kc_ledger_clock(l)))
        return KC_EINVALID;
    struct kc_hub *hub = l->hub;
    if (kept) /* nothing of it is to be missed once others know of it */
        kc_pool_keep(kc_hub_pool(hub));
    kc_peer_deinit(&l->peer); /* of a hub that may be let go */
    int err = kc_hub_share(&hub, name, l->provider);
    if (hub != l->hub)
        move(l, hub);
    kc_peer_init(&l->peer, l->hub, kc_runtime_loop(l->rt));
    if (err != KC_OK)
        return err;
    l->member = true;
    watch(l);
    return KC_OK;
}

int kc_ledger_listen(struct kc_ledger *l, bool on, uint64_t *serial)
{
    int err = kc_peer_listen(&l->peer, on, serial);
    size_t count = l->member ? l->peer.listens : 0;
    kc_runtime_add_call(l->rt, (int)(count - l->counted));
    l->counted = count;
    return err;
}

/* -- the queue ----------------------------------------------------------- */

int kc_ledger_intern(struct kc_ledger *l, const char *model, const char **out)
{
    char *copy = kc_map_get(&l->models, model);
    if (!copy) {
        copy = strdup(model);
        if (!copy)
            return KC_ENOMEM;
        int err = kc_map_set(&l->models, model, copy);
        if (err != KC_OK) {
            free(copy);
            return err;
        }
    }
    *out = copy;
    return KC_OK;
}

void kc_ledger_arm(struct kc_ledger *l, uint64_t at_ms)
{
    struct kc_loop *loop = kc_runtime_loop(l->rt);
    if (at_ms == KC_NEVER || kc_clock_is_manual(kc_ledger_clock(l))) {
        kc_loop_disarm(loop, &l->timer);
        return;
    }
    uint64_t now = kc_ledger_now(l);
    uint64_t wait = at_ms > now ? at_ms - now : 0;
    /* Engine time runs through a suspend and the loop's does not: a timer that
     * fires early finds nothing due and is set again. */
    kc_loop_arm(loop, &l->timer, kc_mono_ms() + wait);
}

void kc_ledger_deliver(struct kc_waiter *w)
{
    struct kc_wait *wait = (struct kc_wait *)w;
    w->next = w->prev = NULL;
    wait->done = true;
    kc_ready_mark(&wait->ready);
}

void kc_ledger_pump(struct kc_ledger *l)
{
    uint64_t next_ms;
    deliver_all(kc_peer_pump(&l->peer, &next_ms));
    kc_ledger_arm(l, next_ms);
}

static void retime(struct kc_ledger *l)
{
    uint64_t next_ms;
    kc_peer_retime(&l->peer, &next_ms);
    if (next_ms != KC_NEVER)
        kc_ledger_arm(l, next_ms);
}

void kc_ledger_stamp(struct kc_ledger *l, uint64_t lease)
{
    if (kc_ledger_is_forked(l))
        return;
    kc_pool_stamp(kc_ledger_pool(l), kc_ledger_now(l), lease);
    retime(l);
}

void kc_ledger_sent(struct kc_ledger *l, uint64_t lease)
{
    if (kc_ledger_is_forked(l))
        return;
    kc_pool_sent(kc_ledger_pool(l), kc_ledger_now(l), lease);
    retime(l);
}

void kc_ledger_ended(struct kc_ledger *l, uint64_t lease)
{
    if (kc_ledger_is_forked(l))
        return;
    kc_pool_ended(kc_ledger_pool(l), lease);
    kc_ledger_pump(l);
}
