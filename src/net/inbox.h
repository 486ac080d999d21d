/* inbox.h -- what has come of one answer, however it was carried: the part of
 * an exchange that every transport has alike.
 *
 * The transport puts header fields, bytes and the end in; the bytes become a
 * body or events, within the bounds that were asked for, and the owner is told.
 * Nothing here starts, stops or sends.
 */
#ifndef KC_NET_INBOX_H
#define KC_NET_INBOX_H

#include "keycycle.h"
#include "net/sse.h"
#include "net/transport.h"
#include "net/url.h"

#define KC_USER_AGENT "keycycle/" KEYCYCLE_VERSION
#define KC_CONNECT_MS 10000

struct kc_event_node {
    struct kc_event_node *next;
    size_t len;
    const char *data; /* both lie behind the node */
    char type[];
};

struct kc_inbox {
    struct kc_exchange pub; /* what the owner sees */
    bool stream;
    bool lines;
    size_t header_bytes, max_header_bytes, max_queued_bytes;
    uint64_t idle_ms, heard_ms; /* without a byte; when the last one came */
    uint64_t missed_ms; /* the `heard_ms` that was too long ago at one look */
    struct kc_sse sse;
    struct kc_event_node *first, *last, *current;
    size_t queued_bytes;
    void (*notify)(void *ctx);
    void *ctx;
};

/* kc_inbox_check says whether a request can be sent at all, and where to:
 * KC_EBADURL, KC_EINVALID for a method that is none. */
KC_CHECKED int kc_inbox_check(const struct kc_exchange_config *c,
                              struct kc_url *origin);

/* kc_inbox_init makes an empty one; `impl` is the transport's own. */
void kc_inbox_init(struct kc_inbox *in, const struct kc_exchange_config *c,
                   void *impl);
void kc_inbox_deinit(struct kc_inbox *in);

/* kc_inbox_clear forgets an answer that was not the last one. */
void kc_inbox_clear(struct kc_inbox *in);

/* kc_inbox_tell tells the owner to look. */
void kc_inbox_tell(const struct kc_inbox *in);

/* kc_inbox_count takes note of bytes in headers. KC_ETOOLARGE. */
KC_CHECKED int kc_inbox_count(struct kc_inbox *in, size_t n);

/* kc_inbox_begin: status and header fields are complete, the body follows. */
void kc_inbox_begin(struct kc_inbox *in);

/* kc_inbox_data takes the next bytes of the body. KC_ETOOLARGE, KC_ENOMEM. */
KC_CHECKED int kc_inbox_data(struct kc_inbox *in, const void *data, size_t n);

/* kc_inbox_is_full: so much waits unread that the transfer is to pause, until
 * kc_inbox_has_room. */
bool kc_inbox_is_full(const struct kc_inbox *in);
bool kc_inbox_has_room(const struct kc_inbox *in);

/* kc_inbox_silent_at returns when the time without a byte is over, `now` or
 * later; 0: never. Whoever did not drive the loop for long has bytes waiting:
 * it is over only at the second look that says so, and *over is set then. */
uint64_t kc_inbox_silent_at(struct kc_inbox *in, uint64_t now, bool *over);

/* kc_inbox_end: nothing more will come; `err` with `words` for whoever asks
 * why, or KC_OK, which may yet turn out to be an error. */
void kc_inbox_end(struct kc_inbox *in, int err, const char *words);

/* kc_inbox_event hands out the next event, as kc_exchange_event. */
KC_CHECKED int kc_inbox_event(struct kc_inbox *in, struct kc_sse_event *out);

#endif
