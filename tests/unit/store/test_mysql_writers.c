/* Several writers of one MySQL store at the same time, each the other's worst
 * neighbour: they take what they share in opposite orders, and sum up their
 * spans all at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "store/store.h"
#include "unit/store/over_mysql.h"

#define WRITERS 4
#define ROUNDS 60
#define KEYS 6
#define MODELS 3
#define ROWS (KEYS * MODELS)
#define START_MS UINT64_C(1767225600000)
#define ROUND_MS UINT64_C(30000) /* so that spans are often to be summed up */

struct writer {
    pthread_t thread;
    pthread_barrier_t *together;
    const char *url;
    unsigned number;
    unsigned failures;
    char words[300];
};

static const char *const keys[KEYS] = {"k0", "k1", "k2", "k3", "k4", "k5"};
static const char *const models[] = {"m0", "m1", "m2", "m3", "m4", "m5", "m6"};

static void note(struct writer *w, struct kc_store *s, int err)
{
    if (err == KC_OK)
        return;
    w->failures++;
    snprintf(w->words, sizeof w->words, "%s: %s", kc_err_name(err),
             kc_store_error(s));
}

static int write_round(const struct writer *w, struct kc_store *s,
                       uint64_t round)
{
    struct kc_use_row uses[ROWS];
    struct kc_sum_row sums[ROWS];
    struct kc_kept_state states[KEYS];
    uint64_t now = START_MS + round * ROUND_MS;
    for (unsigned i = 0; i < ROWS; i++) {
        unsigned at = w->number % 2 ? i : ROWS - 1 - i;
        const char *key = keys[at % KEYS];
        const char *model = models[(at / KEYS + round) % 7];
        uses[i] = (struct kc_use_row){.provider = "p",
                                      .key = key,
                                      .model = model,
                                      .start_ms = now,
                                      .span_ms = KC_SPAN_MS,
                                      .last_ms = now + 1,
                                      .used = {.requests = 1}};
        sums[i] = (struct kc_sum_row){.provider = "p",
                                      .key = key,
                                      .model = model,
                                      .last_ms = now + 1,
                                      .used = {.requests = round + 1}};
    }
    for (unsigned i = 0; i < KEYS; i++) {
        states[i] = (struct kc_kept_state){
            .provider = "p",
            .row = {.model = "", .changed_ms = now + w->number}};
        snprintf(states[i].row.key, sizeof states[i].row.key, "%s",
                 keys[w->number % 2 ? i : KEYS - 1 - i]);
    }
    struct kc_batch b = {.now_ms = now,
                         .uses = uses,
                         .use_len = ROWS,
                         .sums = sums,
                         .sum_len = ROWS,
                         .states = states,
                         .state_len = KEYS};
    return kc_store_write(s, &b);
}

static void *run_writer(void *arg)
{
    struct writer *w = arg;
    struct kc_store *s = NULL;
    char *why = NULL;
    if (kc_store_open(w->url, 0, &s, &why) != KC_OK)
        fail_msg("%s", why);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t now = START_MS + i * ROUND_MS;
        pthread_barrier_wait(w->together);
        note(w, s, write_round(w, s, i));
        pthread_barrier_wait(w->together);
        note(w, s, kc_store_tend(s, now, now));
    }
    kc_store_close(s);
    return NULL;
}

static void nobody_fails_because_others_write_too(void **state)
{
    (void)state;
    struct writer writers[WRITERS];
    pthread_barrier_t together;
    char url[200];
    snprintf(url, sizeof url, "%s", mariadb_url(server, "kc"));
    pthread_barrier_init(&together, NULL, WRITERS);
    for (unsigned i = 0; i < WRITERS; i++) {
        struct writer *w = &writers[i];
        *w = (struct writer){.together = &together, .url = url, .number = i};
        assert_int_equal(pthread_create(&w->thread, NULL, run_writer, w), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    pthread_barrier_destroy(&together);
    for (unsigned i = 0; i < WRITERS; i++)
        if (writers[i].failures)
            fail_msg("writer %u failed %u times: %s", i, writers[i].failures,
                     writers[i].words);
    struct kc_db *db = open_kc();
    int64_t matched = 0;
    /* Each has written what it used once, in whatever rows that lies. */
    ok(db, kc_db_exec(db,
                      "UPDATE keycycle_writer AS w SET ended = 1 WHERE"
                      " (SELECT sum(requests) FROM keycycle_use AS u"
                      " WHERE u.writer = w.id) = 1080", /* ROUNDS * ROWS */
                      &matched));
    assert_int_equal(matched, WRITERS);
    kc_db_close(db);
}

/* It refuses transactions that lock as little as ours do else. */
static void a_server_that_logs_statements_is_written_to_as_well(void **state)
{
    (void)state;
    struct mariadb *logging =
        mariadb_open("--log-bin=log --server-id=1 --binlog-format=STATEMENT");
    assert_non_null(logging);
    struct kc_db *db = open_url(mariadb_url(logging, "kc"));
    bool doubtful;
    ok(db, kc_db_exec(db, "CREATE TABLE t (id INT PRIMARY KEY)", NULL));
    ok(db, kc_db_begin(db, true));
    ok(db, kc_db_exec(db, "INSERT INTO t VALUES (1)", NULL));
    ok(db, kc_db_commit(db, &doubtful));
    kc_db_close(db);
    mariadb_close(logging);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_fails_because_others_write_too),
        cmocka_unit_test(a_server_that_logs_statements_is_written_to_as_well),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
