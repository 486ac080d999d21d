/* keycycle.h's pools with a store: restarts, sharing, what may go wrong. */
#include "unit/runtime/cpool_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "unit/store/folder.h"

#define PATIENCE_MS 60000 /* for what must come; nobody waits that long */

/* Complete but for its first use. */
static struct keycycle_pool *with_store(const char *name, const char *url)
{
    const struct keycycle_pool_options options = {.name = name,
                                                  .provider = "test",
                                                  .max_waiters = 1000,
                                                  .db_url = url};
    struct keycycle_pool *p;
    must(keycycle_pool_open(&options, &p));
    add_keys(p, 3);
    return p;
}

static void use(struct keycycle_pool *p, unsigned key)
{
    const struct keycycle_request r = {.model = "m", .key = key, .pin = 1};
    struct keycycle_lease lease;
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_lease_commit(&lease, 3, 4, 0));
}

static struct keycycle_store_state store_of(struct keycycle_pool *p)
{
    struct keycycle_store_state s;
    must(keycycle_pool_store_state(p, &s));
    return s;
}

static void a_second_run_knows_the_first(void **state)
{
    char url[160];
    struct keycycle_request r = {.model = "m", .key = 3, .pin = 1};
    struct keycycle_lease lease;
    struct keycycle_key_state key;
    struct keycycle_stats s;
    in_folder(*state, "sqlite:", "u.db", url);
    struct keycycle_pool *p = with_store(NULL, url);
    must(keycycle_pool_start(p));
    use(p, 1);
    use(p, 1);
    must(keycycle_pool_disable(p, 2));
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_lease_observe(&lease, KEYCYCLE_TOKENS, 60000, 50,
                                KEYCYCLE_UNLIMITED));
    must(keycycle_lease_cooldown(&lease, 1800000));
    must(keycycle_lease_refuse(&lease));
    keycycle_pool_close(p);

    p = with_store(NULL, url);
    must(keycycle_pool_stats(p, 1, "m", &s)); /* a first use, too */
    assert_int_equal(s.rpm, 2);
    assert_int_equal(s.tpd, 14);
    assert_int_equal(s.total_requests, 2);
    assert_int_equal(stats(p).total_requests, 3);
    must(keycycle_pool_key_state(p, 2, NULL, &key));
    assert_int_equal(key.state, KEYCYCLE_DISABLED);
    must(keycycle_pool_key_state(p, 3, "m", &key));
    assert_int_equal(key.state, KEYCYCLE_EXHAUSTED);
    must(keycycle_pool_enable(p, 3));
    r.tokens = 51;
    assert_int_equal(keycycle_pool_acquire(p, &r, &lease, NULL),
                     KEYCYCLE_EIMPOSSIBLE); /* what the answer told */
    keycycle_pool_close(p);
}

static void a_save_writes_now(void **state)
{
    char url[160];
    in_folder(*state, "sqlite:", "u.db", url);
    struct keycycle_pool *p = with_store(NULL, url), *q = with_store(NULL, url);
    struct keycycle_pool *none = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    use(p, 1);
    must(keycycle_pool_save(p, PATIENCE_MS));
    assert_int_equal(store_of(p).waiting, 0);
    assert_int_equal(store_of(p).failing_ms, 0);
    assert_string_equal(store_of(p).error, "");
    assert_int_equal(stats(q).total_requests, 1);
    must(keycycle_pool_save(none, 0));
    keycycle_pool_close(none);
    keycycle_pool_close(q);
    keycycle_pool_close(p);
}

/* As two programs do. */
static void pools_of_one_store_keep_a_limit_together(void **state)
{
    char url[160];
    struct keycycle_request r = {.model = "m", .key = 1, .pin = 1};
    struct keycycle_limits limits;
    struct keycycle_lease none;
    in_folder(*state, "sqlite:", "u.db", url);
    struct keycycle_pool *p = with_store(NULL, url), *q = with_store(NULL, url);
    keycycle_limits_init(&limits);
    limits.requests_per_day = 2;
    must(keycycle_pool_set_limits(p, 0, NULL, &limits));
    must(keycycle_pool_set_limits(q, 0, NULL, &limits));
    must(keycycle_pool_start(p));
    must(keycycle_pool_start(q));
    use(p, 1);
    use(q, 1);
    must(keycycle_pool_save(p, PATIENCE_MS));
    must(keycycle_pool_save(q, PATIENCE_MS));
    must(keycycle_pool_save(p, PATIENCE_MS)); /* and takes in q's */
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, NULL),
                     KEYCYCLE_ELIMITED);
    assert_int_equal(keycycle_pool_acquire(q, &r, &none, NULL),
                     KEYCYCLE_ELIMITED);
    keycycle_pool_close(p);
    keycycle_pool_close(q);
}

/* -- by name --------------------------------------------------------------- */

static void who_shares_a_kept_pool_needs_the_same_store_or_none(void **state)
{
    char url[160], other[160];
    in_folder(*state, "sqlite:", "u.db", url);
    in_folder(*state, "sqlite:", "other.db", other);
    struct keycycle_pool *a = with_store("x", url), *b = with_store("x", url);
    struct keycycle_pool *c = with_store("x", other), *d = with_store("x", NULL);
    must(keycycle_pool_start(a));
    must(keycycle_pool_start(b));
    assert_int_equal(keycycle_pool_start(c), KEYCYCLE_EDIFFERS);
    assert_non_null(strstr(store_of(c).error, "another store"));
    must(keycycle_pool_start(d));
    use(a, 1);
    use(b, 1);
    use(d, 1);
    must(keycycle_pool_save(b, PATIENCE_MS)); /* by a's journal */
    struct keycycle_pool *beside = with_store(NULL, url);
    assert_int_equal(stats(beside).total_requests, 3);
    keycycle_pool_close(beside);
    keycycle_pool_close(a);
    use(d, 1); /* is kept on, though who brought the store has left */
    keycycle_pool_close(b);
    keycycle_pool_close(d);
    assert_int_equal(keycycle_pool_start(c), KEYCYCLE_OK); /* nobody is left */
    assert_string_equal(store_of(c).error, "");
    assert_int_equal(stats(c).total_requests, 0);
    keycycle_pool_close(c);
    a = with_store("x", url);
    assert_int_equal(stats(a).total_requests, 4);
    keycycle_pool_close(a);
}

static void a_store_may_come_after_the_name(void **state)
{
    char url[160];
    in_folder(*state, "sqlite:", "u.db", url);
    struct keycycle_pool *a = with_store("x", NULL), *b = with_store("x", url);
    use(a, 1);
    use(b, 1); /* what was used before is kept no less from here on */
    use(a, 1);
    keycycle_pool_close(b);
    use(a, 1);
    keycycle_pool_close(a);
    a = with_store("x", url);
    assert_int_equal(stats(a).total_requests, 3);
    keycycle_pool_close(a);
}

static void *start_and_use(void *arg)
{
    struct keycycle_pool *p = arg;
    must(keycycle_pool_start(p));
    for (unsigned i = 0; i < 100; i++)
        use(p, i % 3 + 1);
    must(keycycle_pool_save(p, PATIENCE_MS));
    if (store_of(p).set_aside != 0)
        abort();
    return NULL;
}

static void threads_may_start_it_at_once(void **state)
{
    char url[160];
    pthread_t threads[4];
    in_folder(*state, "sqlite:", "u.db", url);
    struct keycycle_pool *pools[2] = {with_store("x", url),
                                      with_store("x", url)};
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, start_and_use, pools[i % 2]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    keycycle_pool_close(pools[0]);
    keycycle_pool_close(pools[1]);
    pools[0] = with_store(NULL, url);
    assert_int_equal(stats(pools[0]).total_requests, 400);
    keycycle_pool_close(pools[0]);
}

/* -- what may go wrong ----------------------------------------------------- */

static void a_store_that_cannot_be_is_told_at_the_first_use(void **state)
{
    (void)state;
    struct keycycle_request r = {.model = "m"};
    struct keycycle_lease none;
    struct keycycle_pool *p = with_store(NULL, "redis://me:secret@host/0");
    assert_string_equal(store_of(p).error, "");
    assert_int_equal(keycycle_pool_start(p), KEYCYCLE_ENOSTORE);
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, NULL),
                     KEYCYCLE_ENOSTORE);
    assert_int_equal(none.id, 0);
    assert_int_equal(keycycle_pool_save(p, 0), KEYCYCLE_ENOSTORE);
    assert_non_null(strstr(store_of(p).error, "redis"));
    assert_null(strstr(store_of(p).error, "secret"));
    keycycle_pool_close(p);
    p = with_store(NULL, "sqlite:");
    assert_int_equal(keycycle_pool_start(p), KEYCYCLE_EBADURL);
    assert_non_null(strstr(store_of(p).error, "names no file"));
    keycycle_pool_close(p);
    signal(SIGPIPE, SIG_DFL);
    p = with_store(NULL, "mysql://me:secret@127.0.0.1:1/usage");
    int err = keycycle_pool_start(p); /* a build may have none of that kind */
    assert_true(err == KEYCYCLE_ESTORE || err == KEYCYCLE_ENOSTORE);
    assert_true(*store_of(p).error);
    assert_null(strstr(store_of(p).error, "secret"));
    assert_true(signal(SIGPIPE, SIG_DFL) == SIG_DFL); /* left as it was */
    keycycle_pool_close(p);
}

static void a_start_that_failed_may_be_tried_again(void **state)
{
    char url[160];
    unsigned index;
    const struct keycycle_key key = {.api_key = "sk-test-of-a-fourth-key"};
    in_folder(*state, "sqlite:", "u.db", url);
    const char *path = url + strlen("sqlite:");
    struct keycycle_pool *p = with_store("x", url), *q = with_store("x", url);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(keycycle_pool_start(p), KEYCYCLE_ESTORE);
    assert_true(*store_of(p).error);
    must(keycycle_pool_add_key(p, &key, &index)); /* nothing has begun */
    must(keycycle_pool_remove_key(p, index));
    assert_int_equal(rmdir(path), 0);
    must(keycycle_pool_start(p));
    assert_string_equal(store_of(p).error, "");
    use(p, 1);
    must(keycycle_pool_start(q));
    assert_int_equal(stats(q).total_requests, 1);
    keycycle_pool_close(p);
    keycycle_pool_close(q);
}

static void run_sql(const char *url, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(url + strlen("sqlite:"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* The name is taken by then: others may be there already. */
static void a_past_that_cannot_be_read_is_tried_again_under_the_name(void **state)
{
    char url[160];
    in_folder(*state, "sqlite:", "u.db", url);
    struct keycycle_pool *p = with_store(NULL, url), *q = with_store("x", NULL);
    use(p, 1);
    keycycle_pool_close(p);
    run_sql(url, "ALTER TABLE keycycle_sum RENAME TO away");
    p = with_store("x", url);
    assert_int_equal(keycycle_pool_start(p), KEYCYCLE_ESTORE);
    assert_non_null(strstr(store_of(p).error, "keycycle_sum"));
    use(q, 2);
    assert_int_equal(keycycle_pool_start(p), KEYCYCLE_ESTORE);
    run_sql(url, "ALTER TABLE away RENAME TO keycycle_sum");
    must(keycycle_pool_start(p));
    assert_string_equal(store_of(p).error, "");
    assert_int_equal(stats(p).total_requests, 2);
    assert_int_equal(stats(q).total_requests, 2);
    use(p, 1);
    keycycle_pool_close(p);
    use(q, 1);
    keycycle_pool_close(q);
    p = with_store("x", url);
    assert_int_equal(stats(p).total_requests, 4);
    keycycle_pool_close(p);
}

static void a_store_that_fails_later_stops_nobody(void **state)
{
    char url[160];
    sqlite3 *other;
    int err;
    in_folder(*state, "sqlite:", "u.db", url);
    struct keycycle_pool *p = with_store(NULL, url);
    must(keycycle_pool_start(p));
    must(keycycle_pool_save(p, PATIENCE_MS));
    assert_int_equal(sqlite3_open(url + strlen("sqlite:"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);
    use(p, 1);
    while ((err = keycycle_pool_save(p, 10)) == KEYCYCLE_ETIMEOUT)
        ;
    assert_int_equal(err, KEYCYCLE_ESTORE);
    struct keycycle_store_state s = store_of(p);
    assert_int_equal(s.waiting, 1);
    assert_true(s.failing_ms > 0);
    assert_non_null(strstr(s.error, "locked"));
    use(p, 1);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    must(keycycle_pool_save(p, PATIENCE_MS));
    assert_string_equal(store_of(p).error, "");
    assert_int_equal(store_of(p).waiting, 0);
    keycycle_pool_close(p);
}

static void a_stopped_pool_settles_and_keeps(void **state)
{
    char url[160];
    in_folder(*state, "sqlite:", "u.db", url);
    struct keycycle_pool *p = with_store(NULL, url);
    struct keycycle_lease lease = acquire(p);
    keycycle_pool_stop(p);
    must(keycycle_lease_commit(&lease, 5, 5, 0));
    must(keycycle_pool_save(p, PATIENCE_MS));
    keycycle_pool_close(p);
    p = with_store(NULL, url);
    assert_int_equal(stats(p).tpd, 10);
    keycycle_pool_close(p);
}

static int in_the_child(struct keycycle_pool *p)
{
    struct keycycle_store_state s;
    alarm(20);
    int bad = keycycle_pool_save(p, PATIENCE_MS) != KEYCYCLE_EFORKED ||
              keycycle_pool_start(p) != KEYCYCLE_EFORKED ||
              keycycle_pool_store_state(p, &s) != KEYCYCLE_EFORKED;
    keycycle_pool_close(p);
    return bad;
}

static void a_forked_child_leaves_the_store_alone(void **state)
{
    char url[160];
    int status;
    in_folder(*state, "sqlite:", "u.db", url);
    struct keycycle_pool *p = with_store("x", url);
    use(p, 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(in_the_child(p));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    use(p, 1);
    keycycle_pool_close(p);
    p = with_store(NULL, url);
    assert_int_equal(stats(p).total_requests, 2);
    keycycle_pool_close(p);
}

/* As a program that returns from main without a close. */
static struct keycycle_pool *volatile left_open;

static void what_a_program_used_that_just_exits_is_written(void **state)
{
    char url[160];
    int status;
    in_folder(*state, "sqlite:", "u.db", url);
    pid_t pid = fork();
    if (pid == 0) {
        left_open = with_store(NULL, url);
        use(left_open, 1);
        exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    struct keycycle_pool *p = with_store(NULL, url);
    assert_int_equal(stats(p).total_requests, 1);
    keycycle_pool_close(p);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(a_second_run_knows_the_first),
        TEST(a_save_writes_now),
        TEST(pools_of_one_store_keep_a_limit_together),
        TEST(who_shares_a_kept_pool_needs_the_same_store_or_none),
        TEST(a_store_may_come_after_the_name),
        TEST(threads_may_start_it_at_once),
        TEST(a_store_that_cannot_be_is_told_at_the_first_use),
        TEST(a_start_that_failed_may_be_tried_again),
        TEST(a_past_that_cannot_be_read_is_tried_again_under_the_name),
        TEST(a_store_that_fails_later_stops_nobody),
        TEST(a_stopped_pool_settles_and_keeps),
        TEST(a_forked_child_leaves_the_store_alone),
        TEST(what_a_program_used_that_just_exits_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
