/* call.h -- ONE attempt of one call: a request sent with one key.
 *
 * It fills the key into the request, refuses to send it where it must not go,
 * tells the pool when it is sent and when a stream has ended, stamps the lease
 * when the headers are here and keeps the time of the first event. Whether to
 * try again, and with which key, is decided above.
 */
#ifndef KC_RUNTIME_CALL_H
#define KC_RUNTIME_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/transport.h"
#include "runtime/carrier.h"
#include "runtime/ledger.h"
#include "runtime/runtime.h"
#include "util/buf.h"
#include "util/err.h"

struct kc_field {
    const char *name;
    const char *value;
};

struct kc_call_spec { /* templates and texts are copied, `body` is borrowed */
    const char *method;
    const char *url;
    const struct kc_field *headers;
    size_t header_count;
    const char *auth_header; /* NULL: none */
    const char *auth_query;  /* NULL: none */
    const char *auth_value;  /* template of either */
    const void *body;        /* NULL: none; until the call is deinitialised */
    size_t body_len;
    bool stream;
    bool lines; /* of a stream: it is NDJSON, whatever its type says */
    bool raw;   /* as it is sent, and taken by kc_call_piece; see transport.h */
    bool allow_insecure;
    const struct kc_lease *lease; /* NULL: no key is filled in */
    struct kc_carrier *carrier;   /* NULL: the runtime's; a reference is kept */
    uint64_t connect_timeout_ms, idle_timeout_ms; /* 0: the default, none */
    uint64_t
        request_timeout_ms; /* a stream's: until its first event; 0: none */
    uint64_t deadline_timeout_ms;           /* the whole; 0: none */
    size_t max_body_bytes, max_event_bytes; /* 0: the default */
};

struct kc_call {
    struct kc_ready ready;
    struct kc_ledger *ledger; /* NULL without a lease */
    uint64_t lease;
    uint32_t key;
    struct kc_carrier *carrier;
    struct kc_transport *transport; /* the carrier's */
    struct kc_exchange *exchange;
    struct kc_timer first; /* until the first event */
    bool told_sent;
    bool stamped;
    bool told_end;
    bool timed_out;
    bool ended; /* the last event was handed out */
    bool have_event;
    struct kc_sse_event event; /* peeked, while have_event */
};

/* kc_call_init starts it. KC_EINSECURE, KC_EBADURL, KC_EINVALID, KC_EFORKED,
 * KC_ENOMEM say that nothing was sent; the call must not be used then. */
KC_CHECKED int kc_call_init(struct kc_call *c, struct kc_runtime *rt,
                            const struct kc_call_spec *spec);

/* kc_call_deinit stops it without blocking. The lease is not settled. */
void kc_call_deinit(struct kc_call *c);

/* kc_call_is_ready: complete, or an event of a stream, a piece of what is raw
 * can be taken. */
bool kc_call_is_ready(struct kc_call *c);
bool kc_call_is_done(const struct kc_call *c);

/* kc_call_event hands out the next event; KC_EAGAIN, KC_EEND. Borrowed until
 * the next call on `c`. kc_call_peek leaves it there, so that it is not lost to
 * whoever has no memory for it. */
KC_CHECKED int kc_call_peek(struct kc_call *c, struct kc_sse_event *out);
KC_CHECKED int kc_call_event(struct kc_call *c, struct kc_sse_event *out);

/* kc_call_error returns why it failed, KC_OK while it did not; *detail gets
 * words: those of a transport of the program's own may hold anything. */
int kc_call_error(const struct kc_call *c, const char **detail);

/* kc_call_blacken blacks the key that was sent out of `text`. KC_EFORKED where
 * that cannot be done. */
KC_CHECKED int kc_call_blacken(const struct kc_call *c, struct kc_buf *text);

/* kc_call_fields appends the values of the header fields, one a line and in
 * their order, with the key blacked out. */
KC_CHECKED int kc_call_fields(const struct kc_call *c, struct kc_buf *out);

/* kc_call_piece appends what came of a raw answer's body since the last one. */
KC_CHECKED int kc_call_piece(struct kc_call *c, struct kc_buf *out);

/* kc_call_body appends the body; of a status of 400 or more, and of a failure,
 * with the key blacked out. */
KC_CHECKED int kc_call_body(const struct kc_call *c, struct kc_buf *out);

#endif
