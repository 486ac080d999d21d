/* Templates: parameters where they may stand, the key where it must, only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/template.h"

#define SECRET "sk-test-aaaaaaaaaaaa"

static int setup(void **state)
{
    static const struct kc_param params[] = {{"index_id", "a b/c"},
                                             {"region", "eu"}};
    struct kc_pool_config config = {.max_waiters = 1, .max_lease_ms = 1000};
    struct kc_key_config key = {
        .secret = SECRET, .params = params, .param_count = 2};
    struct kc_pool *pool;
    uint32_t index;
    assert_int_equal(kc_pool_new(&config, &pool), KC_OK);
    assert_int_equal(kc_pool_add_key(pool, 1, &key, &index), KC_OK);
    assert_int_equal(index, 1);
    *state = pool;
    return 0;
}

static int teardown(void **state)
{
    kc_pool_free(*state);
    return 0;
}

static void expect(const struct kc_template *t, const char *text,
                   const char *want)
{
    struct kc_buf out;
    kc_buf_init(&out, 1000);
    assert_int_equal(kc_template_fill(t, text, &out), KC_OK);
    assert_string_equal(kc_buf_str(&out), want);
    kc_buf_wipe(&out);
}

static void parameters_are_filled_in(void **state)
{
    struct kc_template t = {.pool = *state, .key = 1};
    expect(&t, "{region}", "eu");
    expect(&t, "https://{region}.x/{index_id}", "https://eu.x/a b/c");
    t.escape = true;
    expect(&t, "https://{region}.x/{index_id}", "https://eu.x/a%20b%2Fc");
}

static void the_key_is_filled_in_where_it_may_be(void **state)
{
    struct kc_template t = {.pool = *state, .key = 1};
    expect(&t, "Bearer {api_key}", "Bearer {api_key}");
    t.secret = true;
    expect(&t, "Bearer {api_key}", "Bearer " SECRET);
}

static void what_names_no_parameter_stays(void **state)
{
    struct kc_template t = {.pool = *state, .key = 1, .secret = true};
    expect(&t, "{", "{");
    expect(&t, "{}", "{}");
    expect(&t, "{nobody} {region", "{nobody} {region");
    expect(&t, "{{region}}", "{eu}");
    expect(&t, "{\"json\": {}}", "{\"json\": {}}");
    expect(&(struct kc_template){.pool = NULL}, "{region}", "{region}");
}

static void the_buffers_maximum_holds(void **state)
{
    struct kc_template t = {.pool = *state, .key = 1};
    struct kc_buf out;
    kc_buf_init(&out, 4);
    assert_int_equal(kc_template_fill(&t, "{index_id}", &out), KC_ETOOLARGE);
    kc_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_filled_in),
        cmocka_unit_test(the_key_is_filled_in_where_it_may_be),
        cmocka_unit_test(what_names_no_parameter_stays),
        cmocka_unit_test(the_buffers_maximum_holds),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
