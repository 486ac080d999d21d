/* sqlite.c -- see sqlite.h. */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "store/schema.h"
#include "store/sqlite_fork.h"

#define WORDS_MAX 512
#define COLUMNS_MAX 20
#define OPEN_BUSY_MS 3000 /* another process makes the tables */
#define WRITE_BUSY_MS 200

struct sqlite {
    struct kc_db head;
    sqlite3 *db;          /* NULL: to be opened by the next begin */
    pthread_mutex_t lock; /* of `db`, for kc_db_interrupt */
    atomic_bool interrupted;
    bool memory, look;
    bool running; /* a transaction: a fork waits for its end */
    bool cramped; /* a write has failed for what may be the lack of room */
    dev_t device; /* of the file that is open */
    ino_t inode;
    int busy_ms;
    int64_t version; /* of the data, when kc_db_quiet was asked last */
    char *path;
    char words[WORDS_MAX];
};

static struct sqlite *self(struct kc_db *db)
{
    return (struct sqlite *)db;
}

/* What SQLite's codes are to a person, and to us. */
static int explain(int rc, const char **what)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return KC_ENOMEM;
    case SQLITE_NOTADB:
        *what = "is not an SQLite database";
        return KC_ECORRUPT;
    case SQLITE_CORRUPT:
        *what = "is damaged";
        return KC_ECORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        *what = "is locked by another program";
        return KC_ESTORE;
    case SQLITE_READONLY:
        *what = rc == SQLITE_READONLY_DBMOVED ? "was moved or deleted"
                : rc == SQLITE_READONLY       ? "cannot be written to"
                                              : /* what lies beside it */
                    "can be read without permission to write only while "
                    "another program has it open";
        return KC_ESTORE;
    case SQLITE_FULL:
        *what = "cannot grow: the disk is full";
        return KC_ESTORE;
    case SQLITE_IOERR:
        *what = "cannot be read or written: disk I/O error";
        return KC_ESTORE;
    case SQLITE_CANTOPEN:
        *what = "cannot be opened";
        return KC_ESTORE;
    default:
        return KC_ESTORE;
    }
}

static int fail(struct sqlite *s, int rc)
{
    const char *what = NULL;
    int err;
    s->cramped = (rc & 0xff) == SQLITE_FULL || rc == SQLITE_IOERR_WRITE;
    if (atomic_load(&s->interrupted) || rc == SQLITE_INTERRUPT) {
        snprintf(s->words, sizeof s->words, "%s: closed meanwhile", s->path);
        return KC_ECLOSED;
    }
    if (rc == SQLITE_TOOBIG || (rc & 0xff) == SQLITE_CONSTRAINT ||
        rc == SQLITE_MISMATCH)
        err = KC_EINVALID;
    else
        err = explain(rc, &what);
    if (what)
        snprintf(s->words, sizeof s->words, "%s %s", s->path, what);
    else
        snprintf(s->words, sizeof s->words, "%s: %s", s->path,
                 s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
    return err;
}

static int exec_plain(struct sqlite *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

/* SQLite's own busy handler does not see an interrupt. */
static int wait_for_lock(void *ctx, int tries)
{
    struct sqlite *s = ctx;
    if (atomic_load(&s->interrupted) || tries * 5 >= s->busy_ms)
        return 0;
    sqlite3_sleep(5);
    return 1;
}

/* -- opening ------------------------------------------------------------- */

/* Whether the file is there and usable, in plainer words than SQLite's. */
static int check_file(struct sqlite *s, const char *path)
{
    struct stat st;
    const char *what = NULL;
    int mode = s->look ? R_OK : R_OK | W_OK;
    if (stat(path, &st) != 0) {
        snprintf(s->words, sizeof s->words, "cannot open %s: %s", path,
                 strerror(errno));
        return s->look && errno == ENOENT ? KC_ENOTFOUND : KC_ESTORE;
    }
    if (S_ISDIR(st.st_mode))
        what = "it is a directory";
    else if (!S_ISREG(st.st_mode))
        what = "it is not a regular file";
    else if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) != 0)
        what = s->look ? "no permission to read it"
                       : "no permission to read and write it";
    if (what) {
        snprintf(s->words, sizeof s->words, "cannot open %s: %s", path, what);
        return KC_ESTORE;
    }
    s->device = st.st_dev;
    s->inode = st.st_ino;
    return KC_OK;
}

/* Makes a new file private; one that is there keeps its mode. */
static int need_file(struct sqlite *s, const char *path)
{
    if (s->look)
        return check_file(s, path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || errno == EEXIST)
        return check_file(s, path);
    const char *what = errno == ENOENT    ? "its folder does not exist"
                       : errno == ENOTDIR ? "its folder is a file"
                       : errno == EACCES || errno == EROFS
                           ? "no permission to write in its folder"
                           : strerror(errno);
    snprintf(s->words, sizeof s->words, "cannot create %s: %s", path, what);
    return KC_ESTORE;
}

static int number(struct sqlite *s, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt;
    *out = 0;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    return sqlite3_finalize(stmt);
}

/* To change the journal mode takes the file for itself, and SQLite gives up at
 * once where another process does the same: that one's work serves us too. The
 * file of another program stays as it is. */
static int use_wal(struct sqlite *s)
{
    int64_t id = 0, tables = 0;
    int rc = number(s, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK)
        rc = number(s, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc != SQLITE_OK || (id != KC_SCHEMA_APPLICATION && tables > 0))
        return rc;
    static const char sql[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;";
    rc = exec_plain(s, sql);
    for (int ms = 1; (rc & 0xff) == SQLITE_BUSY && ms < 1000; ms *= 2) {
        sqlite3_sleep(ms);
        rc = exec_plain(s, sql);
    }
    return rc;
}

/* To read only is to open for writing all the same where that is allowed, so
 * that what SQLite needs beside the file is removed again; but nothing may be
 * changed. */
static int open_handle(struct sqlite *s, const char *name, sqlite3 **db)
{
    bool plain = s->look && faccessat(AT_FDCWD, name, W_OK, AT_EACCESS) != 0;
    int flags = plain     ? SQLITE_OPEN_READONLY
                : s->look ? SQLITE_OPEN_READWRITE
                          : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    return sqlite3_open_v2(name, db, flags | SQLITE_OPEN_NOMUTEX, NULL);
}

static void set_handle(struct sqlite *s, sqlite3 *db)
{
    pthread_mutex_lock(&s->lock);
    sqlite3 *before = s->db;
    s->db = db;
    pthread_mutex_unlock(&s->lock);
    kc_sqlite_close_handle(before);
}

static int may_open(struct sqlite *s)
{
    if (kc_sqlite_may_open() == KC_OK)
        return KC_OK;
    snprintf(s->words, sizeof s->words,
             "%s cannot be opened: this process was forked while SQLite was at "
             "work; fork before a store is opened, or call exec",
             s->path);
    return KC_ESTORE;
}

/* "./" keeps SQLite from seeing a URI or another special name; people get the
 * name that they gave. */
static int connect_file(struct sqlite *s)
{
    sqlite3 *db = NULL;
    size_t size = strlen(s->path) + 3;
    char *name = malloc(size);
    if (!name)
        return KC_ENOMEM;
    bool plain = s->memory || s->path[0] == '/';
    snprintf(name, size, "%s%s", plain ? "" : "./", s->path);
    int err = may_open(s);
    if (err == KC_OK && !s->memory)
        err = need_file(s, s->path);
    s->version = -1;
    if (err == KC_OK) {
        int rc = open_handle(s, name, &db);
        if (db && kc_sqlite_note_handle(db) != KC_OK) {
            sqlite3_close(db);
            db = NULL;
        }
        set_handle(s, db);
        if (db) {
            sqlite3_extended_result_codes(db, 1);
            sqlite3_busy_handler(db, wait_for_lock, s);
        }
        if (rc == SQLITE_OK && db)
            rc = s->look ? exec_plain(s, "PRAGMA query_only = 1") : use_wal(s);
        if (rc != SQLITE_OK || !db) {
            err = db ? fail(s, rc) : KC_ENOMEM;
            set_handle(s, NULL);
        }
    }
    free(name);
    return err;
}

/* A file that was deleted takes all that is written to it along, silently. */
static int check_moved(struct sqlite *s)
{
    struct stat st;
    if (s->memory || (stat(s->path, &st) == 0 && st.st_dev == s->device &&
                      st.st_ino == s->inode))
        return KC_OK;
    set_handle(s, NULL);
    snprintf(s->words, sizeof s->words, "%s was moved or deleted", s->path);
    return KC_ESTORE;
}

/* -- transactions and statements ----------------------------------------- */

/* What lies beside the file takes up to 4 MB, most of it for rows that have a
 * place in the file: there is room as soon as they are moved there. */
static void make_room(struct sqlite *s)
{
    s->cramped = false;
    sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
                              NULL);
}

/* A child has a handle of its own. */
static void leave_inherited(struct sqlite *s)
{
    if (s->db && kc_sqlite_is_inherited(s->db))
        s->db = NULL;
}

static int begin(struct sqlite *s, bool write)
{
    s->words[0] = '\0';
    leave_inherited(s);
    int err = s->db ? check_moved(s) : connect_file(s);
    if (err != KC_OK)
        return err;
    if (write && s->cramped)
        make_room(s);
    int rc = atomic_load(&s->interrupted)
                 ? SQLITE_INTERRUPT
                 : exec_plain(s, write ? "BEGIN IMMEDIATE" : "BEGIN");
    return rc == SQLITE_OK ? KC_OK : fail(s, rc);
}

static int sqlite_begin(struct kc_db *db, bool write)
{
    struct sqlite *s = self(db);
    kc_sqlite_enter();
    int err = begin(s, write);
    if (err != KC_OK || s->running)
        kc_sqlite_leave();
    s->running |= err == KC_OK;
    return err;
}

static void end_running(struct sqlite *s)
{
    if (s->running)
        kc_sqlite_leave();
    s->running = false;
}

static void sqlite_rollback(struct kc_db *db)
{
    struct sqlite *s = self(db);
    if (s->db && !sqlite3_get_autocommit(s->db))
        exec_plain(s, "ROLLBACK");
    end_running(s);
}

static int sqlite_commit(struct kc_db *db, bool *doubtful)
{
    struct sqlite *s = self(db);
    int rc = exec_plain(s, "COMMIT");
    /* What reached the disk before the error may count after a crash. */
    *doubtful = (rc & 0xff) == SQLITE_IOERR;
    int err = rc == SQLITE_OK ? KC_OK : fail(s, rc);
    if (err != KC_OK)
        sqlite_rollback(db);
    end_running(s);
    return err;
}

static int bind(sqlite3_stmt *stmt, const struct kc_value *params, size_t n)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < n; i++) {
        int at = (int)i + 1;
        rc = params[i].text ? sqlite3_bind_text(stmt, at, params[i].text, -1,
                                                SQLITE_STATIC)
                            : sqlite3_bind_int64(stmt, at, params[i].number);
    }
    return rc;
}

/* Returns SQLite's code, and in *err what the function made of the rows. What a
 * column is in the first row it is in all: the tables are strict. */
static int pass_rows(sqlite3_stmt *stmt, kc_db_row_fn *fn, void *ctx, int *err)
{
    struct kc_value columns[COLUMNS_MAX] = {{0}};
    bool text[COLUMNS_MAX] = {false};
    int n = sqlite3_column_count(stmt), rc = sqlite3_step(stmt);
    for (int i = 0; rc == SQLITE_ROW && i < n && i < COLUMNS_MAX; i++)
        text[i] = sqlite3_column_type(stmt, i) == SQLITE_TEXT;
    for (; rc == SQLITE_ROW; rc = sqlite3_step(stmt)) {
        for (int i = 0; fn && i < n && i < COLUMNS_MAX; i++) {
            if (!text[i])
                columns[i].number = sqlite3_column_int64(stmt, i);
            else if (!(columns[i].text =
                           (const char *)sqlite3_column_text(stmt, i)))
                return SQLITE_NOMEM;
        }
        *err = fn ? fn(ctx, columns, (size_t)n) : KC_OK;
        if (*err != KC_OK)
            return SQLITE_OK;
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int sqlite_query(struct kc_db *db, const char *sql,
                        const struct kc_value *params, size_t n,
                        kc_db_row_fn *fn, void *ctx, int64_t *changed)
{
    struct sqlite *s = self(db);
    sqlite3_stmt *stmt = NULL;
    int err = KC_OK;
    if (changed)
        *changed = 0;
    kc_sqlite_enter();
    int rc = atomic_load(&s->interrupted)
                 ? SQLITE_INTERRUPT
                 : sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = bind(stmt, params, n);
    if (rc == SQLITE_OK)
        rc = pass_rows(stmt, fn, ctx, &err);
    if (rc != SQLITE_OK)
        err = fail(s, rc);
    else if (changed)
        *changed = sqlite3_changes64(s->db);
    sqlite3_finalize(stmt);
    kc_sqlite_leave();
    return err;
}

static int sqlite_run(struct kc_db *db, const char *sql, int64_t *changed)
{
    return sqlite_query(db, sql, NULL, 0, NULL, NULL, changed);
}

static int sqlite_quiet(struct kc_db *db, bool *quiet)
{
    struct sqlite *s = self(db);
    int64_t version = 0;
    *quiet = s->memory;
    kc_sqlite_enter();
    leave_inherited(s);
    if (s->memory || !s->db) {
        kc_sqlite_leave();
        return KC_OK;
    }
    int rc = number(s, "PRAGMA data_version", &version);
    kc_sqlite_leave();
    if (rc != SQLITE_OK)
        return fail(s, rc);
    *quiet = version == s->version;
    s->version = version;
    return KC_OK;
}

/* -- the rest -------------------------------------------------------------- */

static void sqlite_interrupt_it(struct kc_db *db)
{
    struct sqlite *s = self(db);
    atomic_store(&s->interrupted, true);
    pthread_mutex_lock(&s->lock);
    if (s->db)
        sqlite3_interrupt(s->db);
    pthread_mutex_unlock(&s->lock);
}

static const char *sqlite_error(struct kc_db *db)
{
    return self(db)->words;
}

/* The handle stays as it is until this process opens one of its own. */
static void sqlite_forget(struct kc_db *db)
{
    struct sqlite *s = self(db);
    free(s->path);
    free(s);
}

static void sqlite_close(struct kc_db *db)
{
    struct sqlite *s = self(db);
    kc_sqlite_enter();
    set_handle(s, NULL);
    kc_sqlite_leave();
    end_running(s);
    pthread_mutex_destroy(&s->lock);
    sqlite_forget(db);
}

static const struct kc_dialect dialect = {
    .name = "sqlite",
    .on_conflict = " ON CONFLICT DO UPDATE SET ",
    .proposed_head = "excluded.",
    .proposed_tail = "",
    .latest = "",
    .one_by_one = NULL,
};

static const struct kc_db_ops ops = {
    .dialect = &dialect,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .exec = sqlite_run,
    .query = sqlite_query,
    .quiet = sqlite_quiet,
    .interrupt = sqlite_interrupt_it,
    .error = sqlite_error,
    .close = sqlite_close,
    .forget = sqlite_forget,
};

int kc_sqlite_open(const char *path, bool look, struct kc_db **out, char *words,
                   size_t size)
{
    *out = NULL;
    struct sqlite *s = calloc(1, sizeof *s);
    if (!s)
        return KC_ENOMEM;
    s->head.ops = &ops;
    s->memory = strcmp(path, ":memory:") == 0;
    s->look = look;
    s->busy_ms = OPEN_BUSY_MS;
    pthread_mutex_init(&s->lock, NULL);
    s->path = strdup(path);
    kc_sqlite_enter();
    int err = s->path ? connect_file(s) : KC_ENOMEM;
    kc_sqlite_leave();
    if (err == KC_OK) {
        *out = &s->head;
        return KC_OK;
    }
    snprintf(words, size, "%s", s->words);
    sqlite_close(&s->head);
    return err;
}

void kc_sqlite_opened(struct kc_db *db)
{
    self(db)->busy_ms = WRITE_BUSY_MS;
}
