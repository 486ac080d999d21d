/* Which bundle of certificates is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "util/trust.h"

static void takes_what_the_environment_names_one_before_the_other(void **s)
{
    (void)s;
    setenv("SSL_CERT_FILE", "/a/bundle", 1);
    setenv("CURL_CA_BUNDLE", "/another", 1);
    assert_string_equal(kc_trust_bundle(), "/a/bundle");
    setenv("SSL_CERT_FILE", "", 1);
    assert_string_equal(kc_trust_bundle(), "/another");
}

static void takes_the_systems_when_none_is_named(void **s)
{
    (void)s;
    unsetenv("SSL_CERT_FILE");
    setenv("CURL_CA_BUNDLE", "", 1);
    const char *found = kc_trust_bundle();
    assert_true(!found || found[0] == '/');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_the_environment_names_one_before_the_other),
        cmocka_unit_test(takes_the_systems_when_none_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
