/* Waiting for a key: in order, by priority, until a deadline, never for ever. */
#include "unit/engine/pool_fixture.h"

static struct kc_waiter waiter(const char *model, uint64_t deadline_ms)
{
    return (struct kc_waiter){.request = {.model = model},
                              .priority = 4,
                              .deadline_ms = deadline_ms};
}

static struct kc_pool *one_a_minute(int keys)
{
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, keys);
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    return p;
}

static void give_back(struct kc_pool *p, uint64_t now, const struct kc_grant *g)
{
    assert_int_equal(kc_pool_settle(p, now, g->lease, KC_NOT_SENT, NULL),
                     KC_OK);
}

static void one_who_finds_a_key_does_not_wait(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(1);
    struct kc_waiter w = waiter("m", KC_NEVER);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &w), KC_OK);
    assert_int_equal(w.grant.key, 1);
    assert_int_equal(kc_pool_waiting(p), 0);
    kc_pool_free(p);
}

static void the_first_to_come_is_the_first_served(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(1);
    struct kc_grant g;
    struct kc_waiter a = waiter("m", KC_NEVER), b = waiter("m", KC_NEVER);
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &a), KC_EAGAIN);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &b), KC_EAGAIN);
    assert_null(kc_pool_pump(p, START_MS));
    give_back(p, START_MS, &g);
    assert_ptr_equal(kc_pool_pump(p, START_MS), &a);
    assert_null(a.next);
    assert_int_equal(a.result, KC_OK);
    assert_int_equal(kc_pool_waiting(p), 1);
    give_back(p, START_MS, &a.grant);
    assert_ptr_equal(kc_pool_pump(p, START_MS), &b);
    kc_pool_free(p);
}

static void lower_priorities_are_served_first(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(1);
    struct kc_grant g;
    struct kc_waiter late = waiter("m", KC_NEVER), soon = waiter("m", KC_NEVER);
    soon.priority = 0;
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &late), KC_EAGAIN);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &soon), KC_EAGAIN);
    give_back(p, START_MS, &g);
    assert_ptr_equal(kc_pool_pump(p, START_MS), &soon);
    kc_pool_dequeue(p, &late);
    soon.priority = 8;
    assert_int_equal(kc_pool_enqueue(p, START_MS, &soon), KC_EINVALID);
    kc_pool_free(p);
}

static void nobody_overtakes_the_queue(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(1);
    struct kc_grant g, h;
    struct kc_refusal r;
    struct kc_waiter w = waiter("m", KC_NEVER);
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &w), KC_EAGAIN);
    give_back(p, START_MS, &g);
    assert_int_equal(acquire(p, START_MS, "m", 0, &h, &r), KC_ELIMITED);
    assert_string_equal(r.limit, "queue");
    granted(p, START_MS, "another", 0, &h); /* nobody waits for that one */
    assert_ptr_equal(kc_pool_pump(p, START_MS), &w);
    kc_pool_free(p);
}

static void the_pool_says_when_to_pump(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(1);
    struct kc_waiter w = waiter("m", KC_NEVER);
    use(p, START_MS, "m", 0);
    assert_true(kc_pool_next_deadline(p, START_MS) == KC_NEVER);
    assert_int_equal(kc_pool_enqueue(p, START_MS + 5000, &w), KC_EAGAIN);
    uint64_t at = kc_pool_next_deadline(p, START_MS + 5000);
    assert_true(at >= START_MS + MINUTE_MS && at <= START_MS + MINUTE_MS + 2);
    assert_null(kc_pool_pump(p, at - 1));
    assert_ptr_equal(kc_pool_pump(p, at), &w);
    assert_int_equal(w.result, KC_OK);
    kc_pool_free(p);
}

static void a_deadline_ends_the_wait(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(1);
    struct kc_grant g;
    struct kc_waiter w = waiter("m", START_MS + 5000);
    granted(p, START_MS, "m", 0, &g); /* it may come back any time */
    assert_int_equal(kc_pool_enqueue(p, START_MS, &w), KC_EAGAIN);
    assert_int_equal(kc_pool_next_deadline(p, START_MS), START_MS + 5000);
    assert_null(kc_pool_pump(p, START_MS + 4999));
    assert_ptr_equal(kc_pool_pump(p, START_MS + 5000), &w);
    assert_int_equal(w.result, KC_ELIMITED);
    assert_string_equal(w.refusal.limit, "requests_per_minute");
    kc_pool_free(p);
}

static void a_hopeless_wait_is_refused_at_once(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(1);
    struct kc_waiter w = waiter("m", START_MS + 5000);
    use(p, START_MS, "m", 0);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &w), KC_ELIMITED);
    assert_true(w.refusal.wait_ms >= MINUTE_MS);
    assert_int_equal(kc_pool_waiting(p), 0);
    kc_pool_free(p);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    struct kc_pool_config config = {.max_waiters = 1};
    struct kc_key_config key = {.secret = "sk-test-0001-key-0001"};
    struct kc_pool *p;
    struct kc_grant g;
    uint32_t index;
    assert_int_equal(kc_pool_new(&config, &p), KC_OK);
    assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    struct kc_waiter a = waiter("m", KC_NEVER), b = waiter("m", KC_NEVER);
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &a), KC_EAGAIN);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &b), KC_EQUEUEFULL);
    kc_pool_dequeue(p, &a);
    assert_int_equal(a.result, KC_ECANCELLED);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &b), KC_EAGAIN);
    kc_pool_dequeue(p, &b);
    kc_pool_dequeue(p, &b); /* harmless */
    kc_pool_free(p);
}

static void a_pinned_waiter_closes_its_key_only(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(2);
    struct kc_grant g, h;
    struct kc_waiter pinned = waiter("m", KC_NEVER), any = waiter("m", KC_NEVER);
    pinned.request.key = 1;
    pinned.request.pin = true;
    granted(p, START_MS, "m", 0, &g);
    granted(p, START_MS, "m", 0, &h);
    assert_int_equal(g.key, 1);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &pinned), KC_EAGAIN);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &any), KC_EAGAIN);
    give_back(p, START_MS, &h);
    assert_ptr_equal(kc_pool_pump(p, START_MS), &any);
    assert_int_equal(any.grant.key, 2);
    give_back(p, START_MS, &g);
    assert_ptr_equal(kc_pool_pump(p, START_MS), &pinned);
    assert_int_equal(pinned.grant.key, 1);
    kc_pool_free(p);
}

static void nobody_waits_for_a_key_that_died(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(1);
    struct kc_grant g;
    struct kc_waiter w = waiter("m", KC_NEVER);
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &w), KC_EAGAIN);
    assert_int_equal(kc_pool_suspend(p, START_MS, 1, MINUTE_MS, "401"), KC_OK);
    assert_ptr_equal(kc_pool_pump(p, START_MS), &w);
    assert_int_equal(w.result, KC_ENOKEY);
    assert_int_equal(w.refusal.wait_ms, MINUTE_MS);
    kc_pool_free(p);
}

static void a_raised_limit_lets_waiters_through(void **state)
{
    (void)state;
    struct kc_pool *p = one_a_minute(1);
    struct kc_waiter a = waiter("m", KC_NEVER), b = waiter("m", KC_NEVER);
    use(p, START_MS, "m", 0);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &a), KC_EAGAIN);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &b), KC_EAGAIN);
    limit(p, KC_MINUTE, KC_REQUESTS, 3);
    assert_ptr_equal(kc_pool_pump(p, START_MS), &a);
    assert_ptr_equal(a.next, &b);
    assert_null(b.next);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_who_finds_a_key_does_not_wait),
        cmocka_unit_test(the_first_to_come_is_the_first_served),
        cmocka_unit_test(lower_priorities_are_served_first),
        cmocka_unit_test(nobody_overtakes_the_queue),
        cmocka_unit_test(the_pool_says_when_to_pump),
        cmocka_unit_test(a_deadline_ends_the_wait),
        cmocka_unit_test(a_hopeless_wait_is_refused_at_once),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(a_pinned_waiter_closes_its_key_only),
        cmocka_unit_test(nobody_waits_for_a_key_that_died),
        cmocka_unit_test(a_raised_limit_lets_waiters_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
