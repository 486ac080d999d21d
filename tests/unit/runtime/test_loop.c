/* The loop: timers in order, one pollable descriptor, budgets, wake-ups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/transport.h"
#include "runtime/loop.h"
#include "runtime/registry.h"
#include "util/clock.h"
#include "util/rng.h"

struct trace {
    int order[8];
    int n;
};

struct shot {
    struct kc_timer timer;
    struct trace *trace;
    int name;
};

static void fire(void *ctx)
{
    struct shot *s = ctx;
    s->trace->order[s->trace->n++] = s->name;
}

static struct kc_loop *new_loop(void)
{
    struct kc_loop *l;
    assert_int_equal(kc_loop_new(&l), KC_OK);
    return l;
}

static void arm(struct kc_loop *l, struct shot *s, struct trace *t, int name,
                uint64_t at)
{
    *s = (struct shot){
        .timer = {.fn = fire, .ctx = s}, .trace = t, .name = name};
    kc_loop_arm(l, &s->timer, at);
}

static void due_timers_fire_in_the_order_of_their_times(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    struct trace t = {0};
    struct shot a, b, c;
    uint64_t now = kc_mono_ms();
    arm(l, &a, &t, 1, now - 1);
    arm(l, &b, &t, 2, now - 3);
    arm(l, &c, &t, 3, now - 2);
    assert_int_equal(kc_loop_step(l, -1, -1), KC_OK);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.order[0], 2);
    assert_int_equal(t.order[1], 3);
    assert_int_equal(t.order[2], 1);
    assert_int_equal(kc_loop_timeout_ms(l), -1);
    kc_loop_free(l);
}

static void a_disarmed_timer_does_not_fire_and_others_stay(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    struct trace t = {0};
    struct shot s[5];
    uint64_t now = kc_mono_ms();
    for (int i = 0; i < 5; i++)
        arm(l, &s[i], &t, i, now - (uint64_t)(5 - i));
    kc_loop_disarm(l, &s[0].timer);
    kc_loop_disarm(l, &s[3].timer);
    kc_loop_disarm(l, &s[3].timer);
    assert_int_equal(kc_loop_step(l, 0, -1), KC_OK);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.order[0], 1);
    assert_int_equal(t.order[1], 2);
    assert_int_equal(t.order[2], 4);
    kc_loop_free(l);
}

/* What fired last, and how many have. */
struct order {
    uint64_t last_ms;
    size_t fired;
};

struct many {
    struct kc_timer timer;
    struct order *order;
};

static void in_order(void *ctx)
{
    struct many *m = ctx;
    assert_true(m->timer.at_ms >= m->order->last_ms);
    m->order->last_ms = m->timer.at_ms;
    m->order->fired++;
}

static void many_timers_set_again_and_disarmed_fire_in_order(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    static struct many all[200];
    struct order order = {0};
    struct kc_rng rng;
    uint64_t now = kc_mono_ms();
    size_t armed = 0;
    kc_rng_seed(&rng, 7);
    for (size_t i = 0; i < 200; i++)
        all[i] = (struct many){.timer = {.fn = in_order, .ctx = &all[i]},
                               .order = &order};
    for (int step = 0; step < 20000; step++) {
        struct kc_timer *t = &all[kc_rng_below(&rng, 200)].timer;
        if (kc_rng_below(&rng, 3) == 0)
            kc_loop_disarm(l, t);
        else
            kc_loop_arm(l, t, now - kc_rng_below(&rng, 1000));
    }
    for (size_t i = 0; i < 200; i++)
        armed += all[i].timer.armed;
    assert_int_equal(kc_loop_step(l, 0, -1), KC_OK);
    assert_int_equal(order.fired, armed);
    assert_int_equal(kc_loop_timeout_ms(l), -1);
    kc_loop_free(l);
}

static void the_descriptor_is_readable_for_timers_and_wakes(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    struct trace t = {0};
    struct shot a;
    struct pollfd p = {.fd = kc_loop_fd(l), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    arm(l, &a, &t, 1, kc_mono_ms() - 1);
    assert_int_equal(poll(&p, 1, 1000), 1);
    assert_int_equal(kc_loop_step(l, 0, -1), KC_OK);
    assert_int_equal(t.n, 1);
    assert_int_equal(poll(&p, 1, 0), 0);
    kc_loop_wake(l);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(kc_loop_step(l, -1, -1), KC_OK);
    assert_int_equal(poll(&p, 1, 0), 0);
    kc_loop_free(l);
}

static void count(void *ctx)
{
    ++*(int *)ctx;
}

static void a_wake_is_told_once_and_a_timer_is_none(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    struct trace t = {0};
    struct shot a;
    int woken = 0;
    kc_loop_on_wake(l, count, &woken);
    kc_loop_wake(l);
    kc_loop_wake(l);
    assert_int_equal(kc_loop_step(l, -1, 0), KC_OK); /* whatever the budget */
    assert_int_equal(woken, 1);
    arm(l, &a, &t, 1, kc_mono_ms() - 1);
    assert_int_equal(kc_loop_step(l, -1, -1), KC_OK);
    assert_int_equal(t.n, 1);
    assert_int_equal(woken, 1);
    kc_loop_free(l);
}

static void a_spent_budget_starts_no_further_timer(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    struct trace t = {0};
    struct shot a, b;
    uint64_t now = kc_mono_ms();
    arm(l, &a, &t, 1, now - 2);
    arm(l, &b, &t, 2, now - 1);
    assert_int_equal(kc_loop_step(l, 0, 0), KC_OK);
    assert_int_equal(t.n, 1); /* one, so that turns make progress */
    struct pollfd p = {.fd = kc_loop_fd(l), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 1000), 1);
    assert_int_equal(kc_loop_step(l, 0, -1), KC_OK);
    assert_int_equal(t.n, 2);
    kc_loop_free(l);
}

/* Counts what it is told of, and leaves it readable. */
static void note_fd(void *ctx, int fd, int events)
{
    struct trace *t = ctx;
    (void)events;
    t->order[t->n++] = fd;
}

static void without_budget_a_socket_and_a_timer_take_turns(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    struct trace told = {0}, fired = {0};
    struct shot a;
    int fd[2];
    kc_loop_on_fd(l, note_fd, &told);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    assert_int_equal(kc_loop_watch(l, fd[0], KC_POLL_IN), KC_OK);
    assert_int_equal(write(fd[1], "a", 1), 1);
    for (int i = 0; i < 3; i++) {
        arm(l, &a, &fired, 1, kc_mono_ms() - 1);
        assert_int_equal(kc_loop_step(l, 0, 0), KC_OK);
        assert_int_equal(told.n, i + 1);
        assert_int_equal(fired.n, i);
        assert_true(kc_loop_worked(l));
        assert_int_equal(kc_loop_step(l, 0, 0), KC_OK);
        assert_int_equal(told.n, i + 1);
        assert_int_equal(fired.n, i + 1);
        assert_true(kc_loop_worked(l));
    }
    arm(l, &a, &fired, 1, kc_mono_ms() - 1);
    assert_int_equal(kc_loop_step(l, 0, -1), KC_OK);
    assert_int_equal(told.n, 4);
    assert_int_equal(fired.n, 4);
    assert_int_equal(kc_loop_watch(l, fd[0], 0), KC_OK);
    assert_int_equal(kc_loop_step(l, 0, 0), KC_OK);
    assert_false(kc_loop_worked(l));
    close(fd[0]);
    close(fd[1]);
    kc_loop_free(l);
}

/* Long ago it was set, and it is not armed any more. */
static void a_timer_that_went_leaves_nothing_to_read(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    struct trace t = {0};
    struct shot a;
    struct pollfd p = {.fd = kc_loop_fd(l), .events = POLLIN};
    arm(l, &a, &t, 1, 1);
    assert_int_equal(poll(&p, 1, 1000), 1);
    kc_loop_disarm(l, &a.timer);
    assert_int_equal(kc_loop_step(l, 0, 0), KC_OK);
    assert_false(kc_loop_worked(l));
    assert_int_equal(poll(&p, 1, 0), 0);
    kc_loop_free(l);
}

static void ask_budget(void *ctx)
{
    struct kc_loop **l = ctx;
    if (kc_loop_spent(*l))
        *l = NULL;
}

static void whoever_is_woken_can_ask_for_the_budget(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop(), *seen = l;
    kc_loop_on_wake(l, ask_budget, &seen);
    static const int64_t budgets[] = {-1, 60000000, 0};
    for (int i = 0; i < 3; i++) {
        kc_loop_wake(l);
        assert_int_equal(kc_loop_step(l, -1, budgets[i]), KC_OK);
        assert_true(seen == (i < 2 ? l : NULL));
        assert_false(kc_loop_spent(l)); /* no step runs */
    }
    kc_loop_free(l);
}

static void on_fd(void *ctx, int fd, int events)
{
    int *seen = ctx;
    char c;
    if (events & KC_POLL_IN)
        *seen += (int)read(fd, &c, 1);
}

static void with_no_budget_each_socket_has_its_turn(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    struct trace t = {0};
    int fd[3][2];
    kc_loop_on_fd(l, note_fd, &t);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd[i]), 0);
        assert_int_equal(kc_loop_watch(l, fd[i][0], KC_POLL_IN), KC_OK);
        assert_int_equal(write(fd[i][1], "a", 1), 1);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kc_loop_step(l, 0, 0), KC_OK);
        assert_int_equal(t.n, i + 1); /* one a step, always */
    }
    for (int i = 0; i < 3; i++) {
        int told = 0;
        for (int k = 0; k < t.n; k++)
            told += t.order[k] == fd[i][0];
        assert_int_equal(told, 1);
        assert_int_equal(kc_loop_watch(l, fd[i][0], 0), KC_OK);
        close(fd[i][0]);
        close(fd[i][1]);
    }
    kc_loop_free(l);
}

static void a_watched_socket_is_told_and_a_forgotten_one_is_not(void **state)
{
    (void)state;
    struct kc_loop *l = new_loop();
    int fd[2], seen = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    kc_loop_on_fd(l, on_fd, &seen);
    assert_int_equal(kc_loop_watch(l, fd[0], KC_POLL_IN), KC_OK);
    assert_int_equal(write(fd[1], "xy", 2), 2);
    assert_int_equal(kc_loop_step(l, -1, -1), KC_OK);
    assert_int_equal(seen, 1);
    assert_int_equal(kc_loop_watch(l, fd[0], 0), KC_OK);
    assert_int_equal(kc_loop_watch(l, fd[0], 0), KC_OK);
    assert_int_equal(kc_loop_step(l, 0, -1), KC_OK);
    assert_int_equal(seen, 1);
    close(fd[0]);
    close(fd[1]);
    kc_loop_free(l);
}

static bool is_readable(struct kc_loop *l)
{
    struct pollfd p = {.fd = kc_loop_fd(l), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static int in_the_child(struct kc_loop *l, struct shot *s, int fd)
{
    kc_loop_disarm(l, &s->timer);
    kc_loop_wake(l);
    bool bad = kc_loop_watch(l, fd, 0) != KC_OK ||
               kc_loop_watch(l, fd, KC_POLL_OUT) != KC_EFORKED ||
               kc_loop_step(l, -1, -1) != KC_EFORKED;
    kc_loop_free(l);
    return bad;
}

static void what_a_forked_child_does_is_not_done_to_its_parent(void **state)
{
    (void)state;
    assert_int_equal(kc_registry_init(), KC_OK);
    struct kc_loop *l = new_loop();
    struct trace t = {0};
    struct shot a;
    int fd[2], seen = 0, status;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    kc_loop_on_fd(l, on_fd, &seen);
    assert_int_equal(kc_loop_watch(l, fd[0], KC_POLL_IN), KC_OK);
    arm(l, &a, &t, 1, kc_mono_ms() + 3600000);
    pid_t pid = fork();
    if (pid == 0)
        _exit(in_the_child(l, &a, fd[0]));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_false(is_readable(l));
    assert_int_equal(write(fd[1], "x", 1), 1);
    assert_int_equal(kc_loop_step(l, -1, -1), KC_OK);
    assert_int_equal(seen, 1);
    kc_loop_arm(l, &a.timer, 1); /* long ago */
    pid = fork();
    if (pid == 0)
        _exit(in_the_child(l, &a, fd[0]));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(is_readable(l)); /* its timer is set still */
    assert_int_equal(kc_loop_step(l, -1, -1), KC_OK);
    assert_int_equal(t.n, 1);
    close(fd[0]);
    close(fd[1]);
    kc_loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_timers_fire_in_the_order_of_their_times),
        cmocka_unit_test(a_disarmed_timer_does_not_fire_and_others_stay),
        cmocka_unit_test(many_timers_set_again_and_disarmed_fire_in_order),
        cmocka_unit_test(the_descriptor_is_readable_for_timers_and_wakes),
        cmocka_unit_test(a_wake_is_told_once_and_a_timer_is_none),
        cmocka_unit_test(a_spent_budget_starts_no_further_timer),
        cmocka_unit_test(without_budget_a_socket_and_a_timer_take_turns),
        cmocka_unit_test(a_timer_that_went_leaves_nothing_to_read),
        cmocka_unit_test(whoever_is_woken_can_ask_for_the_budget),
        cmocka_unit_test(with_no_budget_each_socket_has_its_turn),
        cmocka_unit_test(a_watched_socket_is_told_and_a_forgotten_one_is_not),
        cmocka_unit_test(what_a_forked_child_does_is_not_done_to_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
