/* The journal: nothing is lost on a clean stop, whatever the store does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include <sqlite3.h>

#include "unit/store/journal_fixture.h"
#include "util/clock.h"

static struct told file_of(const char *url)
{
    return read_file(url + strlen("sqlite:"));
}

/* Runs one statement over a connection of its own. */
static void edit(const char *url, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(url + strlen("sqlite:"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, PATIENCE_MS);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void what_was_used_can_be_read_after_a_sync(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    use(&r, 500);
    use(&r, 20);
    uint64_t lease = take(&r, 7);
    sync_run(&r);
    struct told t = file_of(url);
    assert_int_equal(t.sum.requests, 2);
    assert_int_equal(t.sum.total, 520);
    assert_int_equal(t.uses, 1);
    assert_int_equal(t.use.total, 520);
    assert_int_equal(t.held.requests, 1);
    assert_int_equal(t.held.tokens, 7);
    assert_int_equal(t.states, 0);
    settle(&r, lease);
    atomic_fetch_add(&r.now_ms, 5000);
    use(&r, 1);
    sync_run(&r);
    t = file_of(url);
    assert_int_equal(t.sum.total, 528);
    assert_int_equal(t.uses, 2);
    assert_int_equal(t.held.requests, 0);
    end_run(&r);
    t = file_of(url);
    assert_int_equal(t.sum.total, 528);
    assert_true(t.writer.ended || t.ended > 0);
}

static void it_writes_by_itself_and_rests_without_news(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    use(&r, 1);
    wait_for_writes(&r.gate, 1);
    sync_run(&r);
    int writes = gate_writes(&r.gate);
    sync_run(&r); /* finds nothing to write */
    sync_run(&r);
    assert_int_equal(gate_writes(&r.gate), writes);
    end_run(&r);
}

static void the_end_is_told_and_what_is_in_flight_stays_held(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    use(&r, 10);
    take(&r, 30);
    end_run(&r);
    struct told t = file_of(url);
    assert_int_equal(t.sum.total, 10);
    assert_int_equal(t.held.tokens, 30);
    assert_int_equal(t.ended, 2); /* and the archive */

    start_run(&r, url, START_MS + 5000, 1);
    assert_int_equal(counts(&r).total_requests, 2);
    assert_int_equal(counts(&r).total_tokens, 40);
    assert_int_equal(minute(&r), 2);
    end_run(&r);
}

static void a_broken_store_is_tried_until_it_works(void **state)
{
    char url[160];
    struct run r;
    struct kc_journal_status s;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    sync_run(&r);
    set_gate(&r.gate, GATE_FAILS);
    use(&r, 10);
    int tries = gate_tries(&r.gate);
    wait_for_tries(&r.gate, tries + 2); /* by itself */
    assert_int_equal(kc_journal_sync(r.journal, 1), KC_ESTORE);
    kc_journal_status(r.journal, &s);
    assert_string_equal(s.error, "the disk is on fire");
    assert_true(s.failing_ms > 0);
    assert_int_equal(s.waiting, 1);
    assert_int_equal(r.changes, 1);
    set_gate(&r.gate, GATE_OPEN);
    sync_run(&r);
    kc_journal_status(r.journal, &s);
    assert_string_equal(s.error, "");
    assert_int_equal(s.failing_ms, 0);
    assert_int_equal(s.waiting, 0);
    assert_int_equal(r.changes, 2);
    assert_int_equal(file_of(url).sum.total, 10);
    end_run(&r);
}

static void a_locked_file_is_written_once_it_is_free(void **state)
{
    char url[160];
    sqlite3 *other;
    struct run r;
    struct kc_journal_status s;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    sync_run(&r);
    assert_int_equal(sqlite3_open(url + strlen("sqlite:"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);
    use(&r, 10);
    do
        assert_int_not_equal(kc_journal_sync(r.journal, 50), KC_OK);
    while (kc_journal_status(r.journal, &s), !s.error[0]);
    assert_non_null(strstr(s.error, "is locked by another program"));
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    sync_run(&r);
    assert_int_equal(file_of(url).sum.total, 10);
    end_run(&r);
}

/* Until all that was used has been tried: the first may have begun before. */
static void try_in_doubt(struct run *r)
{
    int end = gate_doubts(&r->gate) + 2;
    while (gate_doubts(&r->gate) < end)
        assert_int_not_equal(kc_journal_sync(r->journal, 1), KC_OK);
}

static void a_doubtful_commit_counts_once(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    sync_run(&r);
    set_gate(&r.gate, GATE_DOUBTS);
    use(&r, 10);
    try_in_doubt(&r);
    assert_int_equal(file_of(url).sum.total, 10); /* it was written */
    set_gate(&r.gate, GATE_LOSES);
    use(&r, 5);
    try_in_doubt(&r);
    assert_int_equal(file_of(url).sum.total, 10); /* that was not */
    atomic_fetch_add(&r.now_ms, 3000);
    use(&r, 2);
    set_gate(&r.gate, GATE_OPEN);
    sync_run(&r);
    struct told t = file_of(url);
    assert_int_equal(t.sum.total, 17);
    assert_int_equal(t.use.total, 17);
    assert_int_equal(t.use.requests, 3);
    end_run(&r);
}

static void what_cannot_be_written_is_counted_at_the_end(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 2);
    sync_run(&r);
    set_gate(&r.gate, GATE_FAILS);
    for (int i = 0; i < 3; i++) {
        use(&r, 1);
        atomic_fetch_add(&r.now_ms, 2000);
    }
    assert_int_equal(kc_journal_close(r.journal, 10), 3);
    assert_int_equal(r.released, 1);
    assert_true(r.gate.closed);
    assert_int_equal(kc_journal_close(r.journal, 10), 0);
    assert_int_equal(kc_journal_sync(r.journal, 10), KC_ECLOSED);
    struct kc_kept kept = kept_of(&r);
    char *why;
    assert_int_equal(kc_journal_keep(r.journal, &kept, &why), KC_ECLOSED);
    use(&r, 1); /* wakes nobody */
    free_run(&r);
}

static void who_has_nothing_to_write_does_not_wait_for_a_store(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    use(&r, 1);
    sync_run(&r);
    set_gate(&r.gate, GATE_FAILS);
    uint64_t begin_ms = kc_mono_ms();
    assert_int_equal(kc_journal_close(r.journal, 600000), 0);
    assert_true(kc_mono_ms() - begin_ms < 300000); /* not for all that time */
    assert_int_equal(r.released, 1);
    free_run(&r);
}

static void a_store_that_hangs_does_not_hold_up_the_end(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    sync_run(&r);
    set_gate(&r.gate, GATE_HANGS);
    use(&r, 1);
    pthread_mutex_lock(&r.gate.lock);
    while (!r.gate.waits)
        pthread_cond_wait(&r.gate.changed, &r.gate.lock);
    pthread_mutex_unlock(&r.gate.lock);
    struct kc_journal_status s;
    kc_journal_status(r.journal, &s); /* does not wait either */
    assert_int_equal(s.waiting, 1);
    assert_int_equal(kc_journal_sync(r.journal, 1), KC_ETIMEOUT);
    assert_int_equal(kc_journal_close(r.journal, 1), 1);
    assert_int_equal(r.released, 0); /* its thread may still look at it */
    set_gate(&r.gate, GATE_OPEN);
    pthread_mutex_lock(&r.gate.lock);
    while (!r.gate.closed)
        pthread_cond_wait(&r.gate.changed, &r.gate.lock);
    pthread_mutex_unlock(&r.gate.lock);
    assert_int_equal(r.released, 1);
    free_run(&r);
}

static void a_row_that_is_refused_is_set_aside_alone(void **state)
{
    char url[160], model[2000];
    struct run r;
    struct kc_journal_status s;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    memset(model, 'x', sizeof model - 1);
    model[sizeof model - 1] = '\0';
    struct kc_request request = {.model = model};
    struct kc_grant g;
    struct kc_refusal refusal;
    assert_int_equal(
        kc_pool_acquire(r.pool, r.now_ms, &request, &g, &refusal), KC_OK);
    assert_int_equal(
        kc_pool_settle(r.pool, r.now_ms, g.lease, KC_DONE, NULL), KC_OK);
    use(&r, 10);
    sync_run(&r);
    kc_journal_status(r.journal, &s);
    assert_int_equal(s.set_aside, 1);
    assert_int_equal(s.waiting, 0);
    assert_string_equal(s.error, "");
    assert_non_null(strstr(s.aside, "p, model \"xxx"));
    use(&r, 5);
    sync_run(&r);
    struct told t = file_of(url);
    assert_int_equal(t.sum.total, 15);
    assert_int_equal(t.sums, 1);
    end_run(&r);
}

static void who_was_taken_for_dead_goes_on_as_another(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    use(&r, 10);
    sync_run(&r);
    /* Somebody has summed the writer up into the archive. */
    edit(url, "UPDATE keycycle_sum SET writer = 0;"
              "UPDATE keycycle_use SET writer = 0;"
              "DELETE FROM keycycle_writer;");
    use(&r, 5);
    sync_run(&r);
    struct told t = file_of(url);
    assert_int_equal(t.sum.total, 15);
    assert_int_equal(t.use.total, 15);
    assert_int_equal(t.sums, 2);
    assert_int_equal(counts(&r).total_tokens, 15); /* the archive was us */
    end_run(&r);
}

static void an_outage_costs_no_memory(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    sync_run(&r);
    set_gate(&r.gate, GATE_FAILS);
    for (int i = 0; i < 40000; i++) { /* most of a day */
        use(&r, 1);
        atomic_fetch_add(&r.now_ms, 2000);
    }
    assert_true(kc_pool_unwritten(r.pool) < 300);
    set_gate(&r.gate, GATE_OPEN);
    sync_run(&r);
    struct told t = file_of(url);
    assert_int_equal(t.sum.requests, 40000);
    assert_int_equal(t.use.requests, 40000);
    end_run(&r);
}

static void *use_many(void *arg)
{
    for (int i = 0; i < 5000; i++)
        use(arg, 1);
    return NULL;
}

static void it_counts_from_any_thread(void **state)
{
    char url[160];
    struct run r;
    pthread_t threads[3];
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_many, &r), 0);
    for (int i = 0; i < 20; i++) {
        atomic_fetch_add(&r.now_ms, 500);
        sync_run(&r);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    end_run(&r);
    struct told t = file_of(url);
    assert_int_equal(t.sum.requests, 15000);
    assert_int_equal(t.use.total, 15000);
}

static void who_holds_something_says_that_he_lives(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    uint64_t lease = take(&r, 5);
    sync_run(&r);
    pthread_mutex_lock(&r.journal->store_lock);
    r.journal->pace.beat = 1;
    r.journal->beat_ms = 0;
    pthread_mutex_unlock(&r.journal->store_lock);
    int writes = gate_writes(&r.gate);
    for (int i = 1; i <= 3; i++) {
        sync_run(&r);
        wait_for_writes(&r.gate, writes + i);
    }
    settle(&r, lease);
    sync_run(&r);
    writes = gate_writes(&r.gate);
    sync_run(&r);
    sync_run(&r);
    assert_int_equal(gate_writes(&r.gate), writes); /* nothing is held */
    end_run(&r);
}

static void a_provider_has_one_pool_and_it_can_be_let_go(void **state)
{
    char url[160], *why;
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    struct run other = {.pool = pool_of(1)};
    atomic_init(&other.now_ms, START_MS);
    struct kc_kept kept = kept_of(&other);
    assert_int_equal(kc_journal_keep(r.journal, &kept, &why), KC_EDIFFERS);
    kept.provider = "q";
    assert_int_equal(kc_journal_keep(r.journal, &kept, &why), KC_OK);
    other.journal = r.journal;
    use(&other, 3);
    kc_journal_release(r.journal, other.pool);
    sync_run(&r);
    assert_int_equal(other.released, 1);
    assert_int_equal(r.released, 0);
    assert_int_equal(file_of(url).sum.total, 3);
    /* Its sums are this writer's: another pool would begin them anew. */
    assert_int_equal(kc_journal_keep(r.journal, &kept, &why), KC_EDIFFERS);
    kc_pool_free(other.pool);
    end_run(&r);
}

static void a_store_of_ones_own_is_like_a_file(void **state)
{
    (void)state;
    struct run r;
    start_run(&r, "memory:", START_MS, 1);
    use(&r, 10);
    sync_run(&r);
    struct kc_journal_status s;
    kc_journal_status(r.journal, &s);
    assert_int_equal(s.waiting, 0);
    end_run(&r);
}

static void a_forked_child_forgets_and_the_parent_goes_on(void **state)
{
    char url[160];
    struct run r;
    start_run(&r, in_folder(*state, "sqlite:", "u.db", url), START_MS, 1);
    use(&r, 1);
    pid_t child = fork();
    if (child == 0) {
        kc_journal_forget(r.journal);
        /* What the child must not free is no leak to be reported. */
        execlp("true", "true", (char *)NULL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    use(&r, 1);
    sync_run(&r);
    assert_int_equal(file_of(url).sum.requests, 2);
    end_run(&r);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(what_was_used_can_be_read_after_a_sync),
        TEST(it_writes_by_itself_and_rests_without_news),
        TEST(the_end_is_told_and_what_is_in_flight_stays_held),
        TEST(a_broken_store_is_tried_until_it_works),
        TEST(a_locked_file_is_written_once_it_is_free),
        TEST(a_doubtful_commit_counts_once),
        TEST(what_cannot_be_written_is_counted_at_the_end),
        TEST(who_has_nothing_to_write_does_not_wait_for_a_store),
        TEST(a_store_that_hangs_does_not_hold_up_the_end),
        TEST(a_row_that_is_refused_is_set_aside_alone),
        TEST(who_was_taken_for_dead_goes_on_as_another),
        TEST(an_outage_costs_no_memory),
        TEST(it_counts_from_any_thread),
        TEST(who_holds_something_says_that_he_lives),
        TEST(a_provider_has_one_pool_and_it_can_be_let_go),
        TEST(a_store_of_ones_own_is_like_a_file),
        TEST(a_forked_child_forgets_and_the_parent_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
