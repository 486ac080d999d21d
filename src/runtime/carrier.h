/* carrier.h -- a transport on a runtime's loop, with its timer and wake-ups.
 *
 * Counted, so that a call ends on the one it began with. It does not keep the
 * runtime: whoever holds a carrier holds that, too, or is it.
 */
#ifndef KC_RUNTIME_CARRIER_H
#define KC_RUNTIME_CARRIER_H

#include "keycycle.h"
#include "net/transport.h"
#include "runtime/runtime.h"
#include "util/err.h"

struct kc_carrier;

/* kc_carrier_open makes one over `host`, which is copied; NULL: over libcurl,
 * whose sockets the owner of the loop passes on. */
KC_CHECKED int kc_carrier_open(struct kc_runtime *rt,
                               const struct keycycle_transport *host,
                               struct kc_carrier **out);
struct kc_carrier *kc_carrier_ref(struct kc_carrier *c);

/* kc_carrier_unref closes it with its last reference; in a forked child it
 * only forgets. Takes NULL. */
void kc_carrier_unref(struct kc_carrier *c);

/* kc_carrier_transport: borrowed from the carrier. */
struct kc_transport *kc_carrier_transport(const struct kc_carrier *c);

#endif
