/* poller.h -- the smallest loop that can drive a transport: poll() over a few
 * sockets, one timer and wake-ups, for tests of a transport without the
 * runtime.
 */
#ifndef KC_TESTS_POLLER_H
#define KC_TESTS_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keycycle.h"
#include "net/transport.h"

#define POLLER_MAX 64

struct poller {
    struct kc_transport *transport;
    struct {
        int fd, events;
    } watched[POLLER_MAX];
    size_t len;
    uint64_t at_ms; /* of the timer; 0: none */
    int wake[2];    /* a pipe; any thread */
    bool spent;     /* whatever is begun is the last in its turn */
};

/* poller_open makes a transport that `p` drives: over `host`, NULL: over
 * libcurl. */
bool poller_open(struct poller *p, const struct keycycle_transport *host);
void poller_close(struct poller *p);

/* poller_turn waits for something to happen and lets the transport do it. */
void poller_turn(struct poller *p);

/* poller_run turns until the exchange is done. */
void poller_run(struct poller *p, const struct kc_exchange *x);

#endif
