/* The store stays small, and nothing that it adds up is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/store/store_fixture.h"
#include "util/rng.h"

static void tend_ok(struct kc_store *s, uint64_t now_ms, uint64_t settled_ms)
{
    int err = kc_store_tend(s, now_ms, settled_ms);
    if (err != KC_OK)
        assert_string_equal(kc_store_error(s), "");
    assert_int_equal(err, KC_OK);
}

/* Until nothing more is due. */
static void tend_all(struct kc_store *s, uint64_t now_ms)
{
    for (int i = 0; i < 50; i++)
        tend_ok(s, now_ms, now_ms);
}

static struct told others_see(const char *path, uint64_t since_ms)
{
    struct kc_store *s = open_store(path);
    struct told t = restore_since(s, since_ms);
    kc_store_close(s);
    return t;
}

static void spans_become_minutes_hours_and_days(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    for (uint64_t i = 0; i < 60; i++)
        write_use(s, a_use(START_MS + i * 2000, 1));
    tend_ok(s, START_MS + 3 * MINUTE_MS - 1, START_MS + HOUR_MS);
    assert_int_equal(others_see(path, 0).uses, 60);
    tend_ok(s, START_MS + 3 * MINUTE_MS, START_MS + HOUR_MS);
    struct told t = others_see(path, 0);
    assert_int_equal(t.uses, 31);
    assert_int_equal(t.longest_ms, MINUTE_MS);
    assert_int_equal(t.use.requests, 60);
    tend_all(s, START_MS + 4 * MINUTE_MS);
    assert_int_equal(others_see(path, 0).uses, 2);
    tend_all(s, START_MS + 3 * HOUR_MS - 1);
    assert_int_equal(others_see(path, 0).uses, 2);
    tend_all(s, START_MS + 3 * HOUR_MS);
    t = others_see(path, 0);
    assert_int_equal(t.uses, 1);
    assert_int_equal(t.longest_ms, HOUR_MS);
    assert_int_equal(t.last_ms, START_MS + 59 * 2000 + 1500);
    write_use(s, a_use(START_MS + 5 * HOUR_MS, 1));
    tend_all(s, START_MS + 74 * HOUR_MS - 1);
    assert_int_equal(others_see(path, 0).uses, 2);
    tend_all(s, START_MS + 74 * HOUR_MS);
    t = others_see(path, 0);
    assert_int_equal(t.uses, 1);
    assert_int_equal(t.longest_ms, DAY_MS);
    assert_int_equal(t.first_ms, START_MS);
    assert_int_equal(t.last_ms, START_MS + 5 * HOUR_MS + 1500);
    assert_int_equal(t.use.requests, 61);
    assert_int_equal(t.use.counted_input, 61 * 11);
    kc_store_close(s);
}

static void no_minute_is_left_behind_at_an_hours_end(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    write_use(s, a_use(START_MS + 30 * MINUTE_MS, 1));
    write_use(s, a_use(START_MS + 70 * MINUTE_MS, 1));
    write_use(s, a_use(START_MS + 75 * MINUTE_MS, 1));
    tend_all(s, START_MS + 90 * MINUTE_MS);
    assert_int_equal(others_see(path, 0).uses, 3);
    tend_all(s, START_MS + 185 * MINUTE_MS);
    tend_all(s, START_MS + 300 * MINUTE_MS);
    assert_int_equal(others_see(path, 0).uses, 2);
    kc_store_close(s);
}

static void spans_that_may_still_be_written_are_left(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    for (uint64_t i = 0; i < 90; i++)
        write_use(s, a_use(START_MS + i * 2000, 1));
    tend_all(s, START_MS + MINUTE_MS);
    tend_ok(s, START_MS + DAY_MS, START_MS + MINUTE_MS + 30000);
    assert_int_equal(others_see(path, 0).uses, 61);
    write_use(s, a_use(START_MS + MINUTE_MS + 30000, 5)); /* so it was */
    tend_all(s, START_MS + DAY_MS);
    struct told t = others_see(path, 0);
    assert_int_equal(t.uses, 1);
    assert_int_equal(t.use.requests, 94);
    kc_store_close(s);
}

static void spans_of_others_are_left(void **state)
{
    char path[160];
    struct kc_store *a = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_store *b = open_store(path);
    for (uint64_t i = 0; i < 10; i++) {
        write_use(a, a_use(START_MS + i * 2000, 1));
        write_use(b, a_use(START_MS + i * 2000, 1));
    }
    tend_all(a, START_MS + DAY_MS);
    assert_int_equal(restore(a).uses, 10);
    assert_int_equal(restore(b).uses, 1);
    kc_store_close(a);
    kc_store_close(b);
}

#ifndef OVER_MYSQL
static void what_is_not_due_costs_no_question(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    write_use(s, a_use(START_MS, 1));
    tend_all(s, START_MS + 5000);
    remove(path); /* it would say so */
    for (uint64_t i = 0; i < 100; i++)
        tend_ok(s, START_MS + 5000 + i * 1000, START_MS + 5000 + i * 1000);
    assert_int_equal(kc_store_tend(s, START_MS + HOUR_MS, START_MS + HOUR_MS),
                     KC_ESTORE);
    assert_non_null(strstr(kc_store_error(s), "was moved or deleted"));
    kc_store_close(s);
}
#endif

/* -- the archive ------------------------------------------------------ */

static void the_dead_are_archived_and_what_they_held_is_used(void **state)
{
    char path[160];
    struct kc_store *a = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_store *b = open_store(path);
    for (uint64_t i = 0; i < 10; i++)
        write_use(a, a_use(START_MS + i * HOUR_MS * 5, 1));
    struct kc_sum_row sum = a_sum(START_MS + 45 * HOUR_MS, 10);
    sum.held = (struct kc_held){2, 50, 20};
    write_sum(a, sum);
    write_use(b, a_use(START_MS, 1));
    uint64_t dead_ms = sum.last_ms + KC_DEAD_MS;
    tend_all(b, dead_ms);
    assert_int_equal(others_see(path, 0).writers, 3);
    tend_all(b, dead_ms + HOUR_MS);
    struct told t = restore(b);
    assert_int_equal(t.writers, 1); /* the archive */
    assert_int_equal(t.writer.id, 0);
    assert_true(t.writer.ended);
    assert_int_equal(t.sums, 1);
    assert_int_equal(t.sum.requests, 12);
    assert_int_equal(t.sum.input, 120);
    assert_int_equal(t.sum.total, 180);
    assert_int_equal(t.sum.counted, 22);
    assert_int_equal(t.sum.counted_tokens, 190);
    assert_int_equal(t.sum.counted_input, 130);
    assert_int_equal(t.held.requests, 0);
    assert_int_equal(t.uses, 2); /* days */
    assert_memory_equal(&t.use, &t.sum, sizeof t.sum);
    kc_store_close(a);
    kc_store_close(b);
}

static void who_was_taken_for_dead_is_told_so_and_begins_anew(void **state)
{
    char path[160];
    struct kc_store *a = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_store *b = open_store(path);
    struct kc_batch batch = {.now_ms = START_MS + 3 * DAY_MS};
    write_sum(a, a_sum(START_MS, 10));
    tend_all(b, START_MS + 3 * DAY_MS);
    struct told t = restore(b);
    assert_int_equal(t.sum.requests, 10);
    assert_int_equal(t.writers, 1);
    assert_int_equal(kc_store_write(a, &batch), KC_ESTALE);
    assert_false(batch.doubtful);
    assert_int_equal(restore(b).writers, 1);
    write_sum(a, a_sum(START_MS + 3 * DAY_MS, 4));
    t = restore(b);
    assert_int_equal(t.writers, 2);
    assert_int_equal(t.sum.requests, 14);
    t = restore(a);
    assert_int_equal(t.sum.requests, 10);
    kc_store_close(a);
    kc_store_close(b);
}

static void two_archivists_archive_once(void **state)
{
    char path[160];
    in_folder(*state, "", "usage.db", path);
    static const uint64_t later_ms[5] = {0, 300, 400, 200, 100};
    for (uint64_t i = 0; i < 5; i++) {
        struct kc_store *s = open_store(path);
        struct kc_use_row use = a_use(START_MS, 1);
        use.last_ms = START_MS + later_ms[i];
        write_use(s, use);
        write_sum(s, a_sum(START_MS, 1));
        write_ended(s, START_MS);
        kc_store_close(s);
    }
    struct kc_store *a = open_store(path), *b = open_store(path);
    for (int i = 0; i < 10; i++) {
        tend_ok(a, START_MS + 4 * DAY_MS, 0);
        tend_ok(b, START_MS + 4 * DAY_MS, 0);
    }
    struct told t = restore(a);
    assert_int_equal(t.writers, 1);
    assert_int_equal(t.sums, 1);
    assert_int_equal(t.uses, 1);
    assert_int_equal(t.sum.requests, 5);
    assert_int_equal(t.use.requests, 5);
    assert_int_equal(t.last_ms, START_MS + 400);
    kc_store_close(a);
    kc_store_close(b);
}

static void what_is_older_than_it_is_kept_goes_day_by_day(void **state)
{
    char path[160], url[200];
    struct kc_store *s;
    char *why;
    in_folder(*state, "", "usage.db", path);
    assert_int_equal(kc_store_open(url_of(path, url), 7, &s, &why), KC_OK);
    write_sum(s, a_sum(START_MS, 30));
    for (uint64_t i = 0; i < 30; i++)
        write_use(s, a_use(START_MS + i * DAY_MS, 1));
    uint64_t now_ms = START_MS + 30 * DAY_MS;
    tend_ok(s, now_ms, 0);
    assert_int_equal(others_see(path, 0).uses, 29);
    tend_all(s, now_ms);
    struct told t = others_see(path, 0);
    assert_int_equal(t.uses, 7);
    assert_int_equal(t.first_ms, START_MS + 23 * DAY_MS);
    assert_int_equal(t.sum.requests, 30);
    kc_store_close(s);
}

/* -- against an exact list -------------------------------------------- */

#define MODELS 4
#define WRITERS 3

struct list { /* all that was written, by day and model */
    uint64_t requests[10][MODELS];
    uint64_t all;
};

static void write_some(struct kc_store *s, struct kc_rng *rng, struct list *l,
                       uint64_t now_ms)
{
    static const char *const names[MODELS] = {"m1", "m2", "M1", ""};
    struct kc_use_row uses[MODELS];
    size_t n = 0;
    for (size_t m = 0; m < MODELS; m++) {
        if (kc_rng_below(rng, 2) == 0)
            continue;
        uint64_t requests = 1 + kc_rng_below(rng, 5);
        uses[n] = a_use(now_ms - now_ms % 2000, requests);
        uses[n++].model = names[m];
        l->requests[(now_ms - START_MS) / DAY_MS][m] += requests;
        l->all += requests;
    }
    struct kc_batch b = {.now_ms = now_ms, .uses = uses, .use_len = n};
    write_ok(s, &b);
}

static int check_day(void *ctx, const struct kc_day_row *row)
{
    struct list *l = ctx;
    static const char *const names[MODELS] = {"m1", "m2", "M1", ""};
    size_t m = 0;
    while (strcmp(names[m], row->model) != 0)
        m++;
    uint64_t day = (row->start_ms - START_MS) / DAY_MS;
    assert_int_equal(row->used.requests, l->requests[day][m]);
    l->requests[day][m] = 0;
    l->all -= row->used.requests;
    return KC_OK;
}

static void no_sum_is_lost_at_any_level(void **state)
{
    char path[160];
    struct kc_rng rng;
    struct list list = {0};
    struct kc_store *stores[WRITERS] = {NULL};
    kc_rng_seed(&rng, 7);
    in_folder(*state, "", "usage.db", path);
    uint64_t now_ms = START_MS;
    while (now_ms < START_MS + SOME_DAYS * DAY_MS) {
        size_t i = (size_t)kc_rng_below(&rng, WRITERS);
        if (!stores[i])
            stores[i] = open_store(path);
        struct kc_store *s = stores[i];
        for (uint64_t n = kc_rng_below(&rng, 12); n > 0; n--) {
            write_some(s, &rng, &list, now_ms);
            now_ms += 2000;
            tend_ok(s, now_ms, now_ms);
        }
        if (kc_rng_below(&rng, 20) == 0) { /* dies */
            kc_store_close(s);
            stores[i] = NULL;
        }
        now_ms += kc_rng_below(&rng, kc_rng_below(&rng, 4) ? 600000 : HOUR_MS);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        if (stores[i])
            tend_all(stores[i], now_ms);
        kc_store_close(stores[i]);
    }
    struct kc_store *s = open_store(path);
    tend_all(s, now_ms + 10 * DAY_MS);
    assert_int_equal(restore(s).writers, 1);
    const struct kc_reporter r = {.ctx = &list, .day = check_day};
    assert_true(list.all > 1000);
    assert_int_equal(kc_store_report(s, 0, 0, &r), KC_OK);
    assert_int_equal(list.all, 0);
    kc_store_close(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(spans_become_minutes_hours_and_days),
        TEST(no_minute_is_left_behind_at_an_hours_end),
        TEST(spans_that_may_still_be_written_are_left),
        TEST(spans_of_others_are_left),
#ifndef OVER_MYSQL
        TEST(what_is_not_due_costs_no_question),
#endif
        TEST(the_dead_are_archived_and_what_they_held_is_used),
        TEST(who_was_taken_for_dead_is_told_so_and_begins_anew),
        TEST(two_archivists_archive_once),
        TEST(what_is_older_than_it_is_kept_goes_day_by_day),
        TEST(no_sum_is_lost_at_any_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
