/* pool_fixture.h -- pools for the tests of pools. */
#ifndef KC_TESTS_POOL_FIXTURE_H
#define KC_TESTS_POOL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "engine/pool.h"
#include "engine/pool_store.h"

#define START_MS UINT64_C(1767225600000) /* 2026-01-01 */
#define SECOND_MS UINT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

static inline struct kc_pool *new_pool(enum kc_strategy strategy,
                                       enum kc_selection selection, int keys)
{
    struct kc_pool_config config = {.strategy = strategy,
                                    .selection = selection,
                                    .max_waiters = 100,
                                    .max_lease_ms = 10 * MINUTE_MS,
                                    .seed = 1};
    struct kc_pool *p;
    assert_int_equal(kc_pool_new(&config, &p), KC_OK);
    for (int i = 1; i <= keys; i++) {
        char secret[40];
        uint32_t index;
        snprintf(secret, sizeof secret, "sk-test-%04d-key-%04d", 7 * i, i);
        struct kc_key_config key = {.secret = secret};
        assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
        assert_int_equal(index, i);
    }
    return p;
}

static inline void limit(struct kc_pool *p, enum kc_window w, enum kc_unit u,
                         uint64_t max)
{
    struct kc_limits l;
    assert_int_equal(kc_pool_get_limits(p, 0, NULL, &l), KC_OK);
    l.max[w][u] = max;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, &l), KC_OK);
}

static inline int acquire(struct kc_pool *p, uint64_t now, const char *model,
                          uint64_t tokens, struct kc_grant *g,
                          struct kc_refusal *r)
{
    struct kc_request request = {.model = model, .tokens = tokens};
    return kc_pool_acquire(p, now, &request, g, r);
}

/* A grant that must be given; returns the key. */
static inline uint32_t granted(struct kc_pool *p, uint64_t now,
                               const char *model, uint64_t tokens,
                               struct kc_grant *g)
{
    struct kc_refusal r;
    assert_int_equal(acquire(p, now, model, tokens, g, &r), KC_OK);
    return g->key;
}

/* A whole call at one instant. */
/* A lease of "m", which is granted. */
static inline uint64_t lease(struct kc_pool *p, uint64_t now, uint64_t tokens,
                             uint64_t input)
{
    struct kc_request r = {.model = "m", .tokens = tokens, .input = input};
    struct kc_grant g;
    assert_int_equal(kc_pool_acquire(p, now, &r, &g, NULL), KC_OK);
    return g.lease;
}

static inline void use(struct kc_pool *p, uint64_t now, const char *model,
                       uint64_t tokens)
{
    struct kc_grant g;
    granted(p, now, model, tokens, &g);
    kc_pool_stamp(p, now, g.lease);
    assert_int_equal(kc_pool_settle(p, now, g.lease, KC_DONE, NULL), KC_OK);
}

/* Has a pool remember what a store would tell of a key. */
static inline int restore(struct kc_pool *p, uint64_t now, const char *hash,
                          const char *model, uint64_t at_ms, uint64_t requests,
                          uint64_t tokens)
{
    struct kc_used used = {.counted = requests, .counted_tokens = tokens};
    kc_pool_begin_restore(p);
    int err = kc_pool_take_use(p, now, KC_PAST, hash, model, at_ms, &used);
    if (err == KC_OK)
        err = kc_pool_take_total(p, now, KC_PAST, hash, model, requests,
                                 tokens);
    kc_pool_end_restore(p, false);
    return err;
}

static inline struct kc_snapshot counts(struct kc_pool *p, uint64_t now,
                                        uint32_t key, const char *model)
{
    struct kc_snapshot s;
    assert_int_equal(kc_pool_snapshot(p, now, key, model, &s), KC_OK);
    return s;
}

#endif
