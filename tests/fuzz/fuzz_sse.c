/* Events are the same whole and in pieces, and hold no line break of CR. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "net/sse.h"
#include "util/buf.h"

#define MAX_BYTES 4096

static int keep(void *ctx, const struct kc_sse_event *event)
{
    struct kc_buf *out = ctx;
    size_t type = strlen(event->type) + 1;
    if (event->data[event->len] != '\0' || memchr(event->data, '\r', event->len))
        abort();
    int err = kc_buf_add(out, event->type, type);
    if (!err)
        err = kc_buf_add(out, &event->len, sizeof event->len);
    if (!err)
        err = kc_buf_add(out, event->data, event->len);
    return err;
}

/* Feeds `data` in pieces of 1 to `most` bytes, chosen by its own bytes. */
static int read_events(const uint8_t *data, size_t n, size_t most,
                       struct kc_buf *out)
{
    struct kc_sse s;
    int err = KC_OK;
    kc_sse_init(&s, MAX_BYTES);
    for (size_t at = 0; at < n && !err;) {
        size_t piece = 1 + data[at] % most;
        if (piece > n - at)
            piece = n - at;
        err = kc_sse_feed(&s, data + at, piece, keep, out);
        at += piece;
    }
    if (!err)
        err = kc_sse_finish(&s, keep, out);
    kc_sse_deinit(&s);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct kc_buf whole, pieces, bytes;
    kc_buf_init(&whole, 1 << 20);
    kc_buf_init(&pieces, 1 << 20);
    kc_buf_init(&bytes, 1 << 20);
    struct kc_sse s;
    kc_sse_init(&s, MAX_BYTES);
    int err = kc_sse_feed(&s, data, n, keep, &whole);
    if (!err)
        err = kc_sse_finish(&s, keep, &whole);
    kc_sse_deinit(&s);
    int in_pieces = read_events(data, n, 7, &pieces);
    int in_bytes = read_events(data, n, 1, &bytes);
    if (err != in_pieces || err != in_bytes)
        abort();
    if (whole.len != pieces.len || whole.len != bytes.len)
        abort();
    if (whole.len && (memcmp(whole.data, pieces.data, whole.len) ||
                      memcmp(whole.data, bytes.data, whole.len)))
        abort();
    kc_buf_deinit(&whole);
    kc_buf_deinit(&pieces);
    kc_buf_deinit(&bytes);
    return 0;
}
