/* What statistics are told: sums over all writers, and nothing is changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <sqlite3.h>

#include "unit/store/store_fixture.h"

struct report {
    size_t totals, uses, days, states;
    struct kc_used total, use, day;
    uint64_t first_day_ms, last_day_ms;
    char label[64], suffix[8], model[32], provider[32];
    bool disorder;
};

static int on_total(void *ctx, const struct kc_day_row *row)
{
    struct report *r = ctx;
    r->totals++;
    assert_int_equal(row->start_ms, 0);
    add_used(&r->total, &row->used);
    r->disorder = r->disorder || r->uses || r->days || r->states;
    snprintf(r->label, sizeof r->label, "%s", row->label);
    snprintf(r->suffix, sizeof r->suffix, "%s", row->suffix);
    snprintf(r->model, sizeof r->model, "%s", row->model);
    snprintf(r->provider, sizeof r->provider, "%s", row->provider);
    return KC_OK;
}

static int on_use(void *ctx, const struct kc_use_row *row)
{
    struct report *r = ctx;
    r->uses++;
    r->disorder = r->disorder || r->days || r->states;
    add_used(&r->use, &row->used);
    return KC_OK;
}

static int on_day(void *ctx, const struct kc_day_row *row)
{
    struct report *r = ctx;
    if (r->days++ == 0)
        r->first_day_ms = row->start_ms;
    r->disorder = r->disorder || row->start_ms < r->last_day_ms || r->states;
    r->last_day_ms = row->start_ms;
    add_used(&r->day, &row->used);
    return KC_OK;
}

static int on_state(void *ctx, const struct kc_kept_state *state)
{
    struct report *r = ctx;
    r->states++;
    snprintf(r->label, sizeof r->label, "%s", state->row.label);
    return KC_OK;
}

static struct report report_of(struct kc_store *s, uint64_t recent_ms,
                               uint64_t days_ms)
{
    struct report r = {0};
    const struct kc_reporter reporter = {&r, on_total, on_use, on_day,
                                         on_state};
    assert_int_equal(kc_store_report(s, recent_ms, days_ms, &reporter), KC_OK);
    assert_false(r.disorder);
    return r;
}

static struct kc_store *look(const char *path)
{
    char url[200];
    struct kc_store *s;
    char *why;
    int err = kc_store_look(url_of(path, url), &s, &why);
    if (why)
        assert_string_equal(why, "");
    assert_int_equal(err, KC_OK);
    return s;
}

static void reports_the_sum_of_all_writers(void **state)
{
    char path[160];
    struct kc_store *a = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_store *b = open_store(path);
    struct kc_sum_row sum = a_sum(START_MS, 10);
    sum.held = (struct kc_held){2, 50, 20};
    write_sum(a, sum);
    write_sum(b, a_sum(START_MS, 1));
    write_state(b, a_state("", KC_COOLING, START_MS));
    for (uint64_t i = 0; i < 5; i++) {
        write_use(a, a_use(START_MS + i * DAY_MS + HOUR_MS, 1));
        write_use(a, a_use(START_MS + i * DAY_MS + 2 * HOUR_MS, 1));
        write_use(b, a_use(START_MS + i * DAY_MS + HOUR_MS, 1));
    }
    struct kc_store *s = look(path);
    struct report r = report_of(s, START_MS + 4 * DAY_MS + 90 * MINUTE_MS,
                                START_MS + 2 * DAY_MS + 5 * HOUR_MS);
    assert_int_equal(r.totals, 1);
    assert_int_equal(r.total.requests, 13);
    assert_int_equal(r.total.total, 11 * 13 + 50);
    assert_int_equal(r.total.input, 11 * 10 + 20);
    assert_int_equal(r.total.output, 11 * 3);
    assert_string_equal(r.provider, "groq");
    assert_string_equal(r.model, "m1");
    assert_string_equal(r.suffix, "abcd");
    assert_string_equal(r.label, "first");
    assert_int_equal(r.uses, 1);
    assert_int_equal(r.days, 3);
    assert_int_equal(r.day.requests, 9);
    assert_int_equal(r.first_day_ms, START_MS + 2 * DAY_MS);
    assert_int_equal(r.last_day_ms, START_MS + 4 * DAY_MS);
    assert_int_equal(r.states, 1);
    r = report_of(b, UINT64_MAX, 0);
    assert_int_equal(r.uses, 0);
    assert_int_equal(r.days, 5);
    r = report_of(b, 0, UINT64_MAX);
    assert_int_equal(r.uses, 15);
    assert_int_equal(r.days, 0);
    kc_store_close(s);
    kc_store_close(a);
    kc_store_close(b);
}

static void reports_many_keys_and_models(void **state)
{
    enum { KEYS = 60, MODELS = 50 };
    char path[160], keys[KEYS][8], models[MODELS][8];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_use_row *uses = calloc(KEYS * MODELS, sizeof *uses);
    struct kc_sum_row *sums = calloc(KEYS * MODELS, sizeof *sums);
    assert_non_null(uses);
    assert_non_null(sums);
    for (size_t i = 0; i < KEYS * MODELS; i++) {
        size_t k = i / MODELS, m = i % MODELS;
        snprintf(keys[k], sizeof keys[k], "k%zu", k);
        snprintf(models[m], sizeof models[m], "m%zu", m);
        uses[i] = a_use(START_MS + i * 2000, i);
        uses[i].key = keys[k];
        uses[i].model = models[m];
        sums[i] = a_sum(START_MS, i);
        sums[i].key = keys[k];
        sums[i].model = models[m];
    }
    struct kc_batch b = {.now_ms = START_MS,
                         .uses = uses,
                         .use_len = KEYS * MODELS,
                         .sums = sums,
                         .sum_len = KEYS * MODELS};
    write_ok(s, &b);
    struct report r = report_of(s, 0, 0);
    assert_int_equal(r.totals, KEYS * MODELS);
    assert_int_equal(r.days, KEYS * MODELS);
    assert_int_equal(r.day.requests, KEYS * MODELS * (KEYS * MODELS - 1) / 2);
    assert_memory_equal(&r.day, &r.total, sizeof r.day);
    assert_memory_equal(&r.day, &r.use, sizeof r.day);
    free(uses);
    free(sums);
    kc_store_close(s);
}

#ifndef OVER_MYSQL
/* -- only looking ----------------------------------------------------- */

static void refuses_to_look(const char *path, int err, const char *words)
{
    char url[200];
    struct kc_store *s;
    char *why;
    snprintf(url, sizeof url, "sqlite:%s", path);
    assert_int_equal(kc_store_look(url, &s, &why), err);
    assert_null(s);
    assert_non_null(strstr(why, path));
    if (!strstr(why, words))
        assert_string_equal(why, words);
    free(why);
}

static size_t files_in(const struct folder *f)
{
    size_t n = 0;
    DIR *dir = opendir(f->path);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        n += d->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void looking_makes_no_file_and_no_table(void **state)
{
    char path[160];
    struct stat st;
    in_folder(*state, "", "usage.db", path);
    refuses_to_look(path, KC_ENOTFOUND, "No such file");
    assert_int_equal(files_in(*state), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    refuses_to_look(path, KC_ENOTFOUND, "holds no usage yet");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(files_in(*state), 1);
}

static void looking_changes_nothing(void **state)
{
    char path[160];
    struct stat before, after;
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    write_use(s, a_use(START_MS, 1));
    kc_store_close(s);
    assert_int_equal(files_in(*state), 1);
    assert_int_equal(stat(path, &before), 0);
    s = look(path);
    assert_int_equal(report_of(s, 0, 0).uses, 1);
    assert_int_equal(restore(s).uses, 1);
    struct kc_batch b = {.now_ms = START_MS};
    assert_int_equal(kc_store_write(s, &b), KC_ESTORE);
    assert_non_null(strstr(kc_store_error(s), "cannot be written to"));
    assert_int_equal(report_of(s, 0, 0).uses, 1);
    kc_store_close(s);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(files_in(*state), 1);
}

/* The superuser may write everywhere: as somebody else, then. */
static void looks_at_what_it_may_only_read(void **state)
{
    struct folder *f = *state;
    char path[160];
    struct kc_store *s = open_store(in_folder(f, "", "usage.db", path));
    write_use(s, a_use(START_MS, 1));
    kc_store_close(s); /* nobody else has it */
    bool root = geteuid() == 0;
    assert_int_equal(chmod(path, 0444), 0);
    if (root) {
        assert_int_equal(chmod(f->path, 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    struct kc_store *reader = NULL;
    char url[200], *why = NULL;
    snprintf(url, sizeof url, "sqlite:%s", path);
    int err = kc_store_look(url, &reader, &why);
    if (root)
        assert_int_equal(seteuid(0), 0);
    if (err == KC_OK)
        assert_int_equal(report_of(reader, 0, 0).uses, 1);
    else
        assert_non_null(strstr(why, "without permission to write"));
    free(why);
    kc_store_close(reader);
}

#endif

static void looking_reads_beside_a_writer(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_store *reader = look(path);
    for (uint64_t i = 1; i <= 3; i++) {
        write_use(s, a_use(START_MS + i * 2000, 1));
        assert_int_equal(report_of(reader, 0, 0).uses, i);
    }
    kc_store_close(s);
    assert_int_equal(report_of(reader, 0, 0).uses, 3);
    kc_store_close(reader);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(reports_the_sum_of_all_writers),
        TEST(reports_many_keys_and_models),
#ifndef OVER_MYSQL
        TEST(looking_makes_no_file_and_no_table),
        TEST(looking_changes_nothing),
        TEST(looks_at_what_it_may_only_read),
#endif
        TEST(looking_reads_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
