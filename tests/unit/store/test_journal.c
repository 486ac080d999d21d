/* The journal: nothing is lost on a clean stop, whatever the store does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "store/journal.h"
#include "unit/store/folder.h"

#define PATIENCE_MS 60000 /* for what must come; nobody waits that long */

/* -- a store that does as it is told -------------------------------------- */

struct fake {
    struct kc_store head;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool broken;
    int writes; /* tried */
    uint64_t requests;
    bool closed;
};

static int fake_write(struct kc_store *s, const char *writer,
                      const struct kc_row *rows, size_t n)
{
    struct fake *f = (struct fake *)s;
    (void)writer;
    pthread_mutex_lock(&f->lock);
    f->writes++;
    if (!f->broken) {
        f->requests = 0;
        for (size_t i = 0; i < n; i++)
            f->requests += rows[i].requests;
    }
    int err = f->broken ? KC_ESTORE : KC_OK;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return err;
}

static int fake_read(struct kc_store *s, const char *provider, kc_row_fn *fn,
                     void *ctx)
{
    (void)provider;
    (void)fn;
    (void)ctx;
    return ((struct fake *)s)->broken ? KC_ESTORE : KC_OK;
}

static const char *fake_error(struct kc_store *s)
{
    (void)s;
    return "the disk is on fire";
}

static void fake_close(struct kc_store *s)
{
    ((struct fake *)s)->closed = true;
}

static const struct kc_store_ops fake_ops = {fake_write, fake_read, fake_error,
                                             fake_close, fake_close};

static void fake_init(struct fake *f, bool broken)
{
    *f = (struct fake){.head = {&fake_ops}, .broken = broken};
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
}

static void wait_for_writes(struct fake *f, int n)
{
    pthread_mutex_lock(&f->lock);
    while (f->writes < n)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void mend(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    f->broken = false;
    pthread_mutex_unlock(&f->lock);
}

/* -- helpers -------------------------------------------------------------- */

static struct kc_journal *open_journal(const char *url)
{
    struct kc_store *s;
    struct kc_journal *j;
    char *why;
    assert_int_equal(kc_store_open(url, &s, &why), KC_OK);
    assert_int_equal(kc_journal_open(s, &j), KC_OK);
    return j;
}

static void book(struct kc_journal *j, uint64_t wall_ms, int64_t requests,
                 int64_t total)
{
    struct kc_delta d = {.requests = requests, .total = total};
    assert_int_equal(kc_journal_add(j, "groq", "k1", "m1", wall_ms, &d), KC_OK);
}

static struct sums read_back(struct kc_journal *j)
{
    struct sums sums = {0};
    char *why;
    assert_int_equal(kc_journal_read(j, "groq", sum_row, &sums, &why), KC_OK);
    assert_null(why);
    return sums;
}

/* -- tests ---------------------------------------------------------------- */

static void what_was_flushed_can_be_read(void **state)
{
    char url[160], error[64] = "x";
    struct kc_journal *j =
        open_journal(in_folder(*state, "sqlite:", "usage.db", url));
    assert_int_equal(kc_journal_flush(j, 0), KC_OK); /* nothing to write */
    book(j, START_MS + 100, 1, 500);
    book(j, START_MS + 1999, 1, 0);
    book(j, START_MS + 2000, 1, 0);
    assert_int_equal(kc_journal_flush(j, PATIENCE_MS), KC_OK);
    struct sums sums = read_back(j);
    assert_int_equal(sums.rows, 2);
    assert_int_equal(sums.requests, 3);
    assert_int_equal(sums.total, 500);
    book(j, START_MS + 100, 0, -470); /* the reservation is settled */
    assert_int_equal(kc_journal_flush(j, PATIENCE_MS), KC_OK);
    assert_int_equal(read_back(j).total, 30);
    kc_journal_error(j, error, sizeof error);
    assert_string_equal(error, "");
    assert_int_equal(kc_journal_close(j, PATIENCE_MS), 0);
}

static void close_writes_what_is_left_and_the_next_run_reads_it(void **state)
{
    char url[160];
    struct kc_journal *j =
        open_journal(in_folder(*state, "sqlite:", "usage.db", url));
    for (int i = 0; i < 1000; i++)
        book(j, START_MS + (uint64_t)i * 100, 1, 1);
    assert_int_equal(kc_journal_close(j, PATIENCE_MS), 0);
    j = open_journal(url);
    struct sums sums = read_back(j);
    assert_int_equal(sums.rows, 50);
    assert_int_equal(sums.requests, 1000);
    assert_false(sums.disorder);
    assert_int_equal(kc_journal_close(j, PATIENCE_MS), 0);
}

static void two_writers_add_up(void **state)
{
    char url[160];
    struct kc_journal *a =
        open_journal(in_folder(*state, "sqlite:", "usage.db", url));
    struct kc_journal *b = open_journal(url);
    book(a, START_MS, 3, 0);
    book(b, START_MS, 4, 0);
    assert_int_equal(kc_journal_flush(a, PATIENCE_MS), KC_OK);
    assert_int_equal(kc_journal_flush(b, PATIENCE_MS), KC_OK);
    book(a, START_MS, -1, 0);
    assert_int_equal(kc_journal_close(a, PATIENCE_MS), 0);
    assert_int_equal(read_back(b).requests, 6);
    assert_int_equal(kc_journal_close(b, PATIENCE_MS), 0);
}

static void a_locked_file_is_written_once_it_is_free(void **state)
{
    char url[160], error[200];
    sqlite3 *other;
    struct kc_journal *j =
        open_journal(in_folder(*state, "sqlite:", "usage.db", url));
    assert_int_equal(sqlite3_open(url + strlen("sqlite:"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL),
                     SQLITE_OK);
    book(j, START_MS, 1, 0);
    do
        assert_int_not_equal(kc_journal_flush(j, 100), KC_OK);
    while (kc_journal_error(j, error, sizeof error), !error[0]);
    assert_int_equal(kc_journal_flush(j, 0), KC_ESTORE);
    assert_non_null(strstr(error, "is locked by another program"));
    book(j, START_MS, 1, 0);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(kc_journal_flush(j, PATIENCE_MS), KC_OK);
    assert_int_equal(read_back(j).requests, 2);
    assert_int_equal(kc_journal_close(j, PATIENCE_MS), 0);
}

static void writes_by_itself_and_tries_again_by_itself(void **state)
{
    (void)state;
    struct fake store;
    struct kc_journal *j;
    fake_init(&store, true);
    assert_int_equal(kc_journal_open(&store.head, &j), KC_OK);
    book(j, START_MS, 5, 0);
    wait_for_writes(&store, 2);
    mend(&store);
    wait_for_writes(&store, 3);
    assert_int_equal(store.requests, 5);
    assert_int_equal(kc_journal_close(j, PATIENCE_MS), 0);
    assert_true(store.closed);
}

static void a_broken_store_says_why_and_how_much_is_lost(void **state)
{
    (void)state;
    struct fake store;
    struct kc_journal *j;
    char *why, error[64];
    fake_init(&store, true);
    assert_int_equal(kc_journal_open(&store.head, &j), KC_OK);
    book(j, START_MS, 1, 0);
    book(j, START_MS + 2000, 1, 0);
    book(j, START_MS + 4000, 1, 0);
    wait_for_writes(&store, 1);
    do /* the words come a moment after the try */
        assert_int_not_equal(kc_journal_flush(j, 1), KC_OK);
    while (kc_journal_error(j, error, sizeof error), !error[0]);
    assert_string_equal(error, "the disk is on fire");
    assert_int_equal(kc_journal_flush(j, 1), KC_ESTORE);
    struct sums sums = {0};
    assert_int_equal(kc_journal_read(j, NULL, sum_row, &sums, &why), KC_ESTORE);
    assert_string_equal(why, "the disk is on fire");
    free(why);
    assert_int_equal(kc_journal_close(j, 1), 3);
    assert_true(store.closed);
}

static void *book_many(void *arg)
{
    for (int i = 0; i < 5000; i++)
        book(arg, START_MS + (uint64_t)(i % 40) * 1000, 1, 1);
    return NULL;
}

static void counts_from_any_thread(void **state)
{
    (void)state;
    struct kc_journal *j = open_journal("memory:");
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, book_many, j), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(kc_journal_flush(j, PATIENCE_MS), KC_OK);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(kc_journal_flush(j, PATIENCE_MS), KC_OK);
    assert_int_equal(read_back(j).requests, 15000);
    assert_int_equal(kc_journal_close(j, PATIENCE_MS), 0);
}

static void a_forked_child_forgets_and_the_parent_goes_on(void **state)
{
    char url[160];
    struct kc_journal *j =
        open_journal(in_folder(*state, "sqlite:", "usage.db", url));
    book(j, START_MS, 1, 0);
    pid_t child = fork();
    if (child == 0) {
        kc_journal_forget(j);
        /* What the child must not free is no leak to be reported. */
        execlp("true", "true", (char *)NULL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    book(j, START_MS, 1, 0);
    assert_int_equal(kc_journal_flush(j, PATIENCE_MS), KC_OK);
    assert_int_equal(read_back(j).requests, 2);
    assert_int_equal(kc_journal_close(j, PATIENCE_MS), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(what_was_flushed_can_be_read),
        TEST(close_writes_what_is_left_and_the_next_run_reads_it),
        TEST(two_writers_add_up),
        TEST(a_locked_file_is_written_once_it_is_free),
        cmocka_unit_test(writes_by_itself_and_tries_again_by_itself),
        cmocka_unit_test(a_broken_store_says_why_and_how_much_is_lost),
        cmocka_unit_test(counts_from_any_thread),
        TEST(a_forked_child_forgets_and_the_parent_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
