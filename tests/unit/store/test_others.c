/* What is known of other writers: growth, what they hold, and their end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/others.h"
#include "unit/store/journal_fixture.h"

struct pair { /* a pool that looks at a writer; times stand still */
    struct kc_store *mine, *theirs;
    struct kc_pool *pool;
    struct kc_others others;
    struct kc_view view;
    char key[40];
    uint64_t mono_ms;
};

static struct kc_sum_row sum_of(const struct pair *p, uint64_t used,
                                uint64_t held)
{
    return (struct kc_sum_row){.provider = "p",
                               .key = p->key,
                               .model = "m",
                               .last_ms = START_MS,
                               .used = {.requests = used,
                                        .total = used * 10,
                                        .counted = used,
                                        .counted_tokens = used * 10},
                               .held = {.requests = held, .tokens = held * 10}};
}

static void they_write(struct pair *p, uint64_t used, uint64_t held)
{
    struct kc_sum_row row = sum_of(p, used, held);
    struct kc_batch b = {.now_ms = START_MS, .sums = &row, .sum_len = 1};
    write_ok(p->theirs, &b);
}

static void open_pair(struct pair *p, const struct folder *f)
{
    char path[160];
    struct kc_key_info info;
    *p = (struct pair){.mono_ms = 1000};
    p->mine = open_store(in_folder(f, "", "u.db", path));
    p->theirs = open_store(path);
    p->pool = pool_of(1);
    assert_int_equal(kc_pool_key_info(p->pool, START_MS, 1, NULL, &info),
                     KC_OK);
    snprintf(p->key, sizeof p->key, "%s", info.hash);
    kc_others_init(&p->others);
    kc_view_init(&p->view, p->pool, "p");
    p->view.now_ms = START_MS;
}

static void restore_pair(struct pair *p)
{
    assert_int_equal(kc_others_restore(&p->others, &p->view, p->mine), KC_OK);
    kc_others_add(&p->others, &p->view);
}

static void merge_pair(struct pair *p, uint64_t passed_ms)
{
    p->mono_ms += passed_ms;
    p->view.eased = false;
    assert_int_equal(kc_others_merge(&p->others, p->mine, p->mono_ms), KC_OK);
}

static void close_pair(struct pair *p)
{
    kc_view_deinit(&p->view);
    kc_others_deinit(&p->others);
    kc_pool_free(p->pool);
    kc_store_close(p->mine);
    kc_store_close(p->theirs);
}

static struct kc_snapshot seen(struct pair *p)
{
    struct kc_snapshot s;
    assert_int_equal(kc_pool_snapshot(p->pool, p->view.now_ms, 0, NULL, &s),
                     KC_OK);
    return s;
}

#define expect(p, minute, total)                                   \
    do {                                                           \
        struct kc_snapshot s_ = seen(p);                           \
        assert_int_equal(s_.used[KC_MINUTE][KC_REQUESTS], minute); \
        assert_int_equal(s_.total_requests, total);                \
    } while (0)

static void growth_is_counted_once_and_what_is_held_comes_and_goes(void **state)
{
    struct pair p;
    open_pair(&p, *state);
    restore_pair(&p);
    merge_pair(&p, 1000);
    expect(&p, 0, 0);
    they_write(&p, 2, 1);
    merge_pair(&p, 1000);
    expect(&p, 3, 3);
    assert_false(p.view.eased);
    merge_pair(&p, 1000);
    expect(&p, 3, 3);
    they_write(&p, 3, 0); /* it is settled */
    merge_pair(&p, 1000);
    expect(&p, 3, 3);
    assert_true(p.view.eased);
    they_write(&p, 3, 4);
    merge_pair(&p, 1000);
    they_write(&p, 3, 0); /* given back */
    merge_pair(&p, 1000);
    expect(&p, 3, 3);
    assert_true(p.view.eased);
    close_pair(&p);
}

static void the_past_and_what_comes_after_meet_without_a_gap(void **state)
{
    struct pair p;
    open_pair(&p, *state);
    they_write(&p, 5, 2);
    restore_pair(&p);
    expect(&p, 2, 7); /* held; windows get the past as spans */
    merge_pair(&p, 1000);
    expect(&p, 2, 7);
    they_write(&p, 7, 0);
    merge_pair(&p, 1000);
    expect(&p, 2, 7);
    close_pair(&p);
}

static void who_has_ended_lets_go_and_it_counts_as_used(void **state)
{
    struct pair p;
    open_pair(&p, *state);
    restore_pair(&p);
    they_write(&p, 1, 2);
    merge_pair(&p, 1000);
    expect(&p, 3, 3);
    write_ended(p.theirs, START_MS);
    merge_pair(&p, 1000);
    expect(&p, 3, 3);
    assert_int_equal(p.view.sums.len, 0);
    merge_pair(&p, 1000);
    expect(&p, 3, 3);
    p.view.now_ms += 70000; /* it ages now */
    expect(&p, 0, 3);
    close_pair(&p);
}

static void who_is_silent_lets_go_but_not_while_nobody_looks(void **state)
{
    struct pair p;
    open_pair(&p, *state);
    restore_pair(&p);
    they_write(&p, 1, 2);
    merge_pair(&p, 1000);
    merge_pair(&p, 3600000); /* we were in an outage */
    expect(&p, 3, 3);
    for (int i = 0; i < 6; i++)
        merge_pair(&p, 4000);
    expect(&p, 3, 3); /* 29 s */
    merge_pair(&p, 4000);
    expect(&p, 3, 3);
    assert_true(p.view.eased);
    for (int i = 0; i < 10; i++)
        merge_pair(&p, 4000);
    expect(&p, 3, 3);
    they_write(&p, 2, 1); /* it lives after all */
    merge_pair(&p, 1000);
    expect(&p, 5, 5); /* rather twice than not at all */
    close_pair(&p);
}

static void who_was_silent_long_ago_holds_nothing_at_the_start(void **state)
{
    struct pair p;
    open_pair(&p, *state);
    they_write(&p, 0, 2);
    p.view.now_ms = START_MS + 31000;
    restore_pair(&p);
    expect(&p, 2, 2);
    merge_pair(&p, 1000); /* which reads its rows once more */
    expect(&p, 2, 2);
    p.view.now_ms = START_MS + 63500; /* seen, a guard, and a minute */
    expect(&p, 0, 2);
    merge_pair(&p, 1000);
    they_write(&p, 1, 1); /* it lives after all */
    merge_pair(&p, 1000);
    expect(&p, 2, 4);
    write_ended(p.theirs, START_MS);
    merge_pair(&p, 1000);
    expect(&p, 1, 4);
    close_pair(&p);
}

static void a_clock_that_is_behind_hides_no_use(void **state)
{
    struct pair p;
    open_pair(&p, *state);
    restore_pair(&p);
    p.view.now_ms += 50000; /* theirs stands at the start */
    merge_pair(&p, 1000);
    they_write(&p, 4, 0);
    p.view.now_ms += 1000;
    merge_pair(&p, 1000);
    p.view.now_ms += 58000;
    expect(&p, 4, 4);
    p.view.now_ms += 1500; /* a minute after the look before the last */
    expect(&p, 0, 4);
    close_pair(&p);
}

static void who_ended_before_a_provider_came_is_counted_once(void **state)
{
    struct pair p;
    struct kc_view first;
    open_pair(&p, *state);
    they_write(&p, 1, 2);
    struct kc_pool *pool = pool_of(1);
    kc_view_init(&first, pool, "another");
    first.now_ms = START_MS;
    assert_int_equal(kc_others_restore(&p.others, &first, p.mine), KC_OK);
    kc_view_deinit(&first);
    kc_pool_free(pool);
    write_ended(p.theirs, START_MS);
    restore_pair(&p);
    merge_pair(&p, 1000);
    expect(&p, 2, 3);
    close_pair(&p);
}

static void a_key_that_comes_later_gets_its_past_alone(void **state)
{
    struct pair p;
    struct kc_key_info info;
    open_pair(&p, *state);
    they_write(&p, 5, 0);
    restore_pair(&p);
    merge_pair(&p, 1000);
    struct kc_pool *other = pool_of(2);
    assert_int_equal(kc_pool_key_info(other, START_MS, 2, NULL, &info), KC_OK);
    char first[40];
    memcpy(first, p.key, sizeof first);
    snprintf(p.key, sizeof p.key, "%s", info.hash);
    they_write(&p, 3, 0);
    merge_pair(&p, 1000);
    expect(&p, 0, 5); /* nobody's yet */
    add_key(p.pool, 2);
    they_write(&p, 4, 1);
    merge_pair(&p, 1000);
    expect(&p, 0, 5);
    assert_int_equal(kc_others_restore(&p.others, &p.view, p.mine), KC_OK);
    expect(&p, 1, 10);
    they_write(&p, 6, 0);
    merge_pair(&p, 1000);
    expect(&p, 2, 11);
    kc_pool_free(other);
    close_pair(&p);
}

static void states_of_others_are_taken(void **state)
{
    struct pair p;
    struct kc_key_info info;
    open_pair(&p, *state);
    restore_pair(&p);
    struct kc_kept_state s = a_state("", KC_EXHAUSTED, START_MS);
    s.provider = "p";
    snprintf(s.row.key, sizeof s.row.key, "%s", p.key);
    s.row.until_ms = START_MS + 100000;
    write_state(p.theirs, s);
    merge_pair(&p, 1000);
    assert_int_equal(kc_pool_key_info(p.pool, START_MS, 1, NULL, &info), KC_OK);
    assert_int_equal(info.state, KC_EXHAUSTED);
    assert_int_equal(info.until_ms, START_MS + 100000);
    close_pair(&p);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(growth_is_counted_once_and_what_is_held_comes_and_goes),
        TEST(the_past_and_what_comes_after_meet_without_a_gap),
        TEST(who_has_ended_lets_go_and_it_counts_as_used),
        TEST(who_is_silent_lets_go_but_not_while_nobody_looks),
        TEST(who_was_silent_long_ago_holds_nothing_at_the_start),
        TEST(a_clock_that_is_behind_hides_no_use),
        TEST(who_ended_before_a_provider_came_is_counted_once),
        TEST(a_key_that_comes_later_gets_its_past_alone),
        TEST(states_of_others_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
