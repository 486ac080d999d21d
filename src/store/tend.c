/* tend.c -- what keeps the store small: sums of spans that are over. */
#include "store/store_impl.h"

#define MINUTE_MS UINT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

static const struct {
    uint64_t span_ms, after_ms;
} levels[KC_LEVELS] = {
    {MINUTE_MS, 2 * MINUTE_MS}, {HOUR_MS, 2 * HOUR_MS}, {DAY_MS, 50 * HOUR_MS}};

void kc_store_note_span(struct kc_store *s, uint64_t start_ms, uint64_t span_ms)
{
    for (int i = 0; i < KC_LEVELS; i++) {
        if (span_ms >= levels[i].span_ms)
            continue;
        if (start_ms < s->from_ms[i])
            s->from_ms[i] = start_ms;
        if (start_ms >= s->to_ms[i])
            s->to_ms[i] = start_ms + 1;
        return;
    }
}
