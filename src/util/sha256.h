/* sha256.h -- SHA-256 (FIPS 180-4) of one block of bytes.
 *
 * For names of keys in a store. Not constant-time, not for passwords.
 */
#ifndef KC_UTIL_SHA256_H
#define KC_UTIL_SHA256_H

#include <stddef.h>
#include <stdint.h>

void kc_sha256(const void *data, size_t len, uint8_t out[32]);

#endif
