/* Ledgers of several runtimes on one pool: who frees a key serves the others. */
#include "unit/runtime/hub_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/hub_impl.h"

/* Of engine/pool_impl.h, whose leases have the same name as the runtime's. */
uint64_t kc_pool_enter(struct kc_pool *p, uint64_t now_ms);
void kc_pool_leave(struct kc_pool *p);

/* Takes all three keys. */
static void take_all(const struct state *s, struct kc_lease leases[3])
{
    for (int i = 0; i < 3; i++)
        take(s, &leases[i]);
}

static void give_all_back(struct kc_lease leases[3])
{
    for (int i = 0; i < 3; i++)
        if (leases[i].ledger)
            give_back(&leases[i]);
}

static bool is_readable(const struct state *s)
{
    struct pollfd p = {.fd = kc_loop_fd(kc_runtime_loop(s->rt)),
                       .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

/* -- waiting --------------------------------------------------------------- */

static void what_one_gives_back_serves_another(void **state)
{
    (void)state;
    struct state a = open_shared(&one_at_once, "x");
    struct state b = open_shared(&one_at_once, "x");
    struct kc_lease leases[3], got;
    struct kc_refusal refusal;
    struct kc_wait wait;
    take_all(&a, leases);
    await(&b, &wait, 4, KC_NEVER);
    assert_false(kc_wait_done(&wait));
    assert_true(kc_runtime_timeout_ms(b.rt) > 0); /* it ends by itself once */
    assert_false(is_readable(&b));
    give_back(&leases[1]);
    assert_false(kc_wait_done(&wait)); /* until its own thread has looked */
    assert_true(is_readable(&b));
    assert_int_equal(kc_runtime_step(b.rt, -1, -1), KC_OK);
    assert_int_equal(kc_runtime_next_ready(b.rt), wait.ready.id);
    assert_true(kc_wait_done(&wait));
    assert_int_equal(kc_wait_take(&wait, &got, &refusal), KC_OK);
    assert_int_equal(got.grant.key, 2);
    kc_wait_deinit(&wait);
    give_back(&got);
    give_all_back(leases);
    close_state(&a);
    close_state(&b);
}

static void they_are_served_in_the_order_they_came(void **state)
{
    (void)state;
    struct state a = open_shared(&one_at_once, "x");
    struct state b = open_shared(&one_at_once, "x");
    struct state c = open_shared(&one_at_once, "x");
    struct kc_lease leases[3];
    struct kc_wait first, second, urgent;
    take_all(&a, leases);
    await(&b, &first, 4, KC_NEVER);
    await(&c, &second, 4, KC_NEVER);
    await(&b, &urgent, 0, KC_NEVER);
    give_back(&leases[0]);
    assert_true(step(&b));
    assert_false(step(&c));
    assert_true(kc_wait_done(&urgent));
    assert_false(kc_wait_done(&first));
    give_back(&leases[1]);
    assert_true(step(&b));
    assert_false(step(&c));
    assert_true(kc_wait_done(&first));
    give_back(&leases[2]);
    assert_true(step(&c));
    assert_true(kc_wait_done(&second));
    kc_wait_deinit(&first);
    kc_wait_deinit(&second);
    kc_wait_deinit(&urgent);
    assert_int_equal(counts_of(&a).in_flight, 0);
    assert_int_equal(counts_of(&a).total_requests, 0);
    close_state(&a);
    close_state(&b);
    close_state(&c);
}

static void who_leaves_when_it_was_served_hands_on(void **state)
{
    (void)state;
    struct state a = open_shared(&one_at_once, "x");
    struct state b = open_shared(&one_at_once, "x");
    struct kc_lease leases[3];
    struct kc_wait gone, next;
    take_all(&a, leases);
    await(&b, &gone, 4, KC_NEVER);
    await(&a, &next, 4, KC_NEVER);
    give_back(&leases[0]);
    kc_wait_deinit(&gone); /* it lies in the inbox, not looked at */
    assert_true(step(&a));
    assert_true(kc_wait_done(&next));
    kc_wait_deinit(&next);
    assert_false(step(&b));
    give_all_back(leases);
    assert_int_equal(counts_of(&a).in_flight, 0);
    close_state(&a);
    close_state(&b);
}

static void who_closes_holds_up_nobody(void **state)
{
    (void)state;
    struct state a = open_shared(&one_at_once, "x");
    struct state b = open_shared(&one_at_once, "x");
    struct kc_lease leases[3], none;
    struct kc_refusal refusal;
    struct kc_wait ahead, behind;
    take_all(&a, leases);
    await(&b, &ahead, 4, KC_NEVER);
    await(&a, &behind, 4, KC_NEVER);
    kc_ledger_close(b.ledger);
    assert_true(kc_wait_done(&ahead));
    assert_int_equal(kc_wait_take(&ahead, &none, &refusal), KC_ECLOSED);
    give_back(&leases[0]);
    assert_true(step(&a));
    assert_true(kc_wait_done(&behind));
    kc_wait_deinit(&behind);
    kc_wait_deinit(&ahead);
    give_all_back(leases);
    assert_int_equal(counts_of(&a).in_flight, 0);
    close_state(&a);
    close_state(&b);
}

static void each_one_keeps_the_time_by_itself(void **state)
{
    (void)state;
    struct state a = open_shared(&one_at_once, "x");
    struct state b = open_shared(&one_at_once, "x");
    struct kc_lease leases[3], none;
    struct kc_refusal refusal;
    struct kc_wait idle, wait;
    take_all(&a, leases);
    await(&a, &idle, 4, 20); /* ahead, and its thread never looks */
    await(&b, &wait, 4, 30);
    while (!kc_wait_done(&wait))
        must(kc_runtime_step(b.rt, -1, -1));
    assert_int_equal(kc_wait_take(&wait, &none, &refusal), KC_ELIMITED);
    kc_wait_deinit(&wait);
    assert_true(step(&a));
    assert_true(kc_wait_done(&idle));
    kc_wait_deinit(&idle);
    give_all_back(leases);
    close_state(&a);
    close_state(&b);
}

static void a_time_that_another_makes_known_is_kept(void **state)
{
    (void)state;
    const struct setup one_a_day = {.per_day = 1, .concurrent = KC_UNLIMITED};
    struct state a = open_shared(&one_a_day, "x");
    struct state b = open_shared(&one_a_day, "x");
    struct kc_lease leases[3];
    struct kc_wait wait;
    uint64_t until;
    take_all(&a, leases);
    await(&b, &wait, 4, KC_NEVER);
    /* Its time is the end of the oldest lease's life. */
    int64_t before = kc_runtime_timeout_ms(b.rt);
    assert_true(before > 500000 && before <= 600000);
    must(kc_lease_settle(&leases[0], KC_NOT_SENT, NULL));
    kc_lease_deinit(&leases[0]);
    assert_true(step(&b));
    assert_int_equal(kc_runtime_timeout_ms(b.rt), -1);
    kc_wait_deinit(&wait);
    take(&a, &leases[0]);
    for (int i = 0; i < 3; i++) {
        must(kc_lease_settle(&leases[i], KC_DONE, NULL));
        kc_lease_deinit(&leases[i]);
    }
    await(&b, &wait, 4, KC_NEVER); /* a day */
    assert_false(step(&b));
    assert_true(kc_runtime_timeout_ms(b.rt) > 86000000);
    struct kc_limits more = limits_of(&one_a_day);
    more.max[KC_DAY][KC_REQUESTS] = 2;
    struct kc_pool *pool = kc_ledger_pool(a.ledger);
    for (uint32_t key = 1; key <= 3; key++)
        must(kc_pool_cool(pool, kc_ledger_now(a.ledger), key, NULL, 50000,
                          "429", &until));
    must(kc_pool_set_limits(pool, kc_ledger_now(a.ledger), 0, NULL, &more));
    kc_ledger_pump(a.ledger);
    assert_true(is_readable(&b)); /* now it is the cooldown's end */
    assert_false(step(&b));
    assert_true(kc_runtime_timeout_ms(b.rt) <= 50000);
    kc_wait_deinit(&wait);
    close_state(&a);
    close_state(&b);
}

static void a_stamp_tells_those_who_wait_when(void **state)
{
    (void)state;
    const struct setup none = {.per_day = KC_UNLIMITED,
                               .concurrent = KC_UNLIMITED};
    struct state a = open_shared(&none, "x");
    struct state b = open_shared(&none, "x");
    struct kc_limits limits = limits_of(&none);
    limits.max[KC_MINUTE][KC_REQUESTS] = 1;
    must(kc_pool_set_limits(kc_ledger_pool(a.ledger), 0, 0, NULL, &limits));
    struct kc_lease leases[3];
    struct kc_wait wait;
    take_all(&a, leases);
    await(&b, &wait, 4, KC_NEVER);
    for (int i = 0; i < 3; i++)
        kc_ledger_stamp(a.ledger, leases[i].grant.lease);
    assert_true(is_readable(&b));
    assert_false(step(&b));
    assert_true(kc_runtime_timeout_ms(b.rt) <= 61000);
    kc_wait_deinit(&wait);
    give_all_back(leases);
    close_state(&a);
    close_state(&b);
}

static void who_listens_is_woken_by_what_others_do(void **state)
{
    (void)state;
    struct state a = open_shared(&one_at_once, "x");
    struct state b = open_shared(&one_at_once, "x");
    struct kc_lease lease;
    struct kc_event event;
    uint64_t serial, none;
    must(kc_ledger_listen(b.ledger, true, &serial));
    assert_int_equal(kc_runtime_calls(b.rt), 1); /* it is not stuck */
    assert_false(is_readable(&b));
    take(&a, &lease);
    assert_true(is_readable(&b));
    step(&b);
    assert_int_equal(kc_pool_event(kc_ledger_pool(b.ledger), &serial, &event),
                     KC_OK);
    assert_int_equal(event.type, KC_EVENT_ACQUIRE);
    assert_false(is_readable(&b));
    must(kc_lease_settle(&lease, KC_DONE, NULL)); /* no event */
    kc_lease_deinit(&lease);
    assert_false(is_readable(&b));
    must(kc_ledger_listen(b.ledger, false, &none));
    assert_int_equal(kc_runtime_calls(b.rt), 0);
    take(&a, &lease);
    assert_false(is_readable(&b));
    give_back(&lease);
    must(kc_ledger_listen(b.ledger, true, &serial));
    kc_ledger_unref(b.ledger); /* ends that, too */
    b.ledger = NULL;
    assert_int_equal(kc_runtime_calls(b.rt), 0);
    close_state(&a);
    close_state(&b);
}

/* -- threads --------------------------------------------------------------- */

#define THREADS 8

struct crew {
    const struct setup *setup;
    pthread_barrier_t ready;
    atomic_int granted, at_once, most, number;
    int turns;
};

static void note_grant(struct crew *c)
{
    int now = atomic_fetch_add(&c->at_once, 1) + 1;
    int most = atomic_load(&c->most);
    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
        ;
    atomic_fetch_add(&c->granted, 1);
}

static void run_crew(struct crew *c, void *(*fn)(void *))
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&c->ready, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, c), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&c->ready);
}

static void *wait_in_turn(void *arg)
{
    struct crew *c = arg;
    struct state s = open_shared(c->setup, "crew");
    pthread_barrier_wait(&c->ready); /* none leaves before all are in */
    for (int i = 0; i < c->turns; i++) {
        struct kc_wait wait;
        struct kc_lease lease;
        struct kc_refusal refusal;
        await(&s, &wait, i % 8, KC_NEVER);
        while (!kc_wait_done(&wait))
            must(kc_runtime_step(s.rt, -1, -1));
        while (kc_runtime_next_ready(s.rt))
            ;
        must(kc_wait_take(&wait, &lease, &refusal));
        kc_wait_deinit(&wait);
        note_grant(c);
        atomic_fetch_sub(&c->at_once, 1);
        must(kc_lease_settle(&lease, KC_DONE, NULL));
        kc_lease_deinit(&lease);
    }
    close_state(&s);
    return NULL;
}

static void eight_threads_wait_for_three_keys_in_turn(void **state)
{
    (void)state;
    struct crew c = {.setup = &one_at_once, .turns = 100};
    run_crew(&c, wait_in_turn);
    assert_int_equal(atomic_load(&c.granted), THREADS * 100);
    assert_true(atomic_load(&c.most) <= 3);
}

/* Half of them give up at some point between queueing and being served. */
static void *come_and_go(void *arg)
{
    struct crew *c = arg;
    struct state s = open_shared(c->setup, "crew");
    int me = atomic_fetch_add(&c->number, 1);
    uint64_t serial = 0;
    struct kc_event event;
    if (me % 4 == 0)
        must(kc_ledger_listen(s.ledger, true, &serial));
    pthread_barrier_wait(&c->ready);
    for (int i = 0; i < c->turns; i++) {
        struct kc_wait waits[4];
        for (int k = 0; k < 4; k++)
            await(&s, &waits[k], k, 60000);
        while (me % 2 && !kc_wait_done(&waits[0]))
            must(kc_runtime_step(s.rt, -1, -1));
        must(kc_runtime_step(s.rt, 0, -1));
        for (int k = 0; k < 4; k++)
            kc_wait_deinit(&waits[k]);
        while (me % 4 == 0 &&
               kc_pool_event(kc_ledger_pool(s.ledger), &serial, &event) ==
                   KC_OK)
            ;
    }
    if (me % 2)
        pthread_barrier_wait(&c->ready);
    close_state(&s);
    if (me % 2 == 0)
        pthread_barrier_wait(&c->ready);
    return NULL;
}

static void waiters_may_leave_while_others_serve_them(void **state)
{
    (void)state;
    struct crew c = {.setup = &one_at_once, .turns = 60};
    struct state keep = open_shared(&one_at_once, "crew");
    run_crew(&c, come_and_go);
    assert_int_equal(counts_of(&keep).in_flight, 0);
    assert_int_equal(counts_of(&keep).total_requests, 0);
    assert_int_equal(kc_pool_waiting(kc_ledger_pool(keep.ledger)), 0);
    close_state(&keep);
}

/* All begin and end at once, over and over: somebody is first, and last. */
static void *come_and_close(void *arg)
{
    struct crew *c = arg;
    for (int i = 0; i < c->turns; i++) {
        struct state s = open_shared(c->setup, "crew");
        struct kc_wait wait;
        await(&s, &wait, 4, KC_NEVER);
        if (i % 2)
            kc_ledger_close(s.ledger);
        must(kc_runtime_step(s.rt, 0, -1));
        kc_wait_deinit(&wait);
        close_state(&s);
    }
    return NULL;
}

static void a_name_comes_and_goes_under_many_threads(void **state)
{
    (void)state;
    struct crew c = {.setup = &one_at_once, .turns = 60};
    run_crew(&c, come_and_close);
    struct state s = open_shared(&one_at_once, "crew");
    assert_int_equal(counts_of(&s).total_requests, 0);
    close_state(&s);
}

/* -- forks ----------------------------------------------------------------- */

static int in_the_child(struct state *s, struct state *private,
                        struct kc_lease *lease, struct kc_wait *wait)
{
    struct kc_request r = {.model = "m"};
    struct kc_lease none;
    struct kc_refusal refusal;
    uint64_t serial;
    alarm(20); /* a lock that nobody opens would hold it for ever */
    if (!kc_ledger_is_forked(s->ledger) ||
        kc_lease_acquire(s->ledger, &r, &none, &refusal) != KC_EFORKED ||
        kc_lease_settle(lease, KC_DONE, NULL) != KC_EFORKED ||
        kc_ledger_listen(s->ledger, true, &serial) != KC_EFORKED ||
        kc_hub_claim(kc_ledger_hub(s->ledger)) ||
        kc_ledger_share(private->ledger, "x", false) != KC_EFORKED)
        return 1;
    kc_ledger_pump(s->ledger);
    kc_ledger_stamp(s->ledger, lease->grant.lease);
    kc_wait_deinit(wait);
    kc_lease_deinit(lease);
    close_state(s);
    /* A new one of the child's own, under the same name. */
    struct state again = open_shared(&one_at_once, "x");
    int err = counts_of(&again).in_flight == 0 ? 0 : 2;
    close_state(&again);
    return err;
}

static void a_forked_child_waits_for_no_lock_of_its_parents(void **state)
{
    (void)state;
    struct state s = open_shared(&one_at_once, "x");
    struct state private = open_private(&one_at_once);
    struct kc_hub *hub = kc_ledger_hub(s.ledger);
    struct kc_lease leases[3];
    struct kc_wait wait;
    take_all(&s, leases);
    await(&s, &wait, 4, KC_NEVER);
    /* As if other threads were inside just now. */
    pthread_mutex_lock(&hub->lock);
    kc_pool_enter(hub->pool, 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(in_the_child(&s, &private, &leases[0], &wait));
    kc_pool_leave(hub->pool);
    pthread_mutex_unlock(&hub->lock);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    give_all_back(leases);
    assert_true(step(&s));
    kc_wait_deinit(&wait);
    assert_int_equal(counts_of(&s).in_flight, 0);
    close_state(&private);
    close_state(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_gives_back_serves_another),
        cmocka_unit_test(they_are_served_in_the_order_they_came),
        cmocka_unit_test(who_leaves_when_it_was_served_hands_on),
        cmocka_unit_test(who_closes_holds_up_nobody),
        cmocka_unit_test(each_one_keeps_the_time_by_itself),
        cmocka_unit_test(a_time_that_another_makes_known_is_kept),
        cmocka_unit_test(a_stamp_tells_those_who_wait_when),
        cmocka_unit_test(who_listens_is_woken_by_what_others_do),
        cmocka_unit_test(eight_threads_wait_for_three_keys_in_turn),
        cmocka_unit_test(waiters_may_leave_while_others_serve_them),
        cmocka_unit_test(a_name_comes_and_goes_under_many_threads),
        cmocka_unit_test(a_forked_child_waits_for_no_lock_of_its_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
