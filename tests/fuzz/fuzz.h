/* fuzz.h -- what every target defines: libFuzzer calls it with bytes; it aborts
 * when a promise is broken, and returns 0.
 */
#ifndef KC_TESTS_FUZZ_H
#define KC_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* fuzz_text returns the bytes with a NUL behind them, for free(); or NULL. */
static inline char *fuzz_text(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);
    if (!text)
        return NULL;
    if (n)
        memcpy(text, data, n);
    text[n] = '\0';
    return text;
}

#endif
