/* What the store's own tests ask of SQLite is asked of MariaDB: they are run
 * over it, all beside one server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#define OVER_MYSQL

int test_write(void), test_read(void), test_tend(void), test_report(void);

#define main test_write
#include "unit/store/test_write.c"
#undef main
#undef TEST
#define main test_read
#include "unit/store/test_read.c"
#undef main
#undef TEST
#define main test_tend
#include "unit/store/test_tend.c"
#undef main
#undef TEST
#undef MODELS
#define main test_report
#include "unit/store/test_report.c"
#undef main
#undef TEST

/* -- what only a server can be asked --------------------------------------- */

struct crowd { /* writers that all begin at once */
    pthread_barrier_t barrier;
    char url[200];
    atomic_int failures;
};

static struct kc_store *join(struct crowd *c)
{
    char *why = NULL;
    struct kc_store *s = NULL;
    pthread_barrier_wait(&c->barrier);
    if (kc_store_open(c->url, 0, &s, &why) != KC_OK) {
        fprintf(stderr, "%s\n", why);
        atomic_fetch_add(&c->failures, 1);
    }
    free(why);
    return s;
}

static void *open_at_once(void *ctx)
{
    kc_store_close(join(ctx));
    return NULL;
}

#define CROWD 4

static void gather(struct crowd *c, void *(*run)(void *))
{
    pthread_t threads[CROWD];
    assert_int_equal(pthread_barrier_init(&c->barrier, NULL, CROWD), 0);
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, c), 0);
    for (size_t i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&c->barrier);
}

static void several_may_make_the_tables_at_once(void **state)
{
    char path[160];
    struct crowd c = {.failures = 0};
    url_of(in_folder(*state, "", "usage.db", path), c.url);
    gather(&c, open_at_once);
    assert_int_equal(c.failures, 0);
    kc_store_close(open_store(path));
}

#define ROUNDS 50

/* Who is in another's way fails as a whole, and tries again. */
static void *write_at_once(void *ctx)
{
    struct crowd *c = ctx;
    struct kc_store *s = join(c);
    for (uint64_t i = 0; s && i < ROUNDS; i++) {
        struct kc_use_row uses[3];
        struct kc_sum_row sum = a_sum(START_MS + i * 1000, 3 * (i + 1));
        for (size_t k = 0; k < 3; k++) {
            uses[k] = a_use(START_MS + i / 2 * 2000, i % 2 + 1);
            uses[k].model = k == 0 ? "m1" : k == 1 ? "m2" : "m3";
        }
        struct kc_batch b = {.now_ms = START_MS + i * 1000,
                             .uses = uses,
                             .use_len = 3,
                             .sums = &sum,
                             .sum_len = 1};
        while (kc_store_write(s, &b) != KC_OK) {
            fprintf(stderr, "%s\n", kc_store_error(s));
            atomic_fetch_add(&c->failures, 1);
        }
    }
    kc_store_close(s);
    return NULL;
}

static void several_may_write_at_once(void **state)
{
    char path[160];
    struct crowd c = {.failures = 0};
    url_of(in_folder(*state, "", "usage.db", path), c.url);
    gather(&c, write_at_once);
    print_message("%d of %d writes were tried again\n", c.failures,
                  CROWD * ROUNDS);
    struct told t = read_file(path);
    assert_int_equal(t.use.requests, CROWD * ROUNDS / 2 * 2 * 3);
    assert_int_equal(t.sum.requests, CROWD * ROUNDS * 3);
}

static void a_store_goes_on_when_its_server_is_back(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_use_row use = a_use(START_MS + 2000, 2);
    struct kc_batch b = {.now_ms = START_MS + 3999, .uses = &use, .use_len = 1};
    write_use(s, a_use(START_MS, 1));
    mariadb_kill(server);
    assert_int_equal(kc_store_write(s, &b), KC_ESTORE);
    assert_false(b.doubtful);
    assert_int_equal(kc_store_write(s, &b), KC_ESTORE);
    assert_non_null(strstr(kc_store_error(s), "cannot be reached"));
    assert_int_equal(mariadb_again(server), 0);
    write_ok(s, &b);
    kc_store_close(s);
    assert_int_equal(read_file(path).use.requests, 3);
}

static int test_server(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(several_may_make_the_tables_at_once),
        TEST(several_may_write_at_once),
        TEST(a_store_goes_on_when_its_server_is_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    if (start_server(NULL) != 0)
        return 1;
    int failed = test_write() + test_read() + test_tend() + test_report() +
                 test_server();
    stop_server(NULL);
    return failed;
}
