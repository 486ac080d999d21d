/* What a writer writes is what others read, once, whatever comes between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/store/store_fixture.h"

static void run_sql(const char *path, const char *sql)
{
    struct kc_db *db = open_db(path);
    if (kc_db_exec(db, sql, NULL) != KC_OK)
        assert_string_equal(kc_db_error(db), "");
    kc_db_close(db);
}

static void reads_back_after_it_was_closed(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_use_row uses[3] = {a_use(START_MS + 4000, 1), a_use(START_MS, 2),
                                 a_use(START_MS + 2000, 3)};
    struct kc_sum_row sum = a_sum(START_MS + 4000, 6);
    struct kc_batch b = {.now_ms = START_MS + 5000,
                         .uses = uses,
                         .use_len = 3,
                         .sums = &sum,
                         .sum_len = 1};
    uses[0].model = "\xe2\x82\xac' --";
    sum.held = (struct kc_held){1, 500, 100};
    write_ok(s, &b);
    write_ok(s, &b);
    kc_store_close(s);
    struct told t = read_file(path);
    assert_int_equal(t.uses, 3);
    assert_int_equal(t.use.requests, 6);
    assert_int_equal(t.use.input, 60);
    assert_int_equal(t.use.output, 18);
    assert_int_equal(t.use.total, 78);
    assert_int_equal(t.use.counted, 12);
    assert_int_equal(t.use.counted_tokens, 84);
    assert_int_equal(t.use.counted_input, 66);
    assert_int_equal(t.first_ms, START_MS);
    assert_int_equal(t.last_ms, START_MS + 5500);
    assert_string_equal(t.model, "\xe2\x82\xac' --");
    assert_int_equal(t.sums, 1);
    assert_memory_equal(&t.sum, &sum.used, sizeof t.sum);
    assert_memory_equal(&t.held, &sum.held, sizeof t.held);
    assert_int_equal(t.writers, 2); /* the archive, too */
    assert_int_equal(t.writer.seq, 2);
    assert_int_equal(t.writer.seen_ms, START_MS + 5000);
    assert_false(t.writer.ended);
}

static void a_writer_overwrites_and_writers_add_up(void **state)
{
    char path[160];
    struct kc_store *a = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_store *b = open_store(path);
    write_use(a, a_use(START_MS, 100));
    write_use(b, a_use(START_MS, 7));
    write_use(a, a_use(START_MS, 40));
    struct told t = restore(b);
    assert_int_equal(t.use.requests, 40);
    t = restore(a);
    assert_int_equal(t.use.requests, 7);
    kc_store_close(a);
    kc_store_close(b);
    assert_int_equal(read_file(path).use.requests, 47);
}

static void many_rows_go_in_one_transaction(void **state)
{
    enum { N = 1234 };
    char path[160], models[10][8];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_use_row *uses = calloc(N, sizeof *uses);
    assert_non_null(uses);
    for (size_t i = 0; i < N; i++) {
        uses[i] = a_use(START_MS + i / 10 * 2000, i);
        snprintf(models[i % 10], sizeof models[0], "m%zu", i % 10);
        uses[i].model = models[i % 10];
    }
    struct kc_batch b = {.now_ms = START_MS, .uses = uses, .use_len = N};
    write_ok(s, &b);
    kc_store_close(s);
    free(uses);
    struct told t = read_file(path);
    assert_int_equal(t.uses, N);
    assert_int_equal(t.use.requests, N * (N - 1) / 2);
}

static void numbers_too_large_are_cut(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_use_row use = a_use(START_MS, 1);
    use.used.total = UINT64_MAX;
    write_use(s, use);
    kc_store_close(s);
    assert_int_equal(read_file(path).use.total, UINT64_C(1) << 50);
}

static void says_which_row_is_refused_and_writes_none(void **state)
{
    char path[160], name[300];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_use_row uses[3] = {a_use(START_MS, 1), a_use(START_MS + 2000, 1),
                                 a_use(START_MS + 4000, 1)};
    struct kc_sum_row sums[2] = {a_sum(START_MS, 1), a_sum(START_MS, 1)};
    struct kc_kept_state states[2] = {a_state("", KC_COOLING, START_MS),
                                      a_state("x", KC_COOLING, START_MS)};
    struct kc_batch b = {.now_ms = START_MS,
                         .uses = uses,
                         .use_len = 3,
                         .sums = sums,
                         .sum_len = 2,
                         .states = states,
                         .state_len = 2};
    write_use(s, a_use(START_MS, 5)); /* so that its tables are not new */
    run_sql(path, REFUSE_666);
    uses[2].used.requests = 666;
    assert_int_equal(kc_store_write(s, &b), KC_EINVALID);
    assert_non_null(strstr(kc_store_error(s), "that number"));
    assert_int_equal(b.bad_kind, KC_ROW_USE);
    assert_int_equal(b.bad, 2);
    uses[2].used.requests = 1;

    memset(name, 'x', sizeof name - 1);
    name[256] = '\0';
    sums[1].model = name;
    assert_int_equal(kc_store_write(s, &b), KC_EINVALID);
    assert_string_equal(kc_store_error(s),
                        "the model's name is longer than 255 bytes");
    assert_int_equal(b.bad_kind, KC_ROW_SUM);
    assert_int_equal(b.bad, 1);
    name[255] = '\0';
    states[1].provider = "a provider's name";
    states[1].row.model = name + 1;
    write_ok(s, &b);
    kc_store_close(s);
    struct told t = read_file(path);
    assert_int_equal(t.uses, 3);
    assert_int_equal(t.sums, 2);
    assert_string_equal(t.model, "m1");
    assert_int_equal(t.states, 2);
}

static void a_writer_that_ended_may_go_on(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    write_sum(s, a_sum(START_MS, 1));
    write_ended(s, START_MS + 1000);
    assert_int_equal(read_file(path).ended, 2);
    write_sum(s, a_sum(START_MS + 2000, 2)); /* its end was doubtful, say */
    struct told t = read_file(path);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.sum.requests, 2);
    kc_store_close(s);
}

/* -- states ----------------------------------------------------------- */

static void the_newer_state_holds(void **state)
{
    char path[160];
    struct kc_store *a = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_store *b = open_store(path);
    struct kc_kept_state s = a_state("m1", KC_EXHAUSTED, START_MS + 10);
    s.row.guessed = s.row.auth = s.row.disabled = true;
    s.row.tries = 3;
    s.row.until_ms = KC_NEVER;
    snprintf(s.row.learned, sizeof s.row.learned, "requests_per_minute=60");
    write_state(a, s);
    write_state(b, a_state("m1", KC_COOLING, START_MS + 9));
    struct told t = restore(b);
    assert_int_equal(t.states, 1);
    assert_int_equal(t.state.row.state, KC_EXHAUSTED);
    assert_true(t.state.row.guessed && t.state.row.auth);
    assert_true(t.state.row.disabled);
    assert_int_equal(t.state.row.tries, 3);
    assert_true(t.state.row.until_ms == KC_NEVER);
    assert_string_equal(t.state.row.learned, "requests_per_minute=60");
    assert_string_equal(t.state.row.reason, "429");
    assert_string_equal(t.state.row.key, "k1");
    assert_string_equal(t.state.row.label, "first");
    assert_string_equal(t.state.row.suffix, "abcd");
    assert_string_equal(t.provider, "groq");
    assert_string_equal(t.state_model, "m1");
    write_state(b, a_state("m1", KC_COOLING, START_MS + 10)); /* not newer */
    assert_int_equal(restore(b).states, 1);
    write_state(a, a_state("m1", KC_READY, START_MS + 10)); /* its own */
    assert_int_equal(restore(b).state.row.state, KC_READY);
    write_state(b, a_state("m1", KC_INVALID, START_MS + 11));
    t = restore(a);
    assert_int_equal(t.state.row.state, KC_INVALID);
    assert_int_equal(t.state.row.changed_ms, START_MS + 11);
    assert_int_equal(restore(b).states, 0); /* it is b's now */
    kc_store_close(a);
    kc_store_close(b);
}

static void a_state_that_never_changed_tells_the_label_alone(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    write_state(s, a_state("", KC_COOLING, START_MS));
    struct kc_kept_state renamed = a_state("", KC_READY, 0);
    snprintf(renamed.row.label, sizeof renamed.row.label, "second");
    write_state(s, renamed);
    kc_store_close(s);
    struct told t = read_file(path);
    assert_int_equal(t.states, 1);
    assert_int_equal(t.state.row.state, KC_COOLING);
    assert_string_equal(t.state.row.label, "second");
    assert_string_equal(t.state_model, "");
}

static void words_that_were_cut_become_whole_characters(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_kept_state k = a_state("", KC_COOLING, START_MS);
    snprintf(k.row.reason, sizeof k.row.reason,
             "ab\xc3\xa4 \xff\xc0\xaf \xed\xa0\x80 \xf0\x9f\x98\x80 \xe2\x82");
    write_state(s, k);
    kc_store_close(s);
    assert_string_equal(read_file(path).state.row.reason,
                        "ab\xc3\xa4 ??? ??? \xf0\x9f\x98\x80 ??");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(reads_back_after_it_was_closed),
        TEST(a_writer_overwrites_and_writers_add_up),
        TEST(many_rows_go_in_one_transaction),
        TEST(numbers_too_large_are_cut),
        TEST(says_which_row_is_refused_and_writes_none),
        TEST(a_writer_that_ended_may_go_on),
        TEST(the_newer_state_holds),
        TEST(a_state_that_never_changed_tells_the_label_alone),
        TEST(words_that_were_cut_become_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
