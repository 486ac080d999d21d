/* The map against a plain array that knows the truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "util/map.h"
#include "util/rng.h"

#define NAMES 500

static void finds_replaces_and_removes(void **state)
{
    (void)state;
    struct kc_map m;
    int one = 1, two = 2;
    kc_map_init(&m);
    assert_null(kc_map_get(&m, "a"));
    assert_null(kc_map_remove(&m, "a"));
    assert_int_equal(kc_map_set(&m, "a", NULL), KC_EINVALID);
    assert_int_equal(kc_map_set(&m, "a", &one), KC_OK);
    assert_int_equal(kc_map_set(&m, "", &two), KC_OK);
    assert_ptr_equal(kc_map_get(&m, "a"), &one);
    assert_int_equal(kc_map_set(&m, "a", &two), KC_OK);
    assert_int_equal(m.len, 2);
    assert_ptr_equal(kc_map_remove(&m, "a"), &two);
    assert_null(kc_map_get(&m, "a"));
    assert_ptr_equal(kc_map_get(&m, ""), &two);
    kc_map_deinit(&m);
    assert_null(kc_map_get(&m, ""));
}

static void copies_its_keys(void **state)
{
    (void)state;
    struct kc_map m;
    char name[] = "mine";
    kc_map_init(&m);
    assert_int_equal(kc_map_set(&m, name, name), KC_OK);
    name[0] = 'x';
    assert_ptr_equal(kc_map_get(&m, "mine"), name);
    kc_map_deinit(&m);
}

static void what_a_walk_has_told_may_be_removed(void **state)
{
    (void)state;
    struct kc_map m;
    char names[100][8];
    const char *key;
    void *value;
    size_t at = 0, told = 0;
    kc_map_init(&m);
    for (size_t i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        assert_int_equal(kc_map_set(&m, names[i], names[i]), KC_OK);
    }
    for (; kc_map_next(&m, &at, &key, &value); told++)
        if (((const char *)value)[0] != '7')
            assert_ptr_equal(kc_map_remove(&m, key), value);
    assert_int_equal(told, 100);
    assert_int_equal(m.len, 11);
    assert_non_null(kc_map_get(&m, "75"));
    kc_map_deinit(&m);
}

static void check(const struct kc_map *m, const int *in, int *values)
{
    size_t at = 0, n = 0, expected = 0;
    const char *key;
    void *value;
    char name[16];
    while (kc_map_next(m, &at, &key, &value)) {
        n++;
        assert_true(in[(int *)value - values]);
    }
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "k%d", i);
        assert_ptr_equal(kc_map_get(m, name), in[i] ? &values[i] : NULL);
        expected += in[i] != 0;
    }
    assert_int_equal(n, expected);
    assert_int_equal(m->len, expected);
}

static void agrees_with_the_truth_through_many_changes(void **state)
{
    (void)state;
    struct kc_map m;
    struct kc_rng rng;
    int in[NAMES] = {0}, values[NAMES];
    char name[16];
    kc_map_init(&m);
    kc_rng_seed(&rng, 7);
    for (int step = 1; step <= 40000; step++) {
        int i = (int)kc_rng_below(&rng, NAMES);
        snprintf(name, sizeof name, "k%d", i);
        if (kc_rng_below(&rng, 2) == 0) {
            assert_int_equal(kc_map_set(&m, name, &values[i]), KC_OK);
            in[i] = 1;
        } else {
            assert_ptr_equal(kc_map_remove(&m, name),
                             in[i] ? &values[i] : NULL);
            in[i] = 0;
        }
        if (step % 4000 == 0)
            check(&m, in, values);
    }
    assert_true(m.cap <= 2048); /* graves do not make it grow */
    kc_map_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_replaces_and_removes),
        cmocka_unit_test(copies_its_keys),
        cmocka_unit_test(what_a_walk_has_told_may_be_removed),
        cmocka_unit_test(agrees_with_the_truth_through_many_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
