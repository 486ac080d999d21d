/* poller.c -- see poller.h. */
#include "support/poller.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "net/curl.h"
#include "net/hosted.h"
#include "util/clock.h"

static int watch(void *ctx, int fd, int events)
{
    struct poller *p = ctx;
    size_t i = 0;
    while (i < p->len && p->watched[i].fd != fd)
        i++;
    if (events == 0) {
        if (i < p->len)
            p->watched[i] = p->watched[--p->len];
        return 0;
    }
    if (i == POLLER_MAX)
        return -1;
    p->watched[i].fd = fd;
    p->watched[i].events = events;
    if (i == p->len)
        p->len++;
    return 0;
}

static void timer(void *ctx, int64_t ms)
{
    struct poller *p = ctx;
    p->at_ms = ms < 0 ? 0 : kc_mono_ms() + (uint64_t)ms;
}

static void wake(void *ctx)
{
    struct poller *p = ctx;
    if (write(p->wake[1], "", 1) < 0)
        return; /* full: it is readable */
}

static bool spent(void *ctx)
{
    return ((struct poller *)ctx)->spent;
}

bool poller_open(struct poller *p, const struct keycycle_transport *host)
{
    *p = (struct poller){0};
    struct kc_poller poller = {
        .ctx = p, .watch = watch, .timer = timer, .wake = wake, .spent = spent};
    if (pipe2(p->wake, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    int err = host ? kc_hosted_open(host, &poller, &p->transport)
                   : kc_curl_open(&poller, &p->transport);
    return err == KC_OK;
}

void poller_close(struct poller *p)
{
    kc_transport_close(p->transport);
    close(p->wake[0]);
    close(p->wake[1]);
}

void poller_turn(struct poller *p)
{
    struct pollfd fds[POLLER_MAX + 1];
    size_t n = p->len;
    for (size_t i = 0; i < n; i++) {
        int e = p->watched[i].events;
        fds[i] = (struct pollfd){.fd = p->watched[i].fd};
        fds[i].events = (short)((e & KC_POLL_IN ? POLLIN : 0) |
                                (e & KC_POLL_OUT ? POLLOUT : 0));
    }
    fds[n] = (struct pollfd){.fd = p->wake[0], .events = POLLIN};
    uint64_t now = kc_mono_ms();
    int wait = !p->at_ms ? -1 : p->at_ms <= now ? 0 : (int)(p->at_ms - now);
    poll(fds, n + 1, wait);
    for (size_t i = 0; i < n; i++) {
        int events =
            (fds[i].revents & (POLLIN | POLLHUP | POLLERR) ? KC_POLL_IN : 0) |
            (fds[i].revents & POLLOUT ? KC_POLL_OUT : 0);
        if (events)
            kc_transport_ready(p->transport, fds[i].fd, events);
    }
    char drop[256];
    if (fds[n].revents && read(p->wake[0], drop, sizeof drop) > 0)
        kc_transport_woken(p->transport);
    if (p->at_ms && p->at_ms <= kc_mono_ms()) {
        p->at_ms = 0;
        kc_transport_timeout(p->transport);
    }
}

void poller_run(struct poller *p, const struct kc_exchange *x)
{
    while (!x->done)
        poller_turn(p);
}
