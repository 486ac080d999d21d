/* What a store reports is added up, and put in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/totals.h"
#include "unit/store/store_fixture.h"

#define NOW_MS (START_MS + DAY_MS + 2 * HOUR_MS)

static const struct kc_total *the(const struct kc_totals *t,
                                  enum kc_total_kind kind, const char *key,
                                  const char *model)
{
    const struct kc_total *it;
    for (size_t i = 0; (it = kc_totals_get(t, i)) != NULL; i++)
        if (it->kind == kind && strcmp(it->key, key) == 0 &&
            strcmp(it->model, model) == 0)
            return it;
    fail_msg("there is no total of kind %d, %s %s", (int)kind, key, model);
    return NULL;
}

static void is(const struct kc_total *t, uint64_t requests, uint64_t tokens)
{
    assert_int_equal(t->counts[0], requests);
    assert_int_equal(t->counts[3], tokens);
}

static void write_scope(struct kc_store *s, const char *provider,
                        const char *key, const char *model, uint64_t n,
                        uint64_t at_ms)
{
    struct kc_sum_row sum = a_sum(at_ms, n);
    struct kc_use_row use = a_use(at_ms, n);
    sum.provider = use.provider = provider;
    sum.key = use.key = key;
    sum.model = use.model = model;
    write_sum(s, sum);
    write_use(s, use);
}

static struct kc_store *filled(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    write_scope(s, "groq", "k1", "m1", 5, NOW_MS - 10000);
    write_scope(s, "groq", "k1", "m2", 1, NOW_MS - DAY_MS / 2);
    write_scope(s, "groq", "k2", "m1", 50, NOW_MS - 30 * 60000);
    write_scope(s, "acme", "k1", "m1", 2, NOW_MS - 3 * DAY_MS);
    return s;
}

static void adds_up_what_belongs_together(void **state)
{
    struct kc_store *s = filled(state);
    struct kc_totals t;
    kc_totals_init(&t, NOW_MS, START_MS, 2);
    assert_int_equal(kc_totals_read(&t, s), KC_OK);
    is(the(&t, KC_TOTAL_ALL, "", ""), 58, 13 * 58);
    assert_int_equal(the(&t, KC_TOTAL_ALL, "", "")->counts[1], 580);
    assert_int_equal(the(&t, KC_TOTAL_ALL, "", "")->counts[2], 174);
    is(kc_totals_get(&t, 1), 2, 26);
    is(kc_totals_get(&t, 2), 56, 13 * 56);
    is(the(&t, KC_TOTAL_KEY, "k2", ""), 50, 650);
    is(the(&t, KC_TOTAL_MODEL, "", "m2"), 1, 13);
    is(the(&t, KC_TOTAL_PAIR, "k1", "m2"), 1, 13);
    assert_string_equal(the(&t, KC_TOTAL_PAIR, "k1", "m2")->provider, "groq");
    kc_totals_deinit(&t);
    kc_store_close(s);
}

static void tells_the_busiest_first(void **state)
{
    static const char *const order[] = {
        "0",         "1acme",     "1groq",    "2acmek1", "2groqk2",
        "2groqk1",   "3acmem1",   "3groqm1",  "3groqm2", "4acmek1m1",
        "4groqk2m1", "4groqk1m1", "4groqk1m2"};
    struct kc_store *s = filled(state);
    struct kc_totals t;
    kc_totals_init(&t, NOW_MS, START_MS, 2);
    assert_int_equal(kc_totals_read(&t, s), KC_OK);
    size_t n = sizeof order / sizeof *order;
    for (size_t i = 0; i < n; i++) {
        const struct kc_total *it = kc_totals_get(&t, i);
        char name[64];
        snprintf(name, sizeof name, "%d%s%s%s", (int)it->kind, it->provider,
                 it->key, it->model);
        assert_string_equal(name, order[i]);
    }
    assert_null(kc_totals_get(&t, n));
    kc_totals_deinit(&t);
    kc_store_close(s);
}

static void counts_windows_up_to_now(void **state)
{
    static const uint64_t want[] = {10, 110, 112};
    struct kc_store *s = filled(state);
    struct kc_totals t;
    kc_totals_init(&t, NOW_MS, START_MS, 2);
    assert_int_equal(kc_totals_read(&t, s), KC_OK);
    const struct kc_total *all = kc_totals_get(&t, 0);
    for (size_t w = 0; w < 3; w++) {
        assert_int_equal(all->counts[4 + w], want[w]);
        assert_int_equal(all->counts[7 + w], want[w] * 7);
    }
    kc_totals_deinit(&t);
    kc_store_close(s);
}

static void days_are(const struct kc_totals *t, const struct kc_total *of,
                     uint64_t first, uint64_t second)
{
    uint64_t days[2 * KC_TOTAL_DAY];
    kc_totals_days(t, of, days);
    assert_int_equal(days[0], first);
    assert_int_equal(days[3], first * 13);
    assert_int_equal(days[KC_TOTAL_DAY], second);
    assert_int_equal(days[KC_TOTAL_DAY + 1], second * 10);
}

static void counts_days_of_each(void **state)
{
    struct kc_store *s = filled(state);
    struct kc_totals t;
    kc_totals_init(&t, NOW_MS, START_MS, 2);
    assert_int_equal(kc_totals_read(&t, s), KC_OK);
    days_are(&t, kc_totals_get(&t, 0), 1, 55);
    days_are(&t, kc_totals_get(&t, 1), 0, 0); /* longer ago */
    days_are(&t, kc_totals_get(&t, 2), 1, 55);
    days_are(&t, the(&t, KC_TOTAL_MODEL, "", "m2"), 1, 0);
    days_are(&t, the(&t, KC_TOTAL_PAIR, "k1", "m2"), 1, 0);
    days_are(&t, the(&t, KC_TOTAL_PAIR, "k2", "m1"), 0, 50);
    kc_totals_deinit(&t);
    kc_store_close(s);
}

static void tells_states(void **state)
{
    struct kc_store *s = filled(state);
    struct kc_totals t;
    write_state(s, a_state("", KC_COOLING, START_MS));
    kc_totals_init(&t, NOW_MS, START_MS, 1);
    assert_int_equal(kc_totals_read(&t, s), KC_OK);
    const struct kc_kept_state *it = kc_totals_state(&t, 0);
    assert_string_equal(it->provider, "groq");
    assert_string_equal(it->row.model, "");
    assert_int_equal(it->row.state, KC_COOLING);
    assert_null(kc_totals_state(&t, 1));
    kc_totals_deinit(&t);
    kc_store_close(s);
}

static void of_an_empty_store_there_is_one_of_nothing(void **state)
{
    char path[160];
    struct kc_store *s = open_store(in_folder(*state, "", "usage.db", path));
    struct kc_totals t;
    kc_totals_init(&t, NOW_MS, START_MS, 2);
    assert_int_equal(kc_totals_read(&t, s), KC_OK);
    is(kc_totals_get(&t, 0), 0, 0);
    days_are(&t, kc_totals_get(&t, 0), 0, 0);
    assert_null(kc_totals_get(&t, 1));
    kc_totals_deinit(&t);
    kc_store_close(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(adds_up_what_belongs_together),
        TEST(tells_the_busiest_first),
        TEST(counts_windows_up_to_now),
        TEST(counts_days_of_each),
        TEST(tells_states),
        TEST(of_an_empty_store_there_is_one_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
