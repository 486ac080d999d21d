/* The counters: rows, parts, what is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/cells.h"
#include "unit/store/folder.h"

static const struct kc_delta one = {.requests = 1, .total = 10};

static void put(struct kc_cells *t, const char *model, uint64_t wall_ms,
                int64_t requests, uint64_t now_ms)
{
    struct kc_delta d = {.requests = requests};
    assert_int_equal(kc_cells_add(t, "p", "k", model, wall_ms, &d, now_ms),
                     KC_OK);
}

static void adds_up_what_lies_in_one_span(void **state)
{
    (void)state;
    struct kc_cells t;
    struct kc_batch b;
    kc_cells_init(&t);
    for (uint64_t ms = 0; ms < 4000; ms += 500)
        assert_int_equal(
            kc_cells_add(&t, "p", "k", "m", START_MS + ms, &one, 0), KC_OK);
    assert_int_equal(t.dirty_len, 2);
    assert_int_equal(kc_cells_take(&t, &b), KC_OK);
    assert_int_equal(b.len, 2);
    assert_int_equal(b.rows[0].start_ms, START_MS);
    assert_int_equal(b.rows[0].span_ms, 2000);
    assert_int_equal(b.rows[0].requests, 4);
    assert_int_equal(b.rows[1].start_ms, START_MS + 2000);
    assert_int_equal(b.rows[1].total, 40);
    assert_string_equal(b.rows[1].provider, "p");
    assert_string_equal(b.rows[1].key, "k");
    assert_string_equal(b.rows[1].model, "m");
    kc_cells_done(&t, &b, true);
    assert_int_equal(t.dirty_len, 0);
    kc_cells_deinit(&t);
}

static void keeps_names_apart_that_look_alike_when_joined(void **state)
{
    (void)state;
    struct kc_cells t;
    kc_cells_init(&t);
    assert_int_equal(kc_cells_add(&t, "a", "b\nc", "d", 1, &one, 0), KC_OK);
    assert_int_equal(kc_cells_add(&t, "a\nb", "c", "d", 1, &one, 0), KC_OK);
    assert_int_equal(kc_cells_add(&t, "a", "b", "c\nd", 1, &one, 0), KC_OK);
    assert_int_equal(kc_cells_add(&t, "", "", "", 1, &one, 0), KC_OK);
    assert_int_equal(t.dirty_len, 4);
    kc_cells_deinit(&t);
}

static void writes_no_negative_value(void **state)
{
    (void)state;
    struct kc_cells t;
    struct kc_batch b;
    kc_cells_init(&t);
    put(&t, "m", START_MS, -5, 0);
    assert_int_equal(kc_cells_take(&t, &b), KC_OK);
    assert_int_equal(b.rows[0].requests, 0);
    kc_cells_done(&t, &b, true);
    put(&t, "m", START_MS, 7, 0);
    assert_int_equal(kc_cells_take(&t, &b), KC_OK);
    assert_int_equal(b.rows[0].requests, 2);
    kc_cells_done(&t, &b, true);
    put(&t, "m", START_MS, INT64_MAX, 0);
    put(&t, "m", START_MS, INT64_MAX, 0);
    assert_int_equal(kc_cells_take(&t, &b), KC_OK);
    assert_true(b.rows[0].requests == INT64_MAX);
    kc_cells_done(&t, &b, true);
    kc_cells_deinit(&t);
}

static void what_was_not_written_stays_dirty(void **state)
{
    (void)state;
    struct kc_cells t;
    struct kc_batch b;
    kc_cells_init(&t);
    put(&t, "m", START_MS, 1, 0);
    put(&t, "n", START_MS, 1, 0);
    assert_int_equal(kc_cells_take(&t, &b), KC_OK);
    put(&t, "m", START_MS, 1, 0); /* while the store works */
    assert_int_equal(t.dirty_len, 1);
    kc_cells_done(&t, &b, false);
    assert_int_equal(t.dirty_len, 2);
    assert_int_equal(kc_cells_take(&t, &b), KC_OK);
    assert_int_equal(b.rows[0].requests + b.rows[1].requests, 3);
    kc_cells_done(&t, &b, true);
    assert_int_equal(kc_cells_take(&t, &b), KC_OK);
    assert_int_equal(b.len, 0);
    kc_cells_done(&t, &b, true);
    kc_cells_deinit(&t);
}

static void write_all(struct kc_cells *t)
{
    struct kc_batch b;
    assert_int_equal(kc_cells_take(t, &b), KC_OK);
    kc_cells_done(t, &b, true);
}

static void forgets_what_is_clean_and_unchanged_for_long(void **state)
{
    (void)state;
    struct kc_cells t;
    kc_cells_init(&t);
    put(&t, "old", START_MS, 1, 0);
    put(&t, "new", START_MS, 1, 1000);
    kc_cells_forget(&t, KC_FORGET_MS);
    assert_int_equal(t.map.len, 2); /* dirty: not written yet */
    write_all(&t);
    kc_cells_forget(&t, KC_FORGET_MS - 1);
    assert_int_equal(t.map.len, 2);
    kc_cells_forget(&t, KC_FORGET_MS);
    assert_int_equal(t.map.len, 1);
    put(&t, "new", START_MS, 1, KC_FORGET_MS);
    write_all(&t);
    kc_cells_forget(&t, KC_FORGET_MS + 1000);
    assert_int_equal(t.map.len, 1); /* changed meanwhile */
    kc_cells_forget(&t, 2 * KC_FORGET_MS);
    assert_int_equal(t.map.len, 0);
    kc_cells_deinit(&t);
}

static void what_comes_after_forgetting_does_not_overwrite(void **state)
{
    (void)state;
    struct kc_cells t;
    struct kc_batch b;
    kc_cells_init(&t);
    put(&t, "m", START_MS, 100, 0);
    write_all(&t);
    kc_cells_forget(&t, KC_FORGET_MS);
    put(&t, "m", START_MS + 10 * HOUR_MS, 1, KC_FORGET_MS);
    put(&t, "m", START_MS, 3, KC_FORGET_MS);
    put(&t, "m", START_MS + 4000, 4, KC_FORGET_MS);
    assert_int_equal(kc_cells_take(&t, &b), KC_OK);
    assert_int_equal(b.part, 0);
    assert_int_equal(b.len, 1);
    assert_int_equal(b.left, 2);
    kc_cells_done(&t, &b, true);
    assert_int_equal(kc_cells_take(&t, &b), KC_OK);
    assert_int_equal(b.part, 1);
    assert_int_equal(b.len, 2);
    assert_int_equal(b.left, 0);
    assert_int_equal(b.rows[0].requests, 3);
    kc_cells_done(&t, &b, true);
    kc_cells_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_up_what_lies_in_one_span),
        cmocka_unit_test(keeps_names_apart_that_look_alike_when_joined),
        cmocka_unit_test(writes_no_negative_value),
        cmocka_unit_test(what_was_not_written_stays_dirty),
        cmocka_unit_test(forgets_what_is_clean_and_unchanged_for_long),
        cmocka_unit_test(what_comes_after_forgetting_does_not_overwrite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
