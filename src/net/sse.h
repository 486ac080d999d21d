/* sse.h -- server-sent events, or lines of JSON, out of bytes that come in any
 * pieces.
 *
 * WHATWG HTML, "Server-sent events": a BOM at the start, lines that end in LF,
 * CRLF or CR, comments, several data lines joined by LF, an event at each empty
 * line that has data. A last event without its empty line is dropped there; it
 * is kept here (kc_sse_finish): providers forget that line. Pure.
 */
#ifndef KC_NET_SSE_H
#define KC_NET_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "util/buf.h"
#include "util/err.h"

struct kc_sse_event {
    const char *type; /* "message" unless the stream names one */
    const char *data; /* NUL-terminated, may hold NULs */
    size_t len;
};

/* Called for each event; what it points at lives for the call. Not KC_OK stops
 * the feed with that code. */
typedef int kc_sse_fn(void *ctx, const struct kc_sse_event *event);

struct kc_sse {
    struct kc_buf line;
    struct kc_buf data;
    struct kc_buf type;
    bool lines; /* every line that is not blank is an event's data */
    bool have_data;
    bool after_cr;
    unsigned bom; /* bytes of a BOM seen; 3 or more: past the start */
};

/* kc_sse_init: no line and no event's data may pass `max_bytes`. `lines` may be
 * set after it, before the first bytes. */
void kc_sse_init(struct kc_sse *s, size_t max_bytes);
void kc_sse_deinit(struct kc_sse *s);

/* kc_sse_feed takes the next bytes. KC_ETOOLARGE, KC_ENOMEM, or fn's code. */
KC_CHECKED int kc_sse_feed(struct kc_sse *s, const void *bytes, size_t n,
                           kc_sse_fn *fn, void *ctx);

/* kc_sse_finish ends the stream and hands out a last unfinished event. */
KC_CHECKED int kc_sse_finish(struct kc_sse *s, kc_sse_fn *fn, void *ctx);

#endif
