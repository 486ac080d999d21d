/* hub_fixture.h -- ledgers that share a pool, each with a runtime of its own.
 */
#ifndef KC_TESTS_HUB_FIXTURE_H
#define KC_TESTS_HUB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "runtime/ledger.h"

struct state { /* what one thread has */
    struct kc_runtime *rt;
    struct kc_ledger *ledger;
};

/* What all of a test have alike: 3 keys, and one limit of each. */
struct setup {
    uint64_t per_day, concurrent;
};

static const struct setup one_at_once = {.per_day = KC_UNLIMITED,
                                         .concurrent = 1};

/* Aborts, rather than fails: it may run in any thread. */
static inline void must(int err)
{
    if (err != KC_OK) {
        fprintf(stderr, "failed: %s\n", kc_err_name(err));
        abort();
    }
}

static inline struct kc_limits limits_of(const struct setup *s)
{
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.max[KC_DAY][KC_REQUESTS] = s->per_day;
    l.concurrent = s->concurrent;
    return l;
}

/* A ledger that is complete, and private. */
static inline struct state open_private(const struct setup *setup)
{
    struct kc_pool_config config = {
        .max_waiters = 1000, .max_lease_ms = 600000, .seed = 1};
    struct kc_limits limits = limits_of(setup);
    struct state s;
    must(kc_runtime_new(&s.rt));
    must(kc_ledger_new(s.rt, "test", &config, NULL, &s.ledger));
    struct kc_pool *pool = kc_ledger_pool(s.ledger);
    uint64_t now = kc_ledger_now(s.ledger);
    for (int i = 1; i <= 3; i++) {
        char secret[32];
        uint32_t index;
        snprintf(secret, sizeof secret, "sk-test-%04d-key-%04d", 7 * i, i);
        struct kc_key_config key = {.secret = secret};
        must(kc_pool_add_key(pool, now, &key, &index));
    }
    must(kc_pool_set_limits(pool, now, 0, NULL, &limits));
    return s;
}

static inline struct state open_shared(const struct setup *setup,
                                       const char *name)
{
    struct state s = open_private(setup);
    must(kc_ledger_share(s.ledger, name, false));
    return s;
}

static inline void close_state(struct state *s)
{
    if (s->ledger)
        kc_ledger_close(s->ledger);
    kc_ledger_unref(s->ledger);
    kc_runtime_unref(s->rt);
    *s = (struct state){NULL, NULL};
}

static inline struct kc_snapshot counts_of(const struct state *s)
{
    struct kc_snapshot c;
    must(kc_pool_snapshot(kc_ledger_pool(s->ledger), kc_ledger_now(s->ledger),
                          0, NULL, &c));
    return c;
}

/* A lease that must be given. */
static inline void take(const struct state *s, struct kc_lease *lease)
{
    struct kc_request r = {.model = "m"};
    struct kc_refusal refusal;
    must(kc_lease_acquire(s->ledger, &r, lease, &refusal));
}

/* A wait that must begin. */
static inline void await(const struct state *s, struct kc_wait *wait,
                         int priority, uint64_t timeout_ms)
{
    struct kc_request r = {.model = "m"};
    struct kc_refusal refusal;
    must(kc_wait_init(wait, s->ledger, &r, priority, timeout_ms, &refusal));
}

static inline void give_back(struct kc_lease *lease)
{
    must(kc_lease_settle(lease, KC_NOT_SENT, NULL));
    kc_lease_deinit(lease);
}

/* Whether the state's loop has something to do; does it. */
static inline bool step(const struct state *s)
{
    must(kc_runtime_step(s->rt, 0, -1));
    return kc_runtime_next_ready(s->rt) != 0;
}

#endif
