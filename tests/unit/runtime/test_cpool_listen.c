/* Listeners of keycycle.h: what they are told, how they are woken, their end. */
#include "unit/runtime/cpool_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT 1024 /* events that wait for a listener */

static struct keycycle_listener *listen_to(struct keycycle_pool *p)
{
    struct keycycle_listener *l;
    must(keycycle_pool_listen(p, &l));
    return l;
}

static struct keycycle_event next(struct keycycle_listener *l,
                                  enum keycycle_event_type type)
{
    struct keycycle_event e;
    must(keycycle_listener_next(l, 0, &e));
    assert_string_equal(keycycle_event_name(e.type),
                        keycycle_event_name(type));
    assert_true(e.at_ms > UINT64_C(1600000000000));
    return e;
}

static void nothing_more(struct keycycle_listener *l)
{
    struct keycycle_event e;
    assert_int_equal(keycycle_listener_next(l, 0, &e), KEYCYCLE_EAGAIN);
}

static bool is_readable(struct keycycle_listener *l)
{
    struct pollfd fd = {.fd = keycycle_listener_fd(l), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void use(struct keycycle_pool *p, int times)
{
    for (int i = 0; i < times; i++) {
        struct keycycle_lease lease = acquire(p);
        must(keycycle_lease_cancel(&lease, 0));
    }
}

static void each_event_is_told_with_what_is_known_of_it(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_request r = {.model = "m", .key = 1, .pin = 1};
    struct keycycle_request second = {.model = "m", .key = 2, .avoid = 1};
    struct keycycle_lease lease, other, none;
    use(p, 1); /* nobody listens yet */
    struct keycycle_listener *l = listen_to(p);
    nothing_more(l);
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    struct keycycle_event e = next(l, KEYCYCLE_EVENT_ACQUIRE);
    assert_int_equal(e.key, 1);
    assert_string_equal(e.suffix, "y-0001");
    assert_string_equal(e.model, "m");
    assert_int_equal(e.lost, 0);
    must(keycycle_pool_acquire(p, &second, &other, NULL));
    next(l, KEYCYCLE_EVENT_ACQUIRE);
    e = next(l, KEYCYCLE_EVENT_ROTATE);
    assert_int_equal(e.key, 2);
    assert_int_equal(e.from, 1);
    assert_int_equal(keycycle_pool_wait(p, &r, 1, &none, NULL),
                     KEYCYCLE_ELIMITED);
    e = next(l, KEYCYCLE_EVENT_WAIT);
    assert_int_equal(e.key, 0);
    assert_string_equal(e.suffix, "");
    must(keycycle_lease_observe(&lease, KEYCYCLE_TOKENS, 60000, 900, 900));
    e = next(l, KEYCYCLE_EVENT_LEARN);
    assert_string_equal(e.reason, "tokens_per_minute");
    assert_int_equal(e.amount, 900);
    must(keycycle_lease_cooldown(&lease, 30000));
    e = next(l, KEYCYCLE_EVENT_COOLDOWN);
    assert_string_equal(e.reason, "cooldown");
    assert_true(e.until_ms == e.at_ms + 30000);
    must(keycycle_lease_suspend(&lease));
    e = next(l, KEYCYCLE_EVENT_INVALID);
    assert_string_equal(e.reason, "refused");
    assert_string_equal(e.model, "");
    must(keycycle_pool_enable(p, 1));
    e = next(l, KEYCYCLE_EVENT_RECOVER);
    assert_string_equal(e.reason, "enabled");
    nothing_more(l);
    keycycle_listener_close(l);
    use(p, 1);
    keycycle_pool_close(p);
}

static void who_reads_late_is_told_how_many_were_lost(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_listener *slow = listen_to(p), *quick = listen_to(p);
    for (int i = 0; i < KEPT + 7; i++) {
        use(p, 1);
        assert_int_equal(next(quick, KEYCYCLE_EVENT_ACQUIRE).lost, 0);
    }
    nothing_more(quick);
    assert_int_equal(next(slow, KEYCYCLE_EVENT_ACQUIRE).lost, 7);
    for (int i = 1; i < KEPT; i++)
        assert_int_equal(next(slow, KEYCYCLE_EVENT_ACQUIRE).lost, 0);
    nothing_more(slow);
    keycycle_listener_close(quick);
    keycycle_listener_close(slow);
    keycycle_pool_close(p);
}

static void the_descriptor_is_readable_until_all_is_read(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_listener *l = listen_to(p);
    assert_false(is_readable(l));
    for (int turn = 0; turn < 3; turn++) {
        use(p, 2);
        assert_true(is_readable(l));
        next(l, KEYCYCLE_EVENT_ACQUIRE);
        next(l, KEYCYCLE_EVENT_ACQUIRE);
        nothing_more(l);
        assert_false(is_readable(l));
    }
    keycycle_listener_close(l);
    keycycle_pool_close(p);
}

struct reader {
    struct keycycle_pool *pool;
    pthread_t thread;
    uint64_t seen; /* lost ones, too */
    bool in_order;
    atomic_bool began;
};

/* Reads until the pool is stopped, without a bound of time. */
static void *read_all(void *arg)
{
    struct reader *r = arg;
    struct keycycle_event e;
    struct keycycle_listener *l = listen_to(r->pool);
    uint64_t last_ms = 0;
    int err;
    r->in_order = true;
    atomic_store(&r->began, true);
    while ((err = keycycle_listener_next(l, KEYCYCLE_NEVER, &e)) ==
           KEYCYCLE_OK) {
        r->seen += 1 + e.lost;
        r->in_order &= e.at_ms >= last_ms;
        last_ms = e.at_ms;
    }
    if (err != KEYCYCLE_ECLOSED ||
        keycycle_listener_next(l, 0, &e) != KEYCYCLE_ECLOSED)
        abort();
    keycycle_listener_close(l);
    return NULL;
}

static void begin_to_read(struct reader *r, struct keycycle_pool *p)
{
    r->pool = p;
    r->seen = 0;
    atomic_init(&r->began, false);
    assert_int_equal(pthread_create(&r->thread, NULL, read_all, r), 0);
    while (!atomic_load(&r->began))
        sched_yield();
}

static void *use_often(void *arg)
{
    use(arg, 500);
    return NULL;
}

static void threads_are_woken_and_miss_nothing(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 8);
    struct reader readers[2];
    pthread_t users[2];
    for (int i = 0; i < 2; i++)
        begin_to_read(&readers[i], p);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&users[i], NULL, use_often, p), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(users[i], NULL);
    keycycle_pool_stop(p);
    for (int i = 0; i < 2; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].seen, 1000);
        assert_true(readers[i].in_order);
    }
    keycycle_pool_close(p);
}

/* Nothing but the events wakes it: it would wait for ever else. */
static void what_another_handle_does_is_told(void **state)
{
    (void)state;
    struct keycycle_pool *a = open_pool("x", KEYCYCLE_UNLIMITED, 1);
    struct keycycle_pool *b = open_pool("x", KEYCYCLE_UNLIMITED, 1);
    struct keycycle_listener *l = listen_to(a);
    struct keycycle_event e;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, use_often, b), 0);
    for (uint64_t seen = 0; seen < 500; seen += 1 + e.lost)
        must(keycycle_listener_next(l, KEYCYCLE_NEVER, &e));
    pthread_join(thread, NULL);
    keycycle_pool_close(a); /* while it listens: its events end, not the pool */
    assert_int_equal(keycycle_listener_next(l, KEYCYCLE_NEVER, &e),
                     KEYCYCLE_ECLOSED);
    use(b, 1);
    assert_int_equal(keycycle_listener_next(l, KEYCYCLE_NEVER, &e),
                     KEYCYCLE_ECLOSED);
    keycycle_listener_close(l);
    keycycle_pool_close(b);
}

/* Which closes its listener while the pool is being closed. */
static void a_close_ends_who_listens_in_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct reader reader;
        struct keycycle_pool *p =
            open_pool(i % 2 ? "x" : NULL, KEYCYCLE_UNLIMITED, 1);
        begin_to_read(&reader, p);
        keycycle_pool_close(p);
        pthread_join(reader.thread, NULL);
        assert_int_equal(reader.seen, 0);
    }
}

static void what_happened_before_the_stop_is_told(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_listener *l = listen_to(p), *none;
    struct keycycle_event e;
    use(p, 3);
    keycycle_pool_stop(p);
    assert_true(is_readable(l));
    for (int i = 0; i < 3; i++)
        next(l, KEYCYCLE_EVENT_ACQUIRE);
    assert_int_equal(keycycle_listener_next(l, 0, &e), KEYCYCLE_ECLOSED);
    assert_int_equal(keycycle_pool_listen(p, &none), KEYCYCLE_ECLOSED);
    assert_null(none);
    keycycle_pool_close(p);
    keycycle_listener_close(l);
}

/* The last one out frees the pool, whichever that is. */
static void a_listener_outlives_its_pool(void **state)
{
    (void)state;
    struct keycycle_event e;
    struct keycycle_pool *p = open_pool("x", 1, KEYCYCLE_UNLIMITED);
    struct keycycle_listener *l = listen_to(p);
    use(p, 1);
    keycycle_pool_close(p);
    p = open_pool("x", 2, KEYCYCLE_UNLIMITED); /* the name is free */
    use(p, 1);
    must(keycycle_listener_next(l, 0, &e));
    assert_int_equal(strlen(e.suffix), 6); /* its keys are there still */
    assert_int_equal(keycycle_listener_next(l, 0, &e), KEYCYCLE_ECLOSED);
    keycycle_pool_close(p);
    keycycle_listener_close(l);
}

static void without_a_descriptor_there_is_no_listener(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_listener *l;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int err = keycycle_pool_listen(p, &l);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(err, KEYCYCLE_ESYSTEM);
    assert_null(l);
    use(p, 1);
    keycycle_pool_close(p);
}

static int in_the_child(struct keycycle_pool *p, struct keycycle_listener *l)
{
    struct keycycle_event e;
    struct keycycle_listener *none;
    alarm(20);
    int bad = keycycle_listener_next(l, KEYCYCLE_NEVER, &e) !=
                  KEYCYCLE_EFORKED ||
              keycycle_pool_listen(p, &none) != KEYCYCLE_EFORKED || none;
    keycycle_listener_close(l);
    keycycle_pool_stop(p);
    keycycle_pool_close(p);
    return bad;
}

static void a_forked_child_hears_nothing_and_takes_nothing(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_listener *l = listen_to(p);
    int status;
    use(p, 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(in_the_child(p, l));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(is_readable(l));
    next(l, KEYCYCLE_EVENT_ACQUIRE);
    use(p, 1);
    next(l, KEYCYCLE_EVENT_ACQUIRE);
    nothing_more(l);
    keycycle_listener_close(l);
    keycycle_pool_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_is_told_with_what_is_known_of_it),
        cmocka_unit_test(who_reads_late_is_told_how_many_were_lost),
        cmocka_unit_test(the_descriptor_is_readable_until_all_is_read),
        cmocka_unit_test(threads_are_woken_and_miss_nothing),
        cmocka_unit_test(what_another_handle_does_is_told),
        cmocka_unit_test(a_close_ends_who_listens_in_another_thread),
        cmocka_unit_test(what_happened_before_the_stop_is_told),
        cmocka_unit_test(a_listener_outlives_its_pool),
        cmocka_unit_test(without_a_descriptor_there_is_no_listener),
        cmocka_unit_test(a_forked_child_hears_nothing_and_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
