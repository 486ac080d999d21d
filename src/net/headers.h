/* headers.h -- an ordered list of HTTP header fields.
 */
#ifndef KC_NET_HEADERS_H
#define KC_NET_HEADERS_H

#include <stddef.h>

#include "util/err.h"

struct kc_header {
    char *name; /* lower case */
    char *value;
};

struct kc_headers {
    struct kc_header *list;
    size_t len, cap;
};

void kc_headers_init(struct kc_headers *h);

/* kc_headers_deinit wipes and frees: a request's list holds a key. */
void kc_headers_deinit(struct kc_headers *h);
void kc_headers_clear(struct kc_headers *h);

/* kc_headers_add appends a copy. KC_EINVALID for a name that is no HTTP token
 * or a value with a control character (but tab). */
KC_CHECKED int kc_headers_add(struct kc_headers *h, const char *name,
                              const char *value);

/* kc_headers_set replaces all fields of that name by one. */
KC_CHECKED int kc_headers_set(struct kc_headers *h, const char *name,
                              const char *value);

/* kc_headers_get returns the first value, or NULL; any case. Borrowed. */
const char *kc_headers_get(const struct kc_headers *h, const char *name);

#endif
