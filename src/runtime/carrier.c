/* carrier.c -- see carrier.h. */
#include "runtime/carrier.h"

#include <stdlib.h>

#include "net/curl.h"
#include "net/hosted.h"

struct kc_carrier {
    size_t refs;
    struct kc_runtime *rt;
    struct kc_transport *transport;
    struct kc_timer timer;
    struct kc_follower follower; /* of wake-ups, where `follows` */
    bool follows;
};

static int watch(void *ctx, int fd, int events)
{
    struct kc_carrier *c = ctx;
    return kc_loop_watch(kc_runtime_loop(c->rt), fd, events);
}

static void timer(void *ctx, int64_t ms)
{
    struct kc_carrier *c = ctx;
    struct kc_loop *loop = kc_runtime_loop(c->rt);
    if (ms < 0)
        kc_loop_disarm(loop, &c->timer);
    else
        kc_loop_arm(loop, &c->timer, kc_mono_ms() + (uint64_t)ms);
}

/* From any thread. */
static void wake(void *ctx)
{
    struct kc_carrier *c = ctx;
    kc_loop_wake(kc_runtime_loop(c->rt));
}

static bool spent(void *ctx)
{
    struct kc_carrier *c = ctx;
    return kc_loop_spent(kc_runtime_loop(c->rt));
}

static void on_timer(void *ctx)
{
    struct kc_carrier *c = ctx;
    kc_transport_timeout(c->transport);
}

static void on_wake(void *ctx)
{
    struct kc_carrier *c = ctx;
    kc_transport_woken(c->transport);
}

int kc_carrier_open(struct kc_runtime *rt,
                    const struct keycycle_transport *host,
                    struct kc_carrier **out)
{
    *out = NULL;
    struct kc_carrier *c = calloc(1, sizeof *c);
    if (!c)
        return KC_ENOMEM;
    struct kc_poller poller = {
        .ctx = c, .watch = watch, .timer = timer, .wake = wake, .spent = spent};
    int err = host ? kc_hosted_open(host, &poller, &c->transport)
                   : kc_curl_open(&poller, &c->transport);
    if (err != KC_OK) {
        free(c);
        return err;
    }
    c->refs = 1;
    c->rt = rt;
    c->timer = (struct kc_timer){.fn = on_timer, .ctx = c};
    c->follower = (struct kc_follower){.fn = on_wake, .ctx = c};
    c->follows = host != NULL;
    if (c->follows)
        kc_runtime_follow(rt, &c->follower);
    *out = c;
    return KC_OK;
}

struct kc_carrier *kc_carrier_ref(struct kc_carrier *c)
{
    c->refs++;
    return c;
}

void kc_carrier_unref(struct kc_carrier *c)
{
    if (!c || --c->refs > 0)
        return;
    if (c->follows)
        kc_runtime_unfollow(c->rt, &c->follower);
    if (kc_runtime_forked(c->rt))
        kc_transport_forget(c->transport);
    else
        kc_transport_close(c->transport);
    kc_loop_disarm(kc_runtime_loop(c->rt), &c->timer); /* closing may arm it */
    free(c);
}

struct kc_transport *kc_carrier_transport(const struct kc_carrier *c)
{
    return c->transport;
}
