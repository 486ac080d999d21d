/* kept_rows.h -- the rows of one writer, as a store would keep them. */
#ifndef KC_TESTS_KEPT_ROWS_H
#define KC_TESTS_KEPT_ROWS_H

#include "unit/engine/pool_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "engine/pool_store.h"

#define SUMS_MAX 64

struct kept_rows {
    struct kc_use_news *uses; /* by tally and start */
    size_t len, cap;
    struct kc_use_news sums[SUMS_MAX]; /* by tally */
    size_t sum_len;
};

static inline struct kc_use_news *rows_use(struct kept_rows *r,
                                           const struct kc_use_news *n)
{
    for (size_t i = r->len; i-- > 0;)
        if (r->uses[i].tally == n->tally && r->uses[i].start_ms == n->start_ms)
            return &r->uses[i];
    if (r->len == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->uses = realloc(r->uses, r->cap * sizeof *r->uses);
        assert_non_null(r->uses);
    }
    r->uses[r->len] = *n;
    return &r->uses[r->len++];
}

static inline struct kc_use_news *rows_sum(struct kept_rows *r,
                                           const struct kc_use_news *n)
{
    for (size_t i = 0; i < r->sum_len; i++)
        if (r->sums[i].tally == n->tally)
            return &r->sums[i];
    assert_true(r->sum_len < SUMS_MAX);
    r->sums[r->sum_len] = (struct kc_use_news){.tally = n->tally};
    return &r->sums[r->sum_len++];
}

static inline void rows_write(struct kept_rows *r, const struct kc_use_news *n)
{
    *rows_sum(r, n) = *n;
    if (n->span_ms == 0)
        return;
    struct kc_use_news *row = rows_use(r, n);
    assert_int_equal(row->span_ms, n->span_ms);
    assert_true(n->used.requests >= row->used.requests);
    *row = *n;
}

/* Writes what is new in a pool. */
static inline void rows_flush(struct kept_rows *r, struct kc_pool *p,
                              uint64_t now)
{
    struct kc_use_news news[16];
    while (kc_pool_unwritten(p) > 0) {
        size_t n = kc_pool_collect(p, now, news, 16);
        for (size_t i = 0; i < n; i++)
            rows_write(r, &news[i]);
        kc_pool_collected(p, news, n, KC_NEWS_WRITTEN);
    }
}

static inline int by_last(const void *a, const void *b)
{
    uint64_t x = ((const struct kc_use_news *)a)->last_ms;
    uint64_t y = ((const struct kc_use_news *)b)->last_ms;
    return x < y ? -1 : x > y;
}

/* Has a pool remember all of it; what was held when the writer was seen last is
 * taken for sent. */
static inline void rows_restore(struct kept_rows *r, struct kc_pool *p,
                                uint64_t now, uint64_t seen_ms)
{
    uint64_t lost_ms = seen_ms + KC_GUARD_MS;
    kc_pool_begin_restore(p);
    if (r->len > 0)
        qsort(r->uses, r->len, sizeof *r->uses, by_last);
    for (size_t i = 0; i < r->len; i++) {
        const struct kc_use_news *n = &r->uses[i];
        assert_int_equal(kc_pool_take_use(p, now, KC_PAST, n->key, n->model,
                                          n->last_ms, &n->used),
                         KC_OK);
    }
    for (size_t i = 0; i < r->sum_len; i++) {
        const struct kc_use_news *n = &r->sums[i];
        struct kc_used lost = {.counted = n->held.requests,
                               .counted_tokens = n->held.tokens,
                               .counted_input = n->held.input};
        assert_int_equal(kc_pool_take_use(p, now, KC_PAST, n->key, n->model,
                                          lost_ms < now ? lost_ms : now, &lost),
                         KC_OK);
        assert_int_equal(
            kc_pool_take_total(p, now, KC_PAST, n->key, n->model,
                               n->sum.requests + n->held.requests,
                               n->sum.total + n->held.tokens),
            KC_OK);
    }
    kc_pool_end_restore(p, true);
}

#endif
