/* Pools that a store keeps: restarts, several programs on one file, shared pools
 * whose wrappers come and go, forks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "keycycle.h"
#include "runtime/writer.h"
#include "unit/runtime/hub_fixture.h"
#include "unit/store/folder.h"

#define PATIENCE_MS 60000 /* for what must come; nobody waits that long */
#define LIMIT 10          /* requests a minute */

struct program { /* one run of one: as a process is to another */
    struct kc_runtime *rt;
    struct kc_ledger *ledger;
    struct kc_writer *writer;
};

static void a_key(struct kc_ledger *l, int n)
{
    char secret[32];
    uint32_t index;
    snprintf(secret, sizeof secret, "sk-test-%04d-key-%04d", 7 * n, n);
    struct kc_key_config key = {.secret = secret};
    must(kc_pool_add_key(kc_ledger_pool(l), kc_ledger_now(l), &key, &index));
}

static struct program start(const char *url, struct kc_clock *clock)
{
    struct program p;
    struct kc_pool_config config = {
        .max_waiters = 10, .max_lease_ms = 600000, .seed = 1};
    struct kc_limits limits;
    char *why;
    must(kc_runtime_new(&p.rt));
    must(kc_ledger_new(p.rt, "test", &config, clock, &p.ledger));
    a_key(p.ledger, 1);
    kc_limits_unlimited(&limits);
    limits.max[KC_MINUTE][KC_REQUESTS] = LIMIT;
    must(kc_pool_set_limits(kc_ledger_pool(p.ledger), kc_ledger_now(p.ledger),
                            0, NULL, &limits));
    must(kc_writer_open(url, 0, &p.writer, &why));
    must(kc_ledger_attach(p.ledger, p.writer, &why));
    return p;
}

static void sync_all(struct program *p)
{
    must(kc_writer_sync(p->writer, PATIENCE_MS));
}

/* As a wrapper stops: the pool first. */
static void stop(struct program *p)
{
    kc_ledger_close(p->ledger);
    assert_int_equal(kc_writer_close(p->writer, PATIENCE_MS), 0);
    kc_writer_unref(p->writer);
    kc_ledger_unref(p->ledger);
    kc_runtime_unref(p->rt);
}

static int try(struct program *p, struct kc_lease *lease)
{
    struct kc_request r = {.model = "m", .tokens = 3};
    struct kc_refusal refusal;
    return kc_lease_acquire(p->ledger, &r, lease, &refusal);
}

static int use_one(struct program *p)
{
    struct kc_lease lease;
    int err = try(p, &lease);
    if (err == KC_OK) {
        must(kc_lease_settle(&lease, KC_DONE, NULL));
        kc_lease_deinit(&lease);
    }
    return err;
}

static int use_up_to(struct program *p, int most)
{
    int n = 0;
    while (n < most && use_one(p) == KC_OK)
        n++;
    return n;
}

static struct kc_snapshot of(struct program *p)
{
    struct state s = {p->rt, p->ledger};
    return counts_of(&s);
}

static struct kc_clock *a_clock(void)
{
    struct kc_clock *clock;
    must(kc_clock_new_manual(START_MS, &clock));
    return clock;
}

static void several_programs_keep_one_limit(void **state)
{
    char url[160];
    struct kc_clock *clock = a_clock();
    in_folder(*state, "sqlite:", "u.db", url);
    struct program a = start(url, clock), b = start(url, clock);
    assert_int_equal(use_up_to(&a, 6), 6);
    sync_all(&a);
    sync_all(&b);
    assert_int_equal(use_up_to(&b, 99), LIMIT - 6);
    sync_all(&b);
    sync_all(&a);
    assert_int_equal(use_one(&a), KC_ELIMITED);
    kc_clock_advance(clock, 61000);
    /* What is granted before the others can know of it is all that goes over. */
    int granted = use_up_to(&a, 99) + use_up_to(&b, 2);
    assert_int_equal(granted, LIMIT + 2);
    sync_all(&a);
    sync_all(&b);
    sync_all(&a); /* what the other one has written meanwhile */
    assert_int_equal(use_one(&a), KC_ELIMITED);
    assert_int_equal(use_one(&b), KC_ELIMITED);
    assert_int_equal(of(&a).total_requests, LIMIT + granted);
    assert_int_equal(of(&b).total_requests, LIMIT + granted);
    stop(&a);
    stop(&b);
    kc_clock_unref(clock);
}

static void what_others_hold_is_not_granted_and_who_waits_gets_it(void **state)
{
    char url[160];
    struct kc_clock *clock = a_clock();
    struct kc_lease held[LIMIT], lease;
    struct kc_wait wait;
    struct kc_refusal refusal;
    struct kc_request r = {.model = "m", .tokens = 3};
    in_folder(*state, "sqlite:", "u.db", url);
    struct program a = start(url, clock), b = start(url, clock);
    for (int i = 0; i < LIMIT; i++)
        must(try(&a, &held[i]));
    sync_all(&a);
    sync_all(&b);
    kc_clock_advance(clock, 300000); /* it does not age */
    assert_int_equal(try(&b, &lease), KC_ELIMITED);
    must(kc_wait_init(&wait, b.ledger, &r, 4, 600000, &refusal));
    assert_false(kc_wait_done(&wait));
    for (int i = 0; i < LIMIT; i++) {
        must(kc_lease_settle(&held[i], KC_NOT_SENT, NULL));
        kc_lease_deinit(&held[i]);
    }
    sync_all(&a);
    sync_all(&b);
    must(kc_runtime_step(b.rt, PATIENCE_MS, -1)); /* woken by the journal */
    assert_true(kc_wait_done(&wait));
    must(kc_wait_take(&wait, &lease, &refusal));
    kc_wait_deinit(&wait);
    kc_lease_deinit(&lease);
    assert_int_equal(of(&a).total_requests, 0);
    stop(&a);
    stop(&b);
    kc_clock_unref(clock);
}

static void a_second_run_knows_the_first(void **state)
{
    char url[160];
    struct kc_clock *clock = a_clock();
    uint64_t until;
    in_folder(*state, "sqlite:", "u.db", url);
    struct program a = start(url, clock);
    struct kc_lease lease;
    assert_int_equal(use_up_to(&a, 7), 7);
    must(try(&a, &lease)); /* and one is in flight at the end */
    kc_ledger_close(a.ledger);
    assert_int_equal(kc_writer_close(a.writer, PATIENCE_MS), 0);
    kc_lease_deinit(&lease);
    kc_writer_unref(a.writer);
    kc_ledger_unref(a.ledger);
    kc_runtime_unref(a.rt);

    kc_clock_advance(clock, 5000);
    a = start(url, clock);
    assert_int_equal(of(&a).total_requests, 8);
    assert_int_equal(use_up_to(&a, 99), LIMIT - 8);
    must(kc_pool_cool(kc_ledger_pool(a.ledger), kc_ledger_now(a.ledger), 1,
                      NULL, 600000, "quota", &until));
    kc_ledger_pump(a.ledger);
    stop(&a);
    kc_clock_advance(clock, 70000);
    a = start(url, clock);
    assert_int_equal(of(&a).used[KC_MINUTE][KC_REQUESTS], 0);
    assert_int_equal(use_one(&a), KC_ELIMITED); /* it is exhausted still */
    stop(&a);
    kc_clock_unref(clock);
}

static void a_key_that_is_added_later_has_its_past(void **state)
{
    char url[160];
    struct kc_clock *clock = a_clock();
    in_folder(*state, "sqlite:", "u.db", url);
    struct program a = start(url, clock);
    a_key(a.ledger, 2);
    assert_int_equal(use_up_to(&a, 99), 2 * LIMIT);
    stop(&a);
    a = start(url, clock);
    assert_int_equal(of(&a).total_requests, LIMIT);
    a_key(a.ledger, 2);
    kc_ledger_pump(a.ledger);
    sync_all(&a);
    assert_int_equal(of(&a).total_requests, 2 * LIMIT);
    assert_int_equal(use_one(&a), KC_ELIMITED);
    stop(&a);
    kc_clock_unref(clock);
}

/* -- shared pools ---------------------------------------------------------- */

static const struct setup plain = {.per_day = KC_UNLIMITED, .concurrent = 99};

static void use_shared(struct state *s)
{
    struct kc_lease lease;
    take(s, &lease);
    must(kc_lease_settle(&lease, KC_DONE, NULL));
    kc_lease_deinit(&lease);
}

static uint64_t kept_requests(const char *url)
{
    struct state s = open_private(&plain);
    struct kc_writer *w;
    char *why;
    must(kc_writer_open(url, 0, &w, &why));
    must(kc_ledger_attach(s.ledger, w, &why));
    uint64_t n = counts_of(&s).total_requests;
    kc_writer_unref(w);
    close_state(&s);
    return n;
}

static void a_shared_pool_is_kept_until_the_last_has_left(void **state)
{
    char url[160], *why;
    struct kc_writer *w;
    struct kc_journal_status status;
    in_folder(*state, "sqlite:", "u.db", url);
    struct state a = open_shared(&plain, "x"), b = open_shared(&plain, "x");
    must(kc_writer_open(url, 0, &w, &why));
    must(kc_ledger_attach(a.ledger, w, &why));
    use_shared(&a);
    kc_ledger_close(a.ledger);
    assert_int_equal(kc_writer_close(w, PATIENCE_MS), 0);
    assert_int_equal(kc_writer_sync(w, 0), KC_ECLOSED);
    kc_writer_status(w, &status);
    assert_int_equal(status.waiting, 0);
    kc_writer_unref(w);
    close_state(&a);
    assert_int_equal(kept_requests(url), 1);
    use_shared(&b);
    use_shared(&b);
    close_state(&b); /* the last one: it is written now */
    assert_int_equal(kept_requests(url), 3);
}

static void a_second_wrapper_with_the_same_store_joins(void **state)
{
    char url[160], *why;
    struct kc_writer *w, *v, *u;
    in_folder(*state, "sqlite:", "u.db", url);
    struct state a = open_shared(&plain, "x"), b = open_shared(&plain, "x");
    must(kc_writer_open(url, 0, &w, &why));
    must(kc_writer_open(url, 0, &v, &why));
    must(kc_writer_open("memory:", 0, &u, &why));
    must(kc_ledger_attach(a.ledger, w, &why));
    must(kc_ledger_attach(b.ledger, v, &why));
    must(kc_ledger_attach(b.ledger, v, &why));
    assert_int_equal(kc_ledger_attach(b.ledger, u, &why), KC_EDIFFERS);
    assert_non_null(strstr(why, "kept in another store"));
    assert_null(strstr(why, url));
    free(why);
    use_shared(&b);
    must(kc_writer_sync(v, PATIENCE_MS)); /* which asks the other's journal */
    assert_int_equal(kept_requests(url), 1);
    kc_ledger_close(a.ledger);
    assert_int_equal(kc_writer_close(w, PATIENCE_MS), 0);
    kc_writer_unref(w);
    close_state(&a);
    use_shared(&b);
    kc_ledger_close(b.ledger);
    assert_int_equal(kc_writer_close(v, PATIENCE_MS), 0);
    kc_writer_unref(v);
    close_state(&b);
    kc_writer_unref(u);
    assert_int_equal(kept_requests(url), 2);
}

static void a_program_in_c_counts_in_a_kept_pool(void **state)
{
    char url[160], *why;
    struct kc_writer *w;
    in_folder(*state, "sqlite:", "u.db", url);
    struct kc_pool_config config = {.max_waiters = KC_MAX_WAITERS,
                                    .max_lease_ms = KC_MAX_LEASE_MS,
                                    .guard_ms = KC_GUARD_MS,
                                    .seed = 1};
    struct state a;
    must(kc_runtime_new(&a.rt));
    must(kc_ledger_new(a.rt, "test", &config, NULL, &a.ledger));
    a_key(a.ledger, 1);
    must(kc_ledger_share(a.ledger, "x", true));
    must(kc_writer_open(url, 0, &w, &why));
    must(kc_ledger_attach(a.ledger, w, &why));

    struct keycycle_pool_options options = {.provider = "test", .name = "x"};
    struct keycycle_key key = {.api_key = "sk-test-0007-key-0001"};
    struct keycycle_request request = {.model = "m"};
    struct keycycle_pool *pool;
    struct keycycle_lease lease;
    unsigned index;
    must(keycycle_pool_open(&options, &pool));
    must(keycycle_pool_add_key(pool, &key, &index));
    must(keycycle_pool_acquire(pool, &request, &lease, NULL));
    must(keycycle_lease_commit(&lease, 1, 2, 3));
    kc_ledger_close(a.ledger);
    assert_int_equal(kc_writer_close(w, PATIENCE_MS), 0);
    kc_writer_unref(w);
    close_state(&a);
    assert_int_equal(kept_requests(url), 1);
    must(keycycle_pool_acquire(pool, &request, &lease, NULL));
    must(keycycle_lease_commit(&lease, 1, 2, 3));
    keycycle_pool_close(pool);
    assert_int_equal(kept_requests(url), 2);
}

/* -- what may go wrong ----------------------------------------------------- */

static void a_loop_is_told_when_writing_fails_and_when_it_works(void **state)
{
    char url[160], *why;
    sqlite3 *other;
    struct kc_journal_status status;
    struct kc_writer *w;
    in_folder(*state, "sqlite:", "u.db", url);
    struct state a = open_private(&plain);
    must(kc_writer_open(url, 0, &w, &why));
    kc_writer_watch(w, kc_runtime_loop(a.rt));
    must(kc_ledger_attach(a.ledger, w, &why));
    must(kc_writer_sync(w, PATIENCE_MS));
    assert_int_equal(kc_writer_changes(w), 0);
    assert_int_equal(sqlite3_open(url + strlen("sqlite:"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);
    use_shared(&a);
    while (kc_writer_changes(w) == 0)
        must(kc_runtime_step(a.rt, PATIENCE_MS, -1));
    kc_writer_status(w, &status);
    assert_true(status.error[0] != '\0');
    assert_int_equal(status.waiting, 1);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    while (kc_writer_changes(w) == 1)
        must(kc_runtime_step(a.rt, PATIENCE_MS, -1));
    kc_writer_status(w, &status);
    assert_string_equal(status.error, "");
    assert_int_equal(kc_writer_close(w, PATIENCE_MS), 0);
    kc_writer_unref(w);
    close_state(&a);
}

static void a_lease_may_outlive_its_store(void **state)
{
    char url[160];
    struct kc_clock *clock = a_clock();
    in_folder(*state, "sqlite:", "u.db", url);
    struct program a = start(url, clock);
    struct kc_lease lease;
    must(try(&a, &lease));
    stop(&a);
    must(kc_lease_settle(&lease, KC_DONE, NULL));
    kc_lease_deinit(&lease);
    kc_clock_unref(clock);
}

static int in_child(struct program *p, struct kc_lease *lease)
{
    struct kc_lease none;
    struct kc_journal_status status;
    char *why;
    alarm(20); /* a lock that nobody opens would hold it for ever */
    if (try(p, &none) != KC_EFORKED ||
        kc_lease_settle(lease, KC_DONE, NULL) != KC_EFORKED ||
        kc_ledger_attach(p->ledger, p->writer, &why) != KC_EFORKED ||
        kc_writer_sync(p->writer, 0) != KC_EFORKED)
        return 1;
    kc_writer_status(p->writer, &status);
    kc_ledger_pump(p->ledger);
    kc_lease_deinit(lease);
    kc_ledger_close(p->ledger);
    if (kc_writer_close(p->writer, PATIENCE_MS) != 0)
        return 2;
    kc_writer_unref(p->writer);
    kc_ledger_unref(p->ledger);
    kc_runtime_unref(p->rt);
    return 0;
}

static void a_forked_child_is_told_so_and_the_parent_goes_on(void **state)
{
    char url[160];
    struct kc_clock *clock = a_clock();
    in_folder(*state, "sqlite:", "u.db", url);
    struct program a = start(url, clock);
    struct kc_lease lease;
    must(try(&a, &lease));
    pid_t child = fork();
    if (child == 0) {
        int failed = in_child(&a, &lease);
        /* What the child must not free is no leak to be reported. */
        execlp(failed ? "false" : "true", "sh", (char *)NULL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    must(kc_lease_settle(&lease, KC_DONE, NULL));
    kc_lease_deinit(&lease);
    stop(&a);
    a = start(url, clock);
    assert_int_equal(of(&a).total_requests, 1);
    stop(&a);
    kc_clock_unref(clock);
}

static void *use_and_leave(void *arg)
{
    struct state s = open_shared(&plain, "x");
    struct kc_writer *w;
    char *why;
    must(kc_writer_open(arg, 0, &w, &why));
    must(kc_ledger_attach(s.ledger, w, &why));
    for (int i = 0; i < 500; i++)
        use_shared(&s);
    kc_ledger_close(s.ledger);
    kc_writer_close(w, PATIENCE_MS);
    kc_writer_unref(w);
    close_state(&s);
    return NULL;
}

static void wrappers_in_many_threads_come_and_go(void **state)
{
    char url[160];
    pthread_t threads[4];
    in_folder(*state, "sqlite:", "u.db", url);
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, use_and_leave, url), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(kept_requests(url), 2000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(several_programs_keep_one_limit),
        TEST(what_others_hold_is_not_granted_and_who_waits_gets_it),
        TEST(a_second_run_knows_the_first),
        TEST(a_key_that_is_added_later_has_its_past),
        TEST(a_shared_pool_is_kept_until_the_last_has_left),
        TEST(a_second_wrapper_with_the_same_store_joins),
        TEST(a_program_in_c_counts_in_a_kept_pool),
        TEST(a_loop_is_told_when_writing_fails_and_when_it_works),
        TEST(a_lease_may_outlive_its_store),
        TEST(a_forked_child_is_told_so_and_the_parent_goes_on),
        TEST(wrappers_in_many_threads_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
