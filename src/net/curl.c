/* curl.c -- drives libcurl's multi handle by socket action.
 *
 * One timer serves libcurl and the idle time-outs: the poller is asked for the
 * earlier of the two.
 */
#include "net/curl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/curl_impl.h"
#include "util/clock.h"
#include "util/trust.h"

#define MAX_IDLE 256L /* connections kept open while nothing uses them */

static struct kc_curl *self(struct kc_transport *t)
{
    return (struct kc_curl *)t; /* the head is the first member */
}

/* -- timers -------------------------------------------------------------- */

static void set_timer(struct kc_curl *t)
{
    uint64_t at = t->curl_at_ms;
    if (t->idle_at_ms && (!at || t->idle_at_ms < at))
        at = t->idle_at_ms;
    if (at == t->timer_at_ms)
        return;
    t->timer_at_ms = at;
    uint64_t now = kc_mono_ms();
    t->poller.timer(t->poller.ctx, !at         ? -1
                                   : at <= now ? 0
                                               : (int64_t)(at - now));
}

static int on_timer(CURLM *multi, long ms, void *ctx)
{
    struct kc_curl *t = ctx;
    (void)multi;
    t->curl_at_ms = ms < 0 ? 0 : kc_mono_ms() + (uint64_t)ms;
    if (!t->busy)
        set_timer(t);
    return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx,
                     void *mine)
{
    struct kc_curl *t = ctx;
    int events = 0;
    (void)easy;
    (void)mine;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= KC_POLL_IN;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= KC_POLL_OUT;
    return t->poller.watch(t->poller.ctx, fd, events) == 0 ? 0 : -1;
}

/* -- exchanges ----------------------------------------------------------- */

/* libcurl's bound is one of all connections: with those in use beyond it, each
 * that falls idle would be closed, and its next call open another. */
static void count(struct kc_curl *t, long n)
{
    t->running += n;
    curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, t->running + MAX_IDLE);
}

static void stop(struct kc_curl_exchange *x)
{
    if (x->running) {
        curl_multi_remove_handle(x->t->multi, x->easy);
        count(x->t, -1);
    }
    x->running = false;
}

static int run(struct kc_curl_exchange *x)
{
    if (curl_multi_add_handle(x->t->multi, x->easy) != CURLM_OK)
        return KC_ENOMEM;
    count(x->t, 1);
    x->running = true;
    return KC_OK;
}

/* A redirect is followed where the key would go to the same origin again. */
static bool follow(struct kc_curl_exchange *x)
{
    char *url = NULL;
    struct kc_url target;
    if (!x->may_redirect ||
        curl_easy_getinfo(x->easy, CURLINFO_REDIRECT_URL, &url) != CURLE_OK ||
        !url || kc_url_parse(url, &target) != KC_OK ||
        !kc_url_same_origin(&target, &x->origin))
        return false;
    kc_curl_reset(x);
    curl_easy_setopt(x->easy, CURLOPT_URL, url);
    return run(x) == KC_OK;
}

static void collect(struct kc_curl *t)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(t->multi, &left))) {
        struct kc_curl_exchange *x = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
        stop(x);
        if (code != CURLE_OK || !follow(x))
            kc_curl_finish(x, code);
    }
}

/* Looks at all, but only when the earliest can be due. */
static void end_idle(struct kc_curl *t, uint64_t now)
{
    t->idle_at_ms = 0;
    for (struct kc_curl_exchange *x = t->list; x; x = x->next) {
        bool over;
        if (!x->running)
            continue;
        if (x->paused)
            x->in.heard_ms = now; /* it is our reader who is slow */
        uint64_t at = kc_inbox_silent_at(&x->in, now, &over);
        if (over) {
            stop(x);
            kc_inbox_end(&x->in, KC_ETIMEOUT,
                         "idle_timeout passed without a byte");
        } else if (at && (!t->idle_at_ms || at < t->idle_at_ms)) {
            t->idle_at_ms = at;
        }
    }
}

/* Lets libcurl do what is due. It sets its timer several times meanwhile: only
 * the last one counts. */
static void act(struct kc_curl *t, curl_socket_t fd, int mask)
{
    int running;
    t->busy = true;
    curl_multi_socket_action(t->multi, fd, mask, &running);
    collect(t);
    t->busy = false;
    set_timer(t);
}

static void ready(struct kc_transport *base, int fd, int events)
{
    int mask = 0;
    if (events & KC_POLL_IN)
        mask |= CURL_CSELECT_IN;
    if (events & KC_POLL_OUT)
        mask |= CURL_CSELECT_OUT;
    act(self(base), fd, mask);
}

static void timeout(struct kc_transport *base)
{
    struct kc_curl *t = self(base);
    uint64_t now = kc_mono_ms();
    t->timer_at_ms = 0; /* it has fired */
    if (t->curl_at_ms && t->curl_at_ms <= now) {
        t->curl_at_ms = 0; /* before the call, which may set it again */
        act(t, CURL_SOCKET_TIMEOUT, 0);
    }
    if (t->idle_at_ms && t->idle_at_ms <= now)
        end_idle(t, now);
    set_timer(t);
}

static void link_exchange(struct kc_curl *t, struct kc_curl_exchange *x)
{
    x->next = t->list;
    if (x->next)
        x->next->prev = x;
    t->list = x;
    uint64_t at = x->in.heard_ms + x->in.idle_ms;
    if (x->in.idle_ms && (!t->idle_at_ms || at < t->idle_at_ms))
        t->idle_at_ms = at;
}

static void free_exchange(struct kc_exchange *pub)
{
    struct kc_curl_exchange *x = pub->impl;
    struct kc_curl *t = x->t;
    if (x->prev)
        x->prev->next = x->next;
    else if (t->list == x)
        t->list = x->next;
    if (x->next)
        x->next->prev = x->prev;
    /* In a forked child the handle and its socket are the parent's. */
    if (x->easy && t->pid == getpid()) {
        stop(x);
        if (t->spares < KC_SPARE_HANDLES) {
            curl_easy_reset(x->easy);
            t->spare[t->spares++] = x->easy;
        } else {
            curl_easy_cleanup(x->easy);
        }
    }
    kc_curl_release(x);
}

static int start(struct kc_transport *base, const struct kc_exchange_config *c,
                 struct kc_exchange **out)
{
    struct kc_curl *t = self(base);
    struct kc_url origin;
    *out = NULL;
    int err = kc_inbox_check(c, &origin);
    if (err != KC_OK)
        return err;
    struct kc_curl_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return KC_ENOMEM;
    kc_inbox_init(&x->in, c, x);
    memcpy(x->method, c->method, strlen(c->method) + 1);
    x->t = t;
    x->origin = origin;
    x->easy = t->spares ? t->spare[--t->spares] : curl_easy_init();
    err = x->easy ? kc_curl_setup(x, c) : KC_ENOMEM;
    t->busy = true;
    if (err == KC_OK)
        err = run(x);
    t->busy = false;
    if (err != KC_OK) {
        free_exchange(&x->in.pub);
        return err;
    }
    link_exchange(t, x);
    *out = &x->in.pub;
    set_timer(t);
    return KC_OK;
}

/* -- the transport ------------------------------------------------------- */

static void close_transport(struct kc_transport *base)
{
    struct kc_curl *t = self(base);
    while (t->spares)
        curl_easy_cleanup(t->spare[--t->spares]);
    if (t->multi)
        curl_multi_cleanup(t->multi);
    if (t->share)
        curl_share_cleanup(t->share);
    free(t->ca_file);
    free(t);
}

static void forget_transport(struct kc_transport *base)
{
    struct kc_curl *t = self(base);
    free(t->ca_file);
    free(t); /* libcurl's handles stay: closing them would speak to servers */
}

static const struct kc_transport_ops ops = {
    .start = start,
    .event = kc_curl_event,
    .taken = kc_curl_taken,
    .free_exchange = free_exchange,
    .ready = ready,
    .timeout = timeout,
    .close = close_transport,
    .forget = forget_transport,
};

int kc_curl_open(const struct kc_poller *poller, struct kc_transport **out)
{
    *out = NULL;
    struct kc_curl *t = calloc(1, sizeof *t);
    if (!t)
        return KC_ENOMEM;
    const char *bundle = kc_trust_bundle();
    t->head.ops = &ops;
    t->poller = *poller;
    t->pid = getpid();
    t->multi = curl_multi_init();
    t->share = curl_share_init();
    t->ca_file = bundle ? strdup(bundle) : NULL;
    if (!t->multi || !t->share || (bundle && !t->ca_file)) {
        close_transport(&t->head);
        return KC_ENOMEM;
    }
    curl_share_setopt(t->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
    curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, MAX_IDLE);
    *out = &t->head;
    return KC_OK;
}
