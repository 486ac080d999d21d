/* hosted.c -- see hosted.h: the loop's side. The host's is hosted_inbox.c. */
#include "net/hosted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/hosted_impl.h"
#include "util/clock.h"

#define PIECE 16384 /* bytes between two looks at whether somebody reads */

static struct kc_hosted *self(struct kc_transport *t)
{
    return (struct kc_hosted *)t; /* the head is the first member */
}

/* -- the host ---------------------------------------------------------------
 */

/* Whether the host is at work on it; once told to stop, it never is. */
static bool is_at_work(struct keycycle_exchange *x, bool stop)
{
    pthread_mutex_lock(&x->lock);
    bool at_work = x->wanted && x->held && !x->ended;
    if (stop) {
        x->wanted = false;
        kc_hosted_unlist(x);
    }
    pthread_mutex_unlock(&x->lock);
    return at_work;
}

static void stop(struct keycycle_exchange *x)
{
    struct kc_hosted *t = x->t;
    if (is_at_work(x, true) && t->host.cancel)
        t->host.cancel(t->host.ctx, x);
}

static void set_paused(struct keycycle_exchange *x, bool on)
{
    struct kc_hosted *t = x->t;
    x->paused = on;
    if (t->host.pause && is_at_work(x, false))
        t->host.pause(t->host.ctx, x, on);
}

/* -- what came ---------------------------------------------------------------
 */

static void forget_timer(struct kc_hosted *t)
{
    if (t->at_ms)
        t->poller.timer(t->poller.ctx, -1);
    t->at_ms = 0;
}

static void unlink_exchange(struct keycycle_exchange *x)
{
    if (!x->linked)
        return;
    *(x->prev ? &x->prev->next : &x->t->list) = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->linked = false;
    if (!x->t->list)
        forget_timer(x->t);
}

static void finish(struct keycycle_exchange *x, int err, const char *words)
{
    bool unsent = err == KC_ERESOLVE || err == KC_ECONNECT || err == KC_ETLS;
    if (unsent && !x->in.pub.have_headers) {
        x->in.pub.sent = false;
        x->in.pub.sends = 0;
    }
    unlink_exchange(x);
    stop(x);
    kc_inbox_end(&x->in, err, words);
}

/* All that is there, into x->taken, which is empty. */
static bool take_bytes(struct keycycle_exchange *x)
{
    kc_buf_deinit(&x->taken);
    x->fed = 0;
    pthread_mutex_lock(&x->lock);
    struct kc_buf empty = x->taken;
    x->taken = x->bytes;
    x->bytes = empty;
    pthread_mutex_unlock(&x->lock);
    return x->taken.len > 0;
}

/* Fills the inbox until it is full; at the end of the answer with all of it.
 * What comes meanwhile is news, for the next turn. */
static int feed(struct keycycle_exchange *x, bool all)
{
    int err = KC_OK, takes = 0;
    while (err == KC_OK && (all || !kc_inbox_is_full(&x->in))) {
        if (x->fed == x->taken.len && (takes++ > 0 || !take_bytes(x)))
            break;
        size_t left = x->taken.len - x->fed;
        size_t n = left < PIECE ? left : PIECE;
        err = kc_inbox_data(&x->in, x->taken.data + x->fed, n);
        x->fed += n;
    }
    return err;
}

static void begin(struct keycycle_exchange *x)
{
    struct kc_exchange *pub = &x->in.pub;
    pthread_mutex_lock(&x->lock);
    struct kc_headers none = pub->headers;
    pub->headers = x->fields;
    x->fields = none;
    pub->status = x->status;
    pthread_mutex_unlock(&x->lock);
    x->in.heard_ms = kc_mono_ms();
    if (pub->raw)
        snprintf(pub->status_line, sizeof pub->status_line, "HTTP/1.1 %d",
                 pub->status);
    kc_inbox_begin(&x->in);
}

/* Takes in what the host has given. */
static void drain(struct keycycle_exchange *x)
{
    pthread_mutex_lock(&x->lock);
    kc_hosted_unlist(x);
    bool answered = x->answered, ended = x->ended;
    int err = x->err;
    pthread_mutex_unlock(&x->lock);
    if (x->in.pub.done)
        return;
    if (answered && !x->in.pub.have_headers)
        begin(x);
    if (!ended && err != KC_OK) { /* it could not be taken */
        finish(x, err, kc_err_text(err));
        return;
    }
    int failed = feed(x, ended);
    if (failed != KC_OK)
        finish(x, failed, kc_err_text(failed));
    else if (ended)
        finish(x, err, x->why); /* which nobody changes any more */
    else if (kc_inbox_is_full(&x->in) != x->paused)
        set_paused(x, !x->paused);
}

/* At the next turn of the loop: a host that is quick cannot hold the reader. */
static void resume(struct keycycle_exchange *x)
{
    if (!x->paused || x->in.pub.done || x->t->pid != getpid())
        return;
    x->in.heard_ms = kc_mono_ms();
    pthread_mutex_lock(&x->lock);
    kc_hosted_list(x);
    pthread_mutex_unlock(&x->lock);
}

static size_t count_news(struct kc_hosted *t)
{
    pthread_mutex_lock(&t->lock);
    size_t n = t->news;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* False: none has news. */
static bool drain_first(struct kc_hosted *t)
{
    pthread_mutex_lock(&t->lock);
    struct keycycle_exchange *x = t->first;
    pthread_mutex_unlock(&t->lock);
    if (x)
        drain(x);
    return x != NULL;
}

/* Those that had news when it began: who is quick cannot hold the loop. */
static void woken(struct kc_transport *base)
{
    struct kc_hosted *t = self(base);
    bool spent = false;
    for (size_t n = count_news(t); n > 0 && !spent && drain_first(t); n--)
        spent = t->poller.spent && t->poller.spent(t->poller.ctx);
    if (spent && count_news(t) > 0)
        t->poller.wake(t->poller.ctx);
}

/* -- time --------------------------------------------------------------------
 */

static void set_timer(struct kc_hosted *t, uint64_t at)
{
    uint64_t now = kc_mono_ms();
    if (!at || (t->at_ms && t->at_ms <= at))
        return;
    t->at_ms = at;
    t->poller.timer(t->poller.ctx, at <= now ? 0 : (int64_t)(at - now));
}

/* When to look at it again; 0: never. */
static uint64_t end_late(struct keycycle_exchange *x, uint64_t now)
{
    bool silent;
    if (x->ends_ms && x->ends_ms <= now) {
        finish(x, KC_ETIMEOUT, "the time for the whole answer is over");
        return 0;
    }
    if (x->paused)
        x->in.heard_ms = now; /* it is our reader who is slow */
    uint64_t at = kc_inbox_silent_at(&x->in, now, &silent);
    if (silent) {
        finish(x, KC_ETIMEOUT, "idle_timeout passed without a byte");
        return 0;
    }
    return at && (!x->ends_ms || at < x->ends_ms) ? at : x->ends_ms;
}

static void timeout(struct kc_transport *base)
{
    struct kc_hosted *t = self(base);
    t->at_ms = 0; /* it has fired */
    for (size_t n = count_news(t); n > 0 && drain_first(t); n--)
        continue; /* what came in time is in time, whatever the budget */
    uint64_t now = kc_mono_ms();
    struct keycycle_exchange *next;
    for (struct keycycle_exchange *x = t->list; x; x = next) {
        next = x->next;
        set_timer(t, end_late(x, now));
    }
}

/* -- exchanges ---------------------------------------------------------------
 */

static struct keycycle_exchange *
new_exchange(struct kc_hosted *t, const struct kc_exchange_config *c)
{
    struct keycycle_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    kc_inbox_init(&x->in, c, x);
    kc_headers_init(&x->fields);
    size_t most = c->stream ? KC_BACKLOG_MAX : x->in.pub.body.max;
    kc_buf_init(&x->bytes, most);
    kc_buf_init(&x->taken, most);
    pthread_mutex_init(&x->lock, NULL); /* cannot fail without attributes */
    x->t = t;
    x->ends_ms = c->total_timeout_ms ? x->in.heard_ms + c->total_timeout_ms : 0;
    x->wanted = x->held = x->kept = true;
    pthread_mutex_lock(&t->lock);
    t->refs++;
    pthread_mutex_unlock(&t->lock);
    return x;
}

static void free_exchange(struct kc_exchange *pub)
{
    struct keycycle_exchange *x = pub->impl;
    /* In a forked child the lock, and what it guards, is the parent's. */
    bool forked = x->t->pid != getpid();
    unlink_exchange(x);
    if (!forked)
        stop(x);
    kc_inbox_deinit(&x->in);
    kc_buf_deinit(&x->taken);
    if (!forked)
        kc_hosted_let_go(x, &x->kept);
}

/* Has the host begin. The fields are those asked for, but how the body, which
 * is whole, is to be framed; and what libcurl would send by itself, but that
 * nothing is decoded here. */
static int call_host(struct keycycle_exchange *x,
                     const struct kc_exchange_config *c)
{
    struct kc_hosted *t = x->t;
    static const struct keycycle_param own[] = {
        {"user-agent", KC_USER_AGENT}, {"accept-encoding", "identity"}};
    const struct kc_header *list = c->headers ? c->headers->list : NULL;
    size_t given = c->headers ? c->headers->len : 0, n = 0;
    struct keycycle_param *fields = malloc((given + 2) * sizeof *fields);
    if (!fields)
        return KC_ENOMEM;
    for (size_t i = 0; i < given; i++)
        if (strcmp(list[i].name, "transfer-encoding") != 0)
            fields[n++] = (struct keycycle_param){list[i].name, list[i].value};
    for (size_t i = 0; i < 2; i++)
        if (!c->headers || !kc_headers_get(c->headers, own[i].name))
            fields[n++] = own[i];
    struct keycycle_http_request request = {
        .method = c->method,
        .url = c->url,
        .headers = fields,
        .header_count = n,
        .body = c->body,
        .body_len = c->body_len,
        .stream = c->stream,
        .timeout_ms = c->total_timeout_ms,
        .connect_timeout_ms =
            c->connect_timeout_ms ? c->connect_timeout_ms : KC_CONNECT_MS,
    };
    int err = t->host.start(t->host.ctx, &request, x);
    free(fields);
    return err;
}

/* The host did not begin: it has nothing to do with it any more. */
static void refuse(struct keycycle_exchange *x, int err)
{
    int code = kc_hosted_code(err);
    pthread_mutex_lock(&x->lock);
    x->held = x->wanted = false;
    kc_hosted_unlist(x);
    pthread_mutex_unlock(&x->lock);
    kc_inbox_end(&x->in, code == KC_ECUT ? KC_ECONNECT : code,
                 kc_err_text(err));
}

static void link_exchange(struct keycycle_exchange *x)
{
    struct kc_hosted *t = x->t;
    x->next = t->list;
    if (x->next)
        x->next->prev = x;
    t->list = x;
    x->linked = true;
    if (x->in.idle_ms)
        set_timer(t, x->in.heard_ms + x->in.idle_ms);
    set_timer(t, x->ends_ms);
}

static int start(struct kc_transport *base, const struct kc_exchange_config *c,
                 struct kc_exchange **out)
{
    struct kc_hosted *t = self(base);
    struct kc_url url;
    *out = NULL;
    int err = kc_inbox_check(c, &url);
    if (err != KC_OK)
        return err;
    struct keycycle_exchange *x = new_exchange(t, c);
    if (!x)
        return KC_ENOMEM;
    err = call_host(x, c);
    if (err != KC_OK)
        refuse(x, err);
    if (err == KC_ENOMEM) {
        free_exchange(&x->in.pub);
        return err;
    }
    if (err == KC_OK) {
        x->in.pub.sent = true; /* in part, it may have been */
        x->in.pub.sends = 1;
        link_exchange(x);
        drain(x); /* what it has given at once */
    }
    *out = &x->in.pub;
    return KC_OK;
}

static int event(struct kc_exchange *pub, struct kc_sse_event *out)
{
    struct keycycle_exchange *x = pub->impl;
    int err = kc_inbox_event(&x->in, out);
    if (err == KC_OK && kc_inbox_has_room(&x->in))
        resume(x);
    return err;
}

static void taken(struct kc_exchange *pub)
{
    resume(pub->impl);
}

/* -- the transport ------------------------------------------------------------
 */

static void ready(struct kc_transport *base, int fd, int events)
{
    (void)base; /* it watches nothing */
    (void)fd;
    (void)events;
}

static void close_transport(struct kc_transport *base)
{
    kc_hosted_unref(self(base));
}

static void forget_transport(struct kc_transport *base)
{
    (void)base; /* what the host still has of it says that it is forked */
}

static const struct kc_transport_ops ops = {
    .start = start,
    .event = event,
    .taken = taken,
    .free_exchange = free_exchange,
    .ready = ready,
    .timeout = timeout,
    .woken = woken,
    .close = close_transport,
    .forget = forget_transport,
};

int kc_hosted_open(const struct keycycle_transport *host,
                   const struct kc_poller *poller, struct kc_transport **out)
{
    *out = NULL;
    struct kc_hosted *t = calloc(1, sizeof *t);
    if (!t)
        return KC_ENOMEM;
    pthread_mutex_init(&t->lock, NULL);
    t->head.ops = &ops;
    t->host = *host;
    t->poller = *poller;
    t->pid = getpid();
    t->refs = 1;
    *out = &t->head;
    return KC_OK;
}
