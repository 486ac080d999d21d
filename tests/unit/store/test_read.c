/* Restoring and merging: what others wrote, all of it and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/store/store_fixture.h"

struct two { /* stores on one file */
    char path[160];
    struct kc_store *a, *b;
};

static struct two open_two(void **state)
{
    struct two t;
    in_folder(*state, "", "usage.db", t.path);
    t.a = open_store(t.path);
    t.b = open_store(t.path);
    return t;
}

static void close_two(struct two *t)
{
    kc_store_close(t->a);
    kc_store_close(t->b);
}

/* -- restore ---------------------------------------------------------- */

static void restores_spans_as_far_back_as_asked(void **state)
{
    struct two t = open_two(state);
    for (uint64_t i = 0; i < 100; i++)
        write_use(t.a, a_use(START_MS + i * 2000, 1));
    struct kc_use_row day = a_use(START_MS, 1);
    day.span_ms = DAY_MS;
    day.last_ms = START_MS + 60000;
    write_use(t.a, day);
    struct told told = restore_since(t.b, START_MS + 60000);
    assert_int_equal(told.uses, 71);
    assert_int_equal(told.first_ms, day.start_ms);
    assert_int_equal(restore_since(t.b, START_MS + 60001).uses, 70);
    assert_int_equal(restore_since(t.b, UINT64_MAX).uses, 0);
    close_two(&t);
}

static void restores_one_provider(void **state)
{
    struct two t = open_two(state);
    struct told told;
    struct kc_reader r = reader_of(&told);
    struct kc_use_row other = a_use(START_MS, 5);
    struct kc_sum_row sum = a_sum(START_MS, 5);
    struct kc_kept_state kept = a_state("", KC_COOLING, START_MS);
    other.provider = sum.provider = kept.provider = "openai";
    write_use(t.a, a_use(START_MS, 1));
    write_sum(t.a, a_sum(START_MS, 1));
    write_state(t.a, a_state("", KC_COOLING, START_MS));
    write_use(t.a, other);
    write_sum(t.a, sum);
    write_state(t.a, kept);
    assert_int_equal(kc_store_restore(t.b, "openai", 0, &r), KC_OK);
    assert_int_equal(told.uses, 1);
    assert_int_equal(told.use.requests, 5);
    assert_int_equal(told.sums, 1);
    assert_int_equal(told.sum.requests, 5);
    assert_int_equal(told.states, 1);
    assert_string_equal(told.provider, "openai");
    r = reader_of(&told);
    assert_int_equal(kc_store_restore(t.b, "nobody", 0, &r), KC_OK);
    assert_int_equal(told.uses + told.sums + told.states, 0);
    assert_int_equal(told.writers, 2);
    close_two(&t);
}

static int stop(void *ctx, const struct kc_use_row *row)
{
    (void)row;
    return ++*(int *)ctx == 2 ? KC_ECANCELLED : KC_OK;
}

static void a_reader_may_stop_and_leave_things_out(void **state)
{
    struct two t = open_two(state);
    int seen = 0;
    struct kc_reader r = {.ctx = &seen, .use = stop};
    for (uint64_t i = 0; i < 5; i++)
        write_use(t.a, a_use(START_MS + i * 2000, 1));
    write_sum(t.a, a_sum(START_MS, 1));
    assert_int_equal(kc_store_restore(t.b, NULL, 0, &r), KC_ECANCELLED);
    assert_int_equal(seen, 2);
    write_use(t.b, a_use(START_MS, 1)); /* nothing is left open */
    close_two(&t);
}

/* -- merge ------------------------------------------------------------ */

static void merges_what_is_new_and_only_that(void **state)
{
    struct two t = open_two(state);
    write_sum(t.a, a_sum(START_MS, 1));
    struct told told = merge(t.b, false);
    assert_int_equal(told.writers, 1);
    assert_int_equal(told.sums, 1);
    assert_int_equal(told.uses, 0);
    assert_int_equal(told.sum.requests, 1);
    assert_int_equal(told.writer.seq, 1);
    merge(t.b, true);

    struct kc_sum_row other = a_sum(START_MS + 100, 3);
    other.model = "m2";
    other.held.requests = 2;
    write_sum(t.a, other);
    told = merge(t.b, false);
    assert_int_equal(told.sums, 1);
    assert_string_equal(told.model, "m2");
    assert_int_equal(told.sum.requests, 3);
    assert_int_equal(told.held.requests, 2);
    assert_int_equal(told.writer.seq, 2);

    write_state(t.a, a_state("", KC_EXHAUSTED, START_MS));
    told = merge(t.b, false);
    assert_int_equal(told.sums, 0);
    assert_int_equal(told.states, 1);
    assert_int_equal(told.state.row.state, KC_EXHAUSTED);
    close_two(&t);
}

static void a_writer_without_news_is_told_of_all_the_same(void **state)
{
    struct two t = open_two(state);
    write_sum(t.a, a_sum(START_MS, 1));
    merge(t.b, false);
    struct kc_store *c = open_store(t.path);
    write_sum(c, a_sum(START_MS, 1));
    struct told told = merge(t.b, false);
    assert_int_equal(told.writers, 2);
    assert_int_equal(told.sums, 1);
    kc_store_close(c);
    close_two(&t);
}

static void own_writes_are_no_news(void **state)
{
    struct two t = open_two(state);
    merge(t.b, false);
    write_sum(t.b, a_sum(START_MS, 1));
    write_state(t.b, a_state("", KC_COOLING, START_MS));
    merge(t.b, true);
    write_sum(t.a, a_sum(START_MS, 1));
    assert_int_equal(merge(t.b, false).writers, 1);
    close_two(&t);
}

static void an_end_is_told_once(void **state)
{
    struct two t = open_two(state);
    write_sum(t.a, a_sum(START_MS, 1));
    merge(t.b, false);
    write_ended(t.a, START_MS + 1000);
    struct told told = merge(t.b, false);
    assert_int_equal(told.writers, 1);
    assert_int_equal(told.ended, 1);
    assert_int_equal(told.sums, 0);
    struct kc_store *c = open_store(t.path);
    write_sum(c, a_sum(START_MS, 1));
    assert_int_equal(merge(t.b, false).ended, 0);
    kc_store_close(c);
    close_two(&t);
}

static void who_came_and_went_between_two_merges_is_not_missed(void **state)
{
    struct two t = open_two(state);
    merge(t.b, false);
    write_sum(t.a, a_sum(START_MS, 4));
    write_ended(t.a, START_MS + 1000);
    struct told told = merge(t.b, false);
    assert_int_equal(told.ended, 1);
    assert_int_equal(told.sum.requests, 4);
    close_two(&t);
}

static void who_ended_after_the_first_restore_is_merged(void **state)
{
    struct two t = open_two(state);
    struct kc_store *old = open_store(t.path);
    write_sum(old, a_sum(START_MS, 100));
    write_ended(old, START_MS);
    kc_store_close(old);
    write_sum(t.a, a_sum(START_MS, 1));
    assert_int_equal(restore(t.b).sum.requests, 101);
    write_sum(t.a, a_sum(START_MS + 1000, 2));
    write_ended(t.a, START_MS + 1000);
    restore(t.b); /* of another provider, say */
    struct told told = merge(t.b, false);
    assert_int_equal(told.writers, 1);
    assert_int_equal(told.ended, 1);
    assert_int_equal(told.sum.requests, 2);
    close_two(&t);
}

static int refuse_sum(void *ctx, const struct kc_writer_row *w,
                      const struct kc_sum_row *row)
{
    (void)ctx;
    (void)w;
    (void)row;
    return KC_ENOMEM;
}

static void a_merge_that_failed_is_made_again(void **state)
{
    struct two t = open_two(state);
    struct kc_reader r = {.sum = refuse_sum};
    bool quiet = true;
    merge(t.b, false);
    write_sum(t.a, a_sum(START_MS, 1));
    assert_int_equal(kc_store_merge(t.b, &r, &quiet), KC_ENOMEM);
    assert_false(quiet);
    write_sum(t.b, a_sum(START_MS, 1));
    assert_int_equal(merge(t.b, false).sums, 1);
    merge(t.b, true);
    close_two(&t);
}

#ifndef OVER_MYSQL
static void a_private_store_is_always_quiet(void **state)
{
    (void)state;
    struct kc_store *s;
    char *why;
    assert_int_equal(kc_store_open("memory:", 0, &s, &why), KC_OK);
    assert_true(kc_store_is_private(s));
    write_sum(s, a_sum(START_MS, 1));
    merge(s, true);
    kc_store_close(s);
}
#endif

/* -- filled from elsewhere -------------------------------------------- */

static void what_was_imported_is_the_past(void **state)
{
    struct two t = open_two(state);
    struct kc_use_row use = a_use(START_MS, 3);
    struct kc_sum_row sum = a_sum(START_MS, 9);
    struct kc_kept_state kept = a_state("m1", KC_COOLING, START_MS);
    struct kc_batch b = {.uses = &use,
                         .use_len = 1,
                         .sums = &sum,
                         .sum_len = 1,
                         .states = &kept,
                         .state_len = 1};
    assert_int_equal(kc_store_import(t.a, &b), KC_OK);
    write_sum(t.a, a_sum(START_MS + 2000, 1));
    struct told told = restore(t.a);
    assert_int_equal(told.use.requests, 3);
    assert_int_equal(told.sum.requests, 9);
    assert_int_equal(told.states, 1);
    assert_int_equal(told.writers, told.ended);
    assert_int_equal(restore(t.b).sum.requests, 10);
    close_two(&t);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(restores_spans_as_far_back_as_asked),
        TEST(restores_one_provider),
        TEST(a_reader_may_stop_and_leave_things_out),
        TEST(merges_what_is_new_and_only_that),
        TEST(a_writer_without_news_is_told_of_all_the_same),
        TEST(own_writes_are_no_news),
        TEST(an_end_is_told_once),
        TEST(who_came_and_went_between_two_merges_is_not_missed),
        TEST(who_ended_after_the_first_restore_is_merged),
        TEST(a_merge_that_failed_is_made_again),
#ifndef OVER_MYSQL
        cmocka_unit_test(a_private_store_is_always_quiet),
#endif
        TEST(what_was_imported_is_the_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
