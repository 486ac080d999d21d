/* template.h -- `{api_key}` and `{param}` filled in, out of any script's sight.
 */
#ifndef KC_RUNTIME_TEMPLATE_H
#define KC_RUNTIME_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/pool.h"
#include "util/buf.h"
#include "util/err.h"

struct kc_template {
    struct kc_pool *pool; /* NULL: nothing is filled in */
    uint32_t key;
    bool secret; /* `{api_key}` may be filled in */
    bool escape; /* for a URL: percent-escape what is filled in */
};

/* kc_template_fill appends `text` with each `{name}` replaced by the key's
 * parameter of that name; what names no parameter stays as it is. The caller
 * wipes `out` where `secret` is set. */
KC_CHECKED int kc_template_fill(const struct kc_template *t, const char *text,
                                struct kc_buf *out);

#endif
