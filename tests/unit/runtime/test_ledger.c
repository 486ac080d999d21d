/* The ledger: leases and waits on a manual clock, a journal that remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/ledger.h"

#define START_MS 1767225600000u /* 2026-01-01 */

struct fixture {
    struct kc_runtime *rt;
    struct kc_clock *clock;
    struct kc_ledger *ledger;
};

static void add_key(struct kc_ledger *l, const char *secret)
{
    struct kc_key_config key = {.secret = secret};
    uint32_t index;
    assert_int_equal(
        kc_pool_add_key(kc_ledger_pool(l), kc_ledger_now(l), &key, &index),
        KC_OK);
}

static void set_rpm(struct kc_ledger *l, uint64_t rpm)
{
    struct kc_limits limits;
    kc_limits_unlimited(&limits);
    limits.max[KC_MINUTE][KC_REQUESTS] = rpm;
    assert_int_equal(kc_pool_set_limits(kc_ledger_pool(l), kc_ledger_now(l), 0,
                                        NULL, &limits),
                     KC_OK);
}

static struct kc_ledger *new_ledger(struct fixture *f)
{
    struct kc_pool_config config = {.max_waiters = 10,
                                    .max_lease_ms = 600000,
                                    .seed = 1};
    struct kc_ledger *l;
    assert_int_equal(kc_ledger_new(f->rt, "test", &config, f->clock, &l),
                     KC_OK);
    add_key(l, "sk-test-aaaaaaaaaaaa");
    return l;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(kc_runtime_new(&f->rt), KC_OK);
    assert_int_equal(kc_clock_new_manual(START_MS, &f->clock), KC_OK);
    f->ledger = new_ledger(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    kc_ledger_unref(f->ledger);
    kc_clock_unref(f->clock);
    assert_int_equal(kc_runtime_pending(f->rt), 0);
    kc_runtime_unref(f->rt);
    free(f);
    return 0;
}

static uint64_t minute(struct kc_ledger *l, enum kc_unit unit)
{
    struct kc_snapshot s;
    assert_int_equal(kc_pool_snapshot(kc_ledger_pool(l), kc_ledger_now(l), 0,
                                      NULL, &s),
                     KC_OK);
    return s.used[KC_MINUTE][unit];
}

static void a_lease_settles_once(void **state)
{
    struct fixture *f = *state;
    struct kc_request r = {.model = "m", .tokens = 100};
    struct kc_lease lease;
    struct kc_refusal refusal;
    assert_int_equal(kc_lease_acquire(f->ledger, &r, &lease, &refusal), KC_OK);
    assert_int_equal(minute(f->ledger, KC_TOKENS), 100);
    struct kc_usage usage = {.input = 10, .output = 5};
    assert_int_equal(kc_lease_settle(&lease, KC_DONE, &usage), KC_OK);
    assert_int_equal(minute(f->ledger, KC_TOKENS), 15);
    assert_int_equal(kc_lease_settle(&lease, KC_DONE, &usage), KC_ESTALE);
    kc_lease_deinit(&lease);
    assert_int_equal(minute(f->ledger, KC_TOKENS), 15);
}

static void a_forgotten_lease_stays_counted(void **state)
{
    struct fixture *f = *state;
    struct kc_request r = {.model = "m", .tokens = 40};
    struct kc_lease lease;
    struct kc_refusal refusal;
    assert_int_equal(kc_lease_acquire(f->ledger, &r, &lease, &refusal), KC_OK);
    kc_lease_deinit(&lease);
    assert_int_equal(minute(f->ledger, KC_TOKENS), 40);
    assert_int_equal(minute(f->ledger, KC_REQUESTS), 1);
}

static void a_wait_ends_when_the_clock_frees_a_key(void **state)
{
    struct fixture *f = *state;
    struct kc_request r = {.model = "m"};
    struct kc_lease lease, second;
    struct kc_refusal refusal;
    struct kc_wait wait;
    set_rpm(f->ledger, 1);
    assert_int_equal(kc_lease_acquire(f->ledger, &r, &lease, &refusal), KC_OK);
    assert_int_equal(kc_lease_settle(&lease, KC_DONE, NULL), KC_OK);
    assert_int_equal(kc_lease_acquire(f->ledger, &r, &second, &refusal),
                     KC_ELIMITED);
    assert_true(refusal.wait_ms >= 60000 && refusal.wait_ms < 60100);
    assert_int_equal(
        kc_wait_init(&wait, f->ledger, &r, 4, 120000, &refusal), KC_OK);
    assert_false(kc_wait_done(&wait));
    kc_runtime_advance(f->rt, f->clock, 59000);
    assert_false(kc_wait_done(&wait));
    kc_runtime_advance(f->rt, f->clock, 1100);
    assert_true(kc_wait_done(&wait));
    assert_int_equal(kc_runtime_next_ready(f->rt), wait.ready.id);
    assert_int_equal(kc_wait_take(&wait, &second, &refusal), KC_OK);
    kc_wait_deinit(&wait);
    kc_lease_deinit(&second);
    kc_lease_deinit(&lease);
}

static void a_wait_that_cannot_end_in_time_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct kc_request r = {.model = "m"};
    struct kc_lease lease;
    struct kc_refusal refusal;
    struct kc_wait wait;
    set_rpm(f->ledger, 1);
    assert_int_equal(kc_lease_acquire(f->ledger, &r, &lease, &refusal), KC_OK);
    assert_int_equal(kc_lease_settle(&lease, KC_DONE, NULL), KC_OK);
    assert_int_equal(kc_wait_init(&wait, f->ledger, &r, 4, 10000, &refusal),
                     KC_ELIMITED);
    assert_true(refusal.wait_ms >= 60000 && refusal.wait_ms < 60100);
    kc_lease_deinit(&lease);
}

static void a_grant_that_nobody_takes_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct kc_request r = {.model = "m", .tokens = 7};
    struct kc_refusal refusal;
    struct kc_wait wait;
    assert_int_equal(kc_wait_init(&wait, f->ledger, &r, 4, 0, &refusal),
                     KC_OK);
    assert_true(kc_wait_done(&wait));
    assert_int_equal(minute(f->ledger, KC_TOKENS), 7);
    kc_wait_deinit(&wait);
    assert_int_equal(minute(f->ledger, KC_TOKENS), 0);
    assert_int_equal(minute(f->ledger, KC_REQUESTS), 0);
}

static void closing_refuses_those_who_wait(void **state)
{
    struct fixture *f = *state;
    struct kc_request r = {.model = "m"};
    struct kc_lease lease, none;
    struct kc_refusal refusal;
    struct kc_wait wait;
    set_rpm(f->ledger, 1);
    assert_int_equal(kc_lease_acquire(f->ledger, &r, &lease, &refusal), KC_OK);
    assert_int_equal(kc_wait_init(&wait, f->ledger, &r, 4, 90000, &refusal),
                     KC_OK);
    kc_ledger_close(f->ledger);
    assert_true(kc_wait_done(&wait));
    assert_int_equal(kc_wait_take(&wait, &none, &refusal), KC_ECLOSED);
    kc_wait_deinit(&wait);
    assert_int_equal(kc_lease_acquire(f->ledger, &r, &none, &refusal),
                     KC_ECLOSED);
    assert_int_equal(kc_lease_settle(&lease, KC_NOT_SENT, NULL), KC_OK);
    kc_lease_deinit(&lease);
}

static void a_second_run_knows_what_the_first_one_used(void **state)
{
    struct fixture *f = *state;
    char dir[] = "/tmp/keycycle-ledger-XXXXXX", url[128], *why;
    struct kc_writer *w;
    struct kc_request r = {.model = "m", .tokens = 100};
    struct kc_lease lease;
    struct kc_refusal refusal;
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof url, "sqlite:%s/usage.db", dir);
    assert_int_equal(kc_writer_open(url, 0, &w, &why), KC_OK);
    assert_int_equal(kc_ledger_attach(f->ledger, w, &why), KC_OK);
    assert_int_equal(kc_lease_acquire(f->ledger, &r, &lease, &refusal), KC_OK);
    struct kc_usage usage = {.input = 11, .output = 22};
    assert_int_equal(kc_lease_settle(&lease, KC_DONE, &usage), KC_OK);
    kc_lease_deinit(&lease);
    assert_int_equal(kc_lease_acquire(f->ledger, &r, &lease, &refusal), KC_OK);
    assert_int_equal(kc_writer_close(w, 5000), 0); /* one is in flight */
    kc_lease_deinit(&lease);
    kc_writer_unref(w);

    struct kc_ledger *second = new_ledger(f);
    assert_int_equal(kc_writer_open(url, 0, &w, &why), KC_OK);
    assert_int_equal(kc_ledger_attach(second, w, &why), KC_OK);
    assert_int_equal(minute(second, KC_REQUESTS), 2);
    assert_int_equal(minute(second, KC_TOKENS), 133);
    kc_writer_unref(w);
    kc_ledger_unref(second);
    char path[160];
    const char *const names[] = {"usage.db", "usage.db-wal", "usage.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_lease_settles_once),
        TEST(a_forgotten_lease_stays_counted),
        TEST(a_wait_ends_when_the_clock_frees_a_key),
        TEST(a_wait_that_cannot_end_in_time_is_refused_at_once),
        TEST(a_grant_that_nobody_takes_is_given_back),
        TEST(closing_refuses_those_who_wait),
        TEST(a_second_run_knows_what_the_first_one_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
