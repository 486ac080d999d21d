/* side.c -- see side.h. */
#include "engine/side.h"

#include <stdlib.h>

#include "util/num.h"

struct units {
    uint64_t n[KC_UNITS];
};

/* A request in the units of a side. */
static struct units units_of(const struct kc_side *s, uint64_t requests,
                             struct kc_cost cost)
{
    if (!s->parts)
        return (struct units){{requests, cost.tokens}};
    uint64_t input = kc_least(cost.input, cost.tokens);
    return (struct units){{input, cost.tokens - input}};
}

int kc_side_new(uint64_t span_ms, bool parts, struct kc_side **out)
{
    struct kc_side *s = calloc(1, sizeof *s);
    uint32_t bound = kc_ring_bound(span_ms);
    int err = s ? kc_ring_init(&s->ring, span_ms, bound) : KC_ENOMEM;
    if (err != KC_OK) {
        free(s);
        s = NULL;
    } else {
        s->parts = parts;
    }
    *out = s;
    return err;
}

void kc_side_free(struct kc_side *s)
{
    if (!s)
        return;
    kc_ring_deinit(&s->ring);
    free(s);
}

struct kc_side *kc_side_find(struct kc_side *list, uint64_t span_ms, bool parts)
{
    while (list && (list->ring.span_ms != span_ms || list->parts != parts))
        list = list->next;
    return list;
}

static void check_unit(const struct kc_side *s, int u,
                       const struct kc_side_limit *limit, uint64_t cost,
                       bool idle, struct kc_block *b)
{
    uint64_t max = limit->max[u];
    int err = KC_ELIMITED;
    uint64_t at = KC_NEVER;
    if (max == KC_UNLIMITED)
        return;
    if (max == 0 || cost > max) {
        err = KC_EIMPOSSIBLE;
    } else if (s) {
        uint64_t sum = s->ring.sum[u], held = s->held[u], room = max - cost;
        if (idle) {
            sum -= kc_least(sum, s->unsettled[u]);
            held = 0;
        }
        if (held <= room && sum <= room - held)
            return;
        if (held <= room)
            at = kc_ring_free_at(&s->ring, (enum kc_unit)u,
                                 sum - (room - held));
    } else {
        return;
    }
    if (kc_block_add(b, err, at, kc_side_limit_name(limit, u), max))
        b->span_ms = limit->span_ms;
}

void kc_side_check(struct kc_side *s, uint64_t now_ms,
                   const struct kc_side_limit *limit, struct kc_cost cost,
                   bool idle, struct kc_block *b)
{
    struct kc_side kind = {.parts = limit->parts};
    struct units n = units_of(&kind, 1, cost);
    if (s)
        kc_ring_drop(&s->ring, now_ms);
    for (int u = 0; u < KC_UNITS; u++)
        check_unit(s, u, limit, n.n[u], idle, b);
}

static void add(struct kc_side *s, uint64_t now_ms, struct units n)
{
    if (n.n[0] == 0 && n.n[1] == 0)
        return;
    kc_ring_drop(&s->ring, now_ms);
    kc_ring_add(&s->ring, now_ms + 1, n.n[0], n.n[1]);
}

void kc_side_carry(struct kc_side *s, bool stamped, struct kc_cost cost)
{
    struct units n = units_of(s, 1, cost);
    uint64_t *to = stamped ? s->unsettled : s->held;
    for (int u = 0; u < KC_UNITS; u++)
        to[u] += n.n[u];
}

void kc_side_carry_others(struct kc_side *s, bool back,
                          const struct kc_held *held)
{
    struct kc_cost cost = {.tokens = held->tokens, .input = held->input};
    struct units n = units_of(s, held->requests, cost);
    for (int u = 0; u < KC_UNITS; u++)
        s->held[u] += back ? 0 - n.n[u] : n.n[u]; /* wraps as meant */
}

void kc_side_stamp(struct kc_side *s, uint64_t now_ms, struct kc_cost cost)
{
    struct units n = units_of(s, 1, cost);
    for (int u = 0; u < KC_UNITS; u++) {
        s->held[u] -= n.n[u];
        s->unsettled[u] += n.n[u];
    }
    add(s, now_ms, n);
}

void kc_side_settle(struct kc_side *s, uint64_t now_ms, uint64_t stamp_ms,
                    struct kc_cost reserved, uint64_t requests,
                    struct kc_cost truth)
{
    struct units had = units_of(s, 1, reserved);
    struct units is = units_of(s, requests, truth);
    struct units back, more;
    uint64_t *in = stamp_ms ? s->unsettled : s->held;
    for (int u = 0; u < KC_UNITS; u++) {
        in[u] -= had.n[u];
        back.n[u] = had.n[u] - kc_least(had.n[u], is.n[u]);
        more.n[u] = is.n[u] - kc_least(had.n[u], is.n[u]);
    }
    if (stamp_ms == 0) {
        add(s, now_ms, is);
        return;
    }
    if (stamp_ms + s->ring.span_ms > now_ms) /* as the meter's */
        kc_ring_refund(&s->ring, stamp_ms, back.n[0], back.n[1]);
    add(s, now_ms, more);
}

void kc_side_clamp(struct kc_side *s, uint64_t now_ms, int unit,
                   uint64_t total)
{
    struct units lack = {{0, 0}};
    kc_ring_drop(&s->ring, now_ms);
    uint64_t own = kc_add_capped(s->ring.sum[unit], s->held[unit]);
    lack.n[unit] = total - kc_least(total, own);
    add(s, now_ms, lack);
}

void kc_side_book_at(struct kc_side *s, uint64_t now_ms, uint64_t at_ms,
                     uint64_t requests, struct kc_cost cost)
{
    struct units n = units_of(s, requests, cost);
    kc_ring_drop(&s->ring, now_ms);
    if ((n.n[0] > 0 || n.n[1] > 0) && at_ms + s->ring.span_ms > now_ms)
        kc_ring_add(&s->ring, at_ms, n.n[0], n.n[1]);
}

void kc_side_book(struct kc_side *s, uint64_t now_ms,
                  const struct kc_ring *from)
{
    kc_ring_merge(&s->ring, from, s->parts);
    kc_ring_drop(&s->ring, now_ms);
}
