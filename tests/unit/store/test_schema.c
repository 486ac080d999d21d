/* The tables are made once, brought up to date, and left alone where they are
 * somebody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include <sqlite3.h>

#include "unit/store/store_fixture.h"

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *words = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &words);
    if (words)
        assert_string_equal(words, "");
    sqlite3_close(db);
}

static int64_t number(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

/* As version 1 made it. */
static const char version_1[] =
    "CREATE TABLE usage ("
    " writer TEXT NOT NULL, provider TEXT NOT NULL, key TEXT NOT NULL,"
    " model TEXT NOT NULL, start_ms INTEGER NOT NULL,"
    " span_ms INTEGER NOT NULL, requests INTEGER NOT NULL,"
    " input INTEGER NOT NULL, output INTEGER NOT NULL,"
    " total INTEGER NOT NULL,"
    " PRIMARY KEY (writer, provider, key, model, start_ms, span_ms)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX usage_by_time ON usage (provider, start_ms);"
    "PRAGMA application_id = 1262704963;"
    "PRAGMA user_version = 1;"
    "PRAGMA journal_mode = WAL;";
static const char version_1_rows[] =
    "INSERT INTO usage VALUES"
    " ('', 'groq', 'k1', 'm1', 1767225600000, 86400000, 100, 1, 2, 3),"
    " ('a', 'groq', 'k1', 'm1', 1767312000000, 2000, 5, 50, 7, 57),"
    " ('b', 'groq', 'k1', 'm1', 1767312000000, 2000, 6, 60, 8, 68),"
    " ('b', 'groq', 'k2', '', 1767312002000, 2000, 1, 0, 0, 0),"
    " ('b', 'openai', 'k1', 'M1', 1767312004000, 2000, 2, 0, 0,"
    "  9223372036854775807);";

static void version_1_is_brought_up_to_date(void **state)
{
    char path[160];
    in_folder(*state, "", "usage.db", path);
    run_sql(path, version_1);
    run_sql(path, version_1_rows);
    struct told t = read_file(path);
    assert_int_equal(t.writers, 2);
    assert_int_equal(t.ended, 2);
    assert_int_equal(t.writer.seen_ms, START_MS + DAY_MS + 6000);
    assert_int_equal(t.uses, 4);
    assert_int_equal(t.use.requests, 114);
    assert_int_equal(t.use.counted, 114);
    assert_int_equal(t.use.input, 111);
    assert_int_equal(t.use.counted_input, 111);
    assert_int_equal(t.use.output, 17);
    assert_true(t.use.total == (UINT64_C(1) << 50) + 128);
    assert_true(t.use.counted_tokens == t.use.total);
    assert_string_equal(t.model, "M1");
    assert_int_equal(t.last_ms, START_MS + DAY_MS + 5999);
    assert_int_equal(t.sums, 3);
    assert_memory_equal(&t.sum, &t.use, sizeof t.sum);
    assert_int_equal(number(path, "PRAGMA user_version"), 2);
    assert_int_equal(number(path, "SELECT count(*) FROM sqlite_schema"
                                  " WHERE name = 'usage'"),
                     0);
    /* It is the past of a writer that has ended, and goes as all such do. */
    struct kc_store *s = open_store(path);
    for (int i = 0; i < 5; i++)
        assert_int_equal(kc_store_tend(s, START_MS + 5 * DAY_MS, 0), KC_OK);
    t = restore(s);
    assert_int_equal(t.writers, 1);
    assert_int_equal(t.sum.requests, 114);
    assert_int_equal(t.use.requests, 114);
    kc_store_close(s);
}

static void an_empty_version_1_is_too(void **state)
{
    char path[160];
    in_folder(*state, "", "usage.db", path);
    run_sql(path, version_1);
    struct kc_store *s = open_store(path);
    write_use(s, a_use(START_MS, 1));
    kc_store_close(s);
    assert_int_equal(read_file(path).writers, 2);
}

static void refuses(const char *path, int err, const char *what)
{
    char url[200];
    struct kc_store *s;
    char *why;
    snprintf(url, sizeof url, "sqlite:%s", path);
    assert_int_equal(kc_store_open(url, 0, &s, &why), err);
    assert_null(s);
    assert_non_null(strstr(why, path));
    if (!strstr(why, what))
        assert_string_equal(why, what);
    free(why);
}

static void a_migration_that_fails_leaves_version_1(void **state)
{
    char path[160];
    in_folder(*state, "", "usage.db", path);
    run_sql(path, version_1);
    run_sql(path, version_1_rows);
    /* It would collide with the migration's own. */
    run_sql(path, "CREATE TABLE keycycle_sum (writer INTEGER)");
    refuses(path, KC_ESTORE, "");
    assert_int_equal(number(path, "PRAGMA user_version"), 1);
    assert_int_equal(number(path, "SELECT sum(requests) FROM usage"), 114);
    assert_int_equal(number(path, "SELECT count(*) FROM sqlite_schema"
                                  " WHERE name LIKE 'keycycle%'"),
                     1);
    run_sql(path, "DROP TABLE keycycle_sum");
    assert_int_equal(read_file(path).use.requests, 114);
}

static void looking_leaves_version_1(void **state)
{
    char path[160], url[200];
    struct kc_store *s;
    char *why;
    in_folder(*state, "", "usage.db", path);
    run_sql(path, version_1);
    snprintf(url, sizeof url, "sqlite:%s", path);
    assert_int_equal(kc_store_look(url, &s, &why), KC_ESTORE);
    assert_non_null(strstr(why, "an older keycycle (its schema is 1)"));
    free(why);
    assert_int_equal(number(path, "PRAGMA user_version"), 1);
}

static uint64_t hash_of(const char *path)
{
    uint64_t h = 14695981039346656037u;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        h = (h ^ (uint64_t)c) * 1099511628211u;
    fclose(file);
    return h;
}

static void refuses_what_it_did_not_make(void **state)
{
    char path[160];
    run_sql(in_folder(*state, "", "other.db", path),
            "CREATE TABLE users (name TEXT)");
    uint64_t before = hash_of(path);
    refuses(path, KC_ESTORE, "is the database of another program");
    assert_true(hash_of(path) == before); /* not even its journal's mode */
    run_sql(in_folder(*state, "", "marked.db", path),
            "PRAGMA application_id = 5");
    refuses(path, KC_ESTORE, "is the database of another program");
    run_sql(in_folder(*state, "", "versioned.db", path),
            "PRAGMA user_version = 2");
    refuses(path, KC_ESTORE, "is the database of another program");
    kc_store_close(open_store(in_folder(*state, "", "newer.db", path)));
    run_sql(path, "PRAGMA user_version = 9");
    refuses(path, KC_ESTORE,
            "was written by a newer keycycle (its schema is 9, this build "
            "knows 2)");
}

static void becomes_newer_while_it_is_open(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_use_row use = a_use(START_MS, 1);
    struct kc_batch b = {.now_ms = START_MS, .uses = &use, .use_len = 1};
    write_ok(s, &b);
    run_sql(path, "PRAGMA user_version = 3; DROP TABLE keycycle_use");
    assert_int_equal(kc_store_write(s, &b), KC_ESTORE);
    assert_int_equal(kc_store_write(s, &b), KC_ESTORE);
    assert_non_null(strstr(kc_store_error(s), "a newer keycycle"));
    kc_store_close(s);
}

/* -- several at once -------------------------------------------------- */

static int open_and_write(const char *path, int child)
{
    char url[200], *why;
    struct kc_store *s;
    snprintf(url, sizeof url, "sqlite:%s", path);
    int err = kc_store_open(url, 0, &s, &why);
    if (err != KC_OK) {
        fprintf(stderr, "child %d: %s\n", child, why);
        return err;
    }
    for (uint64_t i = 0; err == KC_OK && i < 10; i++) {
        struct kc_use_row use = a_use(START_MS + i * 2000, 1);
        struct kc_batch b = {.now_ms = START_MS, .uses = &use, .use_len = 1};
        do /* as the journal does */
            err = kc_store_write(s, &b);
        while (err == KC_ESTORE);
    }
    kc_store_close(s);
    return err;
}

#define CHILDREN 6

static void run_children(const char *path)
{
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(open_and_write(path, i));
        assert_true(children[i] > 0);
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
}

static void many_processes_may_begin_at_once(void **state)
{
    char path[160];
    in_folder(*state, "", "usage.db", path);
    run_children(path);
    struct told t = read_file(path);
    assert_int_equal(t.use.requests, 10 * CHILDREN);
    assert_int_equal(t.writers, 1 + CHILDREN);
}

static void many_processes_may_bring_it_up_to_date_at_once(void **state)
{
    char path[160];
    in_folder(*state, "", "usage.db", path);
    run_sql(path, version_1);
    run_sql(path, version_1_rows);
    run_children(path);
    struct told t = read_file(path);
    assert_int_equal(t.use.requests, 114 + 10 * CHILDREN);
    assert_int_equal(t.writers, 2 + CHILDREN);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(version_1_is_brought_up_to_date),
        TEST(an_empty_version_1_is_too),
        TEST(a_migration_that_fails_leaves_version_1),
        TEST(looking_leaves_version_1),
        TEST(refuses_what_it_did_not_make),
        TEST(becomes_newer_while_it_is_open),
        TEST(many_processes_may_begin_at_once),
        TEST(many_processes_may_bring_it_up_to_date_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
