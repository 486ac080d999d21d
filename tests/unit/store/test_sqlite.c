/* The file: made private, explained in plain words, survived when it is locked,
 * full, damaged or gone. */
#include <setjmp.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "store/sqlite.h"
#include "unit/store/store_fixture.h"

static void refuses(const char *path, int err, const char *what)
{
    struct kc_db *db;
    char words[400] = "";
    int got = kc_sqlite_open(path, false, &db, words, sizeof words);
    if (got == KC_OK) { /* SQLite looks at a file when it is asked something */
        got = kc_db_begin(db, true);
        if (got == KC_OK)
            got = kc_db_exec(db, "SELECT count(*) FROM keycycle_use", NULL);
        snprintf(words, sizeof words, "%s", kc_db_error(db));
        kc_db_rollback(db);
        kc_db_close(db);
    }
    assert_int_equal(got, err);
    assert_non_null(strstr(words, path));
    if (!strstr(words, what))
        assert_string_equal(words, what);
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

static int try_use(struct kc_store *s, uint64_t start_ms, uint64_t requests)
{
    struct kc_use_row use = a_use(start_ms, requests);
    struct kc_batch b = {.now_ms = start_ms, .uses = &use, .use_len = 1};
    return kc_store_write(s, &b);
}

static void fails_saying(struct kc_store *s, int err, const char *what)
{
    assert_int_equal(try_use(s, START_MS, 1), err);
    if (!strstr(kc_store_error(s), what))
        assert_string_equal(kc_store_error(s), what);
}

/* -- the path --------------------------------------------------------- */

static void a_new_file_is_its_owners_only(void **state)
{
    char path[160], wal[180];
    struct stat st;
    mode_t before = umask(0);
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    umask(before);
    write_use(s, a_use(START_MS, 1));
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

/* -- damage ----------------------------------------------------------- */

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
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    for (uint64_t i = 0; i < 200; i++)
        write_use(s, a_use(START_MS + i * 2000, 1));
    kc_store_close(s);
    memset(junk, 0x5a, sizeof junk);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 4096, SEEK_SET);
    for (int i = 0; i < 12; i++)
        fwrite(junk, 1, sizeof junk, file);
    fclose(file);
    s = open_store(path); /* its first page is as it was */
    fails_saying(s, KC_ECORRUPT, "is damaged");
    struct told t;
    struct kc_reader r = reader_of(&t);
    assert_int_equal(kc_store_restore(s, NULL, 0, &r), KC_ECORRUPT);
    kc_store_close(s);
}

/* -- for a while ------------------------------------------------------ */

static void a_locked_file_fails_and_works_again(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    sqlite3 *other;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);
    fails_saying(s, KC_ESTORE, "usage.db is locked by another program");
    assert_int_equal(restore(s).uses, 0); /* readers are not in the way */
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(try_use(s, START_MS, 7), KC_OK);
    assert_string_equal(kc_store_error(s), "");
    kc_store_close(s);
    assert_int_equal(read_file(path).use.requests, 7);
}

/* No file of this process may grow beyond what it has. */
static int write_until_full(const char *path)
{
    struct kc_store *s = open_store(path);
    struct stat st;
    int err = KC_OK;
    signal(SIGXFSZ, SIG_IGN);
    write_use(s, a_use(START_MS, 1));
    if (stat(path, &st) != 0)
        return 2;
    const struct rlimit full = {(rlim_t)st.st_size + 40000,
                                (rlim_t)st.st_size + 900000};
    const struct rlimit roomy = {full.rlim_max, full.rlim_max};
    setrlimit(RLIMIT_FSIZE, &full);
    uint64_t written = 1;
    for (uint64_t i = 1; err == KC_OK && i < 1000; i++) {
        err = try_use(s, START_MS + i * 2000, 1);
        written += err == KC_OK;
    }
    if (err != KC_ESTORE || !strstr(kc_store_error(s), "disk"))
        return 3;
    setrlimit(RLIMIT_FSIZE, &roomy);
    if (try_use(s, START_MS - 2000, 1) != KC_OK)
        return 4;
    kc_store_close(s);
    return read_file(path).use.requests == written + 1 ? 0 : 5;
}

static void in_a_child(void **state, int (*fn)(const char *path))
{
    char path[160];
    int status;
    in_folder(*state, "", "usage.db", path);
    pid_t child = fork();
    if (child == 0)
        _exit(fn(path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_full_disk_is_told_and_survived(void **state)
{
    in_a_child(state, write_until_full);
}

/* What is to be written is there already, but in the log beside the file. */
static int write_where_there_is_no_room(const char *path)
{
    struct kc_store *s = open_store(path);
    struct stat st;
    signal(SIGXFSZ, SIG_IGN);
    write_use(s, a_use(START_MS, 1));
    kc_store_close(s);
    if (stat(path, &st) != 0)
        return 2;
    const struct rlimit full = {(rlim_t)st.st_size + 40000,
                                (rlim_t)st.st_size + 40000};
    s = open_store(path);
    write_use(s, a_use(START_MS, 2));
    setrlimit(RLIMIT_FSIZE, &full);
    uint64_t failed = 0;
    for (uint64_t i = 3; i < 200; i++)
        if (try_use(s, START_MS, i) != KC_OK) {
            failed++;
            if (try_use(s, START_MS, i) != KC_OK)
                return 3;
        }
    kc_store_close(s);
    if (failed == 0)
        return 4;
    return read_file(path).use.requests == 1 + 199 ? 0 : 5;
}

static void a_full_disk_has_room_for_what_changes_only(void **state)
{
    in_a_child(state, write_where_there_is_no_room);
}

static void a_file_that_was_moved_away_and_back_goes_on(void **state)
{
    char path[160], away[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    in_folder(*state, "", "away.db", away);
    write_use(s, a_use(START_MS, 1));
    kc_store_close(s);
    s = open_store(path);
    assert_int_equal(rename(path, away), 0);
    fails_saying(s, KC_ESTORE, "usage.db was moved or deleted");
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(try_use(s, START_MS + 2000, 1), KC_OK);
    kc_store_close(s);
    assert_int_equal(read_file(path).use.requests, 2);
}

static void a_file_that_was_deleted_is_made_anew_by_a_new_writer(void **state)
{
    char path[160], beside[180];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_store *other = open_store(path);
    write_sum(s, a_sum(START_MS, 5));
    write_sum(other, a_sum(START_MS, 1));
    write_sum(other, a_sum(START_MS, 2));
    assert_int_equal(merge(s, false).sum.requests, 2);
    kc_store_close(other);
    assert_int_equal(remove(path), 0);
    snprintf(beside, sizeof beside, "%s-wal", path);
    remove(beside);
    snprintf(beside, sizeof beside, "%s-shm", path);
    remove(beside);
    fails_saying(s, KC_ESTORE, "was moved or deleted");
    fails_saying(s, KC_ESTALE, "a new one begins");
    write_sum(s, a_sum(START_MS, 2));
    /* Its numbers begin anew: another writer has one that was known. */
    other = open_store(path);
    write_sum(other, a_sum(START_MS, 4));
    assert_int_equal(merge(s, false).sum.requests, 4);
    kc_store_close(other);
    kc_store_close(s);
    assert_int_equal(read_file(path).sum.requests, 6);
}

/* -- from outside ----------------------------------------------------- */

struct interrupter {
    struct kc_store *s;
    pthread_barrier_t *begun;
};

static void *interrupt(void *ctx)
{
    struct interrupter *i = ctx;
    pthread_barrier_wait(i->begun);
    kc_store_interrupt(i->s);
    return NULL;
}

static int wait_at_first(void *ctx, const struct kc_use_row *row)
{
    pthread_barrier_t **begun = ctx;
    (void)row;
    if (*begun)
        pthread_barrier_wait(*begun);
    *begun = NULL;
    return KC_OK;
}

static void an_interrupt_ends_a_read_and_all_that_follows(void **state)
{
    enum { N = 20000 };
    char path[160];
    pthread_t thread;
    pthread_barrier_t begun;
    struct kc_use_row *uses = calloc(N, sizeof *uses);
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_store *other = open_store(path);
    assert_non_null(uses);
    for (uint64_t i = 0; i < N; i++)
        uses[i] = a_use(START_MS + i * 2000, 1);
    struct kc_batch b = {.now_ms = START_MS, .uses = uses, .use_len = N};
    write_ok(other, &b);
    free(uses);
    pthread_barrier_init(&begun, NULL, 2);
    struct interrupter i = {s, &begun};
    pthread_barrier_t *ctx = &begun;
    struct kc_reader r = {.ctx = &ctx, .use = wait_at_first};
    assert_int_equal(pthread_create(&thread, NULL, interrupt, &i), 0);
    int err = kc_store_restore(s, NULL, 0, &r);
    assert_true(err == KC_ECLOSED || err == KC_OK); /* it may have been slow */
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&begun);
    fails_saying(s, KC_ECLOSED, "closed");
    assert_int_equal(kc_store_restore(s, NULL, 0, &r), KC_ECLOSED);
    kc_store_close(s);
    kc_store_close(other);
}

static void *write_one(void *ctx)
{
    static const int closed = KC_ECLOSED, other = KC_ESTORE;
    return (void *)(try_use(ctx, START_MS, 1) == KC_ECLOSED ? &closed : &other);
}

static void an_interrupt_ends_the_wait_for_a_lock(void **state)
{
    char path[160];
    pthread_t thread;
    void *err;
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    sqlite3 *other;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(pthread_create(&thread, NULL, write_one, s), 0);
    kc_store_interrupt(s);
    pthread_join(thread, &err);
    assert_int_equal(*(const int *)err, KC_ECLOSED);
    sqlite3_close(other);
    kc_store_close(s);
}

static void a_forked_child_forgets_and_the_parent_goes_on(void **state)
{
    char path[160];
    int status;
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    write_use(s, a_use(START_MS, 1));
    pid_t child = fork();
    if (child == 0) {
        kc_store_forget(s);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    write_use(s, a_use(START_MS + 2000, 1));
    kc_store_close(s);
    assert_int_equal(read_file(path).use.requests, 2);
}

/* What a child inherits tells SQLite of locks that the child has not. */
static void what_a_forked_child_writes_outlives_its_parents_store(void **state)
{
    char path[160];
    int status, closed[2];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    write_use(s, a_use(START_MS, 1));
    assert_int_equal(pipe(closed), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        struct kc_store *own = open_store(path);
        close(closed[1]);
        if (try_use(own, START_MS, 1) != KC_OK ||
            read(closed[0], &byte, 1) != 0 ||
            try_use(own, START_MS + 2000, 1) != KC_OK)
            _exit(1);
        kc_store_close(own);
        _exit(0);
    }
    close(closed[0]);
    while (read_file(path).use.requests < 2)
        sched_yield();
    kc_store_close(s);
    close(closed[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read_file(path).use.requests, 3);
}

static void
a_name_that_was_lost_with_its_transaction_is_made_again(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    run_sql(path,
            "CREATE TRIGGER t BEFORE INSERT ON keycycle_use WHEN new.requests ="
            " 666 BEGIN SELECT raise(ABORT, 'that number'); END");
    assert_int_equal(try_use(s, START_MS, 666), KC_EINVALID);
    run_sql(path, "INSERT INTO keycycle_key (provider, hash, label, suffix)"
                  " VALUES ('x', 'y', '', '')"); /* takes its number */
    assert_int_equal(try_use(s, START_MS, 3), KC_OK);
    struct told t;
    struct kc_reader r = reader_of(&t);
    kc_store_close(s);
    s = open_store(path);
    assert_int_equal(kc_store_restore(s, "groq", 0, &r), KC_OK);
    assert_int_equal(t.use.requests, 3);
    kc_store_close(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(a_new_file_is_its_owners_only),
        TEST(says_what_is_wrong_with_the_path),
        TEST(says_that_it_may_not_write),
        TEST(says_that_a_file_is_no_database),
        TEST(says_that_a_database_is_damaged),
        TEST(a_locked_file_fails_and_works_again),
        TEST(a_full_disk_is_told_and_survived),
        TEST(a_full_disk_has_room_for_what_changes_only),
        TEST(a_file_that_was_moved_away_and_back_goes_on),
        TEST(a_file_that_was_deleted_is_made_anew_by_a_new_writer),
        TEST(an_interrupt_ends_a_read_and_all_that_follows),
        TEST(an_interrupt_ends_the_wait_for_a_lock),
        TEST(a_forked_child_forgets_and_the_parent_goes_on),
        TEST(what_a_forked_child_writes_outlives_its_parents_store),
        TEST(a_name_that_was_lost_with_its_transaction_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
