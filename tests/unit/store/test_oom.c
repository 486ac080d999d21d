/* Every allocation fails once, SQLite's too: each call says so or works, what
 * was written is there once, nothing leaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing_malloc.h"
#include "unit/store/store_fixture.h"

/* SQLite gives other codes for some of its failures, which may be tried again,
 * too. */
static bool may(int err)
{
    assert_true(err == KC_OK || err == KC_ENOMEM || err == KC_ESTORE);
    return err == KC_OK;
}

/* As the journal does: until it is written. */
static void write_some(struct kc_store *s, uint64_t now_ms)
{
    struct kc_use_row uses[3] = {a_use(now_ms, 1), a_use(now_ms, 2),
                                 a_use(now_ms + 2000, 3)};
    struct kc_sum_row sum = a_sum(now_ms, 6);
    struct kc_kept_state kept = a_state("m3", KC_COOLING, now_ms);
    struct kc_batch b = {.now_ms = now_ms,
                         .uses = uses,
                         .use_len = 3,
                         .sums = &sum,
                         .sum_len = 1,
                         .states = &kept,
                         .state_len = 1};
    uses[1].model = "m2";
    for (int i = 0; i < 3 && !may(kc_store_write(s, &b)); i++)
        assert_int_not_equal(i, 2);
}

static int add_day(void *ctx, const struct kc_day_row *row)
{
    *(uint64_t *)ctx += row->used.requests;
    return KC_OK;
}

/* Opens, writes, tends and reports. */
static void run_alone(void)
{
    struct kc_store *s;
    uint64_t requests = 0;
    const struct kc_reporter r = {&requests, add_day, NULL, add_day, NULL};
    char *why;
    long before = blocks();
    let_fail(true);
    bool opened = may(kc_store_open("memory:", 0, &s, &why));
    if (opened) {
        write_some(s, START_MS);
        may(kc_store_tend(s, START_MS + 3 * MINUTE_MS, START_MS + HOUR_MS));
        may(kc_store_report(s, 0, 0, &r));
    } else {
        free(why);
    }
    let_fail(false);
    requests = 0;
    if (opened) {
        assert_int_equal(kc_store_report(s, 0, 0, &r), KC_OK);
        assert_int_equal(requests, 12);
    }
    kc_store_close(s);
    assert_int_equal(blocks(), before);
}

static void who_writes_may_find_no_memory(void **state)
{
    (void)state;
    long total = 0;
    struct kc_store *first; /* SQLite keeps what it needs once */
    char *why;
    assert_int_equal(kc_store_open("memory:", 0, &first, &why), KC_OK);
    begin_runs();
    do
        run_alone();
    while (next_run(&total));
    kc_store_close(first);
    assert_true(!REPLACED || total > 300); /* it was no idle run */
}

static void who_reads_may_find_no_memory(void **state)
{
    char path[160];
    long total = 0;
    struct kc_store *other = open_store(in_folder(*state, "", "u.db", path));
    write_some(other, START_MS);
    read_file(path); /* SQLite keeps a descriptor while another has locks */
    begin_runs();
    do {
        long before = blocks();
        struct kc_store *s = open_store(path);
        struct told t;
        struct kc_reader r = reader_of(&t);
        bool quiet;
        let_fail(true);
        may(kc_store_restore(s, "groq", 0, &r));
        r = reader_of(&t);
        if (!may(kc_store_merge(s, &r, &quiet))) {
            r = reader_of(&t);
            assert_true(may(kc_store_merge(s, &r, &quiet)));
        }
        assert_int_equal(t.sum.requests, 6);
        assert_int_equal(t.states, 1);
        kc_store_close(s);
        let_fail(false);
        assert_int_equal(blocks(), before);
    } while (next_run(&total));
    kc_store_close(other);
    assert_true(!REPLACED || total > 50);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_writes_may_find_no_memory),
        TEST(who_reads_may_find_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
