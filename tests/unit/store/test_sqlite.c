/* The store in a file: what it keeps, and what it says when it cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include "store/sqlite.h"
#include "unit/store/folder.h"

static struct kc_store *open_ok(const char *path)
{
    struct kc_store *s;
    char words[400] = "";
    int err = kc_sqlite_open(path, &s, words, sizeof words);
    assert_string_equal(words, "");
    assert_int_equal(err, KC_OK);
    return s;
}

static void refuses(const char *path, int err, const char *what)
{
    struct kc_store *s;
    char words[400] = "";
    assert_int_equal(kc_sqlite_open(path, &s, words, sizeof words), err);
    assert_null(s);
    assert_non_null(strstr(words, path));
    if (!strstr(words, what))
        assert_string_equal(words, what);
}

static struct sums read_all(const char *path)
{
    struct sums sums = {0};
    struct kc_store *s = open_ok(path);
    assert_int_equal(kc_store_read(s, NULL, sum_row, &sums), KC_OK);
    assert_false(sums.disorder);
    kc_store_close(s);
    return sums;
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void reads_back_after_it_was_closed(void **state)
{
    char path[160];
    in_folder(*state, "", "usage.db", path);
    struct kc_store *s = open_ok(path);
    struct kc_row rows[3] = {a_row(START_MS + 4000, 1), a_row(START_MS, 2),
                             a_row(START_MS + 2000, 3)};
    rows[0].model = "\xe2\x82\xac' --";
    assert_int_equal(kc_store_write(s, "w", rows, 3), KC_OK);
    assert_int_equal(kc_store_write(s, "w", rows, 3), KC_OK);
    assert_int_equal(kc_store_write(s, "w", NULL, 0), KC_OK);
    kc_store_close(s);
    struct sums sums = read_all(path);
    assert_int_equal(sums.rows, 3);
    assert_int_equal(sums.requests, 6);
    assert_int_equal(sums.input, 60);
    assert_int_equal(sums.output, 18);
    assert_int_equal(sums.total, 78);
    assert_string_equal(sums.last_model, "\xe2\x82\xac' --");
}

static void writers_add_up_and_a_value_may_fall(void **state)
{
    char path[160];
    struct kc_store *a = open_ok(in_folder(*state, "", "usage.db", path));
    struct kc_store *b = open_ok(path);
    struct sums sums = {0}, none = {0};
    struct kc_row row = a_row(START_MS, 100);
    assert_int_equal(kc_store_write(a, "a", &row, 1), KC_OK);
    assert_int_equal(kc_store_write(b, "b", &row, 1), KC_OK);
    row.requests = 40;
    row.total = UINT64_MAX; /* kept as the largest number of the file */
    assert_int_equal(kc_store_write(a, "a", &row, 1), KC_OK);
    assert_int_equal(kc_store_read(b, "groq", sum_row, &sums), KC_OK);
    assert_int_equal(sums.requests, 140);
    assert_true(sums.total == (uint64_t)INT64_MAX + 1300);
    assert_int_equal(kc_store_read(b, "other", sum_row, &none), KC_OK);
    assert_int_equal(none.rows, 0);
    kc_store_close(a);
    kc_store_close(b);
}

static int stop_at_two(void *ctx, const struct kc_row *row)
{
    (void)row;
    return ++*(int *)ctx == 2 ? KC_ECANCELLED : KC_OK;
}

static void a_reader_may_stop(void **state)
{
    char path[160];
    struct kc_store *s = open_ok(in_folder(*state, "", "usage.db", path));
    int seen = 0;
    for (uint64_t i = 0; i < 5; i++) {
        struct kc_row row = a_row(START_MS + i * 2000, 1);
        assert_int_equal(kc_store_write(s, "w", &row, 1), KC_OK);
    }
    assert_int_equal(kc_store_read(s, NULL, stop_at_two, &seen), KC_ECANCELLED);
    assert_int_equal(seen, 2);
    kc_store_close(s);
}

static void a_new_file_is_its_owners_only(void **state)
{
    char path[160], wal[180];
    struct stat st;
    mode_t before = umask(0);
    struct kc_store *s = open_ok(in_folder(*state, "", "usage.db", path));
    umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    kc_store_close(s);
}

static void says_what_is_wrong_with_the_path(void **state)
{
    struct folder *f = *state;
    char path[160];
    refuses(f->path, KC_ESTORE, "it is a directory");
    refuses(in_folder(f, "", "no/usage.db", path), KC_ESTORE,
            "its folder does not exist");
    write_file(in_folder(f, "", "file", path), "x");
    refuses(in_folder(f, "", "file/usage.db", path), KC_ESTORE,
            "its folder is a file");
    refuses("/dev/null", KC_ESTORE, "it is not a regular file");
}

/* The superuser may write everywhere: as somebody else, then. */
static void says_that_it_may_not_write(void **state)
{
    struct folder *f = *state;
    char path[160], new_path[160];
    write_file(in_folder(f, "", "usage.db", path), "");
    in_folder(f, "", "new.db", new_path);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(f->path, 0555), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0);
    refuses(path, KC_ESTORE, "no permission to read and write it");
    refuses(new_path, KC_ESTORE, "no permission to write in its folder");
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(f->path, 0755), 0);
}

static void says_that_a_file_is_no_database(void **state)
{
    char path[160];
    write_file(in_folder(*state, "", "usage.db", path),
               "[limits]\nrequests_per_minute = 30\n# a long enough file\n");
    refuses(path, KC_ECORRUPT, "is not an SQLite database");
}

static void says_that_a_database_is_damaged(void **state)
{
    char path[160], junk[4096];
    struct kc_store *s = open_ok(in_folder(*state, "", "usage.db", path));
    for (uint64_t i = 0; i < 500; i++) {
        struct kc_row row = a_row(START_MS + i * 2000, 1);
        assert_int_equal(kc_store_write(s, "w", &row, 1), KC_OK);
    }
    kc_store_close(s);
    memset(junk, 0x5a, sizeof junk);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 4096, SEEK_SET);
    for (int i = 0; i < 8; i++)
        fwrite(junk, 1, sizeof junk, file);
    fclose(file);
    refuses(path, KC_ECORRUPT, "is damaged");
}

static void refuses_what_it_did_not_make(void **state)
{
    char path[160];
    run_sql(in_folder(*state, "", "other.db", path),
            "CREATE TABLE users (name TEXT)");
    refuses(path, KC_ESTORE, "is the database of another program");
    kc_store_close(open_ok(in_folder(*state, "", "newer.db", path)));
    run_sql(path, "PRAGMA user_version = 9");
    refuses(path, KC_ESTORE,
            "was written by a newer keycycle (its schema is 9, this build "
            "knows 1)");
}

static void a_locked_file_fails_and_works_again(void **state)
{
    char path[160];
    struct kc_store *s = open_ok(in_folder(*state, "", "usage.db", path));
    struct kc_row row = a_row(START_MS, 7);
    sqlite3 *other;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(kc_store_write(s, "w", &row, 1), KC_ESTORE);
    assert_non_null(
        strstr(kc_store_error(s), "usage.db is locked by another program"));
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(kc_store_write(s, "w", &row, 1), KC_OK);
    assert_string_equal(kc_store_error(s), "");
    kc_store_close(s);
    assert_int_equal(read_all(path).requests, 7);
}

static int open_and_write(const char *path, int child)
{
    struct kc_store *s;
    char words[400] = "", writer[16];
    int err = kc_sqlite_open(path, &s, words, sizeof words);
    snprintf(writer, sizeof writer, "w%d", child);
    for (uint64_t i = 0; err == KC_OK && i < 10; i++) {
        struct kc_row row = a_row(START_MS + i * 2000, 1);
        do /* as the journal does */
            err = kc_store_write(s, writer, &row, 1);
        while (err == KC_ESTORE);
    }
    if (err != KC_OK)
        fprintf(stderr, "child %d: %s\n", child, words);
    else
        kc_store_close(s);
    return err;
}

static void many_processes_may_begin_at_once(void **state)
{
    enum { CHILDREN = 6 };
    char path[160];
    pid_t children[CHILDREN];
    in_folder(*state, "", "usage.db", path);
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
    assert_int_equal(read_all(path).requests, 10 * CHILDREN);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(reads_back_after_it_was_closed),
        TEST(writers_add_up_and_a_value_may_fall),
        TEST(a_reader_may_stop),
        TEST(a_new_file_is_its_owners_only),
        TEST(says_what_is_wrong_with_the_path),
        TEST(says_that_it_may_not_write),
        TEST(says_that_a_file_is_no_database),
        TEST(says_that_a_database_is_damaged),
        TEST(refuses_what_it_did_not_make),
        TEST(a_locked_file_fails_and_works_again),
        TEST(many_processes_may_begin_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
