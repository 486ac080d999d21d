/* hosted.h -- the transport that the program brings along: keycycle.h's
 * keycycle_transport and keycycle_exchange_*.
 *
 * What the host's threads give is copied, under a lock, into their exchange,
 * and the loop is woken, which takes it into the exchange's inbox. Time-outs
 * and bounds are kept here. A reader who stops has the host pause; what it
 * gives nevertheless is kept up to a bound. Nothing is decoded.
 */
#ifndef KC_NET_HOSTED_H
#define KC_NET_HOSTED_H

#include "keycycle.h"
#include "net/transport.h"

#define KC_BACKLOG_MAX (16u << 20) /* bytes of a stream that nobody takes */

/* kc_hosted_open makes a transport. Copies `host` and `poller`, whose `watch`
 * is not used; closed by kc_transport_close. An exchange that the host has not
 * ended outlives it. */
KC_CHECKED int kc_hosted_open(const struct keycycle_transport *host,
                              const struct kc_poller *poller,
                              struct kc_transport **out);

#endif
