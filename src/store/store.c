/* store.c -- which store a URL names. */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/memory.h"
#include "store/sqlite.h"

#define WORDS_MAX 640
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* The length of "scheme" in "scheme:rest" (RFC 3986, section 3.1), 0 for a text
 * without one. */
static size_t scheme_length(const char *url)
{
    size_t n = strspn(url, LETTERS "0123456789+.-");
    return n > 0 && url[n] == ':' && strchr(LETTERS, url[0]) ? n : 0;
}

static int is_scheme(const char *url, size_t n, const char *name)
{
    return strlen(name) == n && strncasecmp(url, name, n) == 0;
}

/* sqlite:PATH names it as it is, sqlite:///PATH as SQLAlchemy does: what
 * follows the third slash, so that an absolute one has four. */
static int open_sqlite(const char *rest, struct kc_store **out, char *words,
                       size_t size)
{
    const char *path = rest;
    if (strncmp(rest, "//", 2) == 0) {
        if (rest[2] != '/' && rest[2] != '\0') {
            snprintf(words, size,
                     "a SQLite URL names no host: write sqlite:PATH or "
                     "sqlite:///PATH");
            return KC_ESTORE;
        }
        path = rest[2] ? rest + 3 : rest + 2;
    }
    if (*path == '\0') {
        snprintf(words, size, "the URL names no file: write sqlite:PATH");
        return KC_ESTORE;
    }
    return kc_sqlite_open(path, out, words, size);
}

/* Of what cannot be opened only the scheme is shown: the rest may hold a
 * password. */
static int refuse(const char *url, size_t n, char *words, size_t size)
{
    if (n == 0)
        snprintf(words, size,
                 "a store's URL begins with its scheme, as in "
                 "sqlite:usage.db");
    else if (is_scheme(url, n, "mysql") || strncasecmp(url, "mysql+", 6) == 0)
        snprintf(words, size, "this build has no MySQL store");
    else
        snprintf(words, size, "no store is known for the scheme \"%.*s\"",
                 n < 32 ? (int)n : 32, url);
    return KC_ENOSTORE;
}

int kc_store_open(const char *url, struct kc_store **out, char **why)
{
    char words[WORDS_MAX] = "";
    size_t n = scheme_length(url);
    int err;
    *out = NULL;
    *why = NULL;
    if (is_scheme(url, n, "sqlite"))
        err = open_sqlite(url + n + 1, out, words, sizeof words);
    else if (is_scheme(url, n, "memory"))
        err = kc_memory_open(out);
    else
        err = refuse(url, n, words, sizeof words);
    if (err != KC_OK)
        *why = strdup(words[0] ? words : kc_err_text(err));
    return err;
}
