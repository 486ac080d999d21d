/* Secrets: what may be shown of a key, and how it leaves a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "util/secret.h"

#define KEY "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXyZ7"

static struct kc_secret *make(const char *text)
{
    struct kc_secret *s;
    assert_int_equal(kc_secret_new(text, strlen(text), &s), KC_OK);
    return s;
}

static void check(const char *key, const char *text, const char *expected)
{
    struct kc_secret *s = make(key);
    struct kc_buf b;
    kc_buf_init(&b, 10000);
    assert_int_equal(kc_buf_addstr(&b, text), KC_OK);
    assert_int_equal(kc_secret_redact(s, &b), KC_OK);
    assert_string_equal(kc_buf_str(&b), expected);
    assert_int_equal(b.len, strlen(expected));
    kc_buf_deinit(&b);
    kc_secret_free(s);
}

static void refuses_what_would_break_a_header(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b", "key\n", "\tkey", "a\x7f"};
    struct kc_secret *s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(kc_secret_new(bad[i], strlen(bad[i]), &s),
                         KC_EINVALID);
        assert_null(s);
    }
    assert_int_equal(kc_secret_new("a\0b", 3, &s), KC_EINVALID);
    kc_secret_free(NULL);
}

static void keeps_the_key_and_shows_only_its_end(void **state)
{
    static const struct {
        const char *key, *suffix;
    } cases[] = {{"1234567", ""},
                 {"12345678", "78"},
                 {"12345678901", "01"},
                 {"123456789012", "9012"},
                 {"1234567890123456789", "6789"},
                 {"12345678901234567890", "567890"}};
    char suffix[KC_SUFFIX_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kc_secret *s = make(cases[i].key);
        assert_string_equal(kc_secret_get(s), cases[i].key);
        assert_int_equal(kc_secret_len(s), strlen(cases[i].key));
        kc_secret_suffix(s, suffix);
        assert_string_equal(suffix, cases[i].suffix);
        kc_secret_free(s);
    }
}

static void has_one_name_in_every_store(void **state)
{
    (void)state;
    char hash[33];
    struct kc_secret *s = make("sk-test-0123456789abcdef");
    kc_secret_hash(s, hash);
    assert_string_equal(hash, "751dd0f5d0a706caf3a49a37066dd33b");
    kc_secret_free(s);
}

static void blacks_out_the_whole_key(void **state)
{
    (void)state;
    check(KEY, "Incorrect API key provided: " KEY ".",
          "Incorrect API key provided: ***.");
    check(KEY, KEY KEY "\n" KEY, "******\n***");
    check(KEY, "{\"key\":\"" KEY "\"}", "{\"key\":\"***\"}");
    check(KEY, "nothing of it", "nothing of it");
    check(KEY, "", "");
}

static void blacks_out_pieces_of_eight(void **state)
{
    (void)state;
    check(KEY, "it ends in Uv1wXyZ7", "it ends in ***");
    check(KEY, "it ends in v1wXyZ7", "it ends in v1wXyZ7");
    check(KEY, "<Ef6hIj9kLm>", "<***>");
    check(KEY, "xAb3dEf6hx", "x***x");
    check("aaaaaaaab", "aaaaaaaaaab", "***aab");
}

static void blacks_out_a_masked_beginning(void **state)
{
    (void)state;
    check(KEY, "key sk-pr*****************XyZ7",
          "key ********************XyZ7");
    check(KEY, "key sk-...XyZ7", "key ***...XyZ7");
    check(KEY, "key sk-p\xe2\x80\xa6.", "key ***\xe2\x80\xa6.");
    check(KEY, "sk*** sk-p..", "sk*** sk-p..");
}

static void a_short_key_goes_where_it_stands_alone(void **state)
{
    (void)state;
    check("test", "a test; latest tests, test", "a ***; latest tests, ***");
    check("abc", "abc.abc-abc", "***.***-***");
    check("ab", "ab ab", "ab ab");
    check("ab*", "ab* ab", "*** ab");
}

static void forgets_what_lay_behind_the_shorter_text(void **state)
{
    (void)state;
    struct kc_secret *s = make(KEY);
    struct kc_buf b;
    kc_buf_init(&b, 1000);
    assert_int_equal(kc_buf_addstr(&b, "x " KEY), KC_OK);
    size_t before = b.len;
    assert_int_equal(kc_secret_redact(s, &b), KC_OK);
    for (size_t i = b.len; i <= before; i++)
        assert_int_equal(b.data[i], '\0');
    kc_buf_deinit(&b);
    kc_secret_free(s);
}

/* A million bytes that look like keys: a walk that tried every piece at every
 * place would hang here under valgrind. */
static void walks_a_long_text_once(void **state)
{
    (void)state;
    enum { COPIES = 20000 };
    struct kc_secret *s = make(KEY);
    struct kc_buf b;
    kc_buf_init(&b, 4000000);
    for (int i = 0; i < COPIES; i++)
        assert_int_equal(
            kc_buf_addstr(&b,
                          "7ZyXw1vUt8sRq5pOn2mLk9jIh6fEd3bA-jorp-ks-sk-pr "),
            KC_OK);
    assert_int_equal(kc_buf_addstr(&b, KEY), KC_OK);
    size_t before = b.len;
    assert_int_equal(kc_secret_redact(s, &b), KC_OK);
    assert_int_equal(b.len, before - strlen(KEY) + 3);
    kc_buf_deinit(&b);
    kc_secret_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_would_break_a_header),
        cmocka_unit_test(keeps_the_key_and_shows_only_its_end),
        cmocka_unit_test(has_one_name_in_every_store),
        cmocka_unit_test(blacks_out_the_whole_key),
        cmocka_unit_test(blacks_out_pieces_of_eight),
        cmocka_unit_test(blacks_out_a_masked_beginning),
        cmocka_unit_test(a_short_key_goes_where_it_stands_alone),
        cmocka_unit_test(forgets_what_lay_behind_the_shorter_text),
        cmocka_unit_test(walks_a_long_text_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
