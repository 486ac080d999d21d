/* A store's URL never gives a part that is too long or has a control character,
 * and what is refused is wiped, with words that hold nothing of its password. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "store/storeurl.h"

static void check(const char *s, size_t size)
{
    if (!memchr(s, '\0', size))
        abort();
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            abort();
}

static void check_read(const struct kc_storeurl *u)
{
    check(u->user, sizeof u->user);
    check(u->password, sizeof u->password);
    check(u->host, sizeof u->host);
    check(u->database, sizeof u->database);
    check(u->socket, sizeof u->socket);
    check(u->ca, sizeof u->ca);
    check(u->cert, sizeof u->cert);
    check(u->key, sizeof u->key);
    if (!*u->host || strchr(u->host, '@') || !*u->database || u->port == 0 ||
        u->port > 65535 || u->connect_ms == 0 || u->statement_ms == 0)
        abort();
    if (*u->ca && u->tls < KC_STORE_TLS_REQUIRED)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct kc_storeurl wiped;
    static const char mark[] = "Q7Q7Q7Q7";
    char words[600];
    struct kc_storeurl u;
    char *text = fuzz_text(data, n);
    if (!text)
        return 0;
    if (kc_storeurl_parse(text, &u, words, sizeof words) == KC_OK)
        check_read(&u);
    else if (memcmp(&u, &wiped, sizeof u) != 0 || !*words)
        abort();
    /* The same text as a password, with whatever it does to the URL. */
    char *url = malloc(n + 80);
    if (url) {
        int len = snprintf(url, n + 80, "mysql://u:%s%s%s@h/d", mark, text,
                           mark);
        if (len > 0 && kc_storeurl_parse(url, &u, words, sizeof words) !=
                           KC_OK &&
            strstr(words, mark))
            abort();
    }
    free(url);
    free(text);
    return 0;
}
