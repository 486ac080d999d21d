/* split.c -- see split.h. */
#include "engine/split.h"

#include <stdlib.h>

#include "util/num.h"

#define BOUND 32

bool kc_split_wanted(const struct kc_limits *limits)
{
    return limits->minute_input != KC_UNLIMITED ||
           limits->minute_output != KC_UNLIMITED;
}

int kc_split_need(struct kc_split **s)
{
    if (*s)
        return KC_OK;
    struct kc_split *made = calloc(1, sizeof *made);
    int err = made ? kc_ring_init(&made->ring, kc_window_ms(KC_MINUTE), BOUND)
                   : KC_ENOMEM;
    if (err != KC_OK) {
        free(made);
        return err;
    }
    *s = made;
    return KC_OK;
}

void kc_split_free(struct kc_split *s)
{
    if (!s)
        return;
    kc_ring_deinit(&s->ring);
    free(s);
}

static void check_part(const struct kc_split *s, enum kc_unit u, uint64_t limit,
                       uint64_t cost, uint64_t held, uint64_t open, bool idle,
                       struct kc_block *b)
{
    const char *name = u == KC_REQUESTS ? "input_tokens_per_minute"
                                        : "output_tokens_per_minute";
    if (limit == KC_UNLIMITED)
        return;
    if (limit == 0 || cost > limit) {
        kc_block_add(b, KC_EIMPOSSIBLE, KC_NEVER, name, limit);
        return;
    }
    if (!s)
        return;
    uint64_t sum = s->ring.sum[u];
    if (idle) {
        sum -= kc_least(sum, open);
        held = 0;
    }
    uint64_t room = limit - cost;
    if (held <= room && sum <= room - held)
        return;
    uint64_t at = KC_NEVER;
    if (held <= room)
        at = kc_ring_free_at(&s->ring, u, sum - (room - held));
    kc_block_add(b, KC_ELIMITED, at, name, limit);
}

void kc_split_check(struct kc_split *s, uint64_t now_ms,
                    const struct kc_limits *limits, struct kc_parts cost,
                    bool idle, struct kc_block *b)
{
    struct kc_parts held = {0}, open = {0};
    if (s) {
        kc_ring_drop(&s->ring, now_ms);
        held = s->held;
        open = s->open;
    }
    check_part(s, KC_REQUESTS, limits->minute_input, cost.input, held.input,
               open.input, idle, b);
    check_part(s, KC_TOKENS, limits->minute_output, cost.output, held.output,
               open.output, idle, b);
}

static void add(struct kc_split *s, uint64_t now_ms, struct kc_parts p)
{
    if (p.input == 0 && p.output == 0)
        return;
    kc_ring_drop(&s->ring, now_ms);
    kc_ring_add(&s->ring, now_ms + 1, p.input, p.output);
}

void kc_split_hold(struct kc_split *s, struct kc_parts cost)
{
    s->held.input += cost.input;
    s->held.output += cost.output;
}

void kc_split_stamp(struct kc_split *s, uint64_t now_ms, struct kc_parts cost)
{
    s->held.input -= cost.input;
    s->held.output -= cost.output;
    s->open.input += cost.input;
    s->open.output += cost.output;
    add(s, now_ms, cost);
}

void kc_split_settle(struct kc_split *s, uint64_t now_ms, uint64_t stamp_ms,
                     struct kc_parts reserved, struct kc_parts truth)
{
    if (stamp_ms == 0) {
        s->held.input -= reserved.input;
        s->held.output -= reserved.output;
        add(s, now_ms, truth);
        return;
    }
    s->open.input -= reserved.input;
    s->open.output -= reserved.output;
    struct kc_parts kept = {
        .input = kc_least(reserved.input, truth.input),
        .output = kc_least(reserved.output, truth.output),
    };
    struct kc_parts more = {
        .input = truth.input - kept.input,
        .output = truth.output - kept.output,
    };
    kc_ring_refund(&s->ring, stamp_ms, reserved.input - kept.input,
                   reserved.output - kept.output);
    add(s, now_ms, more);
}

void kc_split_move(struct kc_split *to, struct kc_split *from)
{
    kc_ring_merge(&to->ring, &from->ring);
    kc_split_hold(to, from->held);
    to->open.input += from->open.input;
    to->open.output += from->open.output;
    from->held = from->open = (struct kc_parts){0};
}
