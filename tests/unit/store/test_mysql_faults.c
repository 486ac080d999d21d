/* The MySQL driver beside a MariaDB that dies, restarts, or says nothing: it
 * never hangs, and knows what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/mysql_link.h"
#include "unit/store/mysql_fixture.h"
#include "util/clock.h"

#define SOON_MS 30000 /* below each bound, and far above what it takes */

/* -- a server that dies --------------------------------------------------- */

static void
a_server_that_died_in_a_transaction_has_written_none_of_it(void **state)
{
    (void)state;
    bool doubtful = true;
    struct kc_db *db = open_kc();
    make_table(db);
    ok(db, kc_db_begin(db, true));
    ok(db, insert(db, 1, "x"));
    mariadb_kill(server);
    assert_int_equal(insert(db, 2, "y"), KC_ESTORE);
    assert_non_null(strstr(kc_db_error(db), "lost"));
    assert_int_equal(kc_db_commit(db, &doubtful), KC_ESTORE);
    assert_false(doubtful);
    assert_int_equal(kc_db_begin(db, true), KC_ESTORE);
    assert_non_null(strstr(kc_db_error(db), "cannot be reached"));
    kc_db_rollback(db);
    assert_int_equal(mariadb_again(server), 0);
    ok(db, kc_db_begin(db, true));
    ok(db, insert(db, 3, "z"));
    ok(db, kc_db_commit(db, &doubtful));
    assert_int_equal(count(db), 1);
    kc_db_close(db);
}

static void who_was_idle_while_the_server_restarted_begins_anew(void **state)
{
    (void)state;
    bool doubtful;
    struct kc_db *db = open_url(mariadb_url(server, "kc?ssl=true"));
    make_table(db);
    mariadb_kill(server);
    assert_int_equal(mariadb_again(server), 0);
    ok(db, kc_db_begin(db, true));
    ok(db, insert(db, 1, "x"));
    ok(db, kc_db_commit(db, &doubtful));
    kc_db_close(db);
}

static void *kill_soon(void *ctx)
{
    (void)ctx;
    usleep(20000);
    mariadb_kill(server);
    return NULL;
}

static void a_server_that_dies_at_the_commit_leaves_it_in_doubt(void **state)
{
    (void)state;
    bool doubtful = false;
    pthread_t killer;
    struct kc_db *db = open_kc();
    make_table(db);
    ok(db, kc_db_begin(db, true));
    ok(db, insert(db, 1, "x"));
    mariadb_pause(server);
    assert_int_equal(pthread_create(&killer, NULL, kill_soon, NULL), 0);
    assert_int_equal(kc_db_commit(db, &doubtful), KC_ESTORE);
    assert_true(doubtful);
    pthread_join(killer, NULL);
    assert_int_equal(mariadb_again(server), 0);
    ok(db, kc_db_begin(db, true));
    kc_db_rollback(db);
    kc_db_close(db);
}

/* -- a server that is silent ---------------------------------------------- */

static void init_link(struct kc_link *l, const char *url)
{
    struct kc_storeurl u;
    char words[500];
    assert_int_equal(kc_storeurl_parse(url, &u, words, sizeof words), KC_OK);
    assert_int_equal(kc_link_init(l, &u), KC_OK);
}

static void a_statement_ends_when_its_time_is_over(void **state)
{
    (void)state;
    static const char slow[] = "SELECT SLEEP(60)";
    struct kc_link l;
    init_link(&l, mariadb_url(server, "kc"));
    assert_int_equal(kc_link_connect(&l), KC_OK);
    l.url.statement_ms = 30;
    uint64_t from = kc_mono_ms();
    assert_int_equal(kc_link_run(&l, slow, sizeof slow - 1, NULL, NULL, NULL),
                     KC_ESTORE);
    assert_in_range(kc_mono_ms() - from, 30, SOON_MS);
    assert_non_null(strstr(l.words, "does not answer in time"));
    assert_null(l.my);
    kc_link_deinit(&l);
}

static void an_answer_that_stops_half_way_ends_in_time_too(void **state)
{
    (void)state;
    static const char sql[] = "SELECT 1 UNION ALL SELECT SLEEP(60)";
    struct kc_link l;
    init_link(&l, mariadb_url(server, "kc?ssl=1"));
    assert_int_equal(kc_link_connect(&l), KC_OK);
    l.url.statement_ms = 30;
    assert_int_equal(kc_link_run(&l, sql, sizeof sql - 1, NULL, NULL, NULL),
                     KC_ESTORE);
    assert_null(l.my);
    kc_link_deinit(&l);
}

/* A server of our own: a socket that listens, and is as silent as we like. */
static int listen_anywhere(unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 &&
                listen(fd, 4) == 0 &&
                getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void a_server_that_never_greets_is_given_up(void **state)
{
    (void)state;
    char url[200];
    unsigned port;
    int fd = listen_anywhere(&port);
    snprintf(url, sizeof url,
             "mysql://kc:kcpw@127.0.0.1:%u/kc?connect_timeout=0.03", port);
    struct kc_db *db = open_url(url);
    uint64_t from = kc_mono_ms();
    assert_int_equal(kc_db_begin(db, true), KC_ESTORE);
    assert_in_range(kc_mono_ms() - from, 30, SOON_MS);
    assert_non_null(strstr(kc_db_error(db), "does not answer in time"));
    kc_db_close(db);
    close(fd);
}

static void *interrupt_soon(void *ctx)
{
    usleep(20000);
    kc_db_interrupt(ctx);
    return NULL;
}

static void a_statement_can_be_interrupted_by_another_thread(void **state)
{
    (void)state;
    bool doubtful;
    pthread_t other;
    struct kc_db *db = open_kc();
    ok(db, kc_db_begin(db, true));
    mariadb_pause(server);
    uint64_t from = kc_mono_ms();
    assert_int_equal(pthread_create(&other, NULL, interrupt_soon, db), 0);
    assert_int_equal(kc_db_exec(db, "SELECT 1", NULL), KC_ECLOSED);
    assert_in_range(kc_mono_ms() - from, 0, SOON_MS);
    pthread_join(other, NULL);
    assert_int_equal(kc_db_commit(db, &doubtful), KC_ESTORE);
    assert_int_equal(kc_db_begin(db, true), KC_ECLOSED);
    assert_int_equal(kc_db_exec(db, "SELECT 1", NULL), KC_ECLOSED);
    kc_db_close(db);
    mariadb_resume(server);
}

struct half { /* a server that greets, and is silent once TLS should begin */
    int listens;
    struct kc_db *db;
};

static void *greet_and_interrupt(void *ctx)
{
    struct half *h = ctx;
    static const unsigned char greeting[] = "\x4a\0\0\0\x0a"
                                            "8.0.30\0"
                                            "\x01\0\0\0"
                                            "12345678\0"
                                            "\xff\xff\x2d\x02\0\xff\xdf\x15"
                                            "\0\0\0\0\0\0\0\0\0\0"
                                            "123456789012\0"
                                            "mysql_native_password";
    char bytes[512];
    int fd = accept(h->listens, NULL, NULL);
    assert_int_equal(write(fd, greeting, sizeof greeting), sizeof greeting);
    /* The wish for TLS, and at least the head of the client's hello. */
    for (ssize_t n = 0, got = 1; n < 37 && got > 0; n += got)
        got = read(fd, bytes, sizeof bytes);
    kc_db_interrupt(h->db);
    while (read(fd, bytes, sizeof bytes) > 0)
        ;
    close(fd);
    return NULL;
}

static void a_handshake_can_be_interrupted(void **state)
{
    (void)state;
    char url[200];
    unsigned port;
    pthread_t other;
    struct half h = {.listens = listen_anywhere(&port)};
    snprintf(url, sizeof url,
             "mysql://kc:kcpw@127.0.0.1:%u/kc?ssl=true&connect_timeout=60",
             port);
    h.db = open_url(url);
    assert_int_equal(pthread_create(&other, NULL, greet_and_interrupt, &h), 0);
    uint64_t from = kc_mono_ms();
    assert_int_equal(kc_db_begin(h.db, true), KC_ECLOSED);
    assert_in_range(kc_mono_ms() - from, 0, SOON_MS);
    pthread_join(other, NULL);
    kc_db_close(h.db);
    close(h.listens);
}

/* -- fork ----------------------------------------------------------------- */

static void a_child_that_forgets_leaves_the_session_to_its_parent(void **state)
{
    (void)state;
    bool doubtful;
    int status = -1;
    struct kc_db *db = open_url(mariadb_url(server, "kc?ssl=true"));
    make_table(db);
    ok(db, kc_db_begin(db, true));
    ok(db, insert(db, 1, "x"));
    pid_t child = fork();
    if (child == 0) {
        kc_db_forget(db);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    ok(db, insert(db, 2, "y"));
    ok(db, kc_db_commit(db, &doubtful));
    assert_int_equal(count(db), 2);
    kc_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_server_that_died_in_a_transaction_has_written_none_of_it),
        cmocka_unit_test(who_was_idle_while_the_server_restarted_begins_anew),
        cmocka_unit_test(a_server_that_dies_at_the_commit_leaves_it_in_doubt),
        cmocka_unit_test(a_statement_ends_when_its_time_is_over),
        cmocka_unit_test(an_answer_that_stops_half_way_ends_in_time_too),
        cmocka_unit_test(a_server_that_never_greets_is_given_up),
        cmocka_unit_test(a_statement_can_be_interrupted_by_another_thread),
        cmocka_unit_test(a_handshake_can_be_interrupted),
        cmocka_unit_test(a_child_that_forgets_leaves_the_session_to_its_parent),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
