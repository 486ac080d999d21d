/* URLs of MySQL stores: what people write is read, what is wrong is said
 * without a password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/storeurl.h"

static char words[600];

static struct kc_storeurl parse(const char *url)
{
    struct kc_storeurl u;
    if (kc_storeurl_parse(url, &u, words, sizeof words) != KC_OK)
        fail_msg("%s: %s", url, words);
    return u;
}

/* `said` must be in the words, and "secret" must not. */
static void refuse(const char *url, const char *said)
{
    struct kc_storeurl u;
    static const struct kc_storeurl wiped;
    assert_int_equal(kc_storeurl_parse(url, &u, words, sizeof words),
                     KC_EBADURL);
    if (!strstr(words, said) || strstr(words, "secret"))
        fail_msg("%s: %s", url, words);
    assert_memory_equal(&u, &wiped, sizeof u);
}

static void all_parts_are_read(void **state)
{
    (void)state;
    struct kc_storeurl u = parse("mysql://me:secret@db.example:4000/usage");
    assert_string_equal(u.user, "me");
    assert_string_equal(u.password, "secret");
    assert_string_equal(u.host, "db.example");
    assert_int_equal(u.port, 4000);
    assert_string_equal(u.database, "usage");
    assert_string_equal(u.socket, "");
    assert_int_equal(u.tls, KC_STORE_TLS_OFF);
    assert_int_equal(u.connect_ms, KC_CONNECT_MS);
    assert_int_equal(u.statement_ms, KC_STATEMENT_MS);
}

static void what_is_left_out_has_a_default(void **state)
{
    (void)state;
    struct kc_storeurl u = parse("mariadb:///usage");
    assert_string_equal(u.user, "");
    assert_string_equal(u.password, "");
    assert_string_equal(u.host, "localhost");
    assert_int_equal(u.port, 3306);
    u = parse("mysql://me@:3307/usage");
    assert_string_equal(u.user, "me");
    assert_string_equal(u.host, "localhost");
    assert_int_equal(u.port, 3307);
    u = parse("mysql://me:@db/usage?");
    assert_string_equal(u.password, "");
}

static void the_drivers_of_SQLAlchemy_are_taken_for_what_they_are(void **state)
{
    (void)state;
    static const char *const schemes[] = {
        "mysql",         "mysql+pymysql",           "mysql+mysqlconnector",
        "mysql+mysqldb", "mysql+mariadbconnector",  "mariadb",
        "MySQL+PyMySQL", "mariadb+mariadbconnector"};
    char url[80];
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        strcpy(url, schemes[i]);
        assert_true(kc_storeurl_is_mysql(strcat(url, "://u:p@h/d")));
        assert_string_equal(parse(url).database, "d");
    }
    assert_false(kc_storeurl_is_mysql("sqlite:usage.db"));
    assert_false(kc_storeurl_is_mysql("mysqlx://h/d"));
    assert_false(kc_storeurl_is_mysql("mysql+://h/d"));
    assert_true(kc_storeurl_is_mysql("mysql:h"));
    assert_false(kc_storeurl_is_mysql("mysql"));
    assert_false(kc_storeurl_is_mysql("mysql+py-mysql://h/d"));
    assert_false(kc_storeurl_is_mysql("my"));
    assert_false(kc_storeurl_is_mysql("postgresql://h/d"));
}

static void each_part_may_be_escaped(void **state)
{
    (void)state;
    struct kc_storeurl u =
        parse("mysql://m%40e:%3a%40%2F%3f%23%25%20+@h%2eexample/us%61ge"
              "?ssl_ca=%2Fca%20s.pem");
    assert_string_equal(u.user, "m@e");
    assert_string_equal(u.password, ":@/?#% +");
    assert_string_equal(u.host, "h.example");
    assert_string_equal(u.database, "usage");
    assert_string_equal(u.ca, "/ca s.pem");
}

static void
a_colon_or_an_at_in_a_password_needs_no_escape_before_the_host(void **state)
{
    (void)state;
    struct kc_storeurl u = parse("mysql://me:a:b@c@host:1/d");
    assert_string_equal(u.password, "a:b@c");
    assert_string_equal(u.host, "host");
    u = parse("mysql://me:\xc3\xa4 b@host/d");
    assert_string_equal(u.password, "\xc3\xa4 b");
}

static void an_address_of_IPv6_stands_in_brackets(void **state)
{
    (void)state;
    struct kc_storeurl u = parse("mysql://me@[::1]:4000/d");
    assert_string_equal(u.host, "::1");
    assert_int_equal(u.port, 4000);
    refuse("mysql://me:secret@[::1/d", "no ']'");
    refuse("mysql://me:secret@[]/d", "host");
    refuse("mysql://me:secret@[::1]x/d", "port");
    refuse("mysql://me:secret@::1/d", "port");
}

static void options_are_read(void **state)
{
    (void)state;
    struct kc_storeurl u =
        parse("mysql://h/d?unix_socket=/run/m.sock&connect_timeout=2.5"
              "&&read_timeout=30&charset=utf8mb4");
    assert_string_equal(u.socket, "/run/m.sock");
    assert_int_equal(u.connect_ms, 2500);
    assert_int_equal(u.statement_ms, 30000);
    assert_string_equal(parse("mysql://h/d?socket=/s").socket, "/s");
    assert_int_equal(parse("mysql://h/d?charset=utf8").port, 3306);
}

static enum kc_store_tls tls(const char *options)
{
    char url[200] = "mysql://h/d?";
    return parse(strcat(url, options)).tls;
}

static void TLS_is_as_strict_as_the_strictest_option(void **state)
{
    (void)state;
    assert_int_equal(tls("ssl=true"), KC_STORE_TLS_REQUIRED);
    assert_int_equal(tls("ssl=0"), KC_STORE_TLS_OFF);
    assert_int_equal(tls("ssl_mode=disabled"), KC_STORE_TLS_OFF);
    assert_int_equal(tls("ssl_mode=PREFERRED"), KC_STORE_TLS_PREFERRED);
    assert_int_equal(tls("ssl-mode=REQUIRED"), KC_STORE_TLS_REQUIRED);
    assert_int_equal(tls("ssl_mode=VERIFY_CA"), KC_STORE_TLS_CA);
    assert_int_equal(tls("ssl_mode=VERIFY_IDENTITY"), KC_STORE_TLS_IDENTITY);
    assert_int_equal(tls("ssl_ca=/x"), KC_STORE_TLS_CA);
    assert_int_equal(tls("ssl_mode=REQUIRED&ssl_ca=/x"), KC_STORE_TLS_CA);
    assert_int_equal(tls("ssl_ca=/x&ssl_verify_cert=false"),
                     KC_STORE_TLS_REQUIRED);
    assert_int_equal(tls("ssl_cert=/x&ssl_key=/y"), KC_STORE_TLS_REQUIRED);
    assert_int_equal(tls("ssl_ca=/x&ssl_verify_cert=true"
                         "&ssl_verify_identity=true"),
                     KC_STORE_TLS_IDENTITY);
    assert_int_equal(tls("ssl_verify_cert=1"), KC_STORE_TLS_CA);
    assert_int_equal(tls("ssl_verify_identity=false"), KC_STORE_TLS_OFF);
    refuse("mysql://h/d?ssl_mode=DISABLED&ssl_ca=/x", "contradict");
    refuse("mysql://h/d?ssl=false&ssl_verify_cert=true", "contradict");
    refuse("mysql://h/d?ssl_mode=PREFERRED&ssl_verify_identity=1",
           "contradict");
}

static void what_is_wrong_is_said_and_never_with_the_password(void **state)
{
    (void)state;
    refuse("sqlite:x", "mysql://user:password@host");
    refuse("mysql:me:secret@h://d", "mysql://user:password@host");
    refuse("mysql:/me:secret@h/d", "mysql://user:password@host");
    refuse("mysql://me:secret@h", "database");
    refuse("mysql://me:secret@h/", "database");
    refuse("mysql://me:secret@h/a/b", "database");
    refuse("mysql://me:secret@h?charset=utf8", "database");
    refuse("mysql://me:secret@h:0/d", "port");
    refuse("mysql://me:secret@h:65536/d", "port");
    refuse("mysql://me:secret@h:99999999999999999999/d", "port");
    refuse("mysql://me:secret@h:/d", "port");
    refuse("mysql://me:secret@h,i/d", "one host");
    refuse("mysql://me:secret@h h/d", "host");
    refuse("mysql://me:secret%00@h/d", "control");
    refuse("mysql://me:secret\n@h/d", "control");
    refuse("mysql://me:secret@h/d%0a", "control");
    refuse("mysql://me:50%secret@h/d", "%25");
    refuse("mysql://me:secret%4@h/d", "%25");
    refuse("mysql://me:secret@h/d#x", "%23");
    refuse("mysql://me:secret@h/d?pool_size=5", "option pool_size");
    refuse("mysql://me:secret@h/d?charset=latin1", "utf8mb4");
    refuse("mysql://me:secret@h/d?ssl=maybe", "neither true nor false");
    refuse("mysql://me:secret@h/d?ssl_mode=secret", "VERIFY_CA");
    refuse("mysql://me:secret@h/d?connect_timeout=soon", "seconds");
    refuse("mysql://me:secret@h/d?read_timeout=-1", "seconds");
    refuse("mysql://me:secret@h/d?read_timeout=nan", "seconds");
    refuse("mysql://me:secret@h/d?ssl_ca=", "empty");
    refuse("mysql://me:secret@h/d?secret", "without '='");
    refuse("mysql://me:secret@h/d?"
           "a_very_long_name_that_no_option_has_secret=1",
           "cannot be read");
}

static void
a_password_that_breaks_the_URL_is_not_taken_for_something_else(void **state)
{
    (void)state;
    refuse("mysql://me:sec/ret@h/d", "%2F");
    refuse("mysql://me:1/secret@h/d", "%2F");
    refuse("mysql://me:1?secret=1@h/d", "%3F");
    refuse("mysql://me:1/d?secret=1@h/d", "%3F");
    refuse("mysql://me:1#secret@h/d", "%23");
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    char url[1200];
    strcpy(url, "mysql://me:");
    memset(url + 11, 'x', 600);
    strcpy(url + 611, "@h/d");
    refuse(url, "password in the store's URL is too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_are_read),
        cmocka_unit_test(what_is_left_out_has_a_default),
        cmocka_unit_test(the_drivers_of_SQLAlchemy_are_taken_for_what_they_are),
        cmocka_unit_test(each_part_may_be_escaped),
        cmocka_unit_test(
            a_colon_or_an_at_in_a_password_needs_no_escape_before_the_host),
        cmocka_unit_test(an_address_of_IPv6_stands_in_brackets),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(TLS_is_as_strict_as_the_strictest_option),
        cmocka_unit_test(what_is_wrong_is_said_and_never_with_the_password),
        cmocka_unit_test(
            a_password_that_breaks_the_URL_is_not_taken_for_something_else),
        cmocka_unit_test(what_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
