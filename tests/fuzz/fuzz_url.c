/* Where we see loopback, libcurl goes to loopback; and what we read
 * of a URL never passes its bounds. A key's way in the open hangs on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "fuzz/fuzz.h"
#include "net/url.h"

static void compare(const char *url, const struct kc_url *u)
{
    CURLU *h = curl_url();
    char *host = NULL, *port = NULL;
    if (!h)
        return;
    if (curl_url_set(h, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(h, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(h, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ==
            CURLUE_OK) {
        char again[400];
        struct kc_url theirs;
        snprintf(again, sizeof again, "%s://%s:%s/", u->scheme, host, port);
        if (kc_url_is_loopback(u) &&
            (kc_url_parse(again, &theirs) != KC_OK ||
             !kc_url_is_loopback(&theirs) || theirs.port != u->port)) {
            fprintf(stderr, "we: %s, libcurl: %s\n", u->host, again);
            abort();
        }
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);
    if (!text)
        return 0;
    struct kc_url u;
    if (kc_url_parse(text, &u) == KC_OK) {
        if (strcmp(u.scheme, "http") != 0 && strcmp(u.scheme, "https") != 0)
            abort();
        if (!*u.host || u.port > 65535 || !kc_url_same_origin(&u, &u))
            abort();
        compare(text, &u);
    }
    struct kc_buf out;
    kc_buf_init(&out, 1 << 20);
    if (kc_url_escape(&out, text) == KC_OK && out.len &&
        memchr(out.data, ' ', out.len))
        abort();
    kc_buf_deinit(&out);
    free(text);
    return 0;
}
