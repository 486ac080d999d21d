/* States of keys and limits that were learned, told to a store and taken from
 * one. */
#include "unit/engine/pool_fixture.h"

#include <string.h>

#include "engine/pool_store.h"

#define ROWS_MAX 64

struct told {
    struct kc_state_row rows[ROWS_MAX];
    size_t len;
};

static struct told tell(struct kc_pool *p, uint64_t now, uint64_t since)
{
    struct told t = {.len = 0};
    uint64_t cursor = 0;
    int err;
    do {
        assert_true(t.len < ROWS_MAX);
        err = kc_pool_next_state(p, now, &cursor, since, &t.rows[t.len]);
        t.len += err == KC_OK;
    } while (err != KC_EEND);
    return t;
}

static void take(struct kc_pool *p, uint64_t now, const struct told *t)
{
    for (size_t i = 0; i < t->len; i++)
        assert_int_equal(kc_pool_take_state(p, now, &t->rows[i]), KC_OK);
}

static const struct kc_state_row *row_of(const struct told *t, const char *key,
                                         const char *model)
{
    for (size_t i = 0; i < t->len; i++)
        if (strcmp(t->rows[i].key, key) == 0 &&
            strcmp(t->rows[i].model, model) == 0)
            return &t->rows[i];
    return NULL;
}

static void info_of(struct kc_pool *p, uint64_t now, uint32_t key,
                    const char *model, struct kc_key_info *out)
{
    assert_int_equal(kc_pool_key_info(p, now, key, model, out), KC_OK);
}

/* A call on a key, whatever its state; the model is "m". */
static int try_key(struct kc_pool *p, uint64_t now, uint32_t key,
                   struct kc_grant *g)
{
    struct kc_request r = {.model = "m", .key = key, .pin = true};
    return kc_pool_acquire(p, now, &r, g, NULL);
}

static void works(struct kc_pool *p, uint64_t now, uint32_t key)
{
    struct kc_grant g;
    assert_int_equal(try_key(p, now, key, &g), KC_OK);
    assert_int_equal(kc_pool_settle(p, now, g.lease, KC_DONE, NULL), KC_OK);
}

#define STATES 9

/* A pool with a key in each state that is kept. */
static struct kc_pool *all_states(void)
{
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, STATES);
    uint64_t later = START_MS + 60 * SECOND_MS, until;
    struct kc_grant g;
    assert_int_equal(
        kc_pool_cool(p, START_MS, 1, NULL, 5000, "429 a", &until), KC_OK);
    assert_int_equal(
        kc_pool_cool(p, START_MS, 2, NULL, KC_NEVER, "429 b", &until), KC_OK);
    assert_int_equal(
        kc_pool_cool(p, START_MS, 3, "m", 2 * HOUR_MS, "quota", &until),
        KC_OK);
    assert_int_equal(
        kc_pool_cool(p, START_MS, 8, NULL, 5000, "429 c", &until), KC_OK);
    assert_int_equal(kc_pool_unpaid(p, START_MS, 4, "402"), KC_OK);
    assert_int_equal(kc_pool_suspend(p, START_MS, 5, 60000, "401"), KC_OK);
    assert_int_equal(kc_pool_suspend(p, START_MS, 6, 60000, "401"), KC_OK);
    assert_int_equal(try_key(p, later, 6, &g), KC_OK); /* the probe */
    assert_int_equal(kc_pool_suspend(p, later, 6, 60000, "401 again"), KC_OK);
    assert_int_equal(kc_pool_settle(p, later, g.lease, KC_REFUSED, NULL),
                     KC_OK);
    assert_int_equal(kc_pool_disable(p, later, 7), KC_OK);
    works(p, later, 8);
    return p;
}

static void every_state_comes_back_as_it_was(void **state)
{
    (void)state;
    struct kc_pool *p = all_states();
    struct kc_pool *next = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, STATES);
    uint64_t now = START_MS + 60 * SECOND_MS;
    struct told t = tell(p, now, 0);
    assert_int_equal(t.len, STATES + 1);
    take(next, now, &t);
    for (uint64_t at = now; at < now + 3 * HOUR_MS; at += 11 * MINUTE_MS) {
        for (uint32_t key = 1; key <= STATES; key++) {
            struct kc_key_info a, b;
            info_of(p, at, key, NULL, &a);
            info_of(next, at, key, NULL, &b);
            assert_int_equal(a.state, b.state);
            assert_int_equal(a.until_ms, b.until_ms);
            assert_string_equal(a.reason, b.reason);
            assert_string_equal(a.model, b.model);
        }
    }
    /* Whoever is probed once more and refused again is INVALID. */
    struct kc_key_info i;
    struct kc_grant g;
    assert_int_equal(try_key(next, now, 5, &g), KC_OK);
    assert_int_equal(kc_pool_suspend(next, now, 5, 60000, "401"), KC_OK);
    info_of(next, now, 5, NULL, &i);
    assert_int_equal(i.state, KC_INVALID);
    kc_pool_free(p);
    kc_pool_free(next);
}

static void what_was_taken_is_not_told_again(void **state)
{
    (void)state;
    struct kc_pool *p = all_states();
    struct kc_pool *next = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, STATES);
    uint64_t now = START_MS + 60 * SECOND_MS;
    struct told t = tell(p, now, 0);
    uint64_t version = kc_pool_state_version(next);
    take(next, now, &t);
    assert_int_equal(kc_pool_state_version(next), version);
    assert_int_equal(tell(next, now, version).len, 0);
    /* What it has taken it has: whole rows are told as they came. */
    struct told again = tell(next, now, 0);
    for (size_t i = 0; i < again.len; i++) {
        const struct kc_state_row *was =
            row_of(&t, again.rows[i].key, again.rows[i].model);
        assert_int_equal(again.rows[i].changed_ms, was->changed_ms);
        assert_int_equal(again.rows[i].state, was->state);
    }
    kc_pool_free(p);
    kc_pool_free(next);
}

static void the_newer_of_two_states_holds(void **state)
{
    (void)state;
    struct kc_pool *a = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_pool *b = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_key_info i;
    struct told t;
    uint64_t until;
    assert_int_equal(
        kc_pool_cool(a, START_MS + 10, 1, NULL, 50000, "a", &until), KC_OK);
    assert_int_equal(
        kc_pool_cool(b, START_MS + 20, 1, NULL, 30000, "b", &until), KC_OK);
    t = tell(a, START_MS + 20, 0);
    take(b, START_MS + 20, &t);
    info_of(b, START_MS + 20, 1, NULL, &i);
    assert_string_equal(i.reason, "b");
    t = tell(b, START_MS + 20, 0);
    take(a, START_MS + 20, &t);
    info_of(a, START_MS + 20, 1, NULL, &i);
    assert_string_equal(i.reason, "b");
    /* It works there: so it does here. */
    works(b, START_MS + 31000, 1);
    uint64_t version = kc_pool_state_version(a);
    t = tell(b, START_MS + 31000, version);
    assert_int_equal(t.len, 1);
    take(a, START_MS + 25, &t);
    info_of(a, START_MS + 25, 1, NULL, &i);
    assert_int_equal(i.state, KC_READY);
    /* What happens here then is newer, though this clock is behind. */
    assert_int_equal(
        kc_pool_cool(a, START_MS + 30, 1, NULL, 90000, "late", &until), KC_OK);
    t = tell(a, START_MS + 30, 0);
    take(b, START_MS + 31000, &t);
    info_of(b, START_MS + 31000, 1, NULL, &i);
    assert_string_equal(i.reason, "late");
    kc_pool_free(a);
    kc_pool_free(b);
}

static void a_request_sent_before_the_news_proves_nothing(void **state)
{
    (void)state;
    struct kc_pool *a = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_pool *b = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_key_info i;
    struct kc_grant g;
    uint64_t until;
    assert_int_equal(try_key(b, START_MS, 1, &g), KC_OK);
    assert_int_equal(kc_pool_cool(a, START_MS, 1, NULL, 1000, "429", &until),
                     KC_OK);
    struct told t = tell(a, START_MS, 0);
    take(b, START_MS, &t);
    assert_int_equal(kc_pool_settle(b, START_MS + 2000, g.lease, KC_DONE, NULL),
                     KC_OK);
    info_of(b, START_MS + 2000, 1, NULL, &i);
    assert_int_equal(i.state, KC_PROBING);
    works(b, START_MS + 2000, 1);
    info_of(b, START_MS + 2000, 1, NULL, &i);
    assert_int_equal(i.state, KC_READY);
    kc_pool_free(a);
    kc_pool_free(b);
}

static void the_version_grows_with_what_a_store_must_be_told(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 2);
    struct kc_use_news none[1];
    uint64_t version = kc_pool_state_version(p), until;
    assert_true(version > 0);
    struct told t = tell(p, START_MS, 0);
    assert_int_equal(t.len, 2);
    assert_int_equal(t.rows[0].changed_ms, 0);
    assert_string_equal(t.rows[0].label, "");
    assert_string_equal(t.rows[0].suffix, "y-0001");
    assert_int_equal(kc_pool_collect(p, START_MS, none, 1), 0);
    assert_false(kc_pool_has_news(p));
    struct kc_key_config again = {.secret = "sk-test-0014-key-0002",
                                  .label = "work"};
    uint32_t index;
    assert_int_equal(kc_pool_add_key(p, START_MS, &again, &index), KC_OK);
    assert_true(kc_pool_has_news(p));
    t = tell(p, START_MS, version);
    assert_int_equal(t.len, 1);
    assert_string_equal(t.rows[0].label, "work");
    assert_int_equal(t.rows[0].changed_ms, 0); /* no state has changed */
    version = kc_pool_state_version(p);
    use(p, START_MS, "m", 1);
    assert_int_equal(kc_pool_state_version(p), version);
    assert_int_equal(kc_pool_cool(p, START_MS, 1, "m", 9000, "429", &until),
                     KC_OK);
    assert_int_equal(kc_pool_cool(p, START_MS, 1, "m", 8000, "429", &until),
                     KC_OK);
    assert_int_equal(kc_pool_state_version(p), version + 1); /* of a burst */
    t = tell(p, START_MS, version);
    assert_int_equal(t.len, 1);
    assert_string_equal(t.rows[0].model, "m");
    kc_pool_free(p);
}

static void learn(struct kc_pool *p, struct kc_grant *g, bool parts, int window,
                  int unit, uint64_t max)
{
    struct kc_observation o = {.window = (enum kc_window)window,
                               .unit = (enum kc_unit)unit,
                               .parts = parts,
                               .limit = max,
                               .remaining = KC_UNLIMITED};
    assert_int_equal(kc_pool_observe(p, START_MS, g->lease, &o), KC_OK);
}

static void limits_that_answers_told_come_back(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        enum kc_strategy strategy = s ? KC_GLOBAL : KC_PER_MODEL;
        struct kc_pool *p = new_pool(strategy, KC_ROUND_ROBIN, 1);
        struct kc_pool *next = new_pool(strategy, KC_ROUND_ROBIN, 1);
        struct kc_limits was, is;
        struct kc_grant g;
        granted(p, START_MS, "m", 1, &g);
        learn(p, &g, false, KC_MINUTE, KC_REQUESTS, 2);
        learn(p, &g, false, KC_DAY, KC_TOKENS, UINT64_C(1) << 62);
        learn(p, &g, true, 0, 0, 4000);
        struct told t = tell(p, START_MS, 0);
        const struct kc_state_row *row =
            row_of(&t, t.rows[0].key, s ? "" : "m");
        assert_non_null(row);
        assert_string_equal(row->learned,
                            "requests_per_minute=2 "
                            "tokens_per_day=4611686018427387904 "
                            "input_tokens_per_minute=4000");
        take(next, START_MS, &t);
        assert_int_equal(kc_pool_get_limits(p, 1, "m", &was), KC_OK);
        assert_int_equal(kc_pool_get_limits(next, 1, "m", &is), KC_OK);
        assert_true(kc_limits_equal(&was, &is));
        /* The lower of it and of what is configured holds. */
        use(next, START_MS, "m", 1);
        use(next, START_MS, "m", 1);
        assert_int_equal(acquire(next, START_MS, "m", 1, &g, NULL),
                         KC_ELIMITED);
        kc_pool_free(p);
        kc_pool_free(next);
    }
}

static void a_row_without_limits_leaves_what_was_learned(void **state)
{
    (void)state;
    struct kc_pool *a = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_pool *b = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_limits l;
    struct kc_grant g;
    uint64_t until;
    granted(a, START_MS, "m", 1, &g);
    learn(a, &g, false, KC_MINUTE, KC_REQUESTS, 2);
    assert_int_equal(kc_pool_cool(b, START_MS + 9, 1, "m", 900, "429", &until),
                     KC_OK);
    struct told t = tell(b, START_MS + 9, 0);
    take(a, START_MS + 9, &t);
    assert_int_equal(kc_pool_get_limits(a, 1, "m", &l), KC_OK);
    assert_int_equal(l.max[KC_MINUTE][KC_REQUESTS], 2);
    kc_pool_free(a);
    kc_pool_free(b);
}

static void groups_of_keys_have_rows_of_their_own(void **state)
{
    (void)state;
    char longest[65], longer[100];
    memset(longest, 'g', 64);
    longest[64] = '\0';
    memset(longer, 'x', 99);
    longer[99] = '\0';
    const char *names[] = {"org", longest, longer};
    for (int i = 0; i < 3; i++) {
        struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 2);
        struct kc_pool *next = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 2);
        struct kc_key_info info;
        bool joined;
        uint64_t until;
        assert_int_equal(kc_pool_join(p, START_MS, 1, names[i], &joined),
                         KC_OK);
        assert_int_equal(kc_pool_unpaid(p, START_MS, 1, "402"), KC_OK);
        assert_int_equal(
            kc_pool_cool(p, START_MS, 1, "m", 90000, "429", &until), KC_OK);
        struct told t = tell(p, START_MS, 0);
        assert_int_equal(t.len, 4);
        const struct kc_state_row *row = &t.rows[2];
        assert_memory_equal(row->key, "group:", 6);
        assert_memory_equal(row->label, names[i],
                            strnlen(names[i], sizeof row->label - 1));
        if (i < 2)
            assert_string_equal(row->key + 6, names[i]);
        else
            assert_int_equal(strlen(row->key), 6 + 32);
        if (i == 2) { /* nobody can know its name */
            assert_int_equal(kc_pool_take_state(next, START_MS, row),
                             KC_ENOTFOUND);
            assert_int_equal(kc_pool_join(next, START_MS, 2, names[i],
                                          &joined),
                             KC_OK);
        }
        take(next, START_MS, &t);
        assert_int_equal(kc_pool_join(next, START_MS, 1, names[i], &joined),
                         KC_OK);
        info_of(next, START_MS, 1, NULL, &info);
        assert_int_equal(info.state, KC_EXHAUSTED);
        assert_true(info.of_group);
        assert_int_equal(kc_pool_enable(next, START_MS + 1, 1), KC_OK);
        t = tell(next, START_MS + 1, 0);
        take(p, START_MS + 1, &t);
        info_of(p, START_MS + 1, 1, "m", &info);
        assert_int_equal(info.state, KC_READY);
        kc_pool_free(p);
        kc_pool_free(next);
    }
}

static void a_row_that_is_none_changes_nothing(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1);
    struct kc_key_info info;
    info_of(p, START_MS, 1, NULL, &info);
    struct kc_state_row row = {.model = "", .changed_ms = START_MS};
    row.state = KC_COOLING;
    row.until_ms = START_MS + 1000;
    assert_int_equal(kc_pool_take_state(p, START_MS, &row), KC_ENOTFOUND);
    snprintf(row.key, sizeof row.key, "%s", info.hash);
    row.until_ms = KC_NEVER;
    assert_int_equal(kc_pool_take_state(p, START_MS, &row), KC_EINVALID);
    row.state = KC_DRAINING;
    assert_int_equal(kc_pool_take_state(p, START_MS, &row), KC_EINVALID);
    row.state = (enum kc_state)77;
    assert_int_equal(kc_pool_take_state(p, START_MS, &row), KC_EINVALID);
    works(p, START_MS, 1);
    /* Far too long, and limits that are none. */
    row.state = KC_COOLING;
    row.until_ms = UINT64_MAX / 2;
    snprintf(row.learned, sizeof row.learned,
             "requests_per_minute=0 x=1 tokens_per_minute= requests_per_hour="
             "99999999999999999999999 = requests_per_day=7");
    assert_int_equal(kc_pool_take_state(p, START_MS, &row), KC_OK);
    info_of(p, START_MS, 1, NULL, &info);
    assert_int_equal(info.until_ms, START_MS + 31 * 24 * HOUR_MS);
    struct told t = tell(p, START_MS, 0);
    assert_non_null(strstr(t.rows[0].learned, "requests_per_day=7"));
    assert_null(strstr(t.rows[0].learned, "requests_per_minute"));
    assert_null(strstr(t.rows[0].learned, "tokens_per_minute"));
    kc_pool_free(p);
}

static void a_long_list_is_told_in_stretches(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_ROUND_ROBIN, 1000);
    struct kc_state_row row;
    uint64_t version = kc_pool_state_version(p), cursor = 0, until;
    assert_int_equal(kc_pool_cool(p, START_MS, 900, NULL, 900, "429", &until),
                     KC_OK);
    int err, again = 0, rows = 0;
    while ((err = kc_pool_next_state(p, START_MS, &cursor, version, &row)) !=
           KC_EEND) {
        again += err == KC_EAGAIN;
        rows += err == KC_OK;
    }
    assert_int_equal(rows, 1);
    assert_true(again > 1);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_comes_back_as_it_was),
        cmocka_unit_test(what_was_taken_is_not_told_again),
        cmocka_unit_test(the_newer_of_two_states_holds),
        cmocka_unit_test(a_request_sent_before_the_news_proves_nothing),
        cmocka_unit_test(the_version_grows_with_what_a_store_must_be_told),
        cmocka_unit_test(limits_that_answers_told_come_back),
        cmocka_unit_test(a_row_without_limits_leaves_what_was_learned),
        cmocka_unit_test(groups_of_keys_have_rows_of_their_own),
        cmocka_unit_test(a_row_that_is_none_changes_nothing),
        cmocka_unit_test(a_long_list_is_told_in_stretches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
