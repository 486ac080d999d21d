/* fixture.h -- pools, keys and requests for the tests of the engine. */
#ifndef KC_TEST_ENGINE_FIXTURE_H
#define KC_TEST_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/pool.h"

#define MINUTE UINT64_C(60000)
#define HOUR UINT64_C(3600000)
#define DAY UINT64_C(86400000)
#define T0 UINT64_C(1700000000000)

static inline struct kc_pool *a_pool(enum kc_strategy strategy,
                                     enum kc_selection selection)
{
    struct kc_pool_config c = {.strategy = strategy,
                               .selection = selection,
                               .max_waiters = 8,
                               .max_lease_ms = 600000,
                               .seed = 1};
    struct kc_pool *p;
    assert_int_equal(kc_pool_new(&c, &p), KC_OK);
    return p;
}

static inline uint32_t add_key(struct kc_pool *p, int number, int priority)
{
    char secret[32];
    snprintf(secret, sizeof secret, "sk-test-key-number-%04d", number);
    struct kc_key_config k = {.secret = secret, .priority = priority};
    uint32_t index;
    assert_int_equal(kc_pool_add_key(p, T0, &k, &index), KC_OK);
    return index;
}

/* A pool of `n` keys, limits for each model. */
static inline struct kc_pool *pool_of(int n)
{
    struct kc_pool *p = a_pool(KC_PER_MODEL, KC_ROUND_ROBIN);
    for (int i = 1; i <= n; i++)
        add_key(p, i, 0);
    return p;
}

static inline void limit(struct kc_pool *p, uint32_t key, const char *model,
                         uint64_t rpm, uint64_t tpm)
{
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.max[KC_MINUTE][KC_REQUESTS] = rpm;
    l.max[KC_MINUTE][KC_TOKENS] = tpm;
    assert_int_equal(kc_pool_set_limits(p, T0, key, model, &l), KC_OK);
}

static inline struct kc_request ask(const char *model, uint64_t tokens)
{
    return (struct kc_request){.model = model, .tokens = tokens};
}

/* Acquires or fails the test. */
static inline struct kc_grant take(struct kc_pool *p, uint64_t now,
                                   const char *model, uint64_t tokens)
{
    struct kc_request r = ask(model, tokens);
    struct kc_grant g;
    struct kc_refusal no;
    assert_int_equal(kc_pool_acquire(p, now, &r, &g, &no), KC_OK);
    return g;
}

/* Is refused with `err`, or fails the test. */
static inline struct kc_refusal refused(struct kc_pool *p, uint64_t now,
                                        const char *model, uint64_t tokens,
                                        int err)
{
    struct kc_request r = ask(model, tokens);
    struct kc_grant g;
    struct kc_refusal no;
    assert_int_equal(kc_pool_acquire(p, now, &r, &g, &no), err);
    return no;
}

static inline void settle(struct kc_pool *p, uint64_t now, struct kc_grant g,
                          enum kc_outcome outcome)
{
    assert_int_equal(kc_pool_settle(p, now, g.lease, outcome, NULL), KC_OK);
}

static inline void done(struct kc_pool *p, uint64_t now, struct kc_grant g,
                        uint64_t tokens)
{
    struct kc_usage u = {.total = tokens};
    assert_int_equal(kc_pool_settle(p, now, g.lease, KC_DONE, &u), KC_OK);
}

static inline struct kc_snapshot look(struct kc_pool *p, uint64_t now,
                                      uint32_t key, const char *model)
{
    struct kc_snapshot s;
    assert_int_equal(kc_pool_snapshot(p, now, key, model, &s), KC_OK);
    return s;
}

static inline struct kc_key_info info(struct kc_pool *p, uint64_t now,
                                      uint32_t key, const char *model)
{
    struct kc_key_info i;
    assert_int_equal(kc_pool_key_info(p, now, key, model, &i), KC_OK);
    return i;
}

#endif
