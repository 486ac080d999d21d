/* A block is unpacked to the length that was told, or refused; what is unpacked
 * of a text that is packed as plain bytes is that text. */
#include "fuzz/fuzz.h"
#include "util/lz4.h"

static void decode_any(const uint8_t *data, size_t n)
{
    size_t len = (size_t)(data[0] | data[1] << 8);
    char *out = malloc(len ? len : 1);
    if (!out)
        return;
    int err = kc_lz4_decode(data + 2, n - 2, out, len);
    if ((err && err != KC_ECORRUPT) || (!err && n == 2))
        abort(); /* no bytes are no block */
    free(out);
}

static void decode_plain(const uint8_t *data, size_t n)
{
    unsigned char *block = malloc(n + n / 255 + 2);
    char *out = malloc(n);
    size_t size = 0;
    if (block && out) {
        block[size++] = (unsigned char)((n < 15 ? n : 15) << 4);
        if (n >= 15) {
            size_t rest = n - 15;
            for (; rest >= 255; rest -= 255)
                block[size++] = 255;
            block[size++] = (unsigned char)rest;
        }
        memcpy(block + size, data, n);
        size += n;
        if (kc_lz4_decode(block, size, out, n) != KC_OK || memcmp(out, data, n))
            abort();
        if (kc_lz4_decode(block, size, out, n - 1) == KC_OK)
            abort();
    }
    free(block);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    decode_any(data, n);
    decode_plain(data, n);
    return 0;
}
