/* store.c -- which database a URL names; opening, closing, transactions. */
#include "store/store_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/mysql.h"
#include "store/schema.h"
#include "store/sqlite.h"
#include "store/storeurl.h"
#include "util/ascii.h"
#include "util/clock.h"
#include "util/num.h"
#include "util/rng.h"

#define PATIENCE_MS 2000 /* with other connections */
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* The length of "scheme" in "scheme:rest" (RFC 3986, section 3.1), 0 for a text
 * without one. */
static size_t scheme_length(const char *url)
{
    size_t n = strspn(url, LETTERS "0123456789+.-");
    return n > 0 && url[n] == ':' && strchr(LETTERS, url[0]) ? n : 0;
}

static bool is_scheme(const char *url, size_t n, const char *name)
{
    return strlen(name) == n && kc_starts_with(url, name);
}

static int open_file(struct kc_store *s, const char *path)
{
    s->is_private = strcmp(path, ":memory:") == 0;
    s->name = strdup(path);
    if (!s->name)
        return KC_ENOMEM;
    return kc_sqlite_open(path, s->look, &s->db, s->words, sizeof s->words);
}

/* sqlite:PATH names it as it is, sqlite:///PATH as SQLAlchemy does: what
 * follows the third slash, so that an absolute one has four. */
static int open_sqlite(struct kc_store *s, const char *rest)
{
    const char *path = rest;
    if (strncmp(rest, "//", 2) == 0) {
        if (rest[2] != '/' && rest[2] != '\0') {
            snprintf(s->words, sizeof s->words,
                     "a SQLite URL names no host: write sqlite:PATH or "
                     "sqlite:///PATH");
            return KC_EBADURL;
        }
        path = rest[2] ? rest + 3 : rest + 2;
    }
    if (*path == '\0') {
        snprintf(s->words, sizeof s->words,
                 "the URL names no file: write sqlite:PATH");
        return KC_EBADURL;
    }
    return open_file(s, path);
}

static int open_mysql(struct kc_store *s, const char *url)
{
    s->name = strdup("the database");
    if (!s->name)
        return KC_ENOMEM;
    return kc_mysql_open(url, &s->db, s->words, sizeof s->words);
}

/* Of what cannot be opened only the scheme is shown: the rest may hold a
 * password. */
static int refuse(struct kc_store *s, const char *url, size_t n)
{
    if (n == 0)
        snprintf(s->words, sizeof s->words,
                 "a store's URL begins with its scheme, as in "
                 "sqlite:usage.db");
    else
        snprintf(s->words, sizeof s->words,
                 "no store is known for the scheme \"%.*s\"",
                 n < 32 ? (int)n : 32, url);
    return KC_ENOSTORE;
}

static int open_db(struct kc_store *s, const char *url)
{
    size_t n = scheme_length(url);
    if (is_scheme(url, n, "sqlite"))
        return open_sqlite(s, url + n + 1);
    if (is_scheme(url, n, "memory"))
        return open_file(s, ":memory:");
    return kc_storeurl_is_mysql(url) ? open_mysql(s, url) : refuse(s, url, n);
}

/* -- who was in the way ---------------------------------------------------- */

struct patience { /* all zero: nobody was */
    uint64_t since_ms, longest_ms;
};

/* After a KC_EAGAIN waits a moment, longer each time and not as long as others
 * do, and says whether to try again; else it is a failure as any. */
static bool try_again(struct patience *p, int *err)
{
    uint64_t now = kc_mono_ms();
    if (*err != KC_EAGAIN)
        return false;
    if (p->since_ms == 0)
        *p = (struct patience){now, 2};
    if (now - p->since_ms >= PATIENCE_MS) {
        *err = KC_ESTORE;
        return false;
    }
    uint64_t us = kc_rng_entropy() % (p->longest_ms * 1000);
    nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
    p->longest_ms = kc_least(2 * p->longest_ms, 50);
    return true;
}

/* What the tables are must be told in words, too. */
static int judge(struct kc_store *s, enum kc_schema_state state,
                 int64_t version)
{
    switch (state) {
    case KC_SCHEMA_READY:
        return KC_OK;
    case KC_SCHEMA_EMPTY:
        snprintf(s->words, sizeof s->words, "%s holds no usage yet", s->name);
        return KC_ENOTFOUND;
    case KC_SCHEMA_OLDER:
        snprintf(s->words, sizeof s->words,
                 "%s was written by an older keycycle (its schema is %lld): a "
                 "program that writes to it brings it up to date",
                 s->name, (long long)version);
        return KC_ESTORE;
    case KC_SCHEMA_NEWER:
        snprintf(s->words, sizeof s->words,
                 "%s was written by a newer keycycle (its schema is %lld, this "
                 "build knows %d)",
                 s->name, (long long)version, KC_SCHEMA_VERSION);
        return KC_ESTORE;
    case KC_SCHEMA_FOREIGN:
        snprintf(s->words, sizeof s->words,
                 "%s is the database of another program", s->name);
        return KC_ESTORE;
    }
    return KC_ESTORE;
}

static int prepare(struct kc_store *s)
{
    enum kc_schema_state state;
    int64_t version;
    struct patience p = {0};
    int err;
    do
        err = s->look ? kc_schema_look(s->db, &state, &version)
                      : kc_schema_prepare(s->db, &state, &version);
    while (try_again(&p, &err));
    if (err == KC_OK)
        return judge(s, state, version);
    snprintf(s->words, sizeof s->words, "%s", kc_db_error(s->db));
    return err;
}

static int open_any(const char *url, bool look, uint32_t keep_days,
                    struct kc_store **out, char **why)
{
    *out = NULL;
    *why = NULL;
    struct kc_store *s = calloc(1, sizeof *s);
    if (!s)
        return KC_ENOMEM;
    s->look = look;
    s->keep_days = keep_days ? keep_days : KC_KEEP_DAYS;
    kc_ids_init(&s->ids);
    kc_store_name_writer(s);
    int err = open_db(s, url);
    if (err == KC_OK)
        err = prepare(s);
    if (err == KC_OK) {
        if (strcmp(s->db->ops->dialect->name, "sqlite") == 0)
            kc_sqlite_opened(s->db);
        *out = s;
        return KC_OK;
    }
    *why = strdup(s->words[0] ? s->words : kc_err_text(err));
    kc_store_close(s);
    return err;
}

int kc_store_open(const char *url, uint32_t keep_days, struct kc_store **out,
                  char **why)
{
    return open_any(url, false, keep_days, out, why);
}

int kc_store_look(const char *url, struct kc_store **out, char **why)
{
    return open_any(url, true, 0, out, why);
}

static void free_store(struct kc_store *s)
{
    kc_ids_deinit(&s->ids);
    free(s->known);
    free(s->name);
    free(s);
}

void kc_store_close(struct kc_store *s)
{
    if (!s)
        return;
    kc_db_close(s->db);
    free_store(s);
}

void kc_store_forget(struct kc_store *s)
{
    if (!s)
        return;
    kc_db_forget(s->db);
    free_store(s);
}

void kc_store_interrupt(struct kc_store *s)
{
    kc_db_interrupt(s->db);
}

const char *kc_store_error(struct kc_store *s)
{
    return s->words;
}

bool kc_store_is_private(const struct kc_store *s)
{
    return s->is_private;
}

/* -- transactions ----------------------------------------------------- */

/* After a failure the file may be another one, and the numbers of names that
 * the transaction made are gone with it. */
static int fail(struct kc_store *s, int err)
{
    const char *words = kc_db_error(s->db);
    if (err == KC_ESTALE)
        words = "the store took this writer for dead; a new one begins";
    snprintf(s->words, sizeof s->words, "%s",
             *words ? words : kc_err_text(err));
    kc_ids_clear(&s->ids);
    s->unsure |= err != KC_EAGAIN;
    return err;
}

static int begin(struct kc_store *s, bool write)
{
    if (s->unsure) {
        int err = prepare(s);
        if (err != KC_OK)
            return err;
        s->unsure = false;
    }
    int err = kc_db_begin(s->db, write);
    return err == KC_OK ? KC_OK : fail(s, err);
}

static int end(struct kc_store *s, int err, bool *doubtful)
{
    bool lost = false;
    if (doubtful)
        *doubtful = false;
    if (err == KC_OK) {
        err = kc_db_commit(s->db, &lost);
        if (doubtful)
            *doubtful = err != KC_OK && lost;
    } else {
        kc_db_rollback(s->db);
    }
    if (err != KC_OK)
        return fail(s, err);
    s->words[0] = '\0';
    return KC_OK;
}

int kc_store_begin(struct kc_store *s, bool write)
{
    int err = begin(s, write);
    return err == KC_EAGAIN ? KC_ESTORE : err;
}

int kc_store_end(struct kc_store *s, int err, bool *doubtful)
{
    err = end(s, err, doubtful);
    return err == KC_EAGAIN ? KC_ESTORE : err;
}

int kc_store_change(struct kc_store *s, int (*fn)(void *ctx), void *ctx,
                    bool *doubtful)
{
    struct patience p = {0};
    int err;
    if (doubtful)
        *doubtful = false;
    do {
        err = begin(s, true);
        if (err == KC_OK)
            err = end(s, fn(ctx), doubtful);
    } while (try_again(&p, &err));
    return err;
}

int kc_store_alone(struct kc_store *s)
{
    const char *ask = s->db->ops->dialect->one_by_one;
    return ask ? kc_db_exec(s->db, ask, NULL) : KC_OK;
}
