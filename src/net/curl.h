/* curl.h -- the transport over libcurl's multi interface, by socket action.
 *
 * HTTP/1.1 and, over TLS, HTTP/2 (waiting for a connection rather than opening
 * a second one); connections and TLS sessions reused; gzip, br and zstd.
 * Certificates are always checked, against SSL_CERT_FILE or CURL_CA_BUNDLE
 * where the environment names one, else the system's bundle. Proxies come from
 * the environment, never for loopback. A redirect is followed on the same
 * scheme, host and port only; any other 3xx is the answer.
 *
 * libcurl must be initialised (curl_global_init) by the caller.
 */
#ifndef KC_NET_CURL_H
#define KC_NET_CURL_H

#include "net/transport.h"

/* kc_curl_open makes a transport. Copies `poller`; closed by
 * kc_transport_close. */
KC_CHECKED int kc_curl_open(const struct kc_poller *poller,
                            struct kc_transport **out);

#endif
