/* The MySQL driver beside a real MariaDB, whose defaults are as unlike ours as
 * they can be: what it stores, what it says, and that it never hangs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/mysql.h"

#ifdef KC_HAVE_MYSQL

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/mysql_link.h"
#include "support/mariadb.h"
#include "util/clock.h"

#define SOON_MS 5000 /* far below each bound, far above what it takes */

static struct mariadb *server;

static int start_server(void **state)
{
    (void)state;
    server = mariadb_open("--sql-mode=NO_BACKSLASH_ESCAPES,ANSI_QUOTES "
                          "--autocommit=0 --character-set-server=latin1");
    return server ? 0 : -1;
}

static int stop_server(void **state)
{
    (void)state;
    if (server)
        mariadb_close(server);
    return 0;
}

static struct kc_db *open_url(const char *url)
{
    struct kc_db *db = NULL;
    char words[500];
    if (kc_mysql_open(url, &db, words, sizeof words) != KC_OK)
        fail_msg("%s: %s", url, words);
    return db;
}

static struct kc_db *open_db(void)
{
    return open_url(mariadb_url(server, ""));
}

#define ok(db, call)                           \
    do {                                       \
        if ((call) != KC_OK)                   \
            fail_msg("%s", kc_db_error((db))); \
    } while (0)

static void do_sql(struct kc_db *db, const char *sql)
{
    int64_t changed;
    ok(db, kc_db_exec(db, sql, &changed));
}

struct found {
    size_t rows;
    int64_t number;
    bool is_text;
    char text[2000];
};

static int keep_row(void *ctx, const struct kc_value *columns, size_t n)
{
    struct found *f = ctx;
    assert_int_equal(n, 1);
    f->rows++;
    f->number = columns[0].number;
    f->is_text = columns[0].text != NULL;
    snprintf(f->text, sizeof f->text, "%s", f->is_text ? columns[0].text : "");
    return KC_OK;
}

static struct found look(struct kc_db *db, const char *sql)
{
    struct found f = {0};
    ok(db, kc_db_query(db, sql, NULL, 0, keep_row, &f, NULL));
    return f;
}

static void make_table(struct kc_db *db)
{
    do_sql(db, "DROP TABLE IF EXISTS t");
    do_sql(db, "CREATE TABLE t (id BIGINT PRIMARY KEY,"
               " s VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)"
               " ENGINE=InnoDB");
}

static int insert(struct kc_db *db, int64_t id, const char *text)
{
    struct kc_value params[] = {{.number = id}, {.text = text}};
    return kc_db_query(db, "INSERT INTO t VALUES (?, ?)", params, 2, NULL, NULL,
                       NULL);
}

static int64_t count(struct kc_db *db)
{
    return look(db, "SELECT COUNT(*) FROM t").number;
}

/* -- what is stored ------------------------------------------------------- */

static void what_is_committed_stays_and_what_is_rolled_back_goes(void **state)
{
    (void)state;
    bool doubtful = true;
    struct kc_db *db = open_db();
    make_table(db);
    ok(db, kc_db_begin(db, true));
    ok(db, insert(db, 1, "one"));
    ok(db, kc_db_commit(db, &doubtful));
    assert_false(doubtful);
    ok(db, kc_db_begin(db, true));
    ok(db, insert(db, 2, "two"));
    kc_db_rollback(db);
    kc_db_rollback(db);
    ok(db, insert(db, 3, "alone"));
    kc_db_close(db);
    db = open_db();
    assert_int_equal(count(db), 2);
    assert_int_equal(kc_db_commit(db, &doubtful), KC_EINVALID);
    kc_db_close(db);
}

static void texts_and_numbers_come_back_as_they_went(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "it's",
                                        "''",
                                        "\\",
                                        "\\'",
                                        "end\\",
                                        "\"quoted\"",
                                        "a\nb\r\tc",
                                        "\x1a",
                                        "?",
                                        "`x`",
                                        "100%_",
                                        "\xf0\x9f\x98\x80 \xc3\xa4",
                                        "-- x",
                                        "'; DROP TABLE t; --",
                                        "\x01\x02\x7f"};
    static const int64_t numbers[] = {0, -1, INT64_MAX, INT64_MIN};
    struct kc_db *db = open_db();
    make_table(db);
    struct found f = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct kc_value v = {.text = texts[i]};
        ok(db, insert(db, (int64_t)i, texts[i]));
        ok(db,
           kc_db_query(db, "SELECT s FROM t WHERE s = ? AND '?' <> \"?\\\"\"",
                       &v, 1, keep_row, &f, NULL));
        assert_int_equal(f.rows, i + 1);
        assert_string_equal(f.text, texts[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        do_sql(db, "DELETE FROM t");
        ok(db, insert(db, numbers[i], "n"));
        f = look(db, "SELECT id FROM t");
        assert_true(f.number == numbers[i] && !f.is_text);
    }
    kc_db_close(db);
}

static void sums_are_numbers_and_nothing_is_zero(void **state)
{
    (void)state;
    struct kc_db *db = open_db();
    make_table(db);
    struct found f = look(db, "SELECT SUM(id) FROM t");
    assert_true(f.rows == 1 && f.number == 0 && !f.is_text);
    ok(db, insert(db, INT64_MAX - 1, "x"));
    ok(db, insert(db, 1, "y"));
    assert_true(look(db, "SELECT SUM(id) FROM t").number == INT64_MAX);
    ok(db, insert(db, INT64_MAX, "z"));
    assert_true(look(db, "SELECT SUM(id) FROM t").number == INT64_MAX);
    assert_true(look(db, "SELECT CAST(-1 AS UNSIGNED)").number == INT64_MAX);
    kc_db_close(db);
}

static void changed_counts_the_rows_that_matched(void **state)
{
    (void)state;
    int64_t changed = -1;
    struct kc_db *db = open_db();
    make_table(db);
    ok(db, insert(db, 1, "same"));
    ok(db, kc_db_exec(db, "UPDATE t SET s = 'same' WHERE id = 1", &changed));
    assert_int_equal(changed, 1);
    ok(db, kc_db_exec(db, "UPDATE t SET s = 'same' WHERE id = 2", &changed));
    assert_int_equal(changed, 0);
    ok(db, kc_db_exec(db, "SELECT id FROM t", &changed));
    assert_int_equal(changed, 0);
    kc_db_close(db);
}

static void the_dialect_is_what_the_server_speaks(void **state)
{
    (void)state;
    char sql[200];
    struct kc_db *db = open_db();
    const struct kc_dialect *d = db->ops->dialect;
    make_table(db);
    snprintf(sql, sizeof sql, "INSERT INTO t VALUES (1, 'new')%ss = %ss%s",
             d->on_conflict, d->proposed_head, d->proposed_tail);
    ok(db, insert(db, 1, "old"));
    do_sql(db, sql);
    assert_string_equal(look(db, "SELECT s FROM t").text, "new");
    snprintf(sql, sizeof sql, "%s INTO t VALUES (1, 'again')",
             d->insert_ignore);
    do_sql(db, sql);
    assert_string_equal(look(db, "SELECT s FROM t").text, "new");
    kc_db_close(db);
}

static int stop_at_two(void *ctx, const struct kc_value *columns, size_t n)
{
    size_t *rows = ctx;
    (void)columns;
    (void)n;
    return ++*rows == 2 ? KC_EEND : KC_OK;
}

static void who_reads_may_stop_and_go_on_with_the_transaction(void **state)
{
    (void)state;
    size_t rows = 0;
    bool doubtful;
    struct kc_db *db = open_db();
    make_table(db);
    ok(db, kc_db_begin(db, true));
    for (int64_t i = 0; i < 10; i++)
        ok(db, insert(db, i, "x"));
    assert_int_equal(
        kc_db_query(db, "SELECT id FROM t", NULL, 0, stop_at_two, &rows, NULL),
        KC_EEND);
    assert_int_equal(rows, 2);
    assert_int_equal(count(db), 10);
    ok(db, kc_db_commit(db, &doubtful));
    kc_db_close(db);
}

static void a_reader_sees_one_instant(void **state)
{
    (void)state;
    bool doubtful;
    struct kc_db *a = open_db(), *b = open_db();
    make_table(a);
    ok(a, insert(a, 1, "x"));
    ok(b, kc_db_begin(b, false));
    ok(a, insert(a, 2, "y"));
    assert_int_equal(count(b), 1);
    ok(b, kc_db_commit(b, &doubtful));
    assert_int_equal(count(b), 2);
    kc_db_close(a);
    kc_db_close(b);
}

/* -- what is refused ------------------------------------------------------ */

static void bad_data_is_refused_and_costs_nothing_else(void **state)
{
    (void)state;
    char long_text[200];
    bool doubtful;
    struct kc_db *db = open_db();
    make_table(db);
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    ok(db, kc_db_begin(db, true));
    ok(db, insert(db, 1, "good"));
    assert_int_equal(insert(db, 2, long_text), KC_EINVALID);
    assert_int_equal(insert(db, 2, "\xff"), KC_EINVALID);
    assert_int_equal(insert(db, 1, "twice"), KC_EINVALID);
    assert_int_equal(
        kc_db_exec(db, "INSERT INTO t VALUES (9223372036854775808, '')", NULL),
        KC_EINVALID);
    assert_non_null(strstr(kc_db_error(db), "row is refused"));
    ok(db, insert(db, 2, "good"));
    ok(db, kc_db_commit(db, &doubtful));
    assert_int_equal(count(db), 2);
    struct kc_value v = {0};
    assert_int_equal(kc_db_query(db, "SELECT ?, ?", &v, 1, NULL, NULL, NULL),
                     KC_EINVALID);
    assert_int_equal(kc_db_query(db, "SELECT 1", &v, 1, NULL, NULL, NULL),
                     KC_EINVALID);
    kc_db_close(db);
}

static void a_missing_table_leaves_the_transaction_as_it_is(void **state)
{
    (void)state;
    bool doubtful;
    struct kc_db *db = open_db();
    make_table(db);
    ok(db, kc_db_begin(db, true));
    ok(db, insert(db, 1, "x"));
    assert_int_equal(kc_db_exec(db, "SELECT 1 FROM nowhere", NULL), KC_ESTORE);
    ok(db, kc_db_commit(db, &doubtful));
    assert_int_equal(count(db), 1);
    kc_db_close(db);
}

static void lock(struct kc_db *db, int64_t id)
{
    struct kc_value v = {.number = id};
    ok(db, kc_db_begin(db, true));
    ok(db, kc_db_query(db, "UPDATE t SET s = 'b' WHERE id = ?", &v, 1, NULL,
                       NULL, NULL));
}

static void a_lock_that_is_not_had_in_time_fails_the_transaction(void **state)
{
    (void)state;
    bool doubtful = true;
    struct kc_db *a = open_db();
    struct kc_db *b = open_url(mariadb_url(server, "?read_timeout=2"));
    make_table(a);
    ok(a, insert(a, 1, "a"));
    ok(a, insert(a, 2, "a"));
    lock(a, 1);
    lock(b, 2);
    do_sql(b, "SET SESSION innodb_lock_wait_timeout = 0");
    assert_int_equal(kc_db_exec(b, "UPDATE t SET s = 'c' WHERE id = 1", NULL),
                     KC_ESTORE);
    assert_non_null(strstr(kc_db_error(b), "holds a lock"));
    /* Else the rest of it would be written without what came before. */
    assert_int_equal(insert(b, 3, "c"), KC_ESTORE);
    assert_int_equal(kc_db_commit(b, &doubtful), KC_ESTORE);
    assert_false(doubtful);
    assert_non_null(strstr(kc_db_error(b), "holds a lock"));
    ok(a, kc_db_commit(a, &doubtful));
    ok(b, kc_db_begin(b, true));
    ok(b, insert(b, 3, "c"));
    ok(b, kc_db_commit(b, &doubtful));
    assert_int_equal(
        look(b, "SELECT COUNT(*) FROM t WHERE s = 'a' AND id = 2").number, 1);
    kc_db_close(a);
    kc_db_close(b);
}

/* The words of what a URL says when it connects. */
static const char *words_of(const char *url, char *out, size_t size)
{
    struct kc_db *db = open_url(url);
    assert_int_equal(kc_db_begin(db, true), KC_ESTORE);
    snprintf(out, size, "%s", kc_db_error(db));
    kc_db_close(db);
    return out;
}

static void who_cannot_connect_is_told_why_without_a_password(void **state)
{
    (void)state;
    char url[200], words[1100], port[16];
    snprintf(port, sizeof port, ":%u", mariadb_port(server));
    snprintf(url, sizeof url, "mysql://kc:secret@127.0.0.1%s/kc", port);
    words_of(url, words, sizeof words);
    assert_non_null(strstr(words, "user or password is refused"));
    assert_non_null(strstr(words, "user kc"));
    assert_non_null(strstr(words, port));
    assert_null(strstr(words, "secret"));
    snprintf(url, sizeof url, "mysql://kc:kcpw@127.0.0.1%s/nowhere", port);
    words_of(url, words, sizeof words);
    assert_non_null(strstr(words, "database nowhere"));
    assert_null(strstr(words, "kcpw"));
    words_of("mysql://kc:secret@127.0.0.1:1/kc", words, sizeof words);
    assert_non_null(strstr(words, "127.0.0.1:1"));
    assert_non_null(strstr(words, "cannot be reached"));
    assert_null(strstr(words, "secret"));
    words_of("mysql://kc:secret@[::1]:1/kc?unix_socket=/nowhere", words,
             sizeof words);
    assert_non_null(strstr(words, "/nowhere"));
}

static void a_bad_URL_is_refused_at_once(void **state)
{
    (void)state;
    struct kc_db *db;
    char words[500];
    assert_int_equal(
        kc_mysql_open("mysql://kc:secret@h", &db, words, sizeof words),
        KC_EBADURL);
    assert_null(db);
    assert_null(strstr(words, "secret"));
}

/* -- ways to the server --------------------------------------------------- */

static void a_unix_socket_serves_too(void **state)
{
    (void)state;
    char url[200];
    snprintf(url, sizeof url, "mysql://kc:kcpw@/kc?unix_socket=%s",
             mariadb_file(server, "socket"));
    struct kc_db *db = open_url(url);
    assert_int_equal(look(db, "SELECT 7").number, 7);
    kc_db_close(db);
}

static const char *tls_url(const char *host, const char *ca, const char *rest,
                           char out[300])
{
    snprintf(out, 300, "mysql://kc:kcpw@%s:%u/kc?%s%s%s", host,
             mariadb_port(server), rest, ca ? "&ssl_ca=" : "",
             ca ? mariadb_file(server, ca) : "");
    return out;
}

static void expect_tls(const char *url, bool encrypted)
{
    struct kc_db *db = open_url(url);
    struct found f = look(db, "SELECT VARIABLE_VALUE FROM"
                              " information_schema.SESSION_STATUS"
                              " WHERE VARIABLE_NAME = 'Ssl_cipher'");
    assert_int_equal(*f.text != '\0', encrypted);
    kc_db_close(db);
}

static void TLS_is_as_strict_as_the_URL_asks(void **state)
{
    (void)state;
    char url[300], words[1100];
    expect_tls(mariadb_url(server, ""), false);
    expect_tls(mariadb_url(server, "?ssl=true"), true);
    expect_tls(mariadb_url(server, "?ssl_mode=PREFERRED"), true);
    expect_tls(
        tls_url("localhost", "cert.pem", "ssl_verify_identity=true", url),
        true);
    words_of(tls_url("localhost", "other.pem", "ssl=1", url), words,
             sizeof words);
    assert_non_null(strstr(words, "TLS failed"));
    /* Not signed by anyone that this system knows. */
    words_of(tls_url("localhost", NULL, "ssl_verify_cert=true", url), words,
             sizeof words);
    assert_non_null(strstr(words, "TLS failed"));
    /* Made out for localhost alone. */
    words_of(tls_url("127.0.0.1", "cert.pem", "ssl_verify_identity=true", url),
             words, sizeof words);
    assert_non_null(strstr(words, "TLS failed"));
}

static void a_long_answer_comes_through_TLS_too(void **state)
{
    (void)state;
    struct kc_db *db = open_url(mariadb_url(server, "?ssl=true"));
    make_table(db);
    for (int64_t i = 0; i < 200; i++)
        ok(db,
           insert(db, i, "a text of some length, to fill what is buffered"));
    struct found f = {0};
    ok(db, kc_db_query(db,
                       "SELECT CONCAT(a.s, b.s, c.s) FROM t a, t b, t c"
                       " WHERE c.id < 2",
                       NULL, 0, keep_row, &f, NULL));
    assert_int_equal(f.rows, 200 * 200 * 2);
    kc_db_close(db);
}

/* -- a server that dies --------------------------------------------------- */

static void
a_server_that_died_in_a_transaction_has_written_none_of_it(void **state)
{
    (void)state;
    bool doubtful = true;
    struct kc_db *db = open_db();
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
    struct kc_db *db = open_url(mariadb_url(server, "?ssl=true"));
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
    struct kc_db *db = open_db();
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
    init_link(&l, mariadb_url(server, ""));
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
    init_link(&l, mariadb_url(server, "?ssl=1"));
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
    struct kc_db *db = open_db();
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
    struct kc_db *db = open_url(mariadb_url(server, "?ssl=true"));
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
        cmocka_unit_test(what_is_committed_stays_and_what_is_rolled_back_goes),
        cmocka_unit_test(texts_and_numbers_come_back_as_they_went),
        cmocka_unit_test(sums_are_numbers_and_nothing_is_zero),
        cmocka_unit_test(changed_counts_the_rows_that_matched),
        cmocka_unit_test(the_dialect_is_what_the_server_speaks),
        cmocka_unit_test(who_reads_may_stop_and_go_on_with_the_transaction),
        cmocka_unit_test(a_reader_sees_one_instant),
        cmocka_unit_test(bad_data_is_refused_and_costs_nothing_else),
        cmocka_unit_test(a_missing_table_leaves_the_transaction_as_it_is),
        cmocka_unit_test(a_lock_that_is_not_had_in_time_fails_the_transaction),
        cmocka_unit_test(who_cannot_connect_is_told_why_without_a_password),
        cmocka_unit_test(a_bad_URL_is_refused_at_once),
        cmocka_unit_test(a_unix_socket_serves_too),
        cmocka_unit_test(TLS_is_as_strict_as_the_URL_asks),
        cmocka_unit_test(a_long_answer_comes_through_TLS_too),
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

#else

static void a_build_without_the_client_says_so(void **state)
{
    (void)state;
    struct kc_db *db;
    char words[500];
    assert_int_equal(
        kc_mysql_open("mysql://kc:secret@h/d", &db, words, sizeof words),
        KC_ENOSTORE);
    assert_null(db);
    assert_non_null(strstr(words, "libmariadb-dev"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_build_without_the_client_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
