/* runtime.c -- the owner of loop and transports, and the ready queue. */
#include "runtime/runtime.h"

#include <stdlib.h>

#include "runtime/carrier.h"
#include "runtime/registry.h"

struct kc_runtime {
    size_t refs;
    unsigned generation;
    struct kc_loop *loop;
    struct kc_carrier *own;   /* over libcurl; NULL until first used */
    struct kc_carrier *given; /* to be used in its place; NULL: none */
    struct kc_ready *first, *last; /* the ready queue */
    uint64_t next_id;
    size_t pending;
    size_t calls;
    bool stepping;
    bool closed;                   /* the transport goes with the last call */
    struct kc_pause *pauses;       /* on manual clocks */
    struct kc_follower *followers; /* of manual clocks */
    struct kc_follower *woken;     /* of wake-ups */
};

static void on_fd(void *ctx, int fd, int events)
{
    struct kc_runtime *rt = ctx;
    if (rt->own)
        kc_transport_ready(kc_carrier_transport(rt->own), fd, events);
}

static void on_wake(void *ctx)
{
    struct kc_runtime *rt = ctx;
    for (struct kc_follower *f = rt->woken; f; f = f->next)
        f->fn(f->ctx);
}

int kc_runtime_new(struct kc_runtime **out)
{
    *out = NULL;
    int err = kc_registry_init();
    if (err != KC_OK)
        return err;
    struct kc_runtime *rt = calloc(1, sizeof *rt);
    if (!rt)
        return KC_ENOMEM;
    err = kc_loop_new(&rt->loop);
    if (err != KC_OK) {
        free(rt);
        return err;
    }
    kc_loop_on_fd(rt->loop, on_fd, rt);
    kc_loop_on_wake(rt->loop, on_wake, rt);
    rt->refs = 1;
    rt->generation = kc_registry_generation();
    *out = rt;
    return KC_OK;
}

struct kc_runtime *kc_runtime_ref(struct kc_runtime *rt)
{
    rt->refs++;
    return rt;
}

static void drop_transport(struct kc_runtime *rt)
{
    kc_carrier_unref(rt->own);
    rt->own = NULL;
    kc_carrier_unref(rt->given);
    rt->given = NULL;
}

void kc_runtime_unref(struct kc_runtime *rt)
{
    if (!rt || --rt->refs > 0)
        return;
    drop_transport(rt);
    kc_loop_free(rt->loop);
    free(rt);
}

void kc_runtime_close(struct kc_runtime *rt)
{
    rt->closed = true;
    if (rt->calls == 0)
        drop_transport(rt);
}

bool kc_runtime_forked(const struct kc_runtime *rt)
{
    return rt->generation != kc_registry_generation();
}

struct kc_loop *kc_runtime_loop(struct kc_runtime *rt)
{
    return rt->loop;
}

int kc_runtime_carrier(struct kc_runtime *rt, struct kc_carrier **out)
{
    int err = KC_OK;
    *out = rt->given;
    if (!rt->given && !rt->own)
        err = kc_carrier_open(rt, NULL, &rt->own);
    if (!rt->given)
        *out = rt->own;
    return err;
}

void kc_runtime_use(struct kc_runtime *rt, struct kc_carrier *c)
{
    kc_carrier_unref(rt->given);
    rt->given = c ? kc_carrier_ref(c) : NULL;
}

int kc_runtime_step(struct kc_runtime *rt, int64_t timeout_ms,
                    int64_t budget_us)
{
    if (kc_runtime_forked(rt))
        return KC_EFORKED;
    /* A waitable may be marked outside a step, and its owner not know. */
    rt->stepping = true;
    int err = kc_loop_step(rt->loop, rt->first ? 0 : timeout_ms, budget_us);
    rt->stepping = false;
    return err;
}

int64_t kc_runtime_timeout_ms(struct kc_runtime *rt)
{
    return rt->first ? 0 : kc_loop_timeout_ms(rt->loop);
}

size_t kc_runtime_pending(const struct kc_runtime *rt)
{
    return rt->pending;
}

size_t kc_runtime_calls(const struct kc_runtime *rt)
{
    return rt->calls;
}

void kc_runtime_add_call(struct kc_runtime *rt, int n)
{
    rt->calls += (size_t)n; /* wraps as meant for -1 */
    if (rt->closed && rt->calls == 0)
        drop_transport(rt);
}

/* -- the ready queue ----------------------------------------------------- */

void kc_ready_init(struct kc_ready *r, struct kc_runtime *rt)
{
    *r = (struct kc_ready){.rt = kc_runtime_ref(rt), .id = ++rt->next_id};
    rt->pending++;
}

static void unlink_ready(struct kc_runtime *rt, struct kc_ready *r)
{
    if (!r->queued)
        return;
    if (r->prev)
        r->prev->next = r->next;
    else
        rt->first = r->next;
    if (r->next)
        r->next->prev = r->prev;
    else
        rt->last = r->prev;
    r->prev = r->next = NULL;
    r->queued = false;
}

void kc_ready_deinit(struct kc_ready *r)
{
    struct kc_runtime *rt = r->rt;
    if (!rt)
        return;
    unlink_ready(rt, r);
    rt->pending--;
    r->rt = NULL;
    kc_runtime_unref(rt);
}

void kc_ready_mark(struct kc_ready *r)
{
    struct kc_runtime *rt = r->rt;
    if (!rt || r->queued)
        return;
    r->queued = true;
    r->prev = rt->last;
    r->next = NULL;
    if (rt->last)
        rt->last->next = r;
    else
        rt->first = r;
    rt->last = r;
    /* A host watches the descriptor alone; who steps takes them anyway. */
    if (rt->first == r && !rt->stepping)
        kc_loop_wake(rt->loop);
}

uint64_t kc_runtime_next_ready(struct kc_runtime *rt)
{
    struct kc_ready *r = rt->first;
    if (!r)
        return 0;
    unlink_ready(rt, r);
    return r->id;
}

/* -- pauses and manual clocks -------------------------------------------- */

static void pause_over(void *ctx)
{
    struct kc_pause *p = ctx;
    p->done = true;
    kc_ready_mark(&p->ready);
}

void kc_pause_init(struct kc_pause *p, struct kc_runtime *rt,
                   struct kc_clock *clock, uint64_t ms)
{
    *p = (struct kc_pause){.timer = {.fn = pause_over, .ctx = p}};
    if (!clock || !kc_clock_is_manual(clock)) {
        kc_loop_arm(rt->loop, &p->timer, kc_mono_ms() + ms);
        kc_ready_init(&p->ready, rt);
        return;
    }
    kc_ready_init(&p->ready, rt);
    p->clock = kc_clock_ref(clock);
    p->at_ms = kc_clock_now_ms(clock) + ms;
    p->next = rt->pauses;
    if (p->next)
        p->next->prev = p;
    rt->pauses = p;
    if (ms == 0)
        pause_over(p);
}

void kc_pause_end(struct kc_pause *p)
{
    if (!p->ready.rt || p->done)
        return;
    kc_loop_disarm(p->ready.rt->loop, &p->timer);
    pause_over(p);
}

void kc_pause_deinit(struct kc_pause *p)
{
    struct kc_runtime *rt = p->ready.rt;
    if (!rt)
        return;
    kc_loop_disarm(rt->loop, &p->timer);
    if (p->clock) {
        if (p->prev)
            p->prev->next = p->next;
        else
            rt->pauses = p->next;
        if (p->next)
            p->next->prev = p->prev;
        kc_clock_unref(p->clock);
    }
    kc_ready_deinit(&p->ready);
}

static struct kc_follower **list_of(struct kc_runtime *rt,
                                    const struct kc_follower *f)
{
    return f->clock ? &rt->followers : &rt->woken;
}

void kc_runtime_follow(struct kc_runtime *rt, struct kc_follower *f)
{
    struct kc_follower **first = list_of(rt, f);
    f->prev = NULL;
    f->next = *first;
    if (f->next)
        f->next->prev = f;
    *first = f;
}

void kc_runtime_unfollow(struct kc_runtime *rt, struct kc_follower *f)
{
    if (f->prev)
        f->prev->next = f->next;
    else
        *list_of(rt, f) = f->next;
    if (f->next)
        f->next->prev = f->prev;
}

void kc_runtime_advance(struct kc_runtime *rt, struct kc_clock *clock,
                        uint64_t ms)
{
    kc_clock_advance(clock, ms);
    uint64_t now = kc_clock_now_ms(clock);
    for (struct kc_pause *p = rt->pauses; p; p = p->next)
        if (p->clock == clock && !p->done && p->at_ms <= now)
            pause_over(p);
    for (struct kc_follower *f = rt->followers; f; f = f->next)
        if (f->clock == clock)
            f->fn(f->ctx);
}
