/* transport.h -- HTTP exchanges on somebody else's event loop.
 *
 * A transport starts exchanges and is driven by its poller's owner: it asks to
 * watch sockets and for one timer, and is told when they are due. Its callbacks
 * only fill the exchange's buffers and call `notify`, which must do no more
 * than mark the exchange; the owner reads it after the drive has returned.
 * Knows nothing of keys or of Lua. All calls come from one thread. There are
 * two: over libcurl (curl.h), and whatever the program brings (hosted.h).
 */
#ifndef KC_NET_TRANSPORT_H
#define KC_NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/headers.h"
#include "net/sse.h"
#include "util/buf.h"
#include "util/err.h"

#define KC_POLL_IN 1
#define KC_POLL_OUT 2

struct kc_poller {
    void *ctx;
    /* Watch `fd` for `events` (0: forget it). 0 on success. */
    int (*watch)(void *ctx, int fd, int events);
    /* Call kc_transport_timeout after `ms`; -1: not needed any more. */
    void (*timer)(void *ctx, int64_t ms);
    /* Call kc_transport_woken soon. From any thread, while there is an
     * exchange. */
    void (*wake)(void *ctx);
    /* Whether no more is to be begun in this turn; NULL: never. */
    bool (*spent)(void *ctx);
};

struct kc_exchange_config { /* all is copied, but `body` */
    const char *method;
    const char *url;
    const struct kc_headers *headers; /* NULL: none */
    const void *body; /* borrowed until the exchange is freed; NULL: none */
    size_t body_len;
    bool stream; /* read text/event-stream or NDJSON as events */
    bool lines;  /* a stream is NDJSON, whatever its content type says */
    bool raw;    /* as it is sent: no redirect is followed, nothing decoded; the
                  * body is taken in pieces, HTTP/1.1 is spoken */
    uint64_t connect_timeout_ms; /* 0: the default, 10 s */
    uint64_t total_timeout_ms;   /* 0: none */
    uint64_t idle_timeout_ms;    /* without a byte received; 0: none */
    size_t max_header_bytes;     /* 0: 256 KiB */
    size_t max_body_bytes;       /* 0: 64 MiB; a decoded, unstreamed body */
    size_t max_event_bytes;      /* 0: 4 MiB; one event, one line */
    size_t max_queued_bytes;   /* 0: 256 KiB of unread events, then it pauses */
    void (*notify)(void *ctx); /* it was sent; headers, an event, the end are
                                * here */
    void *ctx;
};

/* What an exchange shows its owner. Read only; valid until it is freed. */
struct kc_exchange {
    int status;                /* 0 until the final headers are here */
    struct kc_headers headers; /* of the final answer, names in lower case */
    bool have_headers;
    bool is_events;        /* a stream's 2xx: read by kc_exchange_event */
    bool raw;              /* `body` is what was not taken yet */
    char status_line[128]; /* of a raw one */
    bool sent;             /* the request has left, at least in part */
    unsigned sends;   /* how often: libcurl sends it again by itself where a
                       * kept connection was dead before a byte came back */
    bool done;        /* nothing more will come */
    int err;          /* KC_OK, or why it ended; set when done */
    char detail[256]; /* in words, never with a header's or the URL's secret */
    struct kc_buf body; /* of an answer that is not events */
    uint64_t received_bytes;
    void *impl;
};

struct kc_transport;

struct kc_transport_ops {
    int (*start)(struct kc_transport *t, const struct kc_exchange_config *c,
                 struct kc_exchange **out);
    int (*event)(struct kc_exchange *x, struct kc_sse_event *out);
    void (*taken)(struct kc_exchange *x);
    void (*free_exchange)(struct kc_exchange *x);
    void (*ready)(struct kc_transport *t, int fd, int events);
    void (*timeout)(struct kc_transport *t);
    void (*woken)(struct kc_transport *t); /* NULL: it never wakes */
    void (*close)(struct kc_transport *t);
    void (*forget)(
        struct kc_transport *t); /* after a fork: free nothing shared */
};

struct kc_transport { /* the head of every implementation */
    const struct kc_transport_ops *ops;
};

/* kc_exchange_start begins. What is wrong with the URL or the headers is
 * answered here (KC_EBADURL, KC_EINVALID), all else at the exchange's end. The
 * caller frees the exchange with kc_exchange_free. */
KC_CHECKED static inline int
kc_exchange_start(struct kc_transport *t, const struct kc_exchange_config *c,
                  struct kc_exchange **out)
{
    return t->ops->start(t, c, out);
}

/* kc_exchange_event hands out the next event: KC_OK, KC_EAGAIN when none is
 * here yet, KC_EEND after the last one (then look at `err`). The event is
 * borrowed until the next call on the exchange. Taking events resumes a paused
 * transfer. */
KC_CHECKED static inline int kc_exchange_event(struct kc_transport *t,
                                               struct kc_exchange *x,
                                               struct kc_sse_event *out)
{
    return t->ops->event(x, out);
}

/* kc_exchange_taken tells a raw exchange that its `body` was taken and emptied,
 * which resumes a paused transfer. */
static inline void kc_exchange_taken(struct kc_transport *t,
                                     struct kc_exchange *x)
{
    t->ops->taken(x);
}

/* kc_exchange_free cancels what still runs, without blocking, and frees it;
 * no notify comes after. Takes NULL. */
static inline void kc_exchange_free(struct kc_transport *t,
                                    struct kc_exchange *x)
{
    if (x)
        t->ops->free_exchange(x);
}

static inline void kc_transport_ready(struct kc_transport *t, int fd,
                                      int events)
{
    t->ops->ready(t, fd, events);
}

static inline void kc_transport_timeout(struct kc_transport *t)
{
    t->ops->timeout(t);
}

static inline void kc_transport_woken(struct kc_transport *t)
{
    t->ops->woken(t);
}

/* kc_transport_close frees the transport; every exchange must be freed. */
static inline void kc_transport_close(struct kc_transport *t)
{
    if (t)
        t->ops->close(t);
}

/* kc_transport_forget is close for a forked child: nothing is sent, nothing
 * shared with the parent is touched, memory may be given up. */
static inline void kc_transport_forget(struct kc_transport *t)
{
    if (t)
        t->ops->forget(t);
}

#endif
