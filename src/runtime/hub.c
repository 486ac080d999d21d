/* hub.c -- see hub.h: the queue of a pool, served for all who wait in it. */
#include "runtime/hub.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/hub_impl.h"
#include "runtime/registry.h"
#include "runtime/writer_impl.h"
#include "util/num.h"

int kc_hub_new(const struct kc_pool_config *config, struct kc_clock *clock,
               bool threads, struct kc_hub **out)
{
    *out = NULL;
    struct kc_hub *h = calloc(1, sizeof *h);
    if (!h)
        return KC_ENOMEM;
    pthread_mutex_init(&h->lock, NULL); /* cannot fail without attributes */
    pthread_mutex_init(&h->tie_lock, NULL);
    int err = kc_pool_new(config, &h->pool);
    if (err == KC_OK && clock)
        h->clock = kc_clock_ref(clock);
    else if (err == KC_OK)
        err = kc_clock_new_real(&h->clock);
    if (err != KC_OK) {
        kc_pool_free(h->pool);
        pthread_mutex_destroy(&h->tie_lock);
        pthread_mutex_destroy(&h->lock);
        free(h);
        return err;
    }
    atomic_init(&h->refs, 1);
    atomic_init(&h->shares, 1);
    h->generation = kc_registry_generation();
    h->threads = threads;
    *out = h;
    return KC_OK;
}

struct kc_hub *kc_hub_ref(struct kc_hub *h)
{
    atomic_fetch_add(&h->refs, 1);
    return h;
}

void kc_hub_unref(struct kc_hub *h)
{
    if (!h || atomic_fetch_sub(&h->refs, 1) > 1 || kc_hub_is_forked(h))
        return;
    kc_hub_let_go(h);
    kc_hub_share_out(h);
}

void kc_hub_share_out(struct kc_hub *h)
{
    if (atomic_fetch_sub(&h->shares, 1) > 1)
        return;
    kc_writer_drop(atomic_load(&h->writer));
    kc_pool_free(h->pool);
    kc_clock_unref(h->clock);
    pthread_mutex_destroy(&h->tie_lock);
    pthread_mutex_destroy(&h->lock);
    free(h->name);
    free(h);
}

struct kc_pool *kc_hub_pool(struct kc_hub *h)
{
    return h->pool;
}

struct kc_clock *kc_hub_clock(struct kc_hub *h)
{
    return h->clock;
}

uint64_t kc_hub_now(const struct kc_hub *h)
{
    return kc_clock_now_ms(h->clock);
}

bool kc_hub_is_shared(const struct kc_hub *h)
{
    return h->threads;
}

bool kc_hub_is_forked(const struct kc_hub *h)
{
    return h->threads && h->generation != kc_registry_generation();
}

/* Locks where that is needed; false in a forked child. */
static bool enter(struct kc_hub *h)
{
    if (!h->threads)
        return true;
    if (kc_hub_is_forked(h))
        return false;
    pthread_mutex_lock(&h->lock);
    return true;
}

static void leave(struct kc_hub *h)
{
    if (h->threads)
        pthread_mutex_unlock(&h->lock);
}

/* -- with the lock held --------------------------------------------------- */

static void wake(struct kc_peer *p)
{
    if (p->called)
        return;
    p->called = true;
    if (p->loop)
        kc_loop_wake(p->loop);
    else
        pthread_cond_signal(p->cond);
}

static void post(struct kc_peer *p, struct kc_waiter *w, struct kc_peer *self)
{
    w->next = NULL;
    p->queued--;
    p->hub->waiting--;
    if (p->last)
        p->last->next = w;
    else
        p->first = w;
    p->last = w;
    if (p != self)
        wake(p);
}

static struct kc_waiter *take_inbox(struct kc_peer *p)
{
    struct kc_waiter *first = p->first;
    p->first = p->last = NULL;
    return first;
}

static void pump(struct kc_hub *h, struct kc_peer *self)
{
    struct kc_waiter *w = kc_pool_pump(h->pool, kc_hub_now(h));
    while (w) {
        struct kc_waiter *next = w->next;
        post(w->owner, w, self);
        w = next;
    }
}

/* Whoever would pump later than at `next_ms` is told so. */
static void hasten(struct kc_peer *p, uint64_t next_ms,
                   const struct kc_peer *self)
{
    if (p == self || p->queued == 0 || p->armed_ms <= next_ms)
        return;
    p->armed_ms = next_ms;
    wake(p);
}

static uint64_t retime(struct kc_hub *h, struct kc_peer *self)
{
    if (h->waiting == 0)
        return KC_NEVER;
    uint64_t next_ms = kc_pool_next_deadline(h->pool, kc_hub_now(h));
    if (h->threads) {
        for (struct kc_peer *p = h->peers; p; p = p->next)
            hasten(p, next_ms, self);
        if (h->sleepers)
            hasten(h->sleepers, next_ms, self);
    }
    if (!self || self->queued == 0)
        return KC_NEVER;
    self->armed_ms = next_ms;
    return next_ms;
}

static void tell(struct kc_hub *h)
{
    struct kc_event e;
    bool any = false;
    if (!h->threads || atomic_load(&h->listeners) == 0)
        return;
    while (kc_pool_event(h->pool, &h->told, &e) == KC_OK)
        any = true;
    for (struct kc_peer *p = h->peers; any && p; p = p->next)
        if (p->listens > 0)
            wake(p);
}

static void put_peer(struct kc_peer **first, struct kc_peer *p)
{
    p->prev = NULL;
    p->next = *first;
    if (p->next)
        p->next->prev = p;
    *first = p;
}

static void remove_peer(struct kc_peer **first, struct kc_peer *p)
{
    if (p->prev)
        p->prev->next = p->next;
    else
        *first = p->next;
    if (p->next)
        p->next->prev = p->prev;
}

/* -- peers ---------------------------------------------------------------- */

void kc_peer_init(struct kc_peer *p, struct kc_hub *h, struct kc_loop *loop)
{
    *p = (struct kc_peer){.hub = h, .loop = loop, .armed_ms = KC_NEVER};
    if (!enter(h))
        return;
    put_peer(&h->peers, p);
    leave(h);
}

void kc_peer_deinit(struct kc_peer *p)
{
    struct kc_hub *h = p->hub;
    uint64_t serial;
    while (p->listens > 0 && kc_peer_listen(p, false, &serial) == KC_OK)
        ;
    if (!enter(h))
        return;
    remove_peer(&h->peers, p);
    leave(h);
}

int kc_peer_enqueue(struct kc_peer *p, struct kc_waiter *w, uint64_t *next_ms)
{
    struct kc_hub *h = p->hub;
    *next_ms = KC_NEVER;
    if (!enter(h))
        return KC_EFORKED;
    w->owner = p;
    int err = kc_pool_enqueue(h->pool, kc_hub_now(h), w);
    if (err == KC_EAGAIN) {
        p->queued++;
        h->waiting++;
    }
    *next_ms = retime(h, p);
    tell(h);
    leave(h);
    kc_hub_note(h);
    return err;
}

static void take_back(struct kc_peer *p, struct kc_waiter *w)
{
    struct kc_waiter *before = NULL, *at = p->first;
    while (at && at != w) {
        before = at;
        at = at->next;
    }
    if (!at)
        return;
    if (before)
        before->next = w->next;
    else
        p->first = w->next;
    if (p->last == w)
        p->last = before;
}

bool kc_peer_dequeue(struct kc_peer *p, struct kc_waiter *w)
{
    struct kc_hub *h = p->hub;
    if (!enter(h))
        return false;
    bool queued = w->result == KC_EAGAIN;
    if (queued) {
        kc_pool_dequeue(h->pool, w);
        p->queued--;
        h->waiting--;
    } else {
        take_back(p, w);
    }
    leave(h);
    return !queued;
}

struct kc_waiter *kc_peer_pump(struct kc_peer *p, uint64_t *next_ms)
{
    struct kc_hub *h = p->hub;
    *next_ms = KC_NEVER;
    if (!enter(h))
        return NULL;
    pump(h, p);
    *next_ms = retime(h, p);
    tell(h);
    struct kc_waiter *first = take_inbox(p);
    leave(h);
    kc_hub_note(h);
    return first;
}

struct kc_waiter *kc_peer_collect(struct kc_peer *p, uint64_t *next_ms)
{
    *next_ms = KC_NEVER;
    if (!enter(p->hub))
        return NULL;
    p->called = false;
    if (p->queued > 0)
        *next_ms = p->armed_ms;
    struct kc_waiter *first = take_inbox(p);
    leave(p->hub);
    return first;
}

void kc_peer_retime(struct kc_peer *p, uint64_t *next_ms)
{
    *next_ms = KC_NEVER;
    if (!enter(p->hub))
        return;
    *next_ms = retime(p->hub, p);
    leave(p->hub);
}

int kc_peer_listen(struct kc_peer *p, bool on, uint64_t *serial)
{
    struct kc_hub *h = p->hub;
    *serial = 0;
    if (!on && p->listens == 0)
        return KC_OK;
    if (!enter(h))
        return KC_EFORKED;
    /* First this, then the pool's: who notes an event sees that it is told. */
    unsigned before = on ? atomic_fetch_add(&h->listeners, 1) : 0;
    int err = kc_pool_listen(h->pool, on, serial);
    if (err == KC_OK && on) {
        p->listens++;
        if (before == 0)
            h->told = *serial;
    } else {
        p->listens -= on ? 0 : 1;
        atomic_fetch_sub(&h->listeners, 1);
    }
    leave(h);
    return err;
}

void kc_peer_heed(struct kc_peer *p, const atomic_bool *stop)
{
    if (!enter(p->hub))
        return;
    p->stop = stop;
    /* Under the lock: a kc_hub_stop after it finds the peer. */
    atomic_store(&p->ended, atomic_load(stop));
    leave(p->hub);
}

bool kc_peer_ended(const struct kc_peer *p)
{
    return atomic_load(&p->ended);
}

/* -- without a peer -------------------------------------------------------- */

void kc_hub_tell(struct kc_hub *h)
{
    kc_hub_note(h);
    if (!h->threads || atomic_load(&h->listeners) == 0 || !enter(h))
        return;
    tell(h);
    leave(h);
}

void kc_hub_pump(struct kc_hub *h)
{
    if (!enter(h))
        return;
    pump(h, NULL);
    retime(h, NULL);
    tell(h);
    leave(h);
    kc_hub_note(h);
}

void kc_hub_retime(struct kc_hub *h)
{
    if (!enter(h))
        return;
    retime(h, NULL);
    leave(h);
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
                       uint64_t wait_ms)
{
    /* Whoever sleeps for ever looks at the clock once a day. */
    uint64_t most = KC_DAY_MS;
    uint64_t ms = kc_mono_ms() + (wait_ms < most ? wait_ms : most);
    struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
                          .tv_nsec = (long)(ms % 1000) * 1000000};
    pthread_cond_timedwait(cond, lock, &ts);
}

/* One turn of a thread that sleeps. The first one pumps when something is due,
 * each one at its own deadline. */
static void nap(struct kc_hub *h, struct kc_peer *me, const struct kc_waiter *w)
{
    uint64_t now = kc_hub_now(h);
    uint64_t at_ms = w->deadline_ms;
    me->called = false;
    if (h->sleepers == me) {
        me->armed_ms = kc_pool_next_deadline(h->pool, now);
        if (me->armed_ms < at_ms)
            at_ms = me->armed_ms;
    }
    if (at_ms > now) {
        wait_until(me->cond, &h->lock, at_ms - now);
        return;
    }
    pump(h, me);
    retime(h, me);
    tell(h);
    kc_hub_note(h);
}

static void put_last(struct kc_hub *h, struct kc_peer *p)
{
    p->prev = h->last_sleeper;
    p->next = NULL;
    if (p->prev)
        p->prev->next = p;
    else
        h->sleepers = p;
    h->last_sleeper = p;
}

/* Who keeps the time after it must look when that is. */
static void hand_over(struct kc_hub *h, struct kc_peer *p)
{
    bool kept = h->sleepers == p;
    if (h->last_sleeper == p)
        h->last_sleeper = p->prev;
    remove_peer(&h->sleepers, p);
    if (kept && h->sleepers) {
        h->sleepers->armed_ms = 0;
        wake(h->sleepers);
    }
}

/* It was told to stop: it leaves the queue, and the next in line may go. */
static void give_up(struct kc_hub *h, struct kc_peer *me, struct kc_waiter *w)
{
    kc_pool_dequeue(h->pool, w);
    me->queued--;
    h->waiting--;
    w->result = KC_ECLOSED;
    pump(h, me);
    retime(h, me);
}

static int sleep_in(struct kc_hub *h, struct kc_peer *me, struct kc_waiter *w)
{
    if (!enter(h))
        return KC_EFORKED;
    bool stopped = atomic_load(me->stop);
    int err = stopped ? KC_ECLOSED : kc_pool_enqueue(h->pool, kc_hub_now(h), w);
    if (err == KC_EAGAIN) {
        me->queued++;
        h->waiting++;
        put_last(h, me);
        retime(h, me);
        tell(h);
        while (w->result == KC_EAGAIN && !kc_peer_ended(me))
            nap(h, me, w);
        hand_over(h, me);
        if (w->result == KC_EAGAIN)
            give_up(h, me, w);
        err = w->result;
    }
    tell(h);
    leave(h);
    kc_hub_note(h);
    return err;
}

int kc_hub_sleep(struct kc_hub *h, struct kc_waiter *w, const atomic_bool *stop)
{
    pthread_condattr_t attr;
    pthread_cond_t cond;
    struct kc_peer me = {
        .hub = h, .cond = &cond, .armed_ms = KC_NEVER, .stop = stop};
    if (pthread_condattr_init(&attr) != 0)
        return KC_ENOMEM;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int err = pthread_cond_init(&cond, &attr) == 0 ? KC_OK : KC_ENOMEM;
    pthread_condattr_destroy(&attr);
    if (err != KC_OK)
        return err;
    w->owner = &me;
    err = sleep_in(h, &me, w);
    pthread_cond_destroy(&cond);
    return err;
}

static void stop_all(struct kc_peer *first, const atomic_bool *stop)
{
    for (struct kc_peer *p = first; p; p = p->next) {
        if (p->stop != stop)
            continue;
        atomic_store(&p->ended, true);
        wake(p);
    }
}

void kc_hub_stop(struct kc_hub *h, const atomic_bool *stop)
{
    if (!enter(h))
        return;
    stop_all(h->peers, stop);
    stop_all(h->sleepers, stop);
    leave(h);
}
