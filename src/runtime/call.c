/* call.c -- see call.h. */
#include "runtime/call.h"

#include <string.h>

#include "net/url.h"
#include "runtime/template.h"

#define MAX_URL (64 * 1024)
#define MAX_FIELD (64 * 1024)

/* Tells the pool what the transport says; true when that is all there is. */
static bool tell_pool(struct kc_call *c)
{
    const struct kc_exchange *x = c->exchange;
    if (x->have_headers && !c->stamped) {
        c->stamped = true;
        kc_ledger_stamp(c->ledger, c->lease);
    }
    if (x->done && x->is_events && !c->told_end) {
        c->told_end = true; /* it may be read much later */
        kc_ledger_ended(c->ledger, c->lease);
    }
    if (x->sent && !c->told_sent) {
        c->told_sent = true;
        kc_ledger_sent(c->ledger, c->lease);
        return !x->have_headers && !x->done;
    }
    return false;
}

/* Runs inside the transport: it may only mark. */
static void on_news(void *ctx)
{
    struct kc_call *c = ctx;
    if (c->exchange && c->ledger && tell_pool(c))
        return;
    kc_ready_mark(&c->ready);
}

static void on_late(void *ctx)
{
    struct kc_call *c = ctx;
    c->timed_out = true;
    kc_ready_mark(&c->ready);
}

/* A key travels over TLS, or to this machine, or where the program insists. */
static int may_send(const struct kc_call_spec *spec, const char *url)
{
    struct kc_url u;
    int err = kc_url_parse(url, &u);
    if (err != KC_OK)
        return err;
    bool plain = strcmp(u.scheme, "http") == 0;
    if (plain && spec->lease && !spec->allow_insecure &&
        !kc_url_is_loopback(&u))
        return KC_EINSECURE;
    return KC_OK;
}

static int add_query(struct kc_buf *url, const struct kc_template *t,
                     const char *name, const char *value)
{
    const char *sep = strchr(kc_buf_str(url), '?') ? "&" : "?";
    int err = kc_buf_addstr(url, sep);
    if (err == KC_OK)
        err = kc_url_escape(url, name);
    if (err == KC_OK)
        err = kc_buf_addch(url, '=');
    return err == KC_OK ? kc_template_fill(t, value, url) : err;
}

static int add_field(struct kc_headers *h, const struct kc_template *t,
                     const char *name, const char *value)
{
    struct kc_buf text;
    kc_buf_init(&text, MAX_FIELD);
    int err = kc_template_fill(t, value, &text);
    if (err == KC_OK)
        err = kc_headers_set(h, name, kc_buf_str(&text));
    kc_buf_wipe(&text);
    return err;
}

/* The key goes where `auth` says and nowhere else: the templates of the URL and
 * of the other headers see the key's parameters only. */
static int fill(const struct kc_call_spec *spec, struct kc_buf *url,
                struct kc_headers *headers)
{
    struct kc_template t = {.escape = true};
    if (spec->lease) {
        t.pool = kc_ledger_pool(spec->lease->ledger);
        t.key = spec->lease->grant.key;
    }
    int err = kc_template_fill(&t, spec->url, url);
    if (err == KC_OK)
        err = may_send(spec, kc_buf_str(url));
    t.escape = false;
    for (size_t i = 0; err == KC_OK && i < spec->header_count; i++)
        err = add_field(headers, &t, spec->headers[i].name,
                        spec->headers[i].value);
    t.secret = true;
    if (err == KC_OK && spec->auth_header)
        err = add_field(headers, &t, spec->auth_header, spec->auth_value);
    t.escape = true;
    if (err == KC_OK && spec->auth_query)
        err = add_query(url, &t, spec->auth_query, spec->auth_value);
    return err;
}

static int start(struct kc_call *c, struct kc_runtime *rt,
                 const struct kc_call_spec *spec, const char *url,
                 const struct kc_headers *headers)
{
    struct kc_exchange_config config = {
        .method = spec->method,
        .url = url,
        .headers = headers,
        .body = spec->body,
        .body_len = spec->body_len,
        .stream = spec->stream,
        .lines = spec->lines,
        .raw = spec->raw,
        .connect_timeout_ms = spec->connect_timeout_ms,
        .total_timeout_ms = spec->deadline_timeout_ms,
        .idle_timeout_ms =
            spec->stream || spec->raw ? spec->idle_timeout_ms : 0,
        .max_body_bytes = spec->max_body_bytes,
        .max_event_bytes = spec->max_event_bytes,
        .notify = on_news,
        .ctx = c,
    };
    uint64_t whole = config.total_timeout_ms;
    if (!spec->stream && spec->request_timeout_ms &&
        (!whole || spec->request_timeout_ms < whole))
        config.total_timeout_ms = spec->request_timeout_ms;
    struct kc_carrier *carrier = spec->carrier;
    int err = carrier ? KC_OK : kc_runtime_carrier(rt, &carrier);
    if (err == KC_OK) {
        c->carrier = kc_carrier_ref(carrier);
        c->transport = kc_carrier_transport(carrier);
    }
    if (err == KC_OK && spec->stream && spec->request_timeout_ms)
        kc_loop_arm(kc_runtime_loop(rt), &c->first,
                    kc_mono_ms() + spec->request_timeout_ms);
    if (err == KC_OK)
        err = kc_exchange_start(c->transport, &config, &c->exchange);
    return err;
}

int kc_call_init(struct kc_call *c, struct kc_runtime *rt,
                 const struct kc_call_spec *spec)
{
    *c = (struct kc_call){.first = {.fn = on_late, .ctx = c}};
    if (kc_runtime_forked(rt))
        return KC_EFORKED;
    struct kc_buf url;
    struct kc_headers headers;
    kc_buf_init(&url, MAX_URL);
    kc_headers_init(&headers);
    int err = fill(spec, &url, &headers);
    if (err == KC_OK) {
        kc_ready_init(&c->ready, rt);
        kc_runtime_add_call(rt, 1);
        if (spec->lease) {
            c->ledger = kc_ledger_ref(spec->lease->ledger);
            c->lease = spec->lease->grant.lease;
            c->key = spec->lease->grant.key;
            kc_pool_sending(kc_ledger_pool(c->ledger), c->lease);
        }
        err = start(c, rt, spec, kc_buf_str(&url), &headers);
        if (err != KC_OK)
            kc_call_deinit(c);
        else if (c->ledger)
            tell_pool(c); /* what came before `exchange` was set */
    }
    kc_buf_wipe(&url);
    kc_headers_deinit(&headers);
    return err;
}

void kc_call_deinit(struct kc_call *c)
{
    struct kc_runtime *rt = c->ready.rt;
    if (!rt)
        return;
    kc_loop_disarm(kc_runtime_loop(rt), &c->first);
    if (c->exchange)
        kc_exchange_free(c->transport, c->exchange);
    c->exchange = NULL;
    kc_carrier_unref(c->carrier);
    c->carrier = NULL;
    kc_ledger_unref(c->ledger);
    c->ledger = NULL;
    kc_runtime_add_call(rt, -1);
    kc_ready_deinit(&c->ready); /* last: it may free the runtime */
}

bool kc_call_is_done(const struct kc_call *c)
{
    return !c->exchange || c->timed_out || c->exchange->done;
}

/* Looks whether an event is here, without handing it out. */
static int look(struct kc_call *c)
{
    if (c->have_event)
        return KC_OK;
    if (c->ended || c->timed_out || !c->exchange)
        return KC_EEND;
    int err = kc_exchange_event(c->transport, c->exchange, &c->event);
    if (err == KC_OK) {
        c->have_event = true;
        kc_loop_disarm(kc_runtime_loop(c->ready.rt), &c->first);
    } else if (err != KC_EAGAIN) {
        c->ended = true;
        err = KC_EEND;
    }
    return err;
}

bool kc_call_is_ready(struct kc_call *c)
{
    if (c->exchange && c->exchange->is_events)
        return c->timed_out || look(c) != KC_EAGAIN;
    if (c->exchange && c->exchange->raw && c->exchange->body.len > 0)
        return true;
    return kc_call_is_done(c);
}

int kc_call_peek(struct kc_call *c, struct kc_sse_event *out)
{
    int err = look(c);
    if (err == KC_OK)
        *out = c->event;
    return err;
}

int kc_call_event(struct kc_call *c, struct kc_sse_event *out)
{
    int err = kc_call_peek(c, out);
    if (err == KC_OK)
        c->have_event = false;
    return err;
}

int kc_call_error(const struct kc_call *c, const char **detail)
{
    *detail = "";
    if (c->timed_out) {
        *detail = "request_timeout passed before the first event";
        return KC_ETIMEOUT;
    }
    if (!c->exchange || !c->exchange->done)
        return KC_OK;
    *detail = c->exchange->detail;
    return c->exchange->err;
}

int kc_call_blacken(const struct kc_call *c, struct kc_buf *text)
{
    if (!c->ledger)
        return KC_OK;
    if (kc_ledger_is_forked(c->ledger))
        return KC_EFORKED; /* it cannot be done here */
    return kc_pool_redact(kc_ledger_pool(c->ledger), c->key, text);
}

int kc_call_fields(const struct kc_call *c, struct kc_buf *out)
{
    int err = KC_OK;
    if (!c->exchange)
        return KC_OK;
    const struct kc_headers *h = &c->exchange->headers;
    for (size_t i = 0; err == KC_OK && i < h->len; i++) {
        err = kc_buf_addstr(out, h->list[i].value);
        if (err == KC_OK)
            err = kc_buf_addch(out, '\n');
    }
    return err == KC_OK ? kc_call_blacken(c, out) : err;
}

int kc_call_body(const struct kc_call *c, struct kc_buf *out)
{
    if (!c->exchange)
        return KC_OK;
    const struct kc_buf *body = &c->exchange->body;
    bool failed = c->exchange->status >= 400 || c->exchange->err != KC_OK;
    int err = kc_buf_add(out, kc_buf_str(body), body->len);
    return err == KC_OK && failed ? kc_call_blacken(c, out) : err;
}

int kc_call_piece(struct kc_call *c, struct kc_buf *out)
{
    if (!c->exchange || !c->exchange->raw)
        return KC_OK;
    struct kc_buf *body = &c->exchange->body;
    int err = kc_buf_add(out, kc_buf_str(body), body->len);
    if (err != KC_OK)
        return err;
    kc_buf_clear(body);
    kc_exchange_taken(c->transport, c->exchange);
    return KC_OK;
}
