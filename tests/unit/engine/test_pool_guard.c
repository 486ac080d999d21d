/* A request that was sent a while ago has been counted, headers or not. */
#include "unit/engine/pool_fixture.h"

#define GUARD KC_GUARD_MS

static struct kc_pool *guarded_pool(uint64_t guard_ms)
{
    struct kc_pool_config config = {.max_waiters = 10,
                                    .max_lease_ms = 10 * MINUTE_MS,
                                    .guard_ms = guard_ms,
                                    .seed = 1};
    struct kc_key_config key = {.secret = "sk-test-0007-key-0001"};
    struct kc_pool *p;
    uint32_t index;
    assert_int_equal(kc_pool_new(&config, &p), KC_OK);
    assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    return p;
}

/* The first instant from `from` on at which the next request passes. */
static void opens_at(struct kc_pool *p, uint64_t from, uint64_t at)
{
    struct kc_request request = {.model = "m"};
    uint64_t wait;
    assert_int_equal(kc_pool_next_available(p, from, &request, &wait), KC_OK);
    assert_int_equal(from + wait, at);
    assert_int_equal(kc_pool_next_available(p, at - 1, &request, &wait),
                     KC_OK);
    assert_int_equal(wait, 1);
}

static void it_ages_from_the_guard_on(void **state)
{
    (void)state;
    struct kc_pool *p = guarded_pool(GUARD);
    struct kc_request request = {.model = "m"};
    struct kc_grant g;
    uint64_t wait;
    granted(p, START_MS, "m", 5, &g);
    assert_int_equal(
        kc_pool_next_available(p, START_MS + GUARD - 1, &request, &wait),
        KC_OK);
    assert_true(wait == KC_NEVER);
    opens_at(p, START_MS + GUARD, START_MS + GUARD + MINUTE_MS + 1);
    assert_int_equal(
        kc_pool_settle(p, START_MS + 30000, g.lease, KC_DONE, NULL), KC_OK);
    struct kc_snapshot s = counts(p, START_MS + 30000, 0, NULL);
    assert_int_equal(s.used[KC_MINUTE][KC_REQUESTS], 1);
    assert_int_equal(s.used[KC_MINUTE][KC_TOKENS], 5);
    kc_pool_free(p);
}

static void however_late_somebody_asks(void **state)
{
    (void)state;
    struct kc_pool *p = guarded_pool(GUARD);
    struct kc_grant g;
    granted(p, START_MS, "m", 0, &g);
    opens_at(p, START_MS + 50000, START_MS + GUARD + MINUTE_MS + 1);
    granted(p, START_MS + 4 * MINUTE_MS, "m", 0, &g);
    kc_pool_free(p);
}

static void headers_that_come_first_decide(void **state)
{
    (void)state;
    struct kc_pool *p = guarded_pool(GUARD);
    struct kc_grant g;
    granted(p, START_MS, "m", 0, &g);
    kc_pool_stamp(p, START_MS + 700, g.lease);
    opens_at(p, START_MS + 20000, START_MS + 700 + MINUTE_MS + 1);
    kc_pool_free(p);
}

static void what_is_not_sent_yet_waits_for_its_transport(void **state)
{
    (void)state;
    struct kc_pool *p = guarded_pool(GUARD);
    struct kc_request request = {.model = "m"};
    struct kc_grant g;
    uint64_t wait;
    granted(p, START_MS, "m", 0, &g);
    kc_pool_sending(p, g.lease);
    assert_int_equal(
        kc_pool_next_available(p, START_MS + 20000, &request, &wait), KC_OK);
    assert_true(wait == KC_NEVER);
    kc_pool_sent(p, START_MS + 20000, g.lease);
    kc_pool_sent(p, START_MS + 21000, g.lease); /* told twice: once is it */
    opens_at(p, START_MS + 24000,
             START_MS + 20000 + GUARD + MINUTE_MS + 1);
    kc_pool_free(p);
}

/* A transport may tell of headers and of the sent body in one breath. */
static void headers_before_the_word_of_its_transport_are_enough(void **state)
{
    (void)state;
    struct kc_pool *p = guarded_pool(GUARD);
    struct kc_grant g;
    granted(p, START_MS, "m", 5, &g);
    kc_pool_sending(p, g.lease);
    kc_pool_stamp(p, START_MS + 700, g.lease);
    kc_pool_sent(p, START_MS + 700, g.lease);
    opens_at(p, START_MS + 20000, START_MS + 700 + MINUTE_MS + 1);
    struct kc_snapshot s = counts(p, START_MS + 20000, 0, NULL);
    assert_int_equal(s.used[KC_MINUTE][KC_REQUESTS], 1);
    assert_int_equal(s.used[KC_MINUTE][KC_TOKENS], 5);
    kc_pool_free(p);
}

static void what_is_sent_long_after_its_grant_is_held_till_then(void **state)
{
    (void)state;
    for (int grouped = 0; grouped <= 1; grouped++) {
        struct kc_pool *p = guarded_pool(GUARD);
        struct kc_request request = {.model = "m"};
        struct kc_grant g;
        uint64_t wait;
        bool joined;
        if (grouped)
            assert_int_equal(kc_pool_join(p, START_MS, 1, "org", &joined),
                             KC_OK);
        granted(p, START_MS, "m", 5, &g);
        opens_at(p, START_MS + 20000, START_MS + GUARD + MINUTE_MS + 1);
        kc_pool_sending(p, g.lease);
        assert_int_equal(
            kc_pool_next_available(p, START_MS + 100000, &request, &wait),
            KC_OK);
        assert_true(wait == KC_NEVER);
        kc_pool_sent(p, START_MS + 100000, g.lease);
        opens_at(p, START_MS + 104000,
                 START_MS + 100000 + GUARD + MINUTE_MS + 1);
        struct kc_snapshot s = counts(p, START_MS + 104000, 0, NULL);
        assert_int_equal(s.in_flight, 1);
        assert_int_equal(s.used[KC_DAY][KC_REQUESTS], 1);
        assert_int_equal(s.used[KC_DAY][KC_TOKENS], 5);
        kc_pool_free(p);
    }
}

static void several_are_stamped_in_the_order_of_their_sending(void **state)
{
    (void)state;
    struct kc_pool *p = guarded_pool(GUARD);
    struct kc_grant g[4];
    limit(p, KC_MINUTE, KC_REQUESTS, 4);
    for (uint64_t i = 0; i < 4; i++)
        granted(p, START_MS + i * 100, "m", 0, &g[i]);
    kc_pool_sending(p, g[0].lease);
    kc_pool_sent(p, START_MS + 2000, g[0].lease);
    kc_pool_stamp(p, START_MS + 2500, g[2].lease);
    assert_int_equal(
        kc_pool_settle(p, START_MS + 2600, g[3].lease, KC_NOT_SENT, NULL),
        KC_OK);
    granted(p, START_MS + 2600, "m", 0, &g[3]);
    /* 2 at 2500, 1 at 3100, 0 at 5000, 3 at 5600 */
    opens_at(p, START_MS + 9000, START_MS + 2500 + MINUTE_MS + 1);
    uint64_t now = START_MS + 3100 + MINUTE_MS;
    assert_int_equal(counts(p, now, 0, NULL).used[KC_MINUTE][KC_REQUESTS], 3);
    now++;
    assert_int_equal(counts(p, now, 0, NULL).used[KC_MINUTE][KC_REQUESTS], 2);
    now = START_MS + 5001 + MINUTE_MS;
    assert_int_equal(counts(p, now, 0, NULL).used[KC_MINUTE][KC_REQUESTS], 1);
    now = START_MS + 5601 + MINUTE_MS;
    assert_int_equal(counts(p, now, 0, NULL).used[KC_MINUTE][KC_REQUESTS], 0);
    kc_pool_free(p);
}

static void who_waits_learns_the_time_at_the_guard(void **state)
{
    (void)state;
    struct kc_pool *p = guarded_pool(GUARD);
    struct kc_waiter w = {.request = {.model = "m"}, .deadline_ms = KC_NEVER};
    struct kc_grant g;
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &w), KC_EAGAIN);
    uint64_t at = kc_pool_next_deadline(p, START_MS);
    assert_int_equal(at, START_MS + GUARD);
    assert_null(kc_pool_pump(p, at));
    at = kc_pool_next_deadline(p, at);
    assert_int_equal(at, START_MS + GUARD + MINUTE_MS + 1);
    assert_ptr_equal(kc_pool_pump(p, at), &w);
    assert_int_equal(w.result, KC_OK);
    kc_pool_free(p);
}

static void without_a_guard_it_never_ages_by_itself(void **state)
{
    (void)state;
    struct kc_pool *p = guarded_pool(0);
    struct kc_request request = {.model = "m"};
    struct kc_grant g;
    uint64_t wait;
    granted(p, START_MS, "m", 0, &g);
    assert_int_equal(
        kc_pool_next_available(p, START_MS + 5 * MINUTE_MS, &request, &wait),
        KC_OK);
    assert_true(wait == KC_NEVER);
    kc_pool_free(p);
}

static struct kc_pool *one_at_once(struct kc_limits *l)
{
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    kc_limits_unlimited(l);
    l->concurrent = 1;
    assert_int_equal(kc_pool_set_limits(p, START_MS, 0, NULL, l), KC_OK);
    return p;
}

static void an_answer_that_has_ended_frees_its_place_and_is_settled_later(
    void **state)
{
    (void)state;
    struct kc_limits l;
    struct kc_pool *p = one_at_once(&l);
    struct kc_grant a, b, c;
    struct kc_refusal r;
    granted(p, START_MS, "m", 70, &a);
    assert_int_equal(acquire(p, START_MS, "m", 1, &c, &r), KC_ELIMITED);
    kc_pool_ended(p, a.lease);
    kc_pool_ended(p, a.lease); /* told twice: once is it */
    struct kc_snapshot s = counts(p, START_MS, 0, NULL);
    assert_int_equal(s.in_flight, 1); /* its tokens are not known */
    granted(p, START_MS, "m", 1, &b);
    assert_int_equal(acquire(p, START_MS, "m", 1, &c, &r), KC_ELIMITED);
    struct kc_usage usage = {.total = 12};
    assert_int_equal(kc_pool_settle(p, START_MS, a.lease, KC_DONE, &usage),
                     KC_OK);
    assert_int_equal(acquire(p, START_MS, "m", 1, &c, &r), KC_ELIMITED);
    kc_pool_ended(p, a.lease); /* a stale one */
    assert_int_equal(acquire(p, START_MS, "m", 1, &c, &r), KC_ELIMITED);
    assert_int_equal(kc_pool_settle(p, START_MS, b.lease, KC_DONE, NULL),
                     KC_OK);
    granted(p, START_MS, "m", 1, &c);
    s = counts(p, START_MS, 0, NULL);
    assert_int_equal(s.in_flight, 1);
    assert_int_equal(s.total_tokens, 13);
    kc_pool_free(p);
}

static void a_lease_that_sends_again_takes_its_place_again(void **state)
{
    (void)state;
    struct kc_limits l;
    struct kc_pool *p = one_at_once(&l);
    struct kc_grant a, c;
    struct kc_refusal r;
    granted(p, START_MS, "m", 7, &a);
    kc_pool_ended(p, a.lease);
    kc_pool_sending(p, a.lease);
    assert_int_equal(acquire(p, START_MS, "m", 1, &c, &r), KC_ELIMITED);
    kc_pool_ended(p, a.lease);
    assert_int_equal(kc_pool_expire(p, START_MS + 10 * MINUTE_MS), 1);
    granted(p, START_MS + 10 * MINUTE_MS, "m", 1, &c);
    kc_pool_free(p);
}

static void an_ended_answer_takes_no_place_in_the_group_it_joins(void **state)
{
    (void)state;
    struct kc_limits l;
    struct kc_pool *p = one_at_once(&l);
    struct kc_grant a, b, c;
    struct kc_refusal r;
    bool joined;
    granted(p, START_MS, "m", 7, &a);
    kc_pool_ended(p, a.lease);
    assert_int_equal(kc_pool_join(p, START_MS, 1, "g", &joined), KC_OK);
    granted(p, START_MS, "m", 7, &b);
    kc_pool_ended(p, b.lease);
    granted(p, START_MS, "m", 7, &c);
    assert_int_equal(kc_pool_settle(p, START_MS, a.lease, KC_DONE, NULL),
                     KC_OK);
    assert_int_equal(kc_pool_settle(p, START_MS, b.lease, KC_DONE, NULL),
                     KC_OK);
    assert_int_equal(acquire(p, START_MS, "m", 1, &a, &r), KC_ELIMITED);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ages_from_the_guard_on),
        cmocka_unit_test(however_late_somebody_asks),
        cmocka_unit_test(headers_that_come_first_decide),
        cmocka_unit_test(what_is_not_sent_yet_waits_for_its_transport),
        cmocka_unit_test(
            headers_before_the_word_of_its_transport_are_enough),
        cmocka_unit_test(what_is_sent_long_after_its_grant_is_held_till_then),
        cmocka_unit_test(several_are_stamped_in_the_order_of_their_sending),
        cmocka_unit_test(who_waits_learns_the_time_at_the_guard),
        cmocka_unit_test(without_a_guard_it_never_ages_by_itself),
        cmocka_unit_test(
            an_answer_that_has_ended_frees_its_place_and_is_settled_later),
        cmocka_unit_test(a_lease_that_sends_again_takes_its_place_again),
        cmocka_unit_test(an_ended_answer_takes_no_place_in_the_group_it_joins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
