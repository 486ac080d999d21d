/* cpool_fixture.h -- pools of keycycle.h, for their tests.
 */
#ifndef KC_TESTS_CPOOL_FIXTURE_H
#define KC_TESTS_CPOOL_FIXTURE_H

#include "unit/runtime/hub_fixture.h"

#include "keycycle.h"

static inline void add_keys(struct keycycle_pool *p, int n)
{
    for (int i = 1; i <= n; i++) {
        char secret[40];
        unsigned index;
        snprintf(secret, sizeof secret, "sk-test-%04d-key-%04d", 7 * i, i);
        struct keycycle_key key = {.api_key = secret};
        must(keycycle_pool_add_key(p, &key, &index));
        if (index != (unsigned)i)
            abort();
    }
}

/* As hub_fixture.h's ledgers. */
static inline struct keycycle_pool *
open_pool(const char *name, uint64_t per_day, uint64_t concurrent)
{
    struct keycycle_pool_options options = {
        .name = name, .provider = "test", .max_waiters = 1000};
    struct keycycle_limits limits;
    struct keycycle_pool *p;
    must(keycycle_pool_open(&options, &p));
    add_keys(p, 3);
    keycycle_limits_init(&limits);
    limits.requests_per_day = per_day;
    limits.concurrent_requests = concurrent;
    must(keycycle_pool_set_limits(p, 0, NULL, &limits));
    return p;
}

static inline struct keycycle_stats stats(struct keycycle_pool *p)
{
    struct keycycle_stats s;
    must(keycycle_pool_stats(p, 0, NULL, &s));
    return s;
}

static inline struct keycycle_lease acquire(struct keycycle_pool *p)
{
    struct keycycle_request r = {.model = "m"};
    struct keycycle_lease lease;
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    return lease;
}

#endif
