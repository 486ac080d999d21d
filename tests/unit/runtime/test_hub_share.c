/* Hubs by name: who comes, compares, and goes. */
#include "unit/runtime/hub_fixture.h"

#include <unistd.h>

static void the_first_publishes_and_the_next_ones_compare(void **state)
{
    (void)state;
    const struct setup other = {.per_day = 5, .concurrent = 1};
    struct state a = open_shared(&one_at_once, "x");
    struct state b = open_shared(&one_at_once, "x");
    struct state c = open_private(&other), d = open_private(&other);
    struct kc_lease lease;
    take(&a, &lease);
    assert_int_equal(counts_of(&b).in_flight, 1);
    assert_ptr_equal(kc_ledger_pool(a.ledger), kc_ledger_pool(b.ledger));
    assert_int_equal(kc_ledger_share(c.ledger, "x", false), KC_EDIFFERS);
    assert_int_equal(kc_ledger_share(c.ledger, "y", false), KC_OK);
    assert_int_equal(kc_ledger_share(c.ledger, "z", false), KC_EINVALID);
    assert_int_equal(kc_ledger_share(d.ledger, "y", false), KC_OK);
    assert_int_equal(counts_of(&c).in_flight, 0);
    give_back(&lease);
    close_state(&a);
    close_state(&b);
    close_state(&c);
    close_state(&d);
}

static void the_last_one_out_frees_the_name(void **state)
{
    (void)state;
    struct state a = open_shared(&one_at_once, "x");
    struct state b = open_shared(&one_at_once, "x");
    struct kc_lease lease, second;
    take(&a, &lease);
    take(&b, &second);
    give_back(&second);
    close_state(&a); /* its lease is out: the ledger stays for it */
    struct state c = open_shared(&one_at_once, "x");
    assert_int_equal(counts_of(&c).in_flight, 1);
    close_state(&b);
    close_state(&c);
    struct state d = open_shared(&one_at_once, "x");
    assert_int_equal(counts_of(&d).in_flight, 0);
    assert_int_equal(kc_lease_settle(&lease, KC_DONE, NULL), KC_OK);
    kc_lease_deinit(&lease);
    assert_int_equal(counts_of(&d).total_requests, 0);
    close_state(&d);
}

static void who_is_alone_may_change_it_and_nobody_comes_meanwhile(void **state)
{
    (void)state;
    struct state a = open_shared(&one_at_once, "x");
    struct state b = open_private(&one_at_once);
    struct kc_hub *hub = kc_ledger_hub(a.ledger);
    assert_true(kc_hub_claim(hub));
    assert_int_equal(kc_ledger_share(b.ledger, "x", false), KC_EDIFFERS);
    kc_hub_release(hub);
    assert_int_equal(kc_ledger_share(b.ledger, "x", false), KC_OK);
    assert_false(kc_hub_claim(hub));
    close_state(&b);
    assert_true(kc_hub_claim(hub));
    kc_hub_release(hub);
    close_state(&a);
}

static void a_ledger_in_use_is_not_shared_any_more(void **state)
{
    (void)state;
    struct state a = open_private(&one_at_once);
    struct kc_lease lease;
    take(&a, &lease);
    assert_int_equal(kc_ledger_share(a.ledger, "x", false), KC_EINVALID);
    give_back(&lease);
    close_state(&a);
}

static void a_clock_that_one_program_moves_is_not_shared(void **state)
{
    (void)state;
    struct kc_pool_config config = {.max_waiters = 1};
    struct kc_runtime *rt;
    struct kc_clock *clock;
    struct kc_ledger *l;
    must(kc_runtime_new(&rt));
    must(kc_clock_new_manual(1000, &clock));
    must(kc_ledger_new(rt, "test", &config, clock, &l));
    assert_int_equal(kc_ledger_share(l, "x", false), KC_EINVALID);
    kc_ledger_unref(l);
    kc_clock_unref(clock);
    kc_runtime_unref(rt);
}

static void a_store_is_read_once(void **state)
{
    (void)state;
    char dir[] = "/tmp/keycycle-hub-XXXXXX", url[128], path[160], *why;
    struct kc_writer *w;
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof url, "sqlite:%s/usage.db", dir);
    must(kc_writer_open(url, 0, &w, &why));
    struct state a = open_private(&one_at_once);
    must(kc_ledger_attach(a.ledger, w, &why));
    struct kc_lease lease;
    take(&a, &lease);
    assert_int_equal(kc_lease_settle(&lease, KC_DONE, NULL), KC_OK);
    kc_lease_deinit(&lease);
    assert_int_equal(kc_writer_close(w, 5000), 0);
    kc_writer_unref(w);
    close_state(&a);

    must(kc_writer_open(url, 0, &w, &why));
    a = open_shared(&one_at_once, "x"); /* without a store */
    struct state b = open_shared(&one_at_once, "x");
    assert_int_equal(counts_of(&a).total_requests, 0);
    must(kc_ledger_attach(b.ledger, w, &why));
    assert_int_equal(counts_of(&a).total_requests, 1);
    must(kc_ledger_attach(a.ledger, w, &why));
    assert_int_equal(counts_of(&a).total_requests, 1);
    struct state c = open_private(&one_at_once);
    assert_int_equal(kc_ledger_attach(c.ledger, w, &why), KC_EDIFFERS);
    free(why);
    close_state(&a);
    close_state(&b);
    close_state(&c);
    kc_writer_unref(w);
    const char *const names[] = {"usage.db", "usage.db-wal", "usage.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_publishes_and_the_next_ones_compare),
        cmocka_unit_test(the_last_one_out_frees_the_name),
        cmocka_unit_test(who_is_alone_may_change_it_and_nobody_comes_meanwhile),
        cmocka_unit_test(a_ledger_in_use_is_not_shared_any_more),
        cmocka_unit_test(a_clock_that_one_program_moves_is_not_shared),
        cmocka_unit_test(a_store_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
