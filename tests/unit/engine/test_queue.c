/* Waiters stand by priority and arrival; waiting raises them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/queue.h"

static struct kc_waiter at(uint64_t queued_ms, int priority, uint64_t deadline)
{
    return (struct kc_waiter){.queued_ms = queued_ms,
                              .priority = priority,
                              .deadline_ms = deadline};
}

static void priority_then_arrival(void **state)
{
    (void)state;
    struct kc_queue q = {0};
    struct kc_waiter a = at(0, 4, KC_NEVER);
    struct kc_waiter b = at(0, 4, KC_NEVER);
    struct kc_waiter c = at(1, 0, KC_NEVER);
    struct kc_waiter d = at(2, 7, KC_NEVER);
    kc_queue_insert(&q, &a);
    kc_queue_insert(&q, &b);
    kc_queue_insert(&q, &d);
    kc_queue_insert(&q, &c);
    assert_ptr_equal(q.first, &c);
    assert_ptr_equal(c.next, &a);
    assert_ptr_equal(a.next, &b);
    assert_ptr_equal(b.next, &d);
    assert_ptr_equal(q.last, &d);
    kc_queue_remove(&q, &a);
    kc_queue_remove(&q, &c);
    kc_queue_remove(&q, &d);
    assert_ptr_equal(q.first, &b);
    assert_ptr_equal(q.last, &b);
    assert_int_equal(q.len, 1);
}

static void ten_seconds_are_worth_one_priority(void **state)
{
    (void)state;
    struct kc_queue q = {0};
    struct kc_waiter old = at(0, 7, KC_NEVER);
    struct kc_waiter first = at(69999, 0, KC_NEVER);
    struct kc_waiter late = at(70001, 0, KC_NEVER);
    kc_queue_insert(&q, &old);
    kc_queue_insert(&q, &first);
    kc_queue_insert(&q, &late);
    assert_ptr_equal(q.first, &first);
    assert_ptr_equal(first.next, &old);
    assert_ptr_equal(old.next, &late);
}

static void the_least_deadline_is_known(void **state)
{
    (void)state;
    struct kc_queue q = {0};
    struct kc_waiter a = at(0, 0, 50);
    struct kc_waiter b = at(0, 0, 20);
    struct kc_waiter c = at(0, 0, KC_NEVER);
    assert_true(kc_queue_deadline(&q) == KC_NEVER);
    kc_queue_insert(&q, &a);
    kc_queue_insert(&q, &b);
    kc_queue_insert(&q, &c);
    assert_int_equal(kc_queue_deadline(&q), 20);
    kc_queue_remove(&q, &b);
    assert_int_equal(kc_queue_deadline(&q), 50);
    kc_queue_remove(&q, &a);
    assert_true(kc_queue_deadline(&q) == KC_NEVER);
    kc_queue_remove(&q, &c);
    kc_queue_insert(&q, &a);
    assert_int_equal(kc_queue_deadline(&q), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority_then_arrival),
        cmocka_unit_test(ten_seconds_are_worth_one_priority),
        cmocka_unit_test(the_least_deadline_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
