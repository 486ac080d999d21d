/* clisten.c -- keycycle.h's listeners: each has a place among the events that
 * the engine keeps, and a loop that is woken for new ones. */
#include <stdlib.h>

#include "engine/cooldown.h"
#include "runtime/cpool_impl.h"
#include "util/clock.h"
#include "util/num.h"

struct keycycle_listener {
    struct kc_hub *hub; /* lives on where the pool is closed before */
    struct kc_loop *loop;
    struct kc_peer peer;
    uint64_t serial; /* the place to read on from */
    bool ended;      /* the pool was stopped: */
    uint64_t upto;   /* then there is nothing more than this */
};

KC_EXPORT const char *keycycle_event_name(enum keycycle_event_type type)
{
    return kc_event_name((enum kc_event_type)type);
}

KC_EXPORT int keycycle_pool_listen(struct keycycle_pool *p,
                                   struct keycycle_listener **out)
{
    struct kc_hub *hub;
    if (!out)
        return KC_EINVALID;
    *out = NULL;
    int err = kc_cpool_serve(p, &hub);
    if (err != KC_OK)
        return err;
    struct keycycle_listener *l = calloc(1, sizeof *l);
    if (!l)
        return KC_ENOMEM;
    l->hub = kc_hub_ref(hub);
    err = kc_loop_new(&l->loop);
    if (err != KC_OK) {
        kc_hub_unref(l->hub);
        free(l);
        return err;
    }
    kc_peer_init(&l->peer, hub, l->loop);
    kc_peer_heed(&l->peer, &p->stopped);
    err = kc_peer_listen(&l->peer, true, &l->serial);
    if (err != KC_OK) {
        keycycle_listener_close(l);
        return err;
    }
    *out = l;
    return KC_OK;
}

static void tell(struct keycycle_listener *l, const struct kc_event *e,
                 struct keycycle_event *out)
{
    struct kc_key_info key;
    *out = (struct keycycle_event){
        .type = (enum keycycle_event_type)e->type,
        .at_ms = e->at_ms,
        .key = e->key,
        .from = e->from,
        .until_ms = e->until_ms == KC_NEVER ? 0 : e->until_ms,
        .amount = e->amount,
        .lost = e->lost,
    };
    kc_copy_cut(out->model, sizeof out->model, e->model);
    kc_copy_cut(out->reason, sizeof out->reason, e->reason);
    if (e->key &&
        kc_pool_key_info(kc_hub_pool(l->hub), 0, e->key, NULL, &key) == KC_OK)
        kc_copy_cut(out->suffix, sizeof out->suffix, key.suffix);
}

/* What has happened until it is seen that the pool was stopped is told. */
static bool is_at_end(struct keycycle_listener *l)
{
    if (!l->ended && kc_peer_ended(&l->peer)) {
        l->ended = true;
        if (kc_peer_listen(&l->peer, false, &l->upto) != KC_OK)
            l->upto = l->serial; /* forked */
    }
    return l->ended && l->serial >= l->upto;
}

static int read_event(struct keycycle_listener *l, struct keycycle_event *out)
{
    struct kc_event e;
    if (is_at_end(l))
        return KC_ECLOSED;
    if (kc_pool_event(kc_hub_pool(l->hub), &l->serial, &e) != KC_OK)
        return KC_EAGAIN;
    tell(l, &e, out);
    return KC_OK;
}

/* Takes the wake-up first, and looks then: what comes later wakes anew. */
static int look(struct keycycle_listener *l, int64_t wait_ms,
                struct keycycle_event *out)
{
    uint64_t never;
    int err = kc_loop_step(l->loop, wait_ms, -1);
    if (err != KC_OK && err != KC_EINTR)
        return err;
    kc_peer_collect(&l->peer, &never);
    return read_event(l, out);
}

KC_EXPORT int keycycle_listener_next(struct keycycle_listener *l,
                                     uint64_t timeout_ms,
                                     struct keycycle_event *out)
{
    if (out)
        *out = (struct keycycle_event){.lost = 0};
    if (!l || !out)
        return KC_EINVALID;
    if (kc_hub_is_forked(l->hub))
        return KC_EFORKED;
    uint64_t now = kc_mono_ms(), end_ms = kc_add_capped(now, timeout_ms);
    int err = read_event(l, out);
    if (err == KC_EAGAIN)
        err = look(l, 0, out);
    while (err == KC_EAGAIN && (now = kc_mono_ms()) < end_ms)
        err = look(l, (int64_t)kc_least(end_ms - now, INT32_MAX), out);
    return err;
}

KC_EXPORT int keycycle_listener_fd(const struct keycycle_listener *l)
{
    return l ? kc_loop_fd(l->loop) : -1;
}

KC_EXPORT void keycycle_listener_close(struct keycycle_listener *l)
{
    if (!l)
        return;
    kc_peer_deinit(&l->peer);
    kc_loop_free(l->loop);
    kc_hub_unref(l->hub);
    free(l);
}
