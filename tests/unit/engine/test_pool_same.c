/* Two pools set up alike are the same, whatever was used of them. */
#include "unit/engine/pool_fixture.h"

static struct kc_limits some_limits(uint64_t rpm)
{
    struct kc_limits l;
    kc_limits_unlimited(&l);
    l.max[KC_MINUTE][KC_REQUESTS] = rpm;
    return l;
}

static void set(struct kc_pool *p, uint32_t key, const char *model, uint64_t n)
{
    struct kc_limits l = some_limits(n);
    assert_int_equal(kc_pool_set_limits(p, START_MS, key, model, &l), KC_OK);
}

static void assert_same(bool expected, struct kc_pool *a, struct kc_pool *b)
{
    assert_int_equal(kc_pool_same(a, b), expected);
    assert_int_equal(kc_pool_same(b, a), expected);
}

static void what_was_used_does_not_matter(void **state)
{
    (void)state;
    struct kc_pool *a = new_pool(KC_PER_MODEL, KC_BALANCED, 2);
    struct kc_pool *b = new_pool(KC_PER_MODEL, KC_BALANCED, 2);
    uint64_t until;
    assert_same(true, a, a);
    assert_same(true, a, b);
    use(a, START_MS, "m", 10);
    assert_int_equal(kc_pool_cool(a, START_MS, 1, "n", 1000, "429", &until),
                     KC_OK);
    assert_int_equal(kc_pool_disable(a, START_MS, 2), KC_OK);
    assert_same(true, a, b);
    kc_pool_free(a);
    kc_pool_free(b);
}

static void each_line_of_limits_matters(void **state)
{
    (void)state;
    const struct {
        uint32_t key;
        const char *model;
    } lines[] = {{0, NULL}, {0, "m"}, {1, NULL}, {2, "m"}};
    struct kc_pool *a = new_pool(KC_PER_MODEL, KC_BALANCED, 2);
    struct kc_pool *b = new_pool(KC_PER_MODEL, KC_BALANCED, 2);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        set(a, lines[i].key, lines[i].model, 5);
        assert_same(false, a, b);
        set(b, lines[i].key, lines[i].model, 6);
        assert_same(false, a, b);
        set(b, lines[i].key, lines[i].model, 5);
        assert_same(true, a, b);
    }
    kc_pool_free(a);
    kc_pool_free(b);
}

static void keys_are_compared_in_order_of_those_in_use(void **state)
{
    (void)state;
    struct kc_pool *a = new_pool(KC_PER_MODEL, KC_BALANCED, 3);
    struct kc_pool *b = new_pool(KC_PER_MODEL, KC_BALANCED, 0);
    struct kc_key_config second = {.secret = "sk-test-0014-key-0002"};
    struct kc_key_config third = {.secret = "sk-test-0021-key-0003"};
    uint32_t index;
    assert_int_equal(kc_pool_add_key(b, START_MS, &second, &index), KC_OK);
    assert_same(false, a, b);
    assert_int_equal(kc_pool_remove_key(a, START_MS, 1), KC_OK);
    assert_same(false, a, b);
    assert_int_equal(kc_pool_add_key(b, START_MS, &third, &index), KC_OK);
    assert_same(true, a, b);
    set(a, 3, "m", 5);
    assert_same(false, a, b);
    set(b, 2, "m", 5);
    assert_same(true, a, b);
    kc_pool_free(a);
    kc_pool_free(b);
}

static struct kc_pool *one_key(const struct kc_key_config *key)
{
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_BALANCED, 0);
    uint32_t index;
    assert_int_equal(kc_pool_add_key(p, START_MS, key, &index), KC_OK);
    return p;
}

static void each_word_about_a_key_matters(void **state)
{
    (void)state;
    const struct kc_param params[] = {{"a", "1"}, {"b", "2"}};
    const struct kc_param turned[] = {{"b", "2"}, {"a", "1"}};
    const struct kc_param other[] = {{"a", "1"}, {"b", "3"}};
    const char *const m[] = {"m"}, *const n[] = {"n"};
    const struct kc_key_config base = {.secret = "sk-test-0123456789",
                                       .label = "l",
                                       .group = "g",
                                       .models = m,
                                       .model_count = 1,
                                       .params = params,
                                       .param_count = 2};
    struct kc_key_config k[8];
    for (int i = 0; i < 8; i++)
        k[i] = base;
    k[0].secret = "sk-test-0123456780";
    k[1].label = NULL;
    k[2].group = "h";
    k[3].models = n;
    k[4].params = other;
    k[5].param_count = 1;
    k[6].weight = 2;
    k[7].priority = 1;
    struct kc_pool *a = one_key(&base);
    for (int i = 0; i < 8; i++) {
        struct kc_pool *b = one_key(&k[i]);
        assert_same(false, a, b);
        kc_pool_free(b);
    }
    k[5].params = turned;
    k[5].param_count = 2;
    struct kc_pool *b = one_key(&k[5]);
    assert_same(true, a, b);
    kc_pool_free(b);
    kc_pool_free(a);
}

static void strategies_and_the_bound_of_the_queue_matter(void **state)
{
    (void)state;
    struct kc_pool *a = new_pool(KC_PER_MODEL, KC_BALANCED, 1);
    struct kc_pool *b = new_pool(KC_GLOBAL, KC_BALANCED, 1);
    struct kc_pool *c = new_pool(KC_PER_MODEL, KC_FILL_FIRST, 1);
    assert_same(false, a, b);
    assert_same(false, a, c);
    kc_pool_set_selection(a, KC_FILL_FIRST);
    assert_same(true, a, c);
    struct kc_pool_config config = {.selection = KC_FILL_FIRST,
                                    .max_waiters = 3};
    struct kc_pool *d;
    assert_int_equal(kc_pool_new(&config, &d), KC_OK);
    struct kc_pool *e = new_pool(KC_PER_MODEL, KC_FILL_FIRST, 0);
    assert_same(false, d, e);
    kc_pool_free(a);
    kc_pool_free(b);
    kc_pool_free(c);
    kc_pool_free(d);
    kc_pool_free(e);
}

static void every_field_of_limits_matters(void **state)
{
    (void)state;
    struct kc_limits a = some_limits(1), b = some_limits(1);
    assert_true(kc_limits_equal(&a, &b));
    b.max[KC_DAY][KC_TOKENS] = 1;
    assert_false(kc_limits_equal(&a, &b));
    b = a;
    kc_limits_side(&b, MINUTE_MS, true)->max[0] = 1;
    assert_false(kc_limits_equal(&a, &b));
    assert_false(kc_limits_equal(&b, &a));
    struct kc_limits c = b;
    c.sides[0].max[1] = 1;
    assert_false(kc_limits_equal(&b, &c));
    kc_limits_side(&b, HOUR_MS, false)->max[0] = 2;
    c = a;
    kc_limits_side(&c, HOUR_MS, false)->max[0] = 2;
    kc_limits_side(&c, MINUTE_MS, true)->max[0] = 1;
    assert_true(kc_limits_equal(&b, &c)); /* in any order */
    b = a;
    b.concurrent = 1;
    assert_false(kc_limits_equal(&a, &b));
    b = a;
    b.zone.offset_s = 60; /* of no day: not looked at */
    assert_true(kc_limits_equal(&a, &b));
    a.calendar = b.calendar = true;
    assert_false(kc_limits_equal(&a, &b));
}

static void models_with_lines_of_a_key_are_told(void **state)
{
    (void)state;
    struct kc_pool *p = new_pool(KC_PER_MODEL, KC_BALANCED, 2);
    struct kc_buf name;
    kc_buf_init(&name, 64);
    use(p, START_MS, "used", 1);
    set(p, 0, "all", 1);
    set(p, 1, "one", 1);
    set(p, 2, "two", 1);
    assert_int_equal(kc_pool_lined_model(p, 0, &name), KC_OK);
    assert_string_equal(kc_buf_str(&name), "one");
    kc_buf_clear(&name);
    assert_int_equal(kc_pool_lined_model(p, 1, &name), KC_OK);
    assert_string_equal(kc_buf_str(&name), "two");
    assert_int_equal(kc_pool_lined_model(p, 2, &name), KC_EEND);
    kc_buf_deinit(&name);
    kc_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_used_does_not_matter),
        cmocka_unit_test(each_line_of_limits_matters),
        cmocka_unit_test(keys_are_compared_in_order_of_those_in_use),
        cmocka_unit_test(each_word_about_a_key_matters),
        cmocka_unit_test(strategies_and_the_bound_of_the_queue_matter),
        cmocka_unit_test(every_field_of_limits_matters),
        cmocka_unit_test(models_with_lines_of_a_key_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
