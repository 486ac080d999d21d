/* loop.c -- epoll, timerfd and eventfd; the timers are a binary heap. */
#include "runtime/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "net/transport.h"
#include "util/clock.h"

#define BATCH 64 /* events taken from the kernel at once */

struct kc_loop {
    int epoll, timer, event;
    kc_loop_fd_fn *fn;
    void *ctx;
    void (*woken)(void *ctx);
    void *woken_ctx;
    struct kc_timer **heap; /* heap[1..len], earliest first */
    size_t len, cap;
    uint64_t armed_ms; /* what the timerfd is set to; 0: not set */
};

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
    for (size_t i = 1; i <= l->len; i++)
        l->heap[i]->place = 0;
    free(l->heap);
    free(l);
}

void kc_loop_on_fd(struct kc_loop *l, kc_loop_fd_fn *fn, void *ctx)
{
    l->fn = fn;
    l->ctx = ctx;
}

int kc_loop_watch(struct kc_loop *l, int fd, int events)
{
    struct epoll_event ev = {.data.fd = fd};
    if (events == 0) {
        /* The socket may be closed already: the kernel forgot it then. */
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, &ev);
        return KC_OK;
    }
    if (events & KC_POLL_IN)
        ev.events |= EPOLLIN;
    if (events & KC_POLL_OUT)
        ev.events |= EPOLLOUT;
    /* A number is reused by the next socket: MOD first, ADD if unknown. */
    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &ev) == 0)
        return KC_OK;
    if (errno == ENOENT && epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == 0)
        return KC_OK;
    return KC_ESYSTEM;
}

/* -- timers ------------------------------------------------------------- */

static void place(struct kc_loop *l, struct kc_timer *t, size_t i)
{
    l->heap[i] = t;
    t->place = i;
}

static void sift_up(struct kc_loop *l, size_t i)
{
    struct kc_timer *t = l->heap[i];
    while (i > 1 && l->heap[i / 2]->at_ms > t->at_ms) {
        place(l, l->heap[i / 2], i);
        i /= 2;
    }
    place(l, t, i);
}

static void sift_down(struct kc_loop *l, size_t i)
{
    struct kc_timer *t = l->heap[i];
    for (;;) {
        size_t child = i * 2;
        if (child > l->len)
            break;
        if (child < l->len && l->heap[child + 1]->at_ms < l->heap[child]->at_ms)
            child++;
        if (l->heap[child]->at_ms >= t->at_ms)
            break;
        place(l, l->heap[child], i);
        i = child;
    }
    place(l, t, i);
}

/* The kernel is told only when the earliest timer changes. */
static void set_timerfd(struct kc_loop *l)
{
    uint64_t at = l->len ? l->heap[1]->at_ms : 0;
    if (l->len && at == 0)
        at = 1; /* zero would switch the timer off */
    if (at == l->armed_ms)
        return;
    struct itimerspec spec = {0};
    spec.it_value.tv_sec = (time_t)(at / 1000);
    spec.it_value.tv_nsec = (long)(at % 1000) * 1000000;
    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &spec, NULL);
    l->armed_ms = at;
}

int kc_loop_arm(struct kc_loop *l, struct kc_timer *t, uint64_t at_ms)
{
    if (t->place) {
        t->at_ms = at_ms;
        sift_up(l, t->place);
        sift_down(l, t->place);
    } else {
        if (l->len + 1 >= l->cap) {
            size_t cap = l->cap ? l->cap * 2 : 16;
            struct kc_timer **heap = realloc(l->heap, cap * sizeof *heap);
            if (!heap)
                return KC_ENOMEM;
            l->heap = heap;
            l->cap = cap;
        }
        t->at_ms = at_ms;
        place(l, t, ++l->len);
        sift_up(l, l->len);
    }
    set_timerfd(l);
    return KC_OK;
}

static void take_out(struct kc_loop *l, struct kc_timer *t)
{
    size_t i = t->place;
    struct kc_timer *last = l->heap[l->len--];
    t->place = 0;
    if (last != t) {
        place(l, last, i);
        sift_up(l, i);
        sift_down(l, last->place);
    }
}

void kc_loop_disarm(struct kc_loop *l, struct kc_timer *t)
{
    if (!t->place)
        return;
    take_out(l, t);
    set_timerfd(l);
}

int64_t kc_loop_timeout_ms(const struct kc_loop *l)
{
    if (l->len == 0)
        return -1;
    uint64_t now = kc_mono_ms();
    uint64_t at = l->heap[1]->at_ms;
    return at <= now ? 0 : (int64_t)(at - now);
}

/* -- running ------------------------------------------------------------ */

void kc_loop_wake(struct kc_loop *l)
{
    uint64_t one = 1;
    /* A full counter is readable already: nothing is lost. */
    if (write(l->event, &one, sizeof one) < 0)
        return;
}

void kc_loop_on_wake(struct kc_loop *l, void (*fn)(void *ctx), void *ctx)
{
    l->woken = fn;
    l->woken_ctx = ctx;
}

int kc_loop_fd(const struct kc_loop *l)
{
    return l->epoll;
}

static bool spent(uint64_t start_us, int64_t budget_us)
{
    return budget_us >= 0 && kc_mono_us() - start_us >= (uint64_t)budget_us;
}

static void drain(int fd)
{
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0)
        return; /* nothing was there: a wake-up somebody else took */
}

/* Timers that were due when we began; one that a timer arms anew waits for the
 * next turn, so that a chain of timers cannot hold the caller. */
static void run_timers(struct kc_loop *l, uint64_t start_us, int64_t budget_us)
{
    uint64_t now = kc_mono_ms();
    size_t most = l->len;
    while (most-- > 0 && l->len > 0 && l->heap[1]->at_ms <= now) {
        struct kc_timer *t = l->heap[1];
        take_out(l, t);
        t->fn(t->ctx);
        if (spent(start_us, budget_us))
            break;
    }
    l->armed_ms = 0; /* it may have fired: set it anew */
    set_timerfd(l);
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

int kc_loop_step(struct kc_loop *l, int64_t timeout_ms, int64_t budget_us)
{
    struct epoll_event ev[BATCH];
    int wait = timeout_ms < 0         ? -1
               : timeout_ms > INT_MAX ? INT_MAX
                                      : (int)timeout_ms;
    int n = epoll_wait(l->epoll, ev, BATCH, wait);
    if (n < 0)
        return errno == EINTR ? KC_EINTR : KC_ESYSTEM;
    uint64_t start_us = budget_us >= 0 ? kc_mono_us() : 0;
    bool timers = false;
    for (int i = 0; i < n; i++) {
        int fd = ev[i].data.fd;
        if (fd == l->timer) {
            drain(fd);
            timers = true;
        } else if (fd == l->event) {
            drain(fd);
            if (l->woken)
                l->woken(l->woken_ctx);
        } else if (!spent(start_us, budget_us)) {
            l->fn(l->ctx, fd, poll_events(ev[i].events));
        }
        /* What was not started is reported again: epoll is level-triggered. */
    }
    if (timers || (l->len && l->heap[1]->at_ms <= kc_mono_ms()))
        run_timers(l, start_us, budget_us);
    return KC_OK;
}
