/* The MySQL driver beside a real MariaDB: what it stores, what it refuses, how
 * it gets there. */
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

#include "unit/store/mysql_fixture.h"

static void run(struct kc_db *db, const char *sql)
{
    ok(db, kc_db_exec(db, sql, NULL));
}

/* -- what is stored ------------------------------------------------------- */

static void what_is_committed_stays_and_what_is_rolled_back_goes(void **state)
{
    (void)state;
    bool doubtful = true;
    struct kc_db *db = open_kc();
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
    db = open_kc();
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
    struct kc_db *db = open_kc();
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
        run(db, "DELETE FROM t");
        ok(db, insert(db, numbers[i], "n"));
        f = look(db, "SELECT id FROM t");
        assert_true(f.number == numbers[i] && !f.is_text);
    }
    kc_db_close(db);
}

static void sums_are_numbers_and_nothing_is_zero(void **state)
{
    (void)state;
    struct kc_db *db = open_kc();
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
    struct kc_db *db = open_kc();
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
    struct kc_db *db = open_kc();
    const struct kc_dialect *d = db->ops->dialect;
    make_table(db);
    snprintf(sql, sizeof sql, "INSERT INTO t VALUES (1, 'new')%ss = %ss%s",
             d->on_conflict, d->proposed_head, d->proposed_tail);
    ok(db, insert(db, 1, "old"));
    run(db, sql);
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
    struct kc_db *db = open_kc();
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
    struct kc_db *a = open_kc(), *b = open_kc();
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
    struct kc_db *db = open_kc();
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
    struct kc_db *db = open_kc();
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
    struct kc_db *a = open_kc();
    struct kc_db *b = open_url(mariadb_url(server, "kc?read_timeout=2"));
    make_table(a);
    ok(a, insert(a, 1, "a"));
    ok(a, insert(a, 2, "a"));
    lock(a, 1);
    lock(b, 2);
    run(b, "SET SESSION innodb_lock_wait_timeout = 0");
    assert_int_equal(kc_db_exec(b, "UPDATE t SET s = 'c' WHERE id = 1", NULL),
                     KC_EAGAIN);
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
    /* No name has a part that long: no server is asked. */
    words_of(
        "mysql://kc:secret@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid/kc",
        words, sizeof words);
    assert_non_null(strstr(words, "cannot be resolved"));
    assert_null(strstr(words, "secret"));
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
    expect_tls(mariadb_url(server, "kc"), false);
    expect_tls(mariadb_url(server, "kc?ssl=true"), true);
    expect_tls(mariadb_url(server, "kc?ssl_mode=PREFERRED"), true);
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
    struct kc_db *db = open_url(mariadb_url(server, "kc?ssl=true"));
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
