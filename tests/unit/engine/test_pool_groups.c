/* Keys of one group share one quota: its room, its refusals, its bill. */
#include "unit/engine/pool_fixture.h"

#include <string.h>

/* Keys 1 and 2 of one organisation, key 3 alone. */
static struct kc_pool *organisation(enum kc_strategy strategy)
{
    struct kc_pool *p = new_pool(strategy, KC_ROUND_ROBIN, 0);
    static const char *const groups[] = {"org", "org", NULL};
    for (int i = 0; i < 3; i++) {
        char secret[32];
        uint32_t index;
        snprintf(secret, sizeof secret, "sk-group-%08d", i);
        struct kc_key_config key = {.secret = secret, .group = groups[i]};
        assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    }
    return p;
}

static enum kc_state state_of(struct kc_pool *p, uint32_t key)
{
    struct kc_key_info info;
    assert_int_equal(kc_pool_key_info(p, START_MS, key, "m", &info), KC_OK);
    return info.state;
}

static void limits_hold_for_the_whole_group(void **state)
{
    (void)state;
    for (int strategy = 0; strategy <= 1; strategy++) {
        struct kc_pool *p = organisation((enum kc_strategy)strategy);
        struct kc_grant g;
        struct kc_refusal r;
        limit(p, KC_MINUTE, KC_REQUESTS, 4);
        uint64_t by_group = 0;
        for (int i = 0; i < 8; i++)
            by_group += granted(p, START_MS, "m", 0, &g) != 3;
        assert_int_equal(by_group, 4);
        assert_int_equal(acquire(p, START_MS, "m", 0, &g, &r), KC_ELIMITED);
        /* What each key used is still told apart. */
        assert_int_equal(counts(p, START_MS, 1, NULL).in_flight +
                             counts(p, START_MS, 2, NULL).in_flight,
                         4);
        assert_int_equal(counts(p, START_MS, 0, NULL).in_flight, 8);
        kc_pool_free(p);
    }
}

static void what_is_settled_gives_room_to_all_of_it(void **state)
{
    (void)state;
    struct kc_pool *p = organisation(KC_PER_MODEL);
    struct kc_request one = {.model = "m", .tokens = 60, .key = 1, .pin = true};
    struct kc_request two = {.model = "m", .tokens = 60, .key = 2, .pin = true};
    struct kc_usage usage = {.total = 10};
    struct kc_grant g, h;
    struct kc_refusal r;
    limit(p, KC_MINUTE, KC_TOKENS, 100);
    assert_int_equal(kc_pool_acquire(p, START_MS, &one, &g, &r), KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &two, &h, &r), KC_ELIMITED);
    assert_string_equal(r.limit, "tokens_per_minute");
    kc_pool_stamp(p, START_MS, g.lease);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, &usage),
                     KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &two, &h, &r), KC_OK);
    assert_int_equal(kc_pool_settle(p, START_MS, h.lease, KC_NOT_SENT, NULL),
                     KC_OK);
    uint64_t later = START_MS + MINUTE_MS + 1;
    two.tokens = 100;
    assert_int_equal(kc_pool_acquire(p, later, &two, &h, &r), KC_OK);
    kc_pool_free(p);
}

static void a_refusal_of_one_cools_all(void **state)
{
    (void)state;
    struct kc_pool *p = organisation(KC_PER_MODEL);
    struct kc_grant g;
    uint64_t until;
    assert_int_equal(
        kc_pool_cool(p, START_MS, 1, "m", 30 * SECOND_MS, "429", &until),
        KC_OK);
    assert_int_equal(state_of(p, 1), KC_COOLING);
    assert_int_equal(state_of(p, 2), KC_COOLING);
    assert_int_equal(state_of(p, 3), KC_READY);
    for (int i = 0; i < 3; i++)
        assert_int_equal(granted(p, START_MS, "m", 0, &g), 3);
    /* One probe for all of them. */
    struct kc_request two = {.model = "m", .key = 2, .pin = true};
    struct kc_request one = {.model = "m", .key = 1, .pin = true};
    struct kc_refusal r;
    assert_int_equal(kc_pool_acquire(p, until, &two, &g, &r), KC_OK);
    assert_int_equal(kc_pool_acquire(p, until, &one, &g, &r), KC_ELIMITED);
    assert_string_equal(r.limit, "probing");
    kc_pool_free(p);
}

static void a_dead_key_is_dead_alone_and_a_bill_is_everybodys(void **state)
{
    (void)state;
    struct kc_pool *p = organisation(KC_PER_MODEL);
    assert_int_equal(kc_pool_suspend(p, START_MS, 1, MINUTE_MS, "401"), KC_OK);
    assert_int_equal(state_of(p, 1), KC_SUSPENDED);
    assert_int_equal(state_of(p, 2), KC_READY);
    assert_int_equal(kc_pool_unpaid(p, START_MS, 2, "402"), KC_OK);
    assert_int_equal(state_of(p, 2), KC_EXHAUSTED);
    assert_int_equal(kc_pool_enable(p, START_MS, 1), KC_OK);
    assert_int_equal(state_of(p, 1), KC_READY);
    assert_int_equal(state_of(p, 2), KC_READY);
    kc_pool_free(p);
}

static void a_lease_is_settled_in_the_group_that_it_was_charged_to(void **state)
{
    (void)state;
    struct kc_pool *p = organisation(KC_PER_MODEL);
    struct kc_key_config moved = {.secret = "sk-group-00000000",
                                  .group = "other"};
    struct kc_request two = {.model = "m", .key = 2, .pin = true};
    struct kc_grant g, h;
    struct kc_refusal r;
    uint32_t index;
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    assert_int_equal(granted(p, START_MS, "m", 0, &g), 1);
    assert_int_equal(kc_pool_add_key(p, START_MS, &moved, &index), KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &two, &h, &r), KC_ELIMITED);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_NOT_SENT, NULL),
                     KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &two, &h, &r), KC_OK);
    kc_pool_free(p);
}

static void a_pinned_waiter_keeps_the_quota_for_itself(void **state)
{
    (void)state;
    struct kc_pool *p = organisation(KC_PER_MODEL);
    struct kc_waiter first = {.request = {.model = "m", .key = 1, .pin = true},
                              .priority = 4,
                              .deadline_ms = KC_NEVER};
    struct kc_waiter second = {
        .request = {.model = "m", .key = 2, .pin = true},
        .priority = 4,
        .deadline_ms = KC_NEVER};
    struct kc_request two = second.request;
    struct kc_grant g, h;
    struct kc_refusal r;
    limit(p, KC_MINUTE, KC_REQUESTS, 1);
    assert_int_equal(granted(p, START_MS, "m", 0, &g), 1);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &first), KC_EAGAIN);
    assert_int_equal(kc_pool_enqueue(p, START_MS, &second), KC_EAGAIN);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_NOT_SENT, NULL),
                     KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &two, &h, &r), KC_ELIMITED);
    assert_ptr_equal(kc_pool_pump(p, START_MS), &first);
    assert_null(first.next);
    kc_pool_dequeue(p, &second);
    kc_pool_free(p);
}

static void an_answer_joins_keys_with_all_that_they_used(void **state)
{
    (void)state;
    for (int strategy = 0; strategy <= 1; strategy++) {
        struct kc_pool *p = new_pool((enum kc_strategy)strategy,
                                     KC_FILL_FIRST, 2);
        struct kc_grant held, stamped, g;
        struct kc_refusal r;
        bool joined;
        limit(p, KC_MINUTE, KC_TOKENS, 100);
        use(p, START_MS, "m", 30);
        granted(p, START_MS, "m", 20, &held);
        granted(p, START_MS, "m", 10, &stamped);
        kc_pool_stamp(p, START_MS, stamped.lease);
        for (uint32_t key = 1; key <= 2; key++) {
            assert_int_equal(kc_pool_join(p, START_MS, key, "org", &joined),
                             KC_OK);
            assert_true(joined);
            assert_int_equal(kc_pool_join(p, START_MS, key, "org", &joined),
                             KC_OK);
            assert_false(joined);
        }
        struct kc_request two = {
            .model = "m", .tokens = 41, .key = 2, .pin = true};
        assert_int_equal(kc_pool_acquire(p, START_MS, &two, &g, &r),
                         KC_ELIMITED);
        two.tokens = 40;
        assert_int_equal(kc_pool_acquire(p, START_MS, &two, &g, &r), KC_OK);
        assert_int_equal(
            kc_pool_settle(p, START_MS, held.lease, KC_NOT_SENT, NULL), KC_OK);
        assert_int_equal(
            kc_pool_settle(p, START_MS, stamped.lease, KC_REFUSED, NULL),
            KC_OK);
        two.tokens = 30;
        assert_int_equal(kc_pool_acquire(p, START_MS, &two, &g, &r), KC_OK);
        assert_int_equal(kc_pool_acquire(p, START_MS, &two, &g, &r),
                         KC_ELIMITED);
        kc_pool_free(p);
    }
}

static void what_a_store_remembers_counts_for_the_group(void **state)
{
    (void)state;
    struct kc_pool *p = organisation(KC_GLOBAL);
    struct kc_request two = {.model = "m", .key = 2, .pin = true};
    struct kc_key_info info;
    struct kc_grant g;
    struct kc_refusal r;
    limit(p, KC_HOUR, KC_REQUESTS, 5);
    assert_int_equal(kc_pool_key_info(p, START_MS, 1, NULL, &info), KC_OK);
    assert_string_equal(info.group, "org");
    assert_int_equal(
        restore(p, START_MS, info.hash, "m", START_MS, 5, 5), KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &two, &g, &r), KC_ELIMITED);
    assert_int_equal(counts(p, START_MS, 2, NULL).total_requests, 0);
    kc_pool_free(p);
}

/* Its charge has left the windows before its key joined: what it gives back is
 * nothing of the group's. */
static void what_a_key_used_long_ago_is_not_given_back_by_its_group(
    void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_FILL_FIRST, 2);
    struct kc_request one = {.model = "m", .key = 1, .pin = true};
    struct kc_request two = {.model = "m", .tokens = 50, .key = 2, .pin = true};
    struct kc_grant old, g;
    struct kc_refusal r;
    bool joined;
    limit(p, KC_MINUTE, KC_TOKENS, 100);
    assert_int_equal(kc_pool_join(p, START_MS, 1, "org", &joined), KC_OK);
    use(p, START_MS, "m", 5);
    one.tokens = 96;
    assert_int_equal(kc_pool_acquire(p, START_MS, &one, &g, &r), KC_ELIMITED);
    uint64_t now = START_MS + SECOND_MS;
    assert_int_equal(kc_pool_acquire(p, now, &two, &old, &r), KC_OK);
    kc_pool_stamp(p, now, old.lease);
    now += 5 * MINUTE_MS;
    two.tokens = 60;
    assert_int_equal(kc_pool_acquire(p, now, &two, &g, &r), KC_OK);
    assert_int_equal(kc_pool_settle(p, now, g.lease, KC_DONE, NULL), KC_OK);
    assert_int_equal(kc_pool_join(p, now, 2, "org", &joined), KC_OK);
    assert_int_equal(kc_pool_settle(p, now, old.lease, KC_REFUSED, NULL),
                     KC_OK);
    one.tokens = 41;
    assert_int_equal(kc_pool_acquire(p, now, &one, &g, &r), KC_ELIMITED);
    one.tokens = 40;
    assert_int_equal(kc_pool_acquire(p, now, &one, &g, &r), KC_OK);
    kc_pool_free(p);
}

static void the_user_moves_a_key_with_all_that_it_used(void **state)
{
    (void)state;
    struct kc_pool *p = organisation(KC_PER_MODEL);
    struct kc_key_config third = {.secret = "sk-group-00000002",
                                  .group = "org"};
    struct kc_request one = {.model = "m", .key = 1, .pin = true};
    struct kc_request three = {.model = "m", .key = 3, .pin = true};
    struct kc_grant held, g;
    struct kc_refusal r;
    uint32_t index;
    limit(p, KC_MINUTE, KC_REQUESTS, 3);
    assert_int_equal(kc_pool_acquire(p, START_MS, &three, &g, &r), KC_OK);
    assert_int_equal(kc_pool_settle(p, START_MS, g.lease, KC_DONE, NULL),
                     KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &three, &held, &r), KC_OK);
    assert_int_equal(kc_pool_add_key(p, START_MS, &third, &index), KC_OK);
    assert_int_equal(index, 3);
    assert_int_equal(kc_pool_acquire(p, START_MS, &one, &g, &r), KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &one, &g, &r), KC_ELIMITED);
    assert_int_equal(
        kc_pool_settle(p, START_MS, held.lease, KC_NOT_SENT, NULL), KC_OK);
    assert_int_equal(kc_pool_acquire(p, START_MS, &one, &g, &r), KC_OK);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_hold_for_the_whole_group),
        cmocka_unit_test(what_is_settled_gives_room_to_all_of_it),
        cmocka_unit_test(a_refusal_of_one_cools_all),
        cmocka_unit_test(a_dead_key_is_dead_alone_and_a_bill_is_everybodys),
        cmocka_unit_test(a_lease_is_settled_in_the_group_that_it_was_charged_to),
        cmocka_unit_test(a_pinned_waiter_keeps_the_quota_for_itself),
        cmocka_unit_test(an_answer_joins_keys_with_all_that_they_used),
        cmocka_unit_test(
            what_a_key_used_long_ago_is_not_given_back_by_its_group),
        cmocka_unit_test(the_user_moves_a_key_with_all_that_it_used),
        cmocka_unit_test(what_a_store_remembers_counts_for_the_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
