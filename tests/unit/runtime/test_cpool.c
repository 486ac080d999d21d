/* keycycle.h's pool in one thread: leases, refusals, limits. */
#include "unit/runtime/cpool_fixture.h"

#include <string.h>

static void a_lease_is_settled_once(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED,
                                        KEYCYCLE_UNLIMITED);
    struct keycycle_request r = {.model = "m", .tokens = 100};
    struct keycycle_lease lease;
    struct keycycle_refusal refusal;
    must(keycycle_pool_acquire(p, &r, &lease, &refusal));
    assert_string_equal(lease.model, "m");
    assert_int_equal(lease.tokens, 100);
    assert_int_equal(stats(p).in_flight, 1);
    assert_int_equal(stats(p).tpd, 100);
    must(keycycle_lease_headers(&lease));
    must(keycycle_lease_commit(&lease, 10, 5, 0));
    assert_int_equal(keycycle_lease_commit(&lease, 10, 5, 0), KEYCYCLE_ESTALE);
    assert_int_equal(keycycle_lease_cancel(&lease, 0), KEYCYCLE_ESTALE);
    assert_int_equal(stats(p).tpm, 15);
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_lease_commit(&lease, 0, 0, KEYCYCLE_RESERVED));
    assert_int_equal(stats(p).total_tokens, 115);
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_lease_cancel(&lease, 0));
    assert_int_equal(stats(p).rpd, 2);
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_lease_cancel(&lease, 1));
    assert_int_equal(stats(p).rpd, 3);
    assert_int_equal(stats(p).tpd, 215);
    keycycle_pool_close(p);
    keycycle_pool_close(NULL);
}

static void the_key_itself_is_copied_where_there_is_room(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_request r = {.model = "m", .key = 2, .pin = 1};
    struct keycycle_lease lease;
    char text[32] = "before";
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    assert_int_equal(lease.key, 2);
    must(keycycle_lease_key(&lease, text, sizeof text));
    assert_string_equal(text, "sk-test-0014-key-0002");
    assert_int_equal(keycycle_lease_key(&lease, text, strlen(text)),
                     KEYCYCLE_ETOOLARGE);
    assert_string_equal(text, "");
    must(keycycle_lease_cancel(&lease, 0));
    keycycle_pool_close(p);
}

static void a_refusal_says_why_and_how_long(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, 1, KEYCYCLE_UNLIMITED);
    struct keycycle_request r = {.model = "m"}, bad = {.model = "m", .key = 9};
    struct keycycle_lease lease, none;
    struct keycycle_refusal refusal;
    char longer[KEYCYCLE_MODEL_MAX + 1];
    for (int i = 0; i < 3; i++) {
        lease = acquire(p);
        must(keycycle_lease_commit(&lease, 1, 1, 0));
    }
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, &refusal),
                     KEYCYCLE_ELIMITED);
    assert_string_equal(refusal.limit, "requests_per_day");
    assert_int_equal(refusal.max, 1);
    assert_true(refusal.wait_ms > 86000000 && refusal.wait_ms < 86500000);
    assert_int_equal(none.id, 0);
    assert_int_equal(keycycle_pool_wait(p, &r, 1000, &none, &refusal),
                     KEYCYCLE_ELIMITED); /* at once: it takes a day */
    assert_string_equal(refusal.limit, "requests_per_day");
    assert_int_equal(keycycle_pool_acquire(p, &bad, &none, &refusal),
                     KEYCYCLE_ENOTFOUND);
    memset(longer, 'x', sizeof longer);
    longer[KEYCYCLE_MODEL_MAX] = '\0';
    r.model = longer;
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, NULL),
                     KEYCYCLE_ETOOLARGE);
    keycycle_pool_close(p);
}

static void a_cooldown_puts_the_key_away(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED,
                                        KEYCYCLE_UNLIMITED);
    struct keycycle_request r = {.model = "m", .key = 1, .pin = 1};
    struct keycycle_lease lease, none;
    struct keycycle_refusal refusal;
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_lease_cooldown(&lease, 30000));
    must(keycycle_lease_cancel(&lease, 1));
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, &refusal),
                     KEYCYCLE_ELIMITED);
    assert_string_equal(refusal.limit, "cooling");
    assert_true(refusal.wait_ms > 20000 && refusal.wait_ms <= 30000);
    keycycle_pool_close(p);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct keycycle_pool_options options = {.provider = NULL};
    struct keycycle_limits limits;
    struct keycycle_pool *p;
    struct keycycle_key key = {.api_key = "a b"};
    unsigned index;
    assert_int_equal(keycycle_pool_open(&options, &p), KEYCYCLE_EINVALID);
    assert_null(p);
    options.provider = "test";
    options.name = "";
    assert_int_equal(keycycle_pool_open(&options, &p), KEYCYCLE_EINVALID);
    options.name = NULL;
    options.selection = (enum keycycle_selection)99;
    assert_int_equal(keycycle_pool_open(&options, &p), KEYCYCLE_EINVALID);
    options.selection = KEYCYCLE_FILL_FIRST;
    must(keycycle_pool_open(&options, &p));
    assert_int_equal(keycycle_pool_add_key(p, &key, &index),
                     KEYCYCLE_EINVALID);
    key.api_key = NULL;
    assert_int_equal(keycycle_pool_add_key(p, &key, &index),
                     KEYCYCLE_EINVALID);
    keycycle_limits_init(&limits);
    limits.day_resets_at = "Nowhere/None";
    assert_int_equal(keycycle_pool_set_limits(p, 0, NULL, &limits),
                     KEYCYCLE_ENOTFOUND);
    limits.day_resets_at = "UTC";
    must(keycycle_pool_set_limits(p, 0, NULL, &limits));
    assert_int_equal(keycycle_pool_set_limits(p, 7, NULL, &limits),
                     KEYCYCLE_ENOTFOUND);
    struct keycycle_request r = {.model = NULL};
    struct keycycle_lease lease;
    assert_int_equal(keycycle_pool_acquire(p, &r, &lease, NULL),
                     KEYCYCLE_ENOKEY);
    r.priority = 8;
    assert_int_equal(keycycle_pool_wait(p, &r, 0, &lease, NULL),
                     KEYCYCLE_EINVALID);
    assert_string_equal(keycycle_error_name(KEYCYCLE_ENOKEY), "no_key");
    assert_string_equal(keycycle_error_name(-5), "unknown");
    keycycle_pool_close(p);
}

static void windows_of_any_length_are_told_by_their_length(void **state)
{
    (void)state;
    struct keycycle_window windows[3] = {
        {0, 0, 0, 0, 0}, {1000, 1, 1, 1, 1}, {2000, 1, 1, 1, 1}};
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_request r = {
        .model = "m", .tokens = 51, .key = 1, .pin = 1};
    struct keycycle_limits limits;
    struct keycycle_lease lease;
    struct keycycle_refusal why;
    keycycle_limits_init(&limits);
    keycycle_window_init(&windows[0], 3 * 24 * 3600 * 1000);
    windows[0].requests = 1;
    windows[0].output_tokens = 50;
    limits.windows = windows;
    limits.window_count = 1;
    must(keycycle_pool_set_limits(p, 0, NULL, &limits));
    assert_int_equal(keycycle_pool_acquire(p, &r, &lease, &why),
                     KEYCYCLE_EIMPOSSIBLE);
    assert_string_equal(why.limit, "output_tokens_per_window");
    assert_true(why.window_ms == windows[0].window_ms);
    r.tokens = 50;
    must(keycycle_pool_acquire(p, &r, &lease, &why));
    must(keycycle_lease_commit(&lease, 0, 0, KEYCYCLE_RESERVED));
    r.tokens = 0;
    assert_int_equal(keycycle_pool_acquire(p, &r, &lease, &why),
                     KEYCYCLE_ELIMITED);
    assert_string_equal(why.limit, "requests_per_window");
    limits.window_count = 3; /* that would be six */
    assert_int_equal(keycycle_pool_set_limits(p, 0, NULL, &limits),
                     KEYCYCLE_EINVALID);
    windows[0].window_ms = 0;
    limits.window_count = 1;
    assert_int_equal(keycycle_pool_set_limits(p, 0, NULL, &limits),
                     KEYCYCLE_EINVALID);
    keycycle_pool_close(p);
}

/* -- keys that come, go and are refused ------------------------------------ */

static struct keycycle_key_state state_of(struct keycycle_pool *p, unsigned key)
{
    struct keycycle_key_state s;
    must(keycycle_pool_key_state(p, key, NULL, &s));
    return s;
}

static void a_removed_key_serves_no_more_and_keeps_its_index(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_request r = {.model = "m", .key = 2, .pin = 1};
    struct keycycle_key key = {.api_key = "sk-test-0014-key-0002"};
    struct keycycle_lease lease, none;
    unsigned index;
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_pool_remove_key(p, 2));
    assert_int_equal(state_of(p, 2).state, KEYCYCLE_DRAINING);
    assert_int_equal(keycycle_pool_remove_key(p, 2), KEYCYCLE_ENOTFOUND);
    assert_int_equal(keycycle_pool_remove_key(p, 4), KEYCYCLE_ENOTFOUND);
    assert_int_equal(keycycle_pool_disable(p, 2), KEYCYCLE_ENOTFOUND);
    must(keycycle_lease_commit(&lease, 1, 1, 0));
    assert_int_equal(state_of(p, 2).state, KEYCYCLE_GONE);
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, NULL),
                     KEYCYCLE_ENOTFOUND);
    acquire(p);
    acquire(p);
    r.key = 0;
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, NULL),
                     KEYCYCLE_ELIMITED);
    must(keycycle_pool_add_key(p, &key, &index));
    assert_int_equal(index, 2);
    assert_int_equal(acquire(p).key, 2);
    assert_int_equal(stats(p).rpd, 4);
    keycycle_pool_close(p);
}

static void a_key_is_disabled_and_enabled(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_key_state none;
    for (unsigned i = 1; i <= 3; i++)
        must(keycycle_pool_disable(p, i));
    assert_int_equal(state_of(p, 1).state, KEYCYCLE_DISABLED);
    struct keycycle_request r = {.model = "m"};
    struct keycycle_lease lease;
    assert_int_equal(keycycle_pool_acquire(p, &r, &lease, NULL),
                     KEYCYCLE_ENOKEY);
    must(keycycle_pool_enable(p, 3));
    assert_int_equal(acquire(p).key, 3);
    assert_int_equal(state_of(p, 3).state, KEYCYCLE_READY);
    assert_int_equal(keycycle_pool_enable(p, 4), KEYCYCLE_ENOTFOUND);
    assert_int_equal(keycycle_pool_key_state(p, 0, NULL, &none),
                     KEYCYCLE_ENOTFOUND);
    keycycle_pool_close(p);
}

static void a_refused_key_is_put_away(void **state)
{
    (void)state;
    struct keycycle_pool_options options = {.provider = "test"};
    struct keycycle_key first = {.api_key = "sk-test-of-the-first-key",
                                 .label = "mine",
                                 .group = "org"};
    struct keycycle_key second = {.api_key = "sk-test-of-the-second-key"};
    struct keycycle_pool *p;
    struct keycycle_key_state s;
    unsigned index;
    must(keycycle_pool_open(&options, &p));
    must(keycycle_pool_add_key(p, &first, &index));
    must(keycycle_pool_add_key(p, &second, &index));
    struct keycycle_request r = {
        .model = "m", .tokens = 5, .key = 2, .pin = 1};
    struct keycycle_lease lease;
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_lease_suspend(&lease));
    must(keycycle_lease_refuse(&lease));
    assert_int_equal(keycycle_lease_refuse(&lease), KEYCYCLE_ESTALE);
    assert_int_equal(stats(p).rpd, 1);
    assert_int_equal(stats(p).tpd, 0);
    s = state_of(p, 2);
    assert_int_equal(s.state, KEYCYCLE_SUSPENDED);
    assert_string_equal(s.reason, "refused");
    assert_true(s.until_ms > UINT64_C(1600000000000));
    assert_string_equal(s.model, "");

    r.key = 1;
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_lease_cooldown(&lease, 5000));
    s = state_of(p, 1);
    assert_int_equal(s.state, KEYCYCLE_COOLING);
    assert_string_equal(s.model, "m");
    assert_int_equal(s.of_group, 1);
    assert_string_equal(s.label, "mine");
    assert_string_equal(s.group, "org");
    assert_string_equal(s.suffix, "st-key");
    must(keycycle_pool_key_state(p, 1, "other", &s));
    assert_int_equal(s.state, KEYCYCLE_READY);
    must(keycycle_lease_unpaid(&lease));
    must(keycycle_lease_refuse(&lease));
    s = state_of(p, 1);
    assert_int_equal(s.state, KEYCYCLE_EXHAUSTED);
    assert_int_equal(s.until_ms, 0);
    must(keycycle_pool_enable(p, 1));
    assert_int_equal(state_of(p, 1).state, KEYCYCLE_READY);
    assert_string_equal(keycycle_state_name(KEYCYCLE_DRAINING), "draining");
    assert_string_equal(keycycle_state_name((enum keycycle_state)9),
                        "unknown");
    keycycle_pool_close(p);
}

static void what_was_not_given_is_stale(void **state)
{
    (void)state;
    const struct keycycle_lease none = {.id = 0};
    char text[8] = "before";
    assert_int_equal(keycycle_lease_headers(&none), KEYCYCLE_ESTALE);
    assert_int_equal(keycycle_lease_commit(&none, 1, 1, 0), KEYCYCLE_ESTALE);
    assert_int_equal(keycycle_lease_cancel(&none, 0), KEYCYCLE_ESTALE);
    assert_int_equal(keycycle_lease_refuse(&none), KEYCYCLE_ESTALE);
    assert_int_equal(keycycle_lease_cooldown(&none, 1), KEYCYCLE_ESTALE);
    assert_int_equal(keycycle_lease_suspend(&none), KEYCYCLE_ESTALE);
    assert_int_equal(keycycle_lease_unpaid(&none), KEYCYCLE_ESTALE);
    assert_int_equal(keycycle_lease_key(&none, text, sizeof text),
                     KEYCYCLE_ESTALE);
    assert_string_equal(text, "");
}

/* -- what else can be asked ------------------------------------------------ */

static void keys_are_counted_and_found(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    unsigned n;
    must(keycycle_pool_key_count(p, &n));
    assert_int_equal(n, 3);
    must(keycycle_pool_find_key(p, "sk-test-0014-key-0002", &n));
    assert_int_equal(n, 2);
    must(keycycle_pool_find_key(p, "0003", &n));
    assert_int_equal(n, 3);
    assert_int_equal(keycycle_pool_find_key(p, "0009", &n), KEYCYCLE_ENOTFOUND);
    assert_int_equal(n, 0);
    struct keycycle_key key = {.api_key = "sk-test-another-0003"};
    must(keycycle_pool_add_key(p, &key, &n));
    assert_int_equal(keycycle_pool_find_key(p, "0003", &n),
                     KEYCYCLE_EAMBIGUOUS);
    must(keycycle_pool_remove_key(p, 4));
    must(keycycle_pool_find_key(p, "0003", &n));
    assert_int_equal(n, 3);
    must(keycycle_pool_key_count(p, &n));
    assert_int_equal(n, 4);
    key.api_key = "x"; /* a local server's */
    must(keycycle_pool_add_key(p, &key, &n));
    must(keycycle_pool_find_key(p, "x", &n));
    assert_int_equal(n, 5);
    assert_int_equal(keycycle_pool_find_key(p, "3", &n), KEYCYCLE_ENOTFOUND);
    keycycle_pool_close(p);
}

static void a_keys_params_are_read_by_its_lease(void **state)
{
    (void)state;
    const struct keycycle_pool_options options = {.provider = "test"};
    const struct keycycle_param params[] = {{"region", "eu"}, {"project", "x"}};
    const struct keycycle_key key = {.api_key = "sk-test-of-the-first-key",
                                     .params = params,
                                     .param_count = 2};
    struct keycycle_pool *p;
    unsigned index;
    char text[8];
    must(keycycle_pool_open(&options, &p));
    must(keycycle_pool_add_key(p, &key, &index));
    struct keycycle_lease lease = acquire(p);
    must(keycycle_lease_param(&lease, "region", text, sizeof text));
    assert_string_equal(text, "eu");
    assert_int_equal(keycycle_lease_param(&lease, "region", text, 2),
                     KEYCYCLE_ETOOLARGE);
    assert_string_equal(text, "");
    assert_int_equal(keycycle_lease_param(&lease, "none", text, sizeof text),
                     KEYCYCLE_ENOTFOUND);
    keycycle_pool_close(p);
}

static void what_would_be_is_explained_and_costs_nothing(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, 1, KEYCYCLE_UNLIMITED);
    struct keycycle_request r = {.model = "m"};
    struct keycycle_refusal why;
    for (int i = 0; i < 9; i++) {
        must(keycycle_pool_explain(p, &r, &why));
        assert_int_equal(why.wait_ms, 0);
        assert_string_equal(why.limit, "");
    }
    assert_int_equal(stats(p).rpd, 0);
    struct keycycle_lease lease = acquire(p);
    r.key = lease.key;
    must(keycycle_pool_explain(p, &r, &why));
    r.pin = 1;
    assert_int_equal(keycycle_pool_explain(p, &r, &why), KEYCYCLE_ELIMITED);
    assert_string_equal(why.limit, "requests_per_day");
    assert_true(why.wait_ms == KEYCYCLE_NEVER); /* until it ends */
    must(keycycle_lease_commit(&lease, 1, 1, 0));
    assert_int_equal(keycycle_pool_explain(p, &r, &why), KEYCYCLE_ELIMITED);
    assert_true(why.wait_ms > 86000000 && why.wait_ms < 86500000);
    assert_int_equal(why.key, lease.key);
    keycycle_pool_close(p);
}

static void the_key_that_failed_is_avoided(void **state)
{
    (void)state;
    struct keycycle_pool *p = open_pool(NULL, KEYCYCLE_UNLIMITED, 1);
    struct keycycle_request r = {.model = "m", .avoid = 2};
    struct keycycle_lease leases[3];
    for (int i = 0; i < 20; i++) {
        must(keycycle_pool_acquire(p, &r, &leases[0], NULL));
        assert_int_not_equal(leases[0].key, 2);
        must(keycycle_lease_cancel(&leases[0], 0));
    }
    for (int i = 0; i < 3; i++)
        must(keycycle_pool_acquire(p, &r, &leases[i], NULL));
    assert_int_equal(leases[2].key, 2); /* no other would do */
    keycycle_pool_close(p);
}

static void an_answer_tells_a_lower_limit_and_what_others_used(void **state)
{
    (void)state;
    struct keycycle_pool *p =
        open_pool(NULL, KEYCYCLE_UNLIMITED, KEYCYCLE_UNLIMITED);
    struct keycycle_request r = {.model = "m", .tokens = 10, .key = 1, .pin = 1};
    struct keycycle_lease lease, none;
    struct keycycle_refusal why;
    struct keycycle_stats s;
    must(keycycle_pool_acquire(p, &r, &lease, NULL));
    must(keycycle_lease_observe(&lease, KEYCYCLE_REQUESTS, 3600000, 5, 2));
    must(keycycle_lease_observe(&lease, KEYCYCLE_OUTPUT_TOKENS, 60000, 30,
                                KEYCYCLE_UNLIMITED));
    must(keycycle_lease_commit(&lease, 0, 10, 0));
    assert_int_equal(
        keycycle_lease_observe(&lease, KEYCYCLE_REQUESTS, 3600000, 5, 1),
        KEYCYCLE_ESTALE);
    must(keycycle_pool_stats(p, 1, "m", &s));
    assert_int_equal(s.rph, 3); /* two of them were others' */
    r.tokens = 31;
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, &why),
                     KEYCYCLE_EIMPOSSIBLE);
    assert_string_equal(why.limit, "output_tokens_per_minute");
    r.tokens = 1;
    for (int i = 0; i < 2; i++) {
        must(keycycle_pool_acquire(p, &r, &lease, NULL));
        must(keycycle_lease_commit(&lease, 0, 0, KEYCYCLE_RESERVED));
    }
    assert_int_equal(keycycle_pool_acquire(p, &r, &none, &why),
                     KEYCYCLE_ELIMITED);
    assert_string_equal(why.limit, "requests_per_hour");
    assert_int_equal(why.max, 5);
    keycycle_pool_close(p);
}

static void under_global_a_cooldown_is_of_all_models(void **state)
{
    (void)state;
    const struct keycycle_pool_options options = {
        .provider = "test", .strategy = KEYCYCLE_GLOBAL};
    struct keycycle_pool *p;
    struct keycycle_key_state s;
    must(keycycle_pool_open(&options, &p));
    add_keys(p, 1);
    struct keycycle_lease lease = acquire(p);
    must(keycycle_lease_cooldown(&lease, 5000));
    must(keycycle_pool_key_state(p, 1, "other", &s));
    assert_int_equal(s.state, KEYCYCLE_COOLING);
    keycycle_pool_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_settled_once),
        cmocka_unit_test(the_key_itself_is_copied_where_there_is_room),
        cmocka_unit_test(a_refusal_says_why_and_how_long),
        cmocka_unit_test(a_cooldown_puts_the_key_away),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(windows_of_any_length_are_told_by_their_length),
        cmocka_unit_test(a_removed_key_serves_no_more_and_keeps_its_index),
        cmocka_unit_test(a_key_is_disabled_and_enabled),
        cmocka_unit_test(a_refused_key_is_put_away),
        cmocka_unit_test(what_was_not_given_is_stale),
        cmocka_unit_test(keys_are_counted_and_found),
        cmocka_unit_test(a_keys_params_are_read_by_its_lease),
        cmocka_unit_test(what_would_be_is_explained_and_costs_nothing),
        cmocka_unit_test(the_key_that_failed_is_avoided),
        cmocka_unit_test(an_answer_tells_a_lower_limit_and_what_others_used),
        cmocka_unit_test(under_global_a_cooldown_is_of_all_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
