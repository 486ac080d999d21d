/* lz4.h -- reads blocks of the LZ4 format (lz4_Block_format.md by its authors).
 *
 * Only what the embedded texts need; they are packed by src/host/txt2c.c. Pure.
 */
#ifndef KC_UTIL_LZ4_H
#define KC_UTIL_LZ4_H

#include <stddef.h>

#include "util/err.h"

/* kc_lz4_decode unpacks the `size` bytes of one block at `in` into exactly
 * `len` bytes at `out`. KC_ECORRUPT for anything else than a block of that
 * many bytes: nothing is read or written outside of both, and what `out` holds
 * then has no meaning. */
KC_CHECKED int kc_lz4_decode(const unsigned char *in, size_t size, char *out,
                             size_t len);

#endif
