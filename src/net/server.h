/* server.h -- a small HTTP/1.1 server on loopback, over libevent's evhttp.
 *
 * An optional module: nothing else of the library needs it. One thread: all
 * calls come from the thread that is in kc_server_run, or before it.
 */
#ifndef KC_NET_SERVER_H
#define KC_NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

struct kc_server;
struct kc_incoming; /* a request until its answer is complete */

struct kc_field_pair {
    const char *name;
    const char *value;
};

/* What kc_server_run calls. on_request must take over `in`, which is freed with
 * kc_incoming_free; on_timer is told the id given to kc_server_after. */
struct kc_server_handler {
    void *ctx;
    void (*on_request)(void *ctx, struct kc_incoming *in);
    void (*on_timer)(void *ctx, uint64_t id);
};

/* kc_server_open listens on `host` (an address) and `port` (0: any). KC_ESYSTEM
 * when it cannot. */
KC_CHECKED int kc_server_open(const char *host, unsigned port, size_t max_body,
                              struct kc_server **out);
void kc_server_close(struct kc_server *s);
unsigned kc_server_port(const struct kc_server *s);

/* kc_server_run serves until SIGINT, SIGTERM, SIGHUP, SIGALRM or
 * kc_server_stop. Such a signal is then raised again, for whoever handled it
 * before. */
KC_CHECKED int kc_server_run(struct kc_server *s,
                             const struct kc_server_handler *handler);
void kc_server_stop(struct kc_server *s);

/* kc_server_after calls on_timer once, in `ms`. */
KC_CHECKED int kc_server_after(struct kc_server *s, uint64_t ms, uint64_t id);

const char *kc_incoming_method(const struct kc_incoming *in);
const char *kc_incoming_path(const struct kc_incoming *in);  /* no query */
const char *kc_incoming_query(const struct kc_incoming *in); /* "" for none */
const char *kc_incoming_header(const struct kc_incoming *in, const char *name);
const void *kc_incoming_body(const struct kc_incoming *in, size_t *len);

/* kc_incoming_is_open: the client is there and the answer is not complete. */
bool kc_incoming_is_open(const struct kc_incoming *in);

/* kc_incoming_reply answers as a whole; _start, _chunk and _finish in pieces.
 * On a request that is not open they do nothing. */
void kc_incoming_reply(struct kc_incoming *in, int status,
                       const struct kc_field_pair *fields, size_t n,
                       const void *body, size_t len);
void kc_incoming_start(struct kc_incoming *in, int status,
                       const struct kc_field_pair *fields, size_t n);
void kc_incoming_chunk(struct kc_incoming *in, const void *data, size_t len);
void kc_incoming_finish(struct kc_incoming *in);

/* kc_incoming_backlog returns how many bytes the client has not read yet. */
size_t kc_incoming_backlog(const struct kc_incoming *in);

/* kc_incoming_free lets go; a request without an answer gets a 500. */
void kc_incoming_free(struct kc_incoming *in);

#endif
