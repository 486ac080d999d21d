/* Which store a URL names, and what is said when it names none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "unit/store/store_fixture.h"

static void refuses(const char *url, int err, const char *words)
{
    struct kc_store *s;
    char *why;
    assert_int_equal(kc_store_open(url, 0, &s, &why), err);
    assert_null(s);
    assert_non_null(why);
    if (!strstr(why, words))
        assert_string_equal(why, words);
    assert_null(strstr(why, "geheim"));
    free(why);
}

static void says_which_stores_are_missing_without_the_password(void **state)
{
    (void)state;
#ifdef KC_HAVE_MYSQL
    refuses("mysql://root:geheim@127.0.0.1:1/usage", KC_ESTORE, "127.0.0.1:1");
    refuses("MySQL+pymysql://root:geheim@db", KC_EBADURL, "database");
#else
    refuses("MySQL+pymysql://root:geheim@db/usage", KC_ENOSTORE,
            "this build has no MySQL store");
#endif
    refuses("redis://:geheim@db", KC_ENOSTORE,
            "no store is known for the scheme \"redis\"");
    refuses("postgresql+asyncpg://u:geheim@h/d", KC_ENOSTORE,
            "\"postgresql+asyncpg\"");
    refuses("geheim", KC_ENOSTORE, "begins with its scheme");
    refuses("/geheim:x", KC_ENOSTORE, "begins with its scheme");
    refuses("", KC_ENOSTORE, "begins with its scheme");
}

static void refuses_a_url_without_a_file(void **state)
{
    (void)state;
    refuses("sqlite:", KC_EBADURL, "names no file");
    refuses("sqlite://", KC_EBADURL, "names no file");
    refuses("sqlite:///", KC_EBADURL, "names no file");
    refuses("sqlite://host/usage.db", KC_EBADURL, "names no host");
}

static void opens(const char *url)
{
    struct kc_store *s;
    char *why;
    assert_int_equal(kc_store_open(url, 0, &s, &why), KC_OK);
    assert_null(why);
    write_use(s, a_use(START_MS, 1));
    kc_store_close(s);
}

static void knows_every_way_to_write_a_path(void **state)
{
    struct folder *f = *state;
    char url[160], path[160];
    struct stat st;
    opens(in_folder(f, "sqlite:", "a.db", url));
    assert_int_equal(stat(in_folder(f, "", "a.db", path), &st), 0);
    opens(
        in_folder(f, "SQLite:///", "b.db", url)); /* its folder begins with / */
    assert_int_equal(stat(in_folder(f, "", "b.db", path), &st), 0);
    opens("memory:");
    opens("sqlite::memory:");

    char *before = getcwd(NULL, 0);
    assert_int_equal(chdir(f->path), 0);
    opens("sqlite:c%20d.db");
    opens("sqlite:///e.db");
    opens("sqlite:file:g.db?mode=memory");
    assert_int_equal(chdir(before), 0);
    free(before);
    assert_int_equal(stat(in_folder(f, "", "c%20d.db", path), &st), 0);
    assert_int_equal(stat(in_folder(f, "", "e.db", path), &st), 0);
    assert_int_equal(stat(in_folder(f, "", "file:g.db?mode=memory", path), &st),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_which_stores_are_missing_without_the_password),
        cmocka_unit_test(refuses_a_url_without_a_file),
        cmocka_unit_test_setup_teardown(knows_every_way_to_write_a_path,
                                        make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
