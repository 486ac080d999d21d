/* loop.c -- epoll, timerfd and eventfd; the heap of timers needs no memory. */
#include "runtime/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "net/transport.h"
#include "runtime/registry.h"
#include "util/clock.h"

#define BATCH 64 /* events taken from the kernel at once */

struct kc_loop {
    unsigned generation; /* of forks */
    int epoll, timer, event;
    kc_loop_fd_fn *fn;
    void *ctx;
    bool worked;  /* the last step handled an event or a timer */
    bool owed;    /* events left the timers no time: they come first */
    bool fired;   /* the timerfd is readable */
    bool bounded; /* the step that runs has a budget, until `ends_us` */
    uint64_t ends_us;
    void (*woken)(void *ctx);
    void *woken_ctx;
    struct kc_timer *earliest; /* the top of all that are armed */
    size_t len;
    uint64_t armed_ms; /* what the timerfd is set to, or earlier; 0: not set */
    bool shown;        /* somebody else may wait on the descriptor */
    unsigned turn;     /* where among the events of a step to begin */
};

/* What a child does to the descriptors happens to its parent: hands off. */
static bool is_forked(const struct kc_loop *l)
{
    return l->generation != kc_registry_generation();
}

static int add_fd(struct kc_loop *l, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev);
}

int kc_loop_new(struct kc_loop **out)
{
    *out = NULL;
    struct kc_loop *l = calloc(1, sizeof *l);
    if (!l)
        return KC_ENOMEM;
    l->generation = kc_registry_generation();
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    l->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->epoll < 0 || l->timer < 0 || l->event < 0 ||
        add_fd(l, l->timer) != 0 || add_fd(l, l->event) != 0) {
        kc_loop_free(l);
        return KC_ESYSTEM;
    }
    *out = l;
    return KC_OK;
}

void kc_loop_on_fd(struct kc_loop *l, kc_loop_fd_fn *fn, void *ctx)
{
    l->fn = fn;
    l->ctx = ctx;
}

int kc_loop_watch(struct kc_loop *l, int fd, int events)
{
    struct epoll_event ev = {.data.fd = fd};
    if (is_forked(l))
        return events == 0 ? KC_OK : KC_EFORKED;
    if (events == 0) {
        /* The socket may be closed already: the kernel forgot it then. */
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, &ev);
        return KC_OK;
    }
    if (events & KC_POLL_IN)
        ev.events |= EPOLLIN;
    if (events & KC_POLL_OUT)
        ev.events |= EPOLLOUT;
    /* Most are watched for one thing, then forgotten. */
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == 0)
        return KC_OK;
    if (errno == EEXIST && epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &ev) == 0)
        return KC_OK;
    return KC_ESYSTEM;
}

/* -- timers ------------------------------------------------------------- */

/* A pairing heap (Fredman and others, 1986). `prev` is the neighbour to the
 * left, of a first child the parent. */
static struct kc_timer *merge(struct kc_timer *a, struct kc_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->at_ms < a->at_ms) {
        struct kc_timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    a->next = a->prev = NULL;
    return a;
}

/* One heap of the neighbours from `t` on: in pairs, then from the right. */
static struct kc_timer *merge_all(struct kc_timer *t)
{
    struct kc_timer *pairs = NULL, *all = NULL;
    while (t) {
        struct kc_timer *b = t->next, *rest = b ? b->next : NULL;
        struct kc_timer *pair = merge(t, b);
        pair->next = pairs;
        pair->prev = NULL;
        pairs = pair;
        t = rest;
    }
    while (pairs) {
        struct kc_timer *next = pairs->next;
        pairs->next = NULL;
        all = merge(all, pairs);
        pairs = next;
    }
    return all;
}

static void take_out(struct kc_loop *l, struct kc_timer *t)
{
    struct kc_timer *below = merge_all(t->child);
    if (t == l->earliest) {
        l->earliest = below;
    } else {
        *(t->prev->child == t ? &t->prev->child : &t->prev->next) = t->next;
        if (t->next)
            t->next->prev = t->prev;
        l->earliest = merge(l->earliest, below);
    }
    t->child = t->next = t->prev = NULL;
    t->armed = false;
    l->len--;
}

/* It is told only when the earliest timer comes earlier: a step that is too
 * early finds out, which costs less than to tell it of each change. */
static void set_timerfd(struct kc_loop *l)
{
    if (!l->earliest || is_forked(l))
        return;
    uint64_t at = l->earliest->at_ms;
    if (at == 0)
        at = 1; /* zero would switch the timer off */
    if (l->armed_ms && l->armed_ms <= at)
        return;
    struct itimerspec spec = {0};
    spec.it_value.tv_sec = (time_t)(at / 1000);
    spec.it_value.tv_nsec = (long)(at % 1000) * 1000000;
    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &spec, NULL);
    l->armed_ms = at;
}

/* The kernel is told when a step is to wait, which is never for most timers:
 * libcurl's are due at once. It is told at once only where others may wait on
 * the descriptor. */
static void note_earliest(struct kc_loop *l)
{
    if (l->shown)
        set_timerfd(l);
}

void kc_loop_arm(struct kc_loop *l, struct kc_timer *t, uint64_t at_ms)
{
    if (t->armed)
        take_out(l, t);
    t->at_ms = at_ms;
    t->armed = true;
    l->len++;
    l->earliest = merge(l->earliest, t);
    note_earliest(l);
}

void kc_loop_disarm(struct kc_loop *l, struct kc_timer *t)
{
    if (!t->armed)
        return;
    take_out(l, t);
    note_earliest(l);
}

void kc_loop_free(struct kc_loop *l)
{
    if (!l)
        return;
    if (l->epoll >= 0)
        close(l->epoll);
    if (l->timer >= 0)
        close(l->timer);
    if (l->event >= 0)
        close(l->event);
    while (l->earliest)
        take_out(l, l->earliest);
    free(l);
}

int64_t kc_loop_timeout_ms(const struct kc_loop *l)
{
    if (!l->earliest)
        return -1;
    uint64_t now = kc_mono_ms();
    uint64_t at = l->earliest->at_ms;
    return at <= now ? 0 : (int64_t)(at - now);
}

/* -- running ------------------------------------------------------------ */

void kc_loop_wake(struct kc_loop *l)
{
    uint64_t one = 1;
    if (is_forked(l))
        return;
    /* A full counter is readable already: nothing is lost. */
    if (write(l->event, &one, sizeof one) < 0)
        return;
}

void kc_loop_on_wake(struct kc_loop *l, void (*fn)(void *ctx), void *ctx)
{
    l->woken = fn;
    l->woken_ctx = ctx;
}

int kc_loop_fd(struct kc_loop *l)
{
    l->shown = true;
    set_timerfd(l);
    return l->epoll;
}

bool kc_loop_spent(const struct kc_loop *l)
{
    return l->bounded && kc_mono_us() >= l->ends_us;
}

bool kc_loop_worked(const struct kc_loop *l)
{
    return l->worked;
}

static void drain(int fd)
{
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0)
        return; /* nothing was there: a wake-up somebody else took */
}

static bool are_timers_due(const struct kc_loop *l)
{
    return l->fired || (l->earliest && l->earliest->at_ms <= kc_mono_ms());
}

/* Timers that were due when we began; one that a timer arms anew waits for the
 * next turn, so that a chain of timers cannot hold the caller. */
static void run_timers(struct kc_loop *l)
{
    uint64_t now = kc_mono_ms();
    size_t most = l->len;
    if (l->fired)
        drain(l->timer);
    l->fired = false;
    while (most-- > 0 && l->earliest && l->earliest->at_ms <= now) {
        struct kc_timer *t = l->earliest;
        take_out(l, t);
        l->worked = true;
        t->fn(t->ctx);
        if (kc_loop_spent(l))
            break;
    }
    l->armed_ms = 0; /* it may have fired: set it anew */
    note_earliest(l);
}

static int poll_events(uint32_t ev)
{
    int events = 0;
    if (ev & (EPOLLIN | EPOLLHUP | EPOLLERR))
        events |= KC_POLL_IN;
    if (ev & (EPOLLOUT | EPOLLERR))
        events |= KC_POLL_OUT;
    return events;
}

static void run_event(struct kc_loop *l, const struct epoll_event *ev)
{
    int fd = ev->data.fd;
    if (fd == l->timer) {
        l->fired = true;
    } else if (fd == l->event) {
        drain(fd);
        if (l->woken)
            l->woken(l->woken_ctx);
    } else if (!l->worked || !kc_loop_spent(l)) {
        l->worked = true;
        l->fn(l->ctx, fd, poll_events(ev->events));
    }
    /* What was not started is reported again: epoll is level-triggered. */
}

int kc_loop_step(struct kc_loop *l, int64_t timeout_ms, int64_t budget_us)
{
    struct epoll_event ev[BATCH];
    if (is_forked(l))
        return KC_EFORKED;
    int wait = timeout_ms < 0         ? -1
               : timeout_ms > INT_MAX ? INT_MAX
                                      : (int)timeout_ms;
    if (wait != 0 && kc_loop_timeout_ms(l) == 0)
        wait = 0;
    if (wait != 0)
        set_timerfd(l);
    int n = epoll_wait(l->epoll, ev, BATCH, wait);
    if (n < 0)
        return errno == EINTR ? KC_EINTR : KC_ESYSTEM;
    l->worked = false;
    l->bounded = budget_us >= 0;
    if (l->bounded)
        l->ends_us = kc_mono_us() + (uint64_t)budget_us;
    if (l->owed && are_timers_due(l))
        run_timers(l);
    /* The kernel's order stays the same for those that are always ready: each
     * is the first one in its turn. */
    for (int i = 0; i < n; i++)
        run_event(l, &ev[(l->turn + (unsigned)i) % (unsigned)n]);
    l->turn++;
    bool due = are_timers_due(l);
    l->owed = due && l->worked && kc_loop_spent(l);
    if (due && !l->owed)
        run_timers(l);
    l->bounded = false;
    return KC_OK;
}
