/* poller.h -- the smallest loop that can drive a transport: poll() over a few
 * sockets and one timer, for tests of the transport without the runtime.
 */
#ifndef KC_TESTS_POLLER_H
#define KC_TESTS_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/transport.h"

#define POLLER_MAX 64

struct poller {
    struct kc_transport *transport;
    struct {
        int fd, events;
    } watched[POLLER_MAX];
    size_t len;
    uint64_t at_ms; /* of the timer; 0: none */
};

/* poller_open makes a transport over libcurl that `p` drives. */
bool poller_open(struct poller *p);
void poller_close(struct poller *p);

/* poller_turn waits for something to happen and lets the transport do it. */
void poller_turn(struct poller *p);

/* poller_run turns until the exchange is done. */
void poller_run(struct poller *p, const struct kc_exchange *x);

#endif
