/* fuzz.h -- what every target defines: libFuzzer calls it with bytes; it aborts
 * when a promise is broken, and returns 0.
 */
#ifndef KC_TESTS_FUZZ_H
#define KC_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#endif
