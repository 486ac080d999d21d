/* inbox.c -- see inbox.h. */
#include "net/inbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/ascii.h"
#include "util/clock.h"

#define MAX_METHOD 15

int kc_inbox_check(const struct kc_exchange_config *c, struct kc_url *origin)
{
    int err = kc_url_parse(c->url, origin);
    if (err != KC_OK)
        return err;
    size_t letters = strspn(c->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    bool is_method = letters > 0 && letters <= MAX_METHOD;
    return is_method && !c->method[letters] ? KC_OK : KC_EINVALID;
}

void kc_inbox_init(struct kc_inbox *in, const struct kc_exchange_config *c,
                   void *impl)
{
    *in = (struct kc_inbox){.stream = c->stream, .lines = c->lines};
    in->pub.impl = impl;
    in->pub.raw = c->raw;
    in->notify = c->notify;
    in->ctx = c->ctx;
    in->idle_ms = c->idle_timeout_ms;
    in->heard_ms = kc_mono_ms();
    in->max_header_bytes =
        c->max_header_bytes ? c->max_header_bytes : 256u << 10;
    in->max_queued_bytes =
        c->max_queued_bytes ? c->max_queued_bytes : 256u << 10;
    kc_headers_init(&in->pub.headers);
    kc_buf_init(&in->pub.body,
                c->max_body_bytes ? c->max_body_bytes : 64u << 20);
    kc_sse_init(&in->sse, c->max_event_bytes ? c->max_event_bytes : 4u << 20);
}

void kc_inbox_deinit(struct kc_inbox *in)
{
    kc_headers_deinit(&in->pub.headers);
    kc_buf_deinit(&in->pub.body);
    kc_sse_deinit(&in->sse);
    free(in->current);
    while (in->first) {
        struct kc_event_node *next = in->first->next;
        free(in->first);
        in->first = next;
    }
}

void kc_inbox_clear(struct kc_inbox *in)
{
    kc_headers_clear(&in->pub.headers);
    kc_buf_clear(&in->pub.body);
    in->pub.status = 0;
    in->pub.sends = 0;
    in->header_bytes = 0;
}

void kc_inbox_tell(const struct kc_inbox *in)
{
    if (in->notify)
        in->notify(in->ctx);
}

int kc_inbox_count(struct kc_inbox *in, size_t n)
{
    in->header_bytes += n;
    return in->header_bytes > in->max_header_bytes ? KC_ETOOLARGE : KC_OK;
}

static bool has_type(const struct kc_headers *h, const char *type)
{
    const char *value = kc_headers_get(h, "content-type");
    size_t n = strlen(type);
    return value && kc_starts_with(value, type) &&
           (value[n] == '\0' || value[n] == ';' || value[n] == ' ');
}

/* Whether the answer is to be read piece by piece, and how. */
static bool begins_events(struct kc_inbox *in)
{
    static const char *const lines[] = {
        "application/x-ndjson", "application/ndjson", "application/jsonl"};
    if (!in->stream || in->pub.status >= 300)
        return false;
    if (has_type(&in->pub.headers, "text/event-stream"))
        return true;
    in->sse.lines = in->lines;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        in->sse.lines |= has_type(&in->pub.headers, lines[i]);
    return in->sse.lines;
}

void kc_inbox_begin(struct kc_inbox *in)
{
    in->pub.have_headers = true;
    in->pub.is_events = begins_events(in);
    kc_inbox_tell(in);
}

static int queue_event(void *ctx, const struct kc_sse_event *event)
{
    struct kc_inbox *in = ctx;
    size_t type_len = strlen(event->type);
    struct kc_event_node *node =
        malloc(sizeof *node + type_len + 1 + event->len + 1);
    if (!node)
        return KC_ENOMEM;
    char *data = node->type + type_len + 1;
    memcpy(node->type, event->type, type_len + 1);
    memcpy(data, event->data, event->len);
    data[event->len] = '\0';
    node->next = NULL;
    node->len = event->len;
    node->data = data;
    if (in->last)
        in->last->next = node;
    else
        in->first = node;
    in->last = node;
    in->queued_bytes += sizeof *node + event->len;
    return KC_OK;
}

int kc_inbox_data(struct kc_inbox *in, const void *data, size_t n)
{
    int err;
    in->heard_ms = kc_mono_ms();
    in->pub.received_bytes += n;
    if (in->pub.is_events) {
        err = kc_sse_feed(&in->sse, data, n, queue_event, in);
        if (in->first)
            kc_inbox_tell(in);
    } else {
        err = kc_buf_add(&in->pub.body, data, n);
        if (in->pub.raw)
            kc_inbox_tell(in);
    }
    return err;
}

static size_t unread(const struct kc_inbox *in)
{
    if (in->pub.is_events)
        return in->queued_bytes;
    return in->pub.raw ? in->pub.body.len : 0;
}

bool kc_inbox_is_full(const struct kc_inbox *in)
{
    return unread(in) > in->max_queued_bytes;
}

bool kc_inbox_has_room(const struct kc_inbox *in)
{
    return unread(in) <= in->max_queued_bytes / 2;
}

uint64_t kc_inbox_silent_at(struct kc_inbox *in, uint64_t now, bool *over)
{
    *over = false;
    if (!in->idle_ms)
        return 0;
    uint64_t at = in->heard_ms + in->idle_ms;
    if (at > now)
        return at;
    *over = in->missed_ms == in->heard_ms;
    in->missed_ms = in->heard_ms;
    return now + 1;
}

void kc_inbox_end(struct kc_inbox *in, int err, const char *words)
{
    if (err == KC_OK && in->pub.is_events) {
        err = kc_sse_finish(&in->sse, queue_event, in);
        words = kc_err_text(err);
    }
    in->pub.err = err;
    snprintf(in->pub.detail, sizeof in->pub.detail, "%s",
             err == KC_OK ? "" : words);
    in->pub.done = true;
    kc_inbox_tell(in);
}

int kc_inbox_event(struct kc_inbox *in, struct kc_sse_event *out)
{
    free(in->current);
    in->current = in->first;
    if (!in->current)
        return in->pub.done ? KC_EEND : KC_EAGAIN;
    in->first = in->current->next;
    if (!in->first)
        in->last = NULL;
    in->queued_bytes -= sizeof *in->current + in->current->len;
    *out = (struct kc_sse_event){.type = in->current->type,
                                 .data = in->current->data,
                                 .len = in->current->len};
    return KC_OK;
}
