/* mysql.c -- see mysql.h: transactions and parameters; mysql_link.c talks. */
#include "store/mysql.h"

#include <stdio.h>

#include "store/storeurl.h"

#ifdef KC_HAVE_MYSQL

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/mysql_link.h"
#include "util/buf.h"

#define SQL_MAX (8u << 20)

enum state {
    IDLE,    /* statements stand alone */
    RUNNING, /* in a transaction */
    FAILED   /* the server has lost it: nothing runs until it is rolled back */
};

struct mysql {
    struct kc_db head;
    struct kc_link link;
    enum state state;
    struct kc_buf sql; /* the statement with its parameters */
};

static struct mysql *self(struct kc_db *db)
{
    return (struct mysql *)db;
}

static int run(struct mysql *m, const char *sql, size_t len, kc_db_row_fn *fn,
               void *ctx, int64_t *changed)
{
    int err = kc_link_run(&m->link, sql, len, fn, ctx, changed);
    if (m->state == RUNNING && (!m->link.my || m->link.undone))
        m->state = FAILED;
    return err;
}

static int run_text(struct mysql *m, const char *sql)
{
    return run(m, sql, strlen(sql), NULL, NULL, NULL);
}

/* -- transactions --------------------------------------------------------- */

/* The words stay those of what went wrong before. */
static void rollback(struct kc_db *db)
{
    struct mysql *m = self(db);
    char words[sizeof m->link.words];
    memcpy(words, m->link.words, sizeof words);
    if (m->state != IDLE && m->link.my && run_text(m, "ROLLBACK") != KC_OK)
        kc_link_drop(&m->link);
    m->state = IDLE;
    memcpy(m->link.words, words, sizeof words);
}

/* TiDB has no READ ONLY, and a snapshot is only taken where it is needed. */
static int start(struct mysql *m, bool write)
{
    if (write)
        return run_text(m, "START TRANSACTION");
    int err = run_text(m, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    return err == KC_OK
               ? run_text(m, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
               : err;
}

static int begin(struct kc_db *db, bool write)
{
    struct mysql *m = self(db);
    rollback(db); /* else the server would commit what somebody left open */
    for (;;) {
        bool fresh = !m->link.my;
        int err = fresh ? kc_link_connect(&m->link) : KC_OK;
        if (err == KC_OK)
            err = start(m, write);
        if (err == KC_OK)
            m->state = RUNNING;
        /* The server may have ended the connection long ago. */
        if (err == KC_OK || fresh || m->link.my || m->link.cut != KC_OK)
            return err;
    }
}

static int commit(struct kc_db *db, bool *doubtful)
{
    struct mysql *m = self(db);
    *doubtful = false;
    if (m->state != RUNNING) {
        int err = m->state == FAILED ? KC_ESTORE : KC_EINVALID;
        rollback(db);
        return err;
    }
    int err = run_text(m, "COMMIT");
    m->state = IDLE;
    *doubtful = err != KC_OK && !m->link.my;
    if (err != KC_OK)
        kc_link_drop(&m->link); /* for sure nothing is left open */
    return err;
}

/* -- statements ----------------------------------------------------------- */

static int add_param(struct mysql *m, const struct kc_value *v)
{
    if (!v->text)
        return kc_buf_addf(&m->sql, "%" PRId64, v->number);
    size_t len = strlen(v->text);
    if (len > SQL_MAX)
        return KC_ETOOLARGE;
    int err = kc_buf_reserve(&m->sql, 2 * len + 3);
    if (err != KC_OK)
        return err;
    char *out = m->sql.data + m->sql.len;
    out[0] = '\'';
    size_t n =
        m->link.mysql_real_escape_string(m->link.my, out + 1, v->text, len);
    if (n > 2 * len)
        return KC_EINVALID;
    out[n + 1] = '\'';
    out[n + 2] = '\0';
    m->sql.len += n + 2;
    return KC_OK;
}

/* A `?` between quotes is none of ours. */
static int fill(struct mysql *m, const char *sql, const struct kc_value *params,
                size_t n)
{
    size_t used = 0;
    char quote = '\0';
    int err = KC_OK;
    kc_buf_clear(&m->sql);
    for (const char *p = sql; err == KC_OK && *p; p++) {
        size_t len = strcspn(p, quote ? (char[]){quote, '\0'} : "?'\"`");
        err = kc_buf_add(&m->sql, p, len);
        p += len;
        if (err != KC_OK || !*p)
            break;
        if (*p == '?') {
            err = used < n ? add_param(m, &params[used++]) : KC_EINVALID;
        } else {
            quote = quote ? '\0' : *p;
            err = kc_buf_addch(&m->sql, *p);
        }
    }
    if (err == KC_OK && used < n)
        err = KC_EINVALID;
    if (err == KC_EINVALID || err == KC_ETOOLARGE) {
        snprintf(m->link.words, sizeof m->link.words,
                 "a statement's parameters do not fit into it");
        err = KC_EINVALID;
    }
    return err;
}

static int query(struct kc_db *db, const char *sql,
                 const struct kc_value *params, size_t n, kc_db_row_fn *fn,
                 void *ctx, int64_t *changed)
{
    struct mysql *m = self(db);
    int err = KC_OK;
    if (changed)
        *changed = 0;
    if (m->state == FAILED)
        return KC_ESTORE; /* with the words of the failure */
    if (!m->link.my)
        err = kc_link_connect(&m->link);
    if (err == KC_OK)
        err = fill(m, sql, params, n);
    if (err == KC_OK)
        err = run(m, kc_buf_str(&m->sql), m->sql.len, fn, ctx, changed);
    return err;
}

static int exec(struct kc_db *db, const char *sql, int64_t *changed)
{
    return query(db, sql, NULL, 0, NULL, NULL, changed);
}

static int quiet(struct kc_db *db, bool *is_quiet)
{
    (void)db;
    *is_quiet = false;
    return KC_OK;
}

/* -- the database --------------------------------------------------------- */

static void interrupt(struct kc_db *db)
{
    kc_link_interrupt(&self(db)->link);
}

static const char *error(struct kc_db *db)
{
    return self(db)->link.words;
}

static void close_db(struct kc_db *db)
{
    struct mysql *m = self(db);
    kc_link_deinit(&m->link);
    kc_buf_deinit(&m->sql);
    free(m);
}

static void forget(struct kc_db *db)
{
    struct mysql *m = self(db);
    kc_link_forget(&m->link);
    kc_buf_deinit(&m->sql);
    free(m);
}

static const struct kc_dialect dialect = {
    .name = "mysql",
    .on_conflict = " ON DUPLICATE KEY UPDATE ",
    .proposed_head = "VALUES(",
    .proposed_tail = ")",
    .latest = " FOR UPDATE",
    .one_by_one = "SELECT value FROM keycycle_meta WHERE name = 'schema'"
                  " FOR UPDATE",
};

static const struct kc_db_ops ops = {
    .dialect = &dialect,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .exec = exec,
    .query = query,
    .quiet = quiet,
    .interrupt = interrupt,
    .error = error,
    .close = close_db,
    .forget = forget,
};

int kc_mysql_open(const char *url, struct kc_db **out, char *words, size_t size)
{
    struct kc_storeurl u;
    *out = NULL;
    int err = kc_storeurl_parse(url, &u, words, size);
    if (err != KC_OK)
        return err;
    struct mysql *m = calloc(1, sizeof *m);
    err = m ? kc_link_init(&m->link, &u) : KC_ENOMEM;
    if (err == KC_OK) {
        m->head.ops = &ops;
        kc_buf_init(&m->sql, SQL_MAX);
        *out = &m->head;
        return KC_OK;
    }
    kc_storeurl_wipe(&u);
    snprintf(words, size, "%s",
             m && *m->link.words ? m->link.words : kc_err_text(err));
    free(m);
    return err;
}

#else

int kc_mysql_open(const char *url, struct kc_db **out, char *words, size_t size)
{
    struct kc_storeurl u;
    *out = NULL;
    int err = kc_storeurl_parse(url, &u, words, size);
    kc_storeurl_wipe(&u);
    if (err != KC_OK)
        return err;
    snprintf(words, size,
             "this build has no MySQL store: build it with libmariadb-dev");
    return KC_ENOSTORE;
}

#endif
