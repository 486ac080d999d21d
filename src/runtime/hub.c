/* hub.c -- see hub.h: the queue of a pool, served for all who wait in it. */
#include "runtime/hub.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/hub_impl.h"
#include "runtime/registry.h"

int kc_hub_new(const struct kc_pool_config *config, struct kc_clock *clock,
               bool threads, struct kc_hub **out)
{
    *out = NULL;
    struct kc_hub *h = calloc(1, sizeof *h);
    if (!h)
        return KC_ENOMEM;
    if (pthread_mutex_init(&h->lock, NULL) != 0) {
        free(h);
        return KC_ENOMEM;
    }
    int err = kc_pool_new(config, &h->pool);
    if (err == KC_OK && clock)
        h->clock = kc_clock_ref(clock);
    else if (err == KC_OK)
        err = kc_clock_new_real(&h->clock);
    if (err != KC_OK) {
        kc_pool_free(h->pool);
        pthread_mutex_destroy(&h->lock);
        free(h);
        return err;
    }
    atomic_init(&h->refs, 1);
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
    kc_pool_free(h->pool);
    kc_clock_unref(h->clock);
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

static void wake(struct kc_seat *s)
{
    if (s->called)
        return;
    s->called = true;
    if (s->loop)
        kc_loop_wake(s->loop);
    else
        pthread_cond_signal(s->cond);
}

static void post(struct kc_seat *s, struct kc_waiter *w, struct kc_seat *self)
{
    w->next = NULL;
    s->queued--;
    s->hub->waiting--;
    if (s->last)
        s->last->next = w;
    else
        s->first = w;
    s->last = w;
    if (s != self)
        wake(s);
}

static struct kc_waiter *take_inbox(struct kc_seat *s)
{
    struct kc_waiter *first = s->first;
    s->first = s->last = NULL;
    return first;
}

static void pump(struct kc_hub *h, struct kc_seat *self)
{
    struct kc_waiter *w = kc_pool_pump(h->pool, kc_hub_now(h));
    while (w) {
        struct kc_waiter *next = w->next;
        post(w->owner, w, self);
        w = next;
    }
}

/* Whoever would pump later than at `next_ms` is told so. */
static void hasten(struct kc_seat *s, uint64_t next_ms,
                   const struct kc_seat *self)
{
    if (s == self || s->queued == 0 || s->armed_ms <= next_ms)
        return;
    s->armed_ms = next_ms;
    wake(s);
}

static uint64_t retime(struct kc_hub *h, struct kc_seat *self)
{
    if (h->waiting == 0)
        return KC_NEVER;
    uint64_t next_ms = kc_pool_next_deadline(h->pool, kc_hub_now(h));
    if (h->threads) {
        for (struct kc_seat *s = h->seats; s; s = s->next)
            hasten(s, next_ms, self);
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
    for (struct kc_seat *s = h->seats; any && s; s = s->next)
        if (s->listens > 0)
            wake(s);
}

static void put_seat(struct kc_seat **first, struct kc_seat *s)
{
    s->prev = NULL;
    s->next = *first;
    if (s->next)
        s->next->prev = s;
    *first = s;
}

static void remove_seat(struct kc_seat **first, struct kc_seat *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        *first = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

/* -- seats ---------------------------------------------------------------- */

void kc_seat_init(struct kc_seat *s, struct kc_hub *h, struct kc_loop *loop)
{
    *s = (struct kc_seat){.hub = h, .loop = loop, .armed_ms = KC_NEVER};
    if (!enter(h))
        return;
    put_seat(&h->seats, s);
    leave(h);
}

void kc_seat_deinit(struct kc_seat *s)
{
    struct kc_hub *h = s->hub;
    uint64_t serial;
    while (s->listens > 0 && kc_seat_listen(s, false, &serial) == KC_OK)
        ;
    if (!enter(h))
        return;
    remove_seat(&h->seats, s);
    leave(h);
}

int kc_seat_enqueue(struct kc_seat *s, struct kc_waiter *w, uint64_t *next_ms)
{
    struct kc_hub *h = s->hub;
    *next_ms = KC_NEVER;
    if (!enter(h))
        return KC_EFORKED;
    w->owner = s;
    int err = kc_pool_enqueue(h->pool, kc_hub_now(h), w);
    if (err == KC_EAGAIN) {
        s->queued++;
        h->waiting++;
    }
    *next_ms = retime(h, s);
    tell(h);
    leave(h);
    return err;
}

static void take_back(struct kc_seat *s, struct kc_waiter *w)
{
    struct kc_waiter *before = NULL, *at = s->first;
    while (at && at != w) {
        before = at;
        at = at->next;
    }
    if (!at)
        return;
    if (before)
        before->next = w->next;
    else
        s->first = w->next;
    if (s->last == w)
        s->last = before;
}

bool kc_seat_dequeue(struct kc_seat *s, struct kc_waiter *w)
{
    struct kc_hub *h = s->hub;
    if (!enter(h))
        return false;
    bool queued = w->result == KC_EAGAIN;
    if (queued) {
        kc_pool_dequeue(h->pool, w);
        s->queued--;
        h->waiting--;
    } else {
        take_back(s, w);
    }
    leave(h);
    return !queued;
}

struct kc_waiter *kc_seat_pump(struct kc_seat *s, uint64_t *next_ms)
{
    struct kc_hub *h = s->hub;
    *next_ms = KC_NEVER;
    if (!enter(h))
        return NULL;
    pump(h, s);
    *next_ms = retime(h, s);
    tell(h);
    struct kc_waiter *first = take_inbox(s);
    leave(h);
    return first;
}

struct kc_waiter *kc_seat_collect(struct kc_seat *s, uint64_t *next_ms)
{
    *next_ms = KC_NEVER;
    if (!enter(s->hub))
        return NULL;
    s->called = false;
    if (s->queued > 0)
        *next_ms = s->armed_ms;
    struct kc_waiter *first = take_inbox(s);
    leave(s->hub);
    return first;
}

void kc_seat_retime(struct kc_seat *s, uint64_t *next_ms)
{
    *next_ms = KC_NEVER;
    if (!enter(s->hub))
        return;
    *next_ms = retime(s->hub, s);
    leave(s->hub);
}

int kc_seat_listen(struct kc_seat *s, bool on, uint64_t *serial)
{
    struct kc_hub *h = s->hub;
    *serial = 0;
    if (!on && s->listens == 0)
        return KC_OK;
    if (!enter(h))
        return KC_EFORKED;
    /* First this, then the pool's: who notes an event sees that it is told. */
    unsigned before = on ? atomic_fetch_add(&h->listeners, 1) : 0;
    int err = kc_pool_listen(h->pool, on, serial);
    if (err == KC_OK && on) {
        s->listens++;
        if (before == 0)
            h->told = *serial;
    } else {
        s->listens -= on ? 0 : 1;
        atomic_fetch_sub(&h->listeners, 1);
    }
    leave(h);
    return err;
}

/* -- without a seat -------------------------------------------------------- */

void kc_hub_tell(struct kc_hub *h)
{
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
    uint64_t most = 86400000;
    uint64_t ms = kc_mono_ms() + (wait_ms < most ? wait_ms : most);
    struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
                          .tv_nsec = (long)(ms % 1000) * 1000000};
    pthread_cond_timedwait(cond, lock, &ts);
}

/* One turn of a thread that sleeps. The first one pumps when something is due,
 * each one at its own deadline. */
static void nap(struct kc_hub *h, struct kc_seat *me, const struct kc_waiter *w)
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
}

static void put_last(struct kc_hub *h, struct kc_seat *s)
{
    s->prev = h->last_sleeper;
    s->next = NULL;
    if (s->prev)
        s->prev->next = s;
    else
        h->sleepers = s;
    h->last_sleeper = s;
}

/* Who keeps the time after it must look when that is. */
static void hand_over(struct kc_hub *h, struct kc_seat *s)
{
    bool kept = h->sleepers == s;
    if (h->last_sleeper == s)
        h->last_sleeper = s->prev;
    remove_seat(&h->sleepers, s);
    if (kept && h->sleepers) {
        h->sleepers->armed_ms = 0;
        wake(h->sleepers);
    }
}

static int sleep_in(struct kc_hub *h, struct kc_seat *me, struct kc_waiter *w)
{
    if (!enter(h))
        return KC_EFORKED;
    int err = kc_pool_enqueue(h->pool, kc_hub_now(h), w);
    if (err == KC_EAGAIN) {
        me->queued++;
        h->waiting++;
        put_last(h, me);
        retime(h, me);
        tell(h);
        while (w->result == KC_EAGAIN)
            nap(h, me, w);
        hand_over(h, me);
        err = w->result;
    }
    tell(h);
    leave(h);
    return err;
}

int kc_hub_sleep(struct kc_hub *h, struct kc_waiter *w)
{
    pthread_condattr_t attr;
    pthread_cond_t cond;
    struct kc_seat me = {.hub = h, .cond = &cond, .armed_ms = KC_NEVER};
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
