/* keycycle.h's pool in many threads: those who block for a key, names. */
#include "unit/runtime/cpool_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- threads that wait ----------------------------------------------------- */

#define CALLERS 200

struct crowd {
    struct keycycle_pool *pool;
    uint64_t timeout_ms;
    bool give_back;
    atomic_int granted, refused, at_once, most;
    pthread_barrier_t all_there;
};

static void *call(void *arg)
{
    struct crowd *c = arg;
    struct keycycle_request r = {.model = "m", .tokens = 1};
    struct keycycle_lease lease;
    pthread_barrier_wait(&c->all_there);
    int err = keycycle_pool_wait(c->pool, &r, c->timeout_ms, &lease, NULL);
    if (err == KEYCYCLE_ELIMITED) {
        atomic_fetch_add(&c->refused, 1);
        return NULL;
    }
    must(err);
    int now = atomic_fetch_add(&c->at_once, 1) + 1;
    int most = atomic_load(&c->most);
    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
        ;
    atomic_fetch_add(&c->granted, 1);
    atomic_fetch_sub(&c->at_once, 1);
    if (c->give_back)
        must(keycycle_lease_cancel(&lease, 0));
    else
        must(keycycle_lease_commit(&lease, 1, 0, 0));
    return NULL;
}

static void run_crowd(struct crowd *c)
{
    pthread_t threads[CALLERS];
    pthread_barrier_init(&c->all_there, NULL, CALLERS);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call, c), 0);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&c->all_there);
}

static void of_two_hundred_threads_sixty_are_served(void **state)
{
    (void)state;
    struct crowd c = {.pool = open_pool(NULL, 20, KEYCYCLE_UNLIMITED),
                      .timeout_ms = 50};
    run_crowd(&c);
    assert_int_equal(atomic_load(&c.granted), 60);
    assert_int_equal(atomic_load(&c.refused), CALLERS - 60);
    struct keycycle_stats s = stats(c.pool);
    assert_int_equal(s.rpd, 60);
    assert_int_equal(s.tpd, 60);
    assert_int_equal(s.in_flight, 0);
    assert_int_equal(s.waiting, 0);
    keycycle_pool_close(c.pool);
}

static void what_is_given_back_serves_all_two_hundred(void **state)
{
    (void)state;
    struct crowd c = {.pool = open_pool(NULL, 20, KEYCYCLE_UNLIMITED),
                      .timeout_ms = KEYCYCLE_NEVER,
                      .give_back = true};
    run_crowd(&c);
    assert_int_equal(atomic_load(&c.granted), CALLERS);
    assert_true(atomic_load(&c.most) <= 60);
    assert_int_equal(stats(c.pool).rpd, 0);
    c = (struct crowd){.pool = c.pool,
                       .timeout_ms = KEYCYCLE_NEVER,
                       .give_back = true};
    struct keycycle_limits limits;
    keycycle_limits_init(&limits);
    limits.concurrent_requests = 1;
    must(keycycle_pool_set_limits(c.pool, 0, NULL, &limits));
    run_crowd(&c);
    assert_int_equal(atomic_load(&c.granted), CALLERS);
    assert_true(atomic_load(&c.most) <= 3);
    keycycle_pool_close(c.pool);
}

struct line { /* those who wait for a pool */
    struct keycycle_pool *pool;
    uint64_t started;
    atomic_int served;
    atomic_uint ended;
};

struct caller {
    struct line *line;
    pthread_t thread;
    int priority;
    uint64_t timeout_ms;
    int place; /* among those who were served; 0: it was not */
    int err;
    struct keycycle_lease lease;
};

static void *wait_once(void *arg)
{
    struct caller *c = arg;
    struct keycycle_request r = {.model = "m", .priority = c->priority};
    c->err = keycycle_pool_wait(c->line->pool, &r, c->timeout_ms, &c->lease,
                                NULL);
    if (c->err == KEYCYCLE_OK)
        c->place = atomic_fetch_add(&c->line->served, 1) + 1;
    atomic_fetch_add(&c->line->ended, 1);
    return NULL;
}

/* Starts it, and returns when it lies in the queue (or has been there). */
static void start(struct caller *c, struct line *line, int priority,
                  uint64_t timeout_ms)
{
    *c = (struct caller){
        .line = line, .priority = priority, .timeout_ms = timeout_ms};
    line->started++;
    assert_int_equal(pthread_create(&c->thread, NULL, wait_once, c), 0);
    for (;;) {
        uint64_t there = atomic_load(&line->ended); /* first: counts none twice */
        there += stats(line->pool).waiting;
        if (there >= line->started)
            return;
        sched_yield();
    }
}

static void they_go_by_priority_and_in_order(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct line line = {.pool = p};
    struct keycycle_lease held[3];
    struct caller callers[4];
    const int priorities[4] = {4, 4, 0, 7}, places[4] = {2, 3, 1, 4};
    for (int i = 0; i < 3; i++)
        held[i] = acquire(p);
    for (int i = 0; i < 4; i++)
        start(&callers[i], &line, priorities[i], KEYCYCLE_NEVER);
    must(keycycle_lease_cancel(&held[0], 0));
    for (int place = 1; place <= 4; place++) {
        for (int i = 0; i < 4; i++) {
            if (places[i] != place)
                continue;
            pthread_join(callers[i].thread, NULL);
            assert_int_equal(callers[i].place, place);
            must(keycycle_lease_cancel(&callers[i].lease, 0));
        }
    }
    for (int i = 1; i < 3; i++)
        must(keycycle_lease_cancel(&held[i], 0));
    assert_int_equal(stats(p).in_flight, 0);
    keycycle_pool_close(p);
}

static void each_one_gives_up_at_its_own_time(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct line line = {.pool = p};
    struct keycycle_lease held[3];
    struct caller callers[3];
    for (int i = 0; i < 3; i++)
        held[i] = acquire(p);
    start(&callers[0], &line, 4, 30); /* keeps the time at first */
    start(&callers[1], &line, 4, KEYCYCLE_NEVER);
    start(&callers[2], &line, 4, KEYCYCLE_NEVER);
    pthread_join(callers[0].thread, NULL);
    assert_int_equal(callers[0].err, KEYCYCLE_ELIMITED);
    must(keycycle_lease_cancel(&held[0], 0));
    pthread_join(callers[1].thread, NULL);
    assert_int_equal(callers[1].err, KEYCYCLE_OK);
    must(keycycle_lease_cancel(&callers[1].lease, 0));
    pthread_join(callers[2].thread, NULL);
    assert_int_equal(callers[2].err, KEYCYCLE_OK);
    keycycle_pool_close(p);
}

static void the_time_is_kept_though_its_keeper_goes(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct line line = {.pool = p};
    struct keycycle_lease held[3];
    struct caller callers[3];
    for (int i = 0; i < 3; i++)
        held[i] = acquire(p);
    /* The first one keeps the time, and leaves before the cooldown is over. */
    start(&callers[0], &line, 4, 20);
    start(&callers[1], &line, 4, KEYCYCLE_NEVER);
    start(&callers[2], &line, 4, KEYCYCLE_NEVER);
    for (int i = 0; i < 3; i++)
        must(keycycle_lease_cooldown(&held[i], 100));
    for (int i = 0; i < 3; i++)
        must(keycycle_lease_cancel(&held[i], 1));
    for (int i = 0; i < 3; i++)
        pthread_join(callers[i].thread, NULL);
    /* After it no other thread did anything. */
    assert_int_equal(callers[1].err, KEYCYCLE_OK);
    assert_int_equal(callers[2].err, KEYCYCLE_OK);
    keycycle_pool_close(p);
}

static void a_full_queue_takes_no_more(void **state)
{
    (void)state;
    struct keycycle_pool_options options = {.provider = "test",
                                            .max_waiters = 1};
    struct keycycle_limits limits;
    struct keycycle_pool *p;
    struct caller caller;
    must(keycycle_pool_open(&options, &p));
    add_keys(p, 1);
    keycycle_limits_init(&limits);
    limits.concurrent_requests = 1;
    must(keycycle_pool_set_limits(p, 0, NULL, &limits));
    struct keycycle_lease held = acquire(p), none;
    struct line line = {.pool = p};
    struct keycycle_request r = {.model = "m"};
    start(&caller, &line, 0, KEYCYCLE_NEVER);
    assert_int_equal(keycycle_pool_wait(p, &r, KEYCYCLE_NEVER, &none, NULL),
                     KEYCYCLE_EQUEUEFULL);
    must(keycycle_lease_commit(&held, 0, 0, 0));
    pthread_join(caller.thread, NULL);
    assert_int_equal(caller.err, KEYCYCLE_OK);
    keycycle_pool_close(p);
}

static void a_higher_limit_serves_those_who_wait(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_limits limits;
    struct line line = {.pool = p};
    struct caller caller;
    for (int i = 0; i < 3; i++)
        acquire(p);
    start(&caller, &line, 0, KEYCYCLE_NEVER);
    keycycle_limits_init(&limits);
    limits.concurrent_requests = 2;
    must(keycycle_pool_set_limits(p, 0, NULL, &limits));
    pthread_join(caller.thread, NULL);
    assert_int_equal(caller.err, KEYCYCLE_OK);
    keycycle_pool_close(p);
}

/* -- the stop -------------------------------------------------------------- */

static void a_stop_sends_home_who_waits(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct line line = {.pool = p};
    struct keycycle_lease held[3], none;
    struct keycycle_request r = {.model = "m"};
    struct keycycle_refusal why;
    struct caller callers[3];
    for (int i = 0; i < 3; i++)
        held[i] = acquire(p);
    for (int i = 0; i < 3; i++)
        start(&callers[i], &line, 4, KEYCYCLE_NEVER);
    keycycle_pool_stop(p);
    for (int i = 0; i < 3; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].err, KEYCYCLE_ECLOSED);
        assert_int_equal(callers[i].lease.id, 0);
    }
    keycycle_pool_stop(p);
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, &why),
                     KEYCYCLE_ECLOSED);
    assert_true(why.wait_ms == KEYCYCLE_NEVER);
    assert_int_equal(keycycle_pool_wait(p, &r, 5, &none, NULL),
                     KEYCYCLE_ECLOSED);
    for (int i = 0; i < 3; i++)
        must(keycycle_lease_commit(&held[i], 1, 1, 0));
    assert_int_equal(stats(p).rpd, 3);
    assert_int_equal(stats(p).waiting, 0);
    keycycle_pool_close(p);
}

/* Nobody overtakes who asked for more; once that one is gone, the next goes. */
static void others_of_the_name_go_on_after_a_stop(void **state)
{
    (void)state;
    struct keycycle_pool *a = open_pool("x", KEYCYCLE_UNLIMITED, 2);
    struct keycycle_pool *b = open_pool("x", KEYCYCLE_UNLIMITED, 2);
    struct line of_a = {.pool = a}, of_b = {.pool = b};
    struct caller first, second;
    struct keycycle_lease held[6];
    for (int i = 0; i < 6; i++)
        held[i] = acquire(a);
    start(&first, &of_a, 0, KEYCYCLE_NEVER);
    of_b.started = 1; /* the other one is seen there, too */
    start(&second, &of_b, 4, KEYCYCLE_NEVER);
    keycycle_pool_stop(a);
    pthread_join(first.thread, NULL);
    assert_int_equal(first.err, KEYCYCLE_ECLOSED);
    assert_int_equal(atomic_load(&of_b.served), 0);
    must(keycycle_lease_cancel(&held[0], 0));
    pthread_join(second.thread, NULL);
    must(second.err);
    must(keycycle_lease_cancel(&second.lease, 0));
    for (int i = 1; i < 6; i++)
        must(keycycle_lease_cancel(&held[i], 0));
    assert_int_equal(stats(b).in_flight, 0);
    keycycle_pool_close(a);
    acquire(b);
    keycycle_pool_close(b);
}

struct wish {
    struct keycycle_pool *pool;
    uint64_t tokens;
    int err;
};

static void *wish_for(void *arg)
{
    struct wish *w = arg;
    struct keycycle_request r = {.model = "m", .tokens = w->tokens};
    struct keycycle_lease lease;
    w->err = keycycle_pool_wait(w->pool, &r, KEYCYCLE_NEVER, &lease, NULL);
    return NULL;
}

static struct keycycle_pool *with_ten_tokens(const char *name)
{
    const struct keycycle_pool_options options = {.name = name,
                                                  .provider = "test"};
    struct keycycle_limits limits;
    struct keycycle_pool *p;
    must(keycycle_pool_open(&options, &p));
    add_keys(p, 1);
    keycycle_limits_init(&limits);
    limits.tokens_per_day = 10;
    must(keycycle_pool_set_limits(p, 0, NULL, &limits));
    return p;
}

static void the_next_in_line_goes_when_who_was_ahead_is_stopped(void **state)
{
    (void)state;
    struct keycycle_pool *a = with_ten_tokens("x"), *b = with_ten_tokens("x");
    struct keycycle_request r = {.model = "m", .tokens = 5};
    struct wish large = {.pool = a, .tokens = 10};
    struct wish small = {.pool = b, .tokens = 5};
    struct keycycle_lease held;
    pthread_t first, second;
    must(keycycle_pool_acquire(b, &r, &held, NULL));
    assert_int_equal(pthread_create(&first, NULL, wish_for, &large), 0);
    while (stats(b).waiting < 1)
        sched_yield();
    assert_int_equal(pthread_create(&second, NULL, wish_for, &small), 0);
    while (stats(b).waiting < 2)
        sched_yield();
    keycycle_pool_stop(a);
    pthread_join(second, NULL);
    must(small.err);
    pthread_join(first, NULL);
    assert_int_equal(large.err, KEYCYCLE_ECLOSED);
    keycycle_pool_close(a);
    keycycle_pool_close(b);
}

/* -- by name --------------------------------------------------------------- */

static void one_name_is_one_pool(void **state)
{
    (void)state;
    struct keycycle_pool *a = open_pool("x", 2, KEYCYCLE_UNLIMITED);
    struct keycycle_pool *b = open_pool("x", 2, KEYCYCLE_UNLIMITED);
    struct keycycle_pool *other = open_pool("x", 3, KEYCYCLE_UNLIMITED);
    struct keycycle_request r = {.model = "m"};
    struct keycycle_key key = {.api_key = "sk-test-of-the-fourth-key"};
    struct keycycle_lease lease = acquire(a), none;
    struct keycycle_stats s;
    unsigned index;
    assert_int_equal(stats(b).in_flight, 1);
    assert_int_equal(keycycle_pool_acquire(other, &r, &none, NULL),
                     KEYCYCLE_EDIFFERS);
    assert_int_equal(keycycle_pool_stats(other, 0, NULL, &s),
                     KEYCYCLE_EDIFFERS);
    assert_int_equal(keycycle_pool_add_key(b, &key, &index),
                     KEYCYCLE_EDIFFERS);
    assert_int_equal(keycycle_pool_remove_key(b, 1), KEYCYCLE_EDIFFERS);
    must(keycycle_pool_disable(b, 1)); /* for all */
    struct keycycle_key_state key_state;
    must(keycycle_pool_key_state(a, 1, NULL, &key_state));
    assert_int_equal(key_state.state, KEYCYCLE_DISABLED);
    must(keycycle_pool_enable(a, 1));
    must(keycycle_lease_commit(&lease, 0, 0, 0));
    keycycle_pool_close(b);
    must(keycycle_pool_add_key(a, &key, &index)); /* alone again */
    assert_int_equal(index, 4);
    keycycle_pool_close(a);
    assert_int_equal(stats(other).rpd, 0); /* the name was free */
    keycycle_pool_close(other);
}

static void keys_that_were_removed_before_do_not_differ(void **state)
{
    (void)state;
    struct keycycle_pool *a = open_pool("x", 2, KEYCYCLE_UNLIMITED);
    struct keycycle_pool *b = open_pool("x", 2, KEYCYCLE_UNLIMITED);
    struct keycycle_pool *c = open_pool("x", 2, KEYCYCLE_UNLIMITED);
    struct keycycle_key key = {.api_key = "sk-test-of-the-fourth-key"};
    struct keycycle_lease lease;
    struct keycycle_request r = {.model = "m"};
    unsigned index;
    stats(a);
    must(keycycle_pool_add_key(b, &key, &index));
    must(keycycle_pool_remove_key(b, index));
    assert_int_equal(stats(b).rpd, 0);
    must(keycycle_pool_remove_key(c, 1)); /* the rest would be others */
    assert_int_equal(keycycle_pool_acquire(c, &r, &lease, NULL),
                     KEYCYCLE_EDIFFERS);
    keycycle_pool_close(a);
    keycycle_pool_close(b);
    keycycle_pool_close(c);
}

/* The same keys in the same order, but the program would call them otherwise. */
static void keys_with_other_indexes_differ(void **state)
{
    (void)state;
    const struct keycycle_pool_options options = {.name = "x",
                                                  .provider = "test"};
    const struct keycycle_key key = {.api_key = "sk-test-of-the-only-key"};
    struct keycycle_pool *a, *b;
    struct keycycle_stats s;
    unsigned index;
    must(keycycle_pool_open(&options, &a));
    must(keycycle_pool_add_key(a, &key, &index));
    must(keycycle_pool_start(a));
    must(keycycle_pool_open(&options, &b));
    add_keys(b, 1);
    must(keycycle_pool_add_key(b, &key, &index));
    must(keycycle_pool_remove_key(b, 1));
    assert_int_equal(keycycle_pool_stats(b, 2, NULL, &s), KEYCYCLE_EDIFFERS);
    keycycle_pool_close(a);
    must(keycycle_pool_stats(b, 2, NULL, &s));
    keycycle_pool_close(b);
}

static void *open_and_call(void *arg)
{
    struct crowd *c = arg;
    struct keycycle_pool *p = open_pool("crowd", 20, KEYCYCLE_UNLIMITED);
    struct keycycle_request r = {.model = "m"};
    struct keycycle_lease lease;
    must(keycycle_pool_wait(p, &r, KEYCYCLE_NEVER, &lease, NULL));
    must(keycycle_lease_cancel(&lease, 1));
    atomic_fetch_add(&c->granted, 1);
    pthread_barrier_wait(&c->all_there);
    if (stats(p).rpd != 8)
        abort();
    pthread_barrier_wait(&c->all_there);
    keycycle_pool_close(p);
    return NULL;
}

static void eight_handles_are_one_pool(void **state)
{
    (void)state;
    struct crowd c = {.pool = NULL};
    pthread_t threads[8];
    pthread_barrier_init(&c.all_there, NULL, 8);
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_call, &c),
                         0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&c.all_there);
    assert_int_equal(atomic_load(&c.granted), 8);
}

static void threads_and_ledgers_serve_each_other(void **state)
{
    (void)state;
    const struct setup setup = {.per_day = KC_UNLIMITED, .concurrent = 1};
    struct state s = open_shared(&setup, "x");
    struct keycycle_pool *p = open_pool("x", KEYCYCLE_UNLIMITED, 1);
    struct line line = {.pool = p};
    struct keycycle_lease held = acquire(p);
    struct kc_lease lease, got;
    struct kc_refusal refusal;
    struct kc_wait wait;
    struct caller caller;
    take(&s, &lease);
    struct kc_lease third;
    take(&s, &third);
    await(&s, &wait, 0, KC_NEVER);
    start(&caller, &line, 0, KEYCYCLE_NEVER);
    must(keycycle_lease_commit(&held, 1, 1, 0));
    while (!kc_wait_done(&wait))
        must(kc_runtime_step(s.rt, -1, -1));
    must(kc_wait_take(&wait, &got, &refusal));
    kc_wait_deinit(&wait);
    assert_int_equal(atomic_load(&line.served), 0);
    give_back(&lease);
    pthread_join(caller.thread, NULL);
    must(caller.err);
    give_back(&got);
    give_back(&third);
    close_state(&s);
    must(keycycle_lease_commit(&caller.lease, 0, 0, 0));
    assert_int_equal(stats(p).rpd, 2);
    keycycle_pool_close(p);
}

static int in_the_child(struct keycycle_pool *p, struct keycycle_lease *lease)
{
    struct keycycle_request r = {.model = "m"};
    struct keycycle_stats s;
    struct keycycle_lease none;
    char text[64];
    alarm(20);
    int bad = keycycle_pool_acquire(p, &r, &none, NULL) != KEYCYCLE_EFORKED ||
              keycycle_pool_wait(p, &r, 5, &none, NULL) != KEYCYCLE_EFORKED ||
              keycycle_pool_stats(p, 0, NULL, &s) != KEYCYCLE_EFORKED ||
              keycycle_lease_key(lease, text, sizeof text) !=
                  KEYCYCLE_EFORKED ||
              keycycle_lease_commit(lease, 0, 0, 0) != KEYCYCLE_EFORKED;
    keycycle_pool_close(p);
    return bad;
}

static void a_forked_child_is_told(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_lease lease = acquire(p);
    pid_t pid = fork();
    if (pid == 0)
        _exit(in_the_child(p, &lease));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    must(keycycle_lease_commit(&lease, 0, 0, 0));
    keycycle_pool_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_hundred_threads_sixty_are_served),
        cmocka_unit_test(what_is_given_back_serves_all_two_hundred),
        cmocka_unit_test(they_go_by_priority_and_in_order),
        cmocka_unit_test(each_one_gives_up_at_its_own_time),
        cmocka_unit_test(the_time_is_kept_though_its_keeper_goes),
        cmocka_unit_test(a_full_queue_takes_no_more),
        cmocka_unit_test(a_higher_limit_serves_those_who_wait),
        cmocka_unit_test(a_stop_sends_home_who_waits),
        cmocka_unit_test(others_of_the_name_go_on_after_a_stop),
        cmocka_unit_test(the_next_in_line_goes_when_who_was_ahead_is_stopped),
        cmocka_unit_test(one_name_is_one_pool),
        cmocka_unit_test(keys_that_were_removed_before_do_not_differ),
        cmocka_unit_test(keys_with_other_indexes_differ),
        cmocka_unit_test(eight_handles_are_one_pool),
        cmocka_unit_test(threads_and_ledgers_serve_each_other),
        cmocka_unit_test(a_forked_child_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
