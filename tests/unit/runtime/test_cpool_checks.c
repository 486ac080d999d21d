/* keycycle.h's pool, called wrongly: each function says so, crashes never, and
 * sets what it hands over all the same. */
#include "unit/runtime/cpool_fixture.h"

#include <string.h>

#define REFUSED(call) assert_int_equal(call, KEYCYCLE_EINVALID)

static int open_one(void **state)
{
    *state = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    return 0;
}

static int close_it(void **state)
{
    keycycle_pool_close(*state);
    return 0;
}

static void of_opening_and_closing(void **state)
{
    struct keycycle_pool_options options = {.provider = "test"};
    struct keycycle_pool *none = *state;
    REFUSED(keycycle_pool_open(NULL, &none));
    assert_null(none);
    REFUSED(keycycle_pool_open(&options, NULL));
    options.strategy = (enum keycycle_strategy)2;
    REFUSED(keycycle_pool_open(&options, &none));
    options.strategy = KEYCYCLE_GLOBAL;
    options.db_url = "";
    REFUSED(keycycle_pool_open(&options, &none));
    options.db_url = "memory:";
    options.keep_days = 36501;
    REFUSED(keycycle_pool_open(&options, &none));
    char long_url[5000] = "sqlite:";
    memset(long_url + 7, 'x', sizeof long_url - 8);
    long_url[sizeof long_url - 1] = '\0';
    options.keep_days = 0;
    options.db_url = long_url;
    assert_int_equal(keycycle_pool_open(&options, &none), KEYCYCLE_ETOOLARGE);
    assert_null(none);
    REFUSED(keycycle_pool_start(NULL));
    keycycle_pool_stop(NULL);
    keycycle_pool_close(NULL);
}

static void of_keys(void **state)
{
    struct keycycle_key key = {.api_key = "sk-test-of-another-key"};
    const struct keycycle_param half = {"name", NULL}, other = {NULL, "value"};
    const char *const no_model = NULL;
    unsigned index = 3;
    REFUSED(keycycle_pool_add_key(NULL, &key, &index));
    assert_int_equal(index, 0);
    REFUSED(keycycle_pool_add_key(*state, NULL, &index));
    REFUSED(keycycle_pool_add_key(*state, &key, NULL));
    key.model_count = 1;
    REFUSED(keycycle_pool_add_key(*state, &key, &index));
    key.models = &no_model;
    REFUSED(keycycle_pool_add_key(*state, &key, &index));
    key.model_count = 0;
    key.param_count = 1;
    REFUSED(keycycle_pool_add_key(*state, &key, &index));
    key.params = &half;
    REFUSED(keycycle_pool_add_key(*state, &key, &index));
    key.params = &other;
    REFUSED(keycycle_pool_add_key(*state, &key, &index));
    REFUSED(keycycle_pool_remove_key(NULL, 1));
    REFUSED(keycycle_pool_disable(NULL, 1));
    REFUSED(keycycle_pool_enable(NULL, 1));
}

static void of_looking_for_keys(void **state)
{
    unsigned index = 3;
    REFUSED(keycycle_pool_key_count(NULL, &index));
    assert_int_equal(index, 0);
    REFUSED(keycycle_pool_key_count(*state, NULL));
    index = 3;
    REFUSED(keycycle_pool_find_key(NULL, "0001", &index));
    assert_int_equal(index, 0);
    index = 3;
    REFUSED(keycycle_pool_find_key(*state, NULL, &index));
    assert_int_equal(index, 0);
    REFUSED(keycycle_pool_find_key(*state, "0001", NULL));
    assert_int_equal(keycycle_pool_find_key(*state, "", &index),
                     KEYCYCLE_ENOTFOUND);
}

static void of_limits(void **state)
{
    struct keycycle_limits limits;
    keycycle_limits_init(NULL);
    keycycle_window_init(NULL, 1);
    keycycle_limits_init(&limits);
    REFUSED(keycycle_pool_set_limits(NULL, 0, NULL, &limits));
    REFUSED(keycycle_pool_set_limits(*state, 0, NULL, NULL));
    limits.window_count = 1;
    REFUSED(keycycle_pool_set_limits(*state, 0, NULL, &limits));
}

static void of_acquiring(void **state)
{
    const struct keycycle_request r = {.model = "m"};
    struct keycycle_request odd = {.priority = -1};
    struct keycycle_refusal why = {.wait_ms = 3};
    struct keycycle_lease lease = {.id = 3};
    REFUSED(keycycle_pool_acquire(NULL, &r, &lease, &why));
    assert_true(why.wait_ms == KEYCYCLE_NEVER);
    assert_string_equal(why.limit, "");
    assert_int_equal(lease.id, 0);
    REFUSED(keycycle_pool_acquire(*state, NULL, &lease, NULL));
    REFUSED(keycycle_pool_acquire(*state, &r, NULL, &why));
    REFUSED(keycycle_pool_acquire(*state, &odd, &lease, &why));
    odd.priority = 8;
    REFUSED(keycycle_pool_acquire(*state, &odd, &lease, &why));
    REFUSED(keycycle_pool_wait(*state, &odd, 0, &lease, &why));
    why.wait_ms = 3;
    lease.id = 3;
    REFUSED(keycycle_pool_wait(NULL, &r, 0, &lease, &why));
    assert_true(why.wait_ms == KEYCYCLE_NEVER);
    assert_int_equal(lease.id, 0);
    REFUSED(keycycle_pool_wait(*state, NULL, 0, &lease, NULL));
    REFUSED(keycycle_pool_wait(*state, &r, 0, NULL, NULL));
    why.wait_ms = 3;
    REFUSED(keycycle_pool_explain(NULL, &r, &why));
    assert_true(why.wait_ms == KEYCYCLE_NEVER);
    REFUSED(keycycle_pool_explain(*state, NULL, &why));
    REFUSED(keycycle_pool_explain(*state, &r, NULL));
}

static void of_leases(void **state)
{
    struct keycycle_lease given = acquire(*state);
    char text[8] = "before";
    REFUSED(keycycle_lease_key(NULL, text, sizeof text));
    assert_string_equal(text, "");
    REFUSED(keycycle_lease_key(&given, NULL, 8));
    assert_int_equal(keycycle_lease_key(&given, text, 0), KEYCYCLE_ETOOLARGE);
    REFUSED(keycycle_lease_param(NULL, "region", text, sizeof text));
    REFUSED(keycycle_lease_param(&given, NULL, text, sizeof text));
    REFUSED(keycycle_lease_param(&given, "region", NULL, 8));
    REFUSED(keycycle_lease_headers(NULL));
    REFUSED(keycycle_lease_commit(NULL, 1, 1, 0));
    REFUSED(keycycle_lease_cancel(NULL, 0));
    REFUSED(keycycle_lease_refuse(NULL));
    REFUSED(keycycle_lease_cooldown(NULL, 1));
    REFUSED(keycycle_lease_suspend(NULL));
    REFUSED(keycycle_lease_unpaid(NULL));
    must(keycycle_lease_cancel(&given, 0));
}

static void of_what_answers_tell(void **state)
{
    struct keycycle_lease given = acquire(*state);
    const struct keycycle_lease none = {.id = 0};
    const enum keycycle_unit odd = (enum keycycle_unit)4;
    REFUSED(keycycle_lease_observe(NULL, KEYCYCLE_TOKENS, 60000, 1, 1));
    REFUSED(keycycle_lease_observe(&given, odd, 60000, 1, 1));
    REFUSED(keycycle_lease_observe(&given, KEYCYCLE_TOKENS, 60001, 1, 1));
    REFUSED(
        keycycle_lease_observe(&given, KEYCYCLE_INPUT_TOKENS, 3600000, 1, 1));
    assert_int_equal(
        keycycle_lease_observe(&none, KEYCYCLE_TOKENS, 60000, 1, 1),
        KEYCYCLE_ESTALE);
    must(keycycle_lease_cancel(&given, 0));
}

static void of_what_can_be_seen(void **state)
{
    struct keycycle_key_state key = {.until_ms = 3};
    struct keycycle_store_state store = {.waiting = 3};
    struct keycycle_stats s = {.rpm = 3};
    REFUSED(keycycle_pool_key_state(NULL, 1, NULL, &key));
    assert_true(key.until_ms == 0);
    REFUSED(keycycle_pool_key_state(*state, 1, NULL, NULL));
    REFUSED(keycycle_pool_stats(NULL, 0, NULL, &s));
    assert_int_equal(s.rpm, 0);
    REFUSED(keycycle_pool_stats(*state, 0, NULL, NULL));
    REFUSED(keycycle_pool_save(NULL, 0));
    REFUSED(keycycle_pool_store_state(NULL, &store));
    assert_int_equal(store.waiting, 0);
    REFUSED(keycycle_pool_store_state(*state, NULL));
}

static void of_listeners(void **state)
{
    struct keycycle_listener *l = NULL;
    struct keycycle_event e = {.lost = 3};
    REFUSED(keycycle_pool_listen(NULL, &l));
    REFUSED(keycycle_pool_listen(*state, NULL));
    must(keycycle_pool_listen(*state, &l));
    REFUSED(keycycle_listener_next(NULL, 0, &e));
    assert_int_equal(e.lost, 0);
    REFUSED(keycycle_listener_next(l, 0, NULL));
    assert_int_equal(keycycle_listener_fd(NULL), -1);
    keycycle_listener_close(l);
    keycycle_listener_close(NULL);
}

static void texts_are_there_for_what_is_none(void **state)
{
    (void)state;
    assert_string_equal(keycycle_version(), KEYCYCLE_VERSION);
    assert_string_equal(keycycle_error_text(KEYCYCLE_ENOKEY),
                        "no key is usable");
    assert_non_null(keycycle_error_text(-5));
    assert_string_equal(keycycle_error_name(-5), "unknown");
    assert_string_equal(keycycle_state_name((enum keycycle_state)9), "unknown");
    assert_string_equal(keycycle_event_name(KEYCYCLE_EVENT_LEARN), "learn");
    assert_string_equal(keycycle_event_name((enum keycycle_event_type)7),
                        "unknown");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_one, close_it)
    const struct CMUnitTest tests[] = {
        TEST(of_opening_and_closing),
        TEST(of_keys),
        TEST(of_looking_for_keys),
        TEST(of_limits),
        TEST(of_acquiring),
        TEST(of_leases),
        TEST(of_what_answers_tell),
        TEST(of_what_can_be_seen),
        TEST(of_listeners),
        TEST(texts_are_there_for_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
