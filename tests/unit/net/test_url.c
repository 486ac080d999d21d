/* URLs: what is unusual is refused, loopback is nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/url.h"

static void scheme_host_and_port_are_read(void **state)
{
    (void)state;
    struct kc_url u;
    assert_int_equal(kc_url_parse("https://API.openai.com/v1?x=1", &u), KC_OK);
    assert_string_equal(u.scheme, "https");
    assert_string_equal(u.host, "api.openai.com");
    assert_int_equal(u.port, 443);
    assert_int_equal(kc_url_parse("HTTP://[::1]:8080#x", &u), KC_OK);
    assert_string_equal(u.scheme, "http");
    assert_string_equal(u.host, "::1");
    assert_int_equal(u.port, 8080);
    assert_int_equal(kc_url_parse("http://a", &u), KC_OK);
    assert_int_equal(u.port, 80);
}

static void what_could_be_two_hosts_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "api.openai.com", "ftp://a/", "file:///etc/passwd", "https://",
        "https:///x", "https://user@a/", "https://user:pw@a/",
        "http://127.0.0.1@evil.example/", "https://a b/", "https://a\r\n/",
        "https://a\\@b/", "https://a:0/", "https://a:65536/", "https://a:/",
        "https://a:8x/", "https://[::1/", "https://[::1]x/", "https://[zz]/",
        "https://\xc3\xa4.example/", "https://a%2eb/", "//a/",
    };
    struct kc_url u;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (kc_url_parse(bad[i], &u) == KC_OK)
            fail_msg("took %s for a URL", bad[i]);
    }
}

static bool loopback(const char *url)
{
    struct kc_url u;
    assert_int_equal(kc_url_parse(url, &u), KC_OK);
    return kc_url_is_loopback(&u);
}

static void loopback_is_this_machine_and_nothing_else(void **state)
{
    (void)state;
    assert_true(loopback("http://127.0.0.1:80/"));
    assert_true(loopback("http://127.200.3.4/"));
    assert_true(loopback("http://[::1]/"));
    assert_true(loopback("http://LOCALHOST/"));
    assert_true(loopback("http://mock.localhost/"));
    assert_false(loopback("http://127.0.0.1.evil.example/"));
    assert_false(loopback("http://localhost.evil.example/"));
    assert_false(loopback("http://evil-localhost/"));
    assert_false(loopback("http://10.0.0.1/"));
    assert_false(loopback("http://[::2]/"));
    assert_false(loopback("http://0.0.0.0/"));
    assert_false(loopback("http://127.1/"));
}

static void an_origin_is_scheme_host_and_port(void **state)
{
    (void)state;
    struct kc_url a, b;
    assert_int_equal(kc_url_parse("https://A.example/x", &a), KC_OK);
    assert_int_equal(kc_url_parse("https://a.example:443/y", &b), KC_OK);
    assert_true(kc_url_same_origin(&a, &b));
    assert_int_equal(kc_url_parse("http://a.example:443/", &b), KC_OK);
    assert_false(kc_url_same_origin(&a, &b));
    assert_int_equal(kc_url_parse("https://b.example/", &b), KC_OK);
    assert_false(kc_url_same_origin(&a, &b));
}

static void escaping_leaves_the_unreserved(void **state)
{
    (void)state;
    struct kc_buf out;
    kc_buf_init(&out, 100);
    assert_int_equal(kc_url_escape(&out, "aZ9-._~ /?&=%\xc3\xa4"), KC_OK);
    assert_string_equal(kc_buf_str(&out), "aZ9-._~%20%2F%3F%26%3D%25%C3%A4");
    kc_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scheme_host_and_port_are_read),
        cmocka_unit_test(what_could_be_two_hosts_is_refused),
        cmocka_unit_test(loopback_is_this_machine_and_nothing_else),
        cmocka_unit_test(an_origin_is_scheme_host_and_port),
        cmocka_unit_test(escaping_leaves_the_unreserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
