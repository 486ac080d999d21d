/* ring.c -- a bounded log of use; see ring.h. */
#include "engine/ring.h"

#include <stdlib.h>

#include "util/num.h"

static struct kc_ring_entry *entry(const struct kc_ring *r, uint32_t i)
{
    return &r->entries[(r->head + i) & (r->cap - 1)];
}

static uint64_t entry_ms(const struct kc_ring *r, uint32_t i)
{
    return r->base_ms + entry(r, i)->tick;
}

/* Takes the oldest entry's place away. */
static void pop(struct kc_ring *r)
{
    r->head = (uint8_t)((r->head + 1) & (r->cap - 1));
    r->len--;
}

int kc_ring_init(struct kc_ring *r, uint64_t span_ms, uint32_t bound)
{
    *r = (struct kc_ring){.cap = KC_RING_START,
                          .bound = (uint8_t)bound,
                          .span_ms = (uint32_t)span_ms};
    r->entries = malloc(KC_RING_START * sizeof *r->entries);
    return r->entries ? KC_OK : KC_ENOMEM;
}

void kc_ring_deinit(struct kc_ring *r)
{
    free(r->entries);
    r->entries = NULL;
    r->len = 0;
}

void kc_ring_drop(struct kc_ring *r, uint64_t now_ms)
{
    while (r->len > 0 && entry_ms(r, 0) + r->span_ms <= now_ms) {
        const struct kc_ring_entry *e = entry(r, 0);
        r->sum[KC_REQUESTS] -= e->requests;
        r->sum[KC_TOKENS] -= e->tokens;
        r->gone = e->tick;
        pop(r);
    }
}

uint64_t kc_ring_newest(const struct kc_ring *r)
{
    return r->len > 0 ? entry_ms(r, r->len - 1u) : 0;
}

uint64_t kc_ring_expiry(const struct kc_ring *r)
{
    return r->len > 0 ? entry_ms(r, 0) + r->span_ms : KC_NEVER;
}

static bool grow(struct kc_ring *r)
{
    if (r->cap >= r->bound)
        return false;
    uint8_t cap = (uint8_t)(r->cap * 2);
    struct kc_ring_entry *entries = malloc(cap * sizeof *entries);
    if (!entries)
        return false;
    for (uint32_t i = 0; i < r->len; i++)
        entries[i] = *entry(r, i);
    free(r->entries);
    r->entries = entries;
    r->cap = cap;
    r->head = 0;
    return true;
}

/* Books on one entry. What no longer fits the counters is left out of the sum
 * too, so that the sum stays the total of the entries. */
static void charge(struct kc_ring *r, struct kc_ring_entry *e,
                   uint64_t requests, uint64_t tokens)
{
    uint64_t room = UINT32_MAX - e->requests;
    uint64_t token_room = UINT64_MAX - r->sum[KC_TOKENS];
    if (requests > room)
        requests = room;
    if (tokens > token_room)
        tokens = token_room;
    e->requests += (uint32_t)requests;
    e->tokens += tokens;
    r->sum[KC_REQUESTS] += requests;
    r->sum[KC_TOKENS] += tokens;
}

/* The older weight joins the newer entry of the pair whose units lie in the
 * shortest stretch of time: (tick before the pair, newer tick]. What came
 * before the very first entry is not known. */
static void fuse(struct kc_ring *r)
{
    uint32_t best = 0;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = r->gone ? 0 : 1; i + 1 < r->len; i++) {
        uint32_t before = i > 0 ? entry(r, i - 1)->tick : r->gone;
        uint32_t stretch = entry(r, i + 1)->tick - before;
        if (stretch < least) {
            least = stretch;
            best = i;
        }
    }
    struct kc_ring_entry old = *entry(r, best);
    r->sum[KC_REQUESTS] -= old.requests;
    r->sum[KC_TOKENS] -= old.tokens;
    charge(r, entry(r, best + 1), old.requests, old.tokens);
    for (uint32_t i = best; i > 0; i--)
        *entry(r, i) = *entry(r, i - 1);
    pop(r);
}

static struct kc_ring_entry *push(struct kc_ring *r, uint32_t first,
                                  uint32_t tick)
{
    struct kc_ring_entry *e = entry(r, r->len++);
    *e = (struct kc_ring_entry){.tick = tick};
    r->opened = first;
    return e;
}

/* Moves the base up to the oldest entry, which is less than a span old. */
static void rebase(struct kc_ring *r)
{
    uint32_t shift = entry(r, 0)->tick - 1;
    for (uint32_t i = 0; i < r->len; i++)
        entry(r, i)->tick -= shift;
    r->opened = r->opened > shift ? r->opened - shift : 0;
    r->gone = r->gone > shift ? r->gone - shift : 0;
    r->base_ms += shift;
}

static uint32_t tick_of(struct kc_ring *r, uint64_t stamp_ms)
{
    if (r->len > 0 && stamp_ms > r->base_ms &&
        stamp_ms - r->base_ms > UINT32_MAX) {
        kc_ring_drop(r, stamp_ms - 1);
        if (r->len > 0)
            rebase(r);
    }
    if (r->len == 0) {
        r->base_ms = stamp_ms - 1;
        r->gone = 0;
    } else if (stamp_ms <= entry_ms(r, r->len - 1u)) {
        return entry(r, r->len - 1u)->tick;
    }
    return (uint32_t)(stamp_ms - r->base_ms);
}

void kc_ring_add(struct kc_ring *r, uint64_t stamp_ms, uint64_t requests,
                 uint64_t tokens)
{
    kc_ring_add_run(r, stamp_ms, stamp_ms, requests, tokens);
}

void kc_ring_add_run(struct kc_ring *r, uint64_t first_ms, uint64_t last_ms,
                     uint64_t requests, uint64_t tokens)
{
    uint32_t tick = tick_of(r, last_ms);
    uint32_t first = tick - (uint32_t)kc_least(last_ms - first_ms, tick);
    struct kc_ring_entry *e;
    if (r->len > 0 && entry(r, r->len - 1u)->tick == tick) {
        e = entry(r, r->len - 1u);
    } else if (r->len < r->cap || grow(r)) {
        e = push(r, first, tick);
    } else if (tick - r->opened <= kc_ring_granule_ms(r)) {
        /* A full ring under load: the newest entry stays open for a granule,
         * so the search for a pair is not made for each request. */
        e = entry(r, r->len - 1u);
        e->tick = tick;
    } else {
        fuse(r);
        e = push(r, first, tick);
    }
    charge(r, e, requests, tokens);
}

void kc_ring_refund(struct kc_ring *r, uint64_t stamp_ms, uint64_t requests,
                    uint64_t tokens)
{
    /* Without this test a late refund would hit an entry that is newer. */
    if (r->len == 0 || stamp_ms <= r->base_ms + r->gone ||
        stamp_ms > entry_ms(r, r->len - 1u))
        return;
    uint32_t low = 0;
    uint32_t high = r->len - 1u;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (entry_ms(r, mid) < stamp_ms)
            low = mid + 1;
        else
            high = mid;
    }
    struct kc_ring_entry *e = entry(r, low);
    if (requests > e->requests)
        requests = e->requests;
    if (tokens > e->tokens)
        tokens = e->tokens;
    e->requests -= (uint32_t)requests;
    e->tokens -= tokens;
    r->sum[KC_REQUESTS] -= requests;
    r->sum[KC_TOKENS] -= tokens;
}

void kc_ring_merge(struct kc_ring *r, const struct kc_ring *from, bool twice)
{
    for (uint32_t i = 0; i < from->len; i++) {
        const struct kc_ring_entry *e = entry(from, i);
        kc_ring_add(r, entry_ms(from, i), twice ? e->tokens : e->requests,
                    e->tokens);
    }
}

void kc_ring_since(const struct kc_ring *r, uint64_t ms, uint64_t sum[KC_UNITS])
{
    for (uint32_t i = 0; i < r->len; i++) {
        const struct kc_ring_entry *e = entry(r, i);
        if (entry_ms(r, i) <= ms)
            continue;
        sum[KC_REQUESTS] += e->requests;
        sum[KC_TOKENS] += e->tokens;
    }
}

uint64_t kc_ring_free_at(const struct kc_ring *r, enum kc_unit u, uint64_t need)
{
    uint64_t left = 0;
    for (uint32_t i = 0; i < r->len; i++) {
        const struct kc_ring_entry *e = entry(r, i);
        left += u == KC_REQUESTS ? e->requests : e->tokens;
        if (left >= need)
            return entry_ms(r, i) + r->span_ms;
    }
    return KC_NEVER;
}
