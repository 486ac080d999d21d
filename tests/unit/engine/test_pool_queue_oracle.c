/* Random callers in the queue: each is served in order, on time, or told so; none
 * is forgotten. KEYCYCLE_STEPS sets how many steps are made in all.
 */
#include "unit/engine/pool_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "util/rng.h"

#define KEYS_MAX 12
#define MODELS 2
#define CALLERS 64
#define STEPS_A_WORLD 5000

static const char *const models[MODELS] = {"a", "b"};

enum phase { IDLE, QUEUED, SERVED };

struct caller {
    struct kc_waiter waiter;
    enum phase phase;
    uint64_t ticket; /* the order of coming */
};

struct world {
    struct kc_pool *pool;
    struct kc_rng rng;
    uint32_t keys;
    uint64_t now, tickets;
    struct caller callers[CALLERS];
    size_t queued, served, refused;
};

static uint64_t below(struct world *w, uint64_t n)
{
    return kc_rng_below(&w->rng, n);
}

/* Nobody of the same model, unpinned, may still wait who stands before `c`. */
static void check_order(const struct world *w, const struct caller *c)
{
    uint64_t mine =
        c->waiter.queued_ms + (uint64_t)c->waiter.priority * 10 * SECOND_MS;
    if (c->waiter.request.pin)
        return;
    for (int i = 0; i < CALLERS; i++) {
        const struct caller *o = &w->callers[i];
        if (o->phase != QUEUED || o->waiter.result != KC_EAGAIN ||
            o->waiter.request.pin ||
            o->waiter.request.model != c->waiter.request.model)
            continue;
        uint64_t theirs = o->waiter.queued_ms +
                          (uint64_t)o->waiter.priority * 10 * SECOND_MS;
        if (theirs < mine || (theirs == mine && o->ticket < c->ticket))
            fail_msg("served before one who came earlier");
    }
}

static void take_answer(struct world *w, struct caller *c)
{
    w->queued--;
    if (c->waiter.result == KC_OK) {
        check_order(w, c);
        assert_true(c->waiter.deadline_ms >= w->now);
        c->phase = SERVED;
        w->served++;
        return;
    }
    assert_true(c->waiter.result == KC_ELIMITED);
    assert_true(c->waiter.deadline_ms <= w->now);
    c->phase = IDLE;
    w->refused++;
}

static void pump(struct world *w)
{
    struct kc_waiter *next;
    for (struct kc_waiter *x = kc_pool_pump(w->pool, w->now); x; x = next) {
        next = x->next;
        take_answer(w, x->owner);
    }
    assert_int_equal(kc_pool_waiting(w->pool), w->queued);
    /* What could be done is done. */
    if (w->queued > 0)
        assert_true(kc_pool_next_deadline(w->pool, w->now) > w->now);
    else
        assert_true(kc_pool_next_deadline(w->pool, w->now) == KC_NEVER);
}

static struct caller *one_in(struct world *w, enum phase phase)
{
    size_t from = below(w, CALLERS);
    for (size_t i = 0; i < CALLERS; i++) {
        struct caller *c = &w->callers[(from + i) % CALLERS];
        if (c->phase == phase)
            return c;
    }
    return NULL;
}

static void come(struct world *w)
{
    struct caller *c = one_in(w, IDLE);
    if (!c)
        return;
    c->ticket = ++w->tickets;
    c->waiter = (struct kc_waiter){
        .request = {.model = models[below(w, MODELS)],
                    .tokens = below(w, 30)},
        .priority = (int)below(w, 8),
        .deadline_ms = below(w, 3) ? w->now + below(w, 3 * MINUTE_MS)
                                   : KC_NEVER,
        .owner = c};
    if (below(w, 6) == 0) {
        c->waiter.request.key = 1 + (uint32_t)below(w, w->keys);
        c->waiter.request.pin = true;
    }
    int err = kc_pool_enqueue(w->pool, w->now, &c->waiter);
    if (err == KC_EAGAIN) {
        c->phase = QUEUED;
        w->queued++;
    } else if (err == KC_OK) {
        c->phase = SERVED;
    } else {
        assert_int_equal(err, KC_ELIMITED);
    }
}

static void end_call(struct world *w)
{
    struct caller *c = one_in(w, SERVED);
    if (!c)
        return;
    struct kc_usage usage = {.total = 1 + below(w, 30)};
    enum kc_outcome outcome = below(w, 4) ? KC_DONE : KC_NOT_SENT;
    bool aged = w->now - c->waiter.grant.acquired_ms >= 10 * MINUTE_MS;
    assert_int_equal(kc_pool_settle(w->pool, w->now, c->waiter.grant.lease,
                                    outcome, &usage),
                     aged ? KC_ESTALE : KC_OK);
    c->phase = IDLE;
}

static void give_up(struct world *w)
{
    struct caller *c = one_in(w, QUEUED);
    if (!c)
        return;
    kc_pool_dequeue(w->pool, &c->waiter);
    assert_int_equal(c->waiter.result, KC_ECANCELLED);
    c->phase = IDLE;
    w->queued--;
}

/* As a loop does it: on to the instant that the pool names, never past it. */
static void pass_time(struct world *w)
{
    uint64_t till = w->now + below(w, 20 * SECOND_MS);
    for (;;) {
        uint64_t at = kc_pool_next_deadline(w->pool, w->now);
        if (at > till)
            break;
        w->now = at;
        pump(w);
    }
    w->now = till;
}

static void step(struct world *w)
{
    uint64_t what = below(w, 100);
    if (what < 45)
        come(w);
    else if (what < 85)
        end_call(w);
    else if (what < 90)
        give_up(w);
    else
        pass_time(w);
    pump(w);
}

/* What is sent ages by itself in some, in some there are many keys, and in some
 * a window beyond the common ones.
 */
static void begin(struct world *w, uint64_t seed)
{
    struct kc_pool_config config = {
        .strategy = seed % 2 ? KC_GLOBAL : KC_PER_MODEL,
        .selection = (enum kc_selection)(seed % 7),
        .max_waiters = 100,
        .max_lease_ms = 10 * MINUTE_MS,
        .guard_ms = seed % 3 ? KC_GUARD_MS : 0,
        .seed = seed};
    w->keys = seed % 4 ? 3 : KEYS_MAX;
    uint64_t few = w->keys / 3;
    assert_int_equal(kc_pool_new(&config, &w->pool), KC_OK);
    for (uint32_t i = 1; i <= w->keys; i++) {
        char secret[32];
        uint32_t index;
        snprintf(secret, sizeof secret, "sk-test-queue-%04u", i);
        struct kc_key_config key = {.secret = secret,
                                    .priority = seed % 5 == 0 && i > 6};
        assert_int_equal(kc_pool_add_key(w->pool, w->now, &key, &index),
                         KC_OK);
    }
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.max[KC_MINUTE][KC_REQUESTS] = 1 + (2 + below(w, 20)) / few;
    l.max[KC_MINUTE][KC_TOKENS] = (60 + below(w, 300)) / few + 30;
    if (seed % 3 == 1)
        kc_limits_side(&l, 10 * SECOND_MS, false)->max[KC_REQUESTS] =
            1 + below(w, 4);
    assert_int_equal(kc_pool_set_limits(w->pool, w->now, 0, NULL, &l), KC_OK);
}

static void work(uint64_t seed, size_t *served, size_t *refused)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    kc_rng_seed(&w->rng, seed);
    w->now = START_MS;
    begin(w, seed);
    for (int i = 0; i < STEPS_A_WORLD; i++)
        step(w);
    /* Nobody new comes: all that wait are served or told. */
    while (w->queued > 0) {
        while (one_in(w, SERVED))
            end_call(w);
        pass_time(w);
        pump(w);
    }
    while (one_in(w, SERVED))
        end_call(w);
    assert_int_equal(counts(w->pool, w->now, 0, NULL).in_flight, 0);
    *served += w->served;
    *refused += w->refused;
    kc_pool_free(w->pool);
    free(w);
}

static void nobody_is_forgotten_or_served_out_of_order(void **state)
{
    (void)state;
    size_t served = 0, refused = 0;
    const char *text = getenv("KEYCYCLE_STEPS");
    uint64_t steps = text ? strtoull(text, NULL, 10) : 400000;
    uint64_t worlds = steps / STEPS_A_WORLD;
    for (uint64_t seed = 1; seed <= worlds; seed++)
        work(seed, &served, &refused);
    /* It was no idle run. */
    assert_true(served > steps / 20 && refused > steps / 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_forgotten_or_served_out_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
