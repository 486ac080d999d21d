/* url.h -- the few questions asked of a URL before anything is sent.
 */
#ifndef KC_NET_URL_H
#define KC_NET_URL_H

#include <stdbool.h>

#include "util/buf.h"
#include "util/err.h"

struct kc_url {
    char scheme[8]; /* "http" or "https", lower case */
    char host[256]; /* lower case, an IPv6 address without brackets */
    unsigned port;  /* given or the scheme's */
};

/* kc_url_parse reads scheme, host and port. KC_EBADURL for any other scheme,
 * for user:password@, control characters, spaces, or no host. */
KC_CHECKED int kc_url_parse(const char *url, struct kc_url *out);

/* kc_url_is_loopback: "localhost", a name under ".localhost", 127.0.0.0/8 or
 * ::1, written so that no resolver can make another host of it. */
bool kc_url_is_loopback(const struct kc_url *u);

/* kc_url_same_origin: scheme, host and port are equal. */
bool kc_url_same_origin(const struct kc_url *a, const struct kc_url *b);

/* kc_url_escape appends `s` percent-escaped for a query value or path part. */
KC_CHECKED int kc_url_escape(struct kc_buf *out, const char *s);

#endif
