/* Copies of rows: equal ones become one, and a mark tells whether any changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/rows.h"
#include "unit/store/store_fixture.h"

static struct kc_use_row use_of(const char *key, uint64_t start_ms)
{
    return (struct kc_use_row){.provider = "p",
                               .key = key,
                               .model = "m",
                               .start_ms = start_ms,
                               .span_ms = 2000,
                               .last_ms = start_ms + 5,
                               .used = {.requests = 1,
                                        .input = 2,
                                        .output = 3,
                                        .total = 5,
                                        .counted = 1,
                                        .counted_tokens = 4,
                                        .counted_input = 2}};
}

static void keeps_copies_of_all_texts(void **state)
{
    (void)state;
    struct kc_rows r;
    char key[] = "aa", model[] = "m1";
    struct kc_use_row use = use_of(key, 2000);
    struct kc_kept_state kept = {.provider = "p",
                                 .row = {.model = model, .state = KC_COOLING}};
    strcpy(kept.row.key, key);
    kc_rows_init(&r);
    assert_int_equal(KC_OK, kc_rows_add_use(&r, &use));
    assert_int_equal(KC_OK, kc_rows_add_state(&r, &kept));
    memset(key, 'x', 2);
    memset(model, 'x', 2);
    assert_string_equal("aa", r.uses[0].key);
    assert_string_equal("m1", r.states[0].row.model);
    assert_string_equal("aa", r.states[0].row.key);
    kc_rows_deinit(&r);
}

static void adds_up_what_has_the_same_names_and_span(void **state)
{
    (void)state;
    struct kc_rows r;
    struct kc_use_row b = use_of("b", 2000), a = use_of("a", 4000);
    kc_rows_init(&r);
    for (int i = 0; i < 200; i++) {
        b.last_ms = 2000 + (uint64_t)i;
        assert_int_equal(KC_OK, kc_rows_add_use(&r, &b));
    }
    assert_int_equal(KC_OK, kc_rows_add_use(&r, &a));
    a.span_ms = 60000;
    assert_int_equal(KC_OK, kc_rows_add_use(&r, &a));
    struct kc_sum_row sum = {.provider = "p",
                             .key = "a",
                             .model = "m",
                             .last_ms = 7,
                             .used = a.used};
    assert_int_equal(KC_OK, kc_rows_add_sum(&r, &sum));
    sum.last_ms = 3;
    assert_int_equal(KC_OK, kc_rows_add_sum(&r, &sum));
    kc_rows_fold(&r);
    assert_int_equal(3, r.use_len);
    assert_string_equal("a", r.uses[0].key);
    assert_int_equal(2000, r.uses[0].span_ms);
    assert_int_equal(60000, r.uses[1].span_ms);
    assert_string_equal("b", r.uses[2].key);
    assert_int_equal(2199, r.uses[2].last_ms);
    assert_int_equal(200, r.uses[2].used.requests);
    assert_int_equal(800, r.uses[2].used.counted_tokens);
    assert_int_equal(1, r.sum_len);
    assert_int_equal(10, r.sums[0].used.total);
    assert_int_equal(7, r.sums[0].last_ms);
    kc_rows_deinit(&r);
}

static void counts_what_a_writer_holds_as_used(void **state)
{
    (void)state;
    struct kc_rows r;
    struct kc_reader reader;
    struct kc_writer_row writer = {.id = 3, .seen_ms = 10000};
    struct kc_sum_row sum = {.provider = "p",
                             .key = "a",
                             .model = "m",
                             .last_ms = 9000,
                             .used = {.requests = 4},
                             .held = {.requests = 2, .tokens = 30, .input = 7}};
    kc_rows_init(&r);
    reader = kc_rows_reader(&r);
    assert_int_equal(KC_OK, reader.sum(reader.ctx, &writer, &sum));
    assert_int_equal(6, r.sums[0].used.requests);
    assert_int_equal(30, r.sums[0].used.total);
    assert_int_equal(0, r.sums[0].held.requests);
    assert_int_equal(1, r.use_len);
    assert_int_equal(10000 + KC_GUARD_MS, r.uses[0].last_ms);
    assert_true(r.uses[0].start_ms <= r.uses[0].last_ms);
    assert_int_equal(2, r.uses[0].used.counted);
    assert_int_equal(7, r.uses[0].used.counted_input);
    sum.held = (struct kc_held){0};
    assert_int_equal(KC_OK, reader.sum(reader.ctx, &writer, &sum));
    assert_int_equal(1, r.use_len);
    kc_rows_deinit(&r);
}

static void tells_rows_apart(void **state)
{
    (void)state;
    struct kc_rows r;
    struct kc_use_row use = use_of("a", 2000);
    struct kc_kept_state kept = {.provider = "p", .row = {.model = ""}};
    kc_rows_init(&r);
    uint64_t none = kc_rows_hash(&r);
    assert_int_equal(KC_OK, kc_rows_add_use(&r, &use));
    assert_int_equal(KC_OK, kc_rows_add_state(&r, &kept));
    uint64_t some = kc_rows_hash(&r);
    assert_true(none != some);
    r.uses[0].used.counted_input++;
    assert_true(some != kc_rows_hash(&r));
    r.uses[0].used.counted_input--;
    r.states[0].row.disabled = true;
    assert_true(some != kc_rows_hash(&r));
    r.states[0].row.disabled = false;
    assert_true(some == kc_rows_hash(&r));
    kc_rows_deinit(&r);
}

static void export_of(struct kc_store *s, struct kc_rows *r)
{
    struct kc_reader reader;
    kc_rows_init(r);
    reader = kc_rows_reader(r);
    assert_int_equal(KC_OK, kc_store_export(s, &reader));
    kc_rows_fold(r);
}

static void goes_from_store_to_store_with_what_was_written_since(void **state)
{
    (void)state;
    struct kc_rows first, second, third;
    struct kc_store *a = open_store(":memory:"), *b = open_store(":memory:");
    struct kc_use_row use = a_use(2000, 3);
    struct kc_sum_row sum = a_sum(3500, 9);
    struct kc_kept_state kept = a_state("m1", KC_COOLING, 2000);
    struct kc_batch all = {.now_ms = 4000,
                           .uses = &use,
                           .use_len = 1,
                           .sums = &sum,
                           .sum_len = 1,
                           .states = &kept,
                           .state_len = 1};
    assert_int_equal(KC_OK, kc_store_write(a, &all));
    export_of(a, &first);
    assert_int_equal(1, first.use_len);
    assert_int_equal(1, first.state_len);
    assert_int_equal(9, first.sums[0].used.requests);
    struct kc_batch past = {.uses = first.uses,
                            .use_len = first.use_len,
                            .sums = first.sums,
                            .sum_len = first.sum_len,
                            .states = first.states,
                            .state_len = first.state_len};
    assert_int_equal(KC_OK, kc_store_import(b, &past));
    export_of(b, &second);
    assert_true(kc_rows_hash(&first) == kc_rows_hash(&second));
    assert_int_equal(KC_OK, kc_store_write(b, &all));
    export_of(b, &third);
    assert_int_equal(1, third.use_len);
    assert_int_equal(6, third.uses[0].used.requests);
    assert_int_equal(1, third.sum_len);
    assert_int_equal(18, third.sums[0].used.requests);
    kc_rows_deinit(&first);
    kc_rows_deinit(&second);
    kc_rows_deinit(&third);
    kc_store_close(a);
    kc_store_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_copies_of_all_texts),
        cmocka_unit_test(adds_up_what_has_the_same_names_and_span),
        cmocka_unit_test(counts_what_a_writer_holds_as_used),
        cmocka_unit_test(tells_rows_apart),
        cmocka_unit_test(goes_from_store_to_store_with_what_was_written_since),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
