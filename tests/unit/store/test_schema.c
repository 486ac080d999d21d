/* Folding: fewer rows, the same sums, no row that ends too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/schema.h"
#include "store/sqlite.h"
#include "unit/store/folder.h"

#define DAYS 4
#define STEP_MS 20000 /* one row in ten spans */
#define ROWS ((size_t)DAYS * 24 * HOUR_MS / STEP_MS)

static struct kc_store *open_ok(const char *path)
{
    struct kc_store *s;
    char words[400] = "";
    assert_int_equal(kc_sqlite_open(path, &s, words, sizeof words), KC_OK);
    return s;
}

/* All in one transaction: nothing folds between. */
static uint64_t write_days(struct kc_store *s)
{
    struct kc_row *rows = calloc(ROWS, sizeof *rows);
    assert_non_null(rows);
    for (size_t i = 0; i < ROWS; i++)
        rows[i] = a_row(START_MS + i * STEP_MS, 1 + i % 3);
    assert_int_equal(kc_store_write(s, "w", rows, ROWS), KC_OK);
    uint64_t newest = rows[ROWS - 1].start_ms;
    free(rows);
    return newest;
}

struct late { /* how much later than it happened a row may seem to be */
    uint64_t newest_ms;
    bool too_late;
    bool in_future;
};

static int check_end(void *ctx, const struct kc_row *row)
{
    struct late *l = ctx;
    uint64_t end = row->start_ms + row->span_ms;
    uint64_t age = l->newest_ms - row->start_ms;
    /* Within a window of an hour: as it was; of a day: to the minute. */
    if (end + HOUR_MS > l->newest_ms && row->span_ms > 2000 && age < HOUR_MS)
        l->too_late = true;
    if (end + 24 * HOUR_MS > l->newest_ms && row->span_ms > 60000)
        l->too_late = true;
    if (end > l->newest_ms + 2000)
        l->in_future = true;
    return KC_OK;
}

static void old_rows_become_few_and_lose_nothing(void **state)
{
    char path[160];
    struct kc_store *s = open_ok(in_folder(*state, "", "usage.db", path));
    struct sums sums = {0};
    struct late late = {0};
    late.newest_ms = write_days(s);
    assert_int_equal(kc_store_read(s, "groq", sum_row, &sums), KC_OK);
    assert_true(sums.rows < 2200); /* of 17,280 */
    assert_int_equal(sums.requests, ROWS * 2);
    assert_int_equal(sums.total, ROWS * 26);
    assert_int_equal(sums.longest_ms, 24 * HOUR_MS);
    assert_false(sums.disorder);
    assert_int_equal(kc_store_read(s, NULL, check_end, &late), KC_OK);
    assert_false(late.too_late);
    assert_false(late.in_future);
    kc_store_close(s);
}

static void folding_again_changes_nothing(void **state)
{
    char path[160];
    struct kc_store *s = open_ok(in_folder(*state, "", "usage.db", path));
    struct sums before = {0}, after = {0};
    uint64_t newest = write_days(s);
    assert_int_equal(kc_store_read(s, NULL, sum_row, &before), KC_OK);
    kc_store_close(s);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(kc_schema_fold(db, newest), SQLITE_OK);
    assert_int_equal(kc_schema_fold(db, 0), SQLITE_OK);
    sqlite3_close(db);
    s = open_ok(path);
    assert_int_equal(kc_store_read(s, NULL, sum_row, &after), KC_OK);
    assert_int_equal(after.rows, before.rows);
    assert_int_equal(after.requests, before.requests);
    kc_store_close(s);
}

static void a_fold_that_fails_changes_nothing(void **state)
{
    char path[160];
    sqlite3 *db;
    struct sums sums = {0};
    struct kc_store *s = open_ok(in_folder(*state, "", "usage.db", path));
    struct kc_row rows[3] = {a_row(START_MS, 1), a_row(START_MS + 2000, 1),
                             a_row(START_MS + 4000, 1)};
    rows[0].total = rows[1].total = UINT64_MAX; /* their sum is too large */
    assert_int_equal(kc_store_write(s, "w", rows, 3), KC_OK);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_not_equal(kc_schema_fold(db, START_MS + 90 * HOUR_MS),
                         SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(kc_store_read(s, NULL, sum_row, &sums), KC_OK);
    assert_int_equal(sums.rows, 3);
    kc_store_close(s);
}

static void the_ordered_read_needs_no_sorting(void **state)
{
    (void)state;
    sqlite3 *db;
    sqlite3_stmt *plan;
    enum kc_schema_state ready;
    int version;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(kc_schema_prepare(db, &ready, &version), SQLITE_OK);
    assert_int_equal(ready, KC_SCHEMA_READY);
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "EXPLAIN QUERY PLAN SELECT * FROM usage WHERE "
                           "provider = 'p' ORDER BY start_ms",
                           -1, &plan, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(plan), SQLITE_ROW);
    assert_non_null(
        strstr((const char *)sqlite3_column_text(plan, 3), "usage_by_time"));
    assert_int_equal(sqlite3_step(plan), SQLITE_DONE);
    sqlite3_finalize(plan);
    sqlite3_close(db);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(old_rows_become_few_and_lose_nothing),
        TEST(folding_again_changes_nothing),
        TEST(a_fold_that_fails_changes_nothing),
        cmocka_unit_test(the_ordered_read_needs_no_sorting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
