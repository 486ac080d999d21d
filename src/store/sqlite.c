/* sqlite.c -- see sqlite.h; the tables are schema.c's. */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/schema.h"

#define WORDS_MAX 512
#define OPEN_BUSY_MS 3000 /* another process makes the tables */
#define WRITE_BUSY_MS 200 /* the journal tries again by itself */
#define FOLD_EVERY_MS 3600000

static const char upsert[] =
    "INSERT INTO usage VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)"
    " ON CONFLICT DO UPDATE SET requests = excluded.requests,"
    " input = excluded.input, output = excluded.output,"
    " total = excluded.total";

#define COLUMNS                                                 \
    "provider, key, model, start_ms, span_ms, requests, input," \
    " output, total"
static const char select_one[] =
    "SELECT " COLUMNS " FROM usage WHERE provider = ?1 ORDER BY start_ms";
static const char select_all[] =
    "SELECT " COLUMNS " FROM usage ORDER BY start_ms";

struct sqlite {
    struct kc_store head;
    sqlite3 *db;
    sqlite3_stmt *insert;
    uint64_t newest_ms; /* start of the newest row written */
    uint64_t folded_ms; /* its value at the last fold */
    char *path;
    char words[WORDS_MAX];
};

static struct sqlite *self(struct kc_store *s)
{
    return (struct sqlite *)s;
}

int kc_sqlite_explain(int rc, const char *path, char *words, size_t size)
{
    const char *what = sqlite3_errstr(rc);
    int err = KC_ESTORE;
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        err = KC_ENOMEM;
        break;
    case SQLITE_NOTADB:
        err = KC_ECORRUPT;
        what = "is not an SQLite database";
        break;
    case SQLITE_CORRUPT:
        err = KC_ECORRUPT;
        what = "is damaged";
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        what = "is locked by another program";
        break;
    case SQLITE_READONLY:
        what = rc == SQLITE_READONLY_DBMOVED ? "was moved or deleted"
                                             : "cannot be written to";
        break;
    case SQLITE_FULL:
        what = "cannot grow: the disk is full";
        break;
    case SQLITE_IOERR:
        what = "cannot be read or written: disk I/O error";
        break;
    case SQLITE_CANTOPEN:
        what = "cannot be opened";
        break;
    default:
        snprintf(words, size, "%s: %s", path, what);
        return err;
    }
    snprintf(words, size, "%s %s", path, what);
    return err;
}

/* -- reading and writing ------------------------------------------------- */

static int fail(struct sqlite *s, int rc)
{
    return kc_sqlite_explain(rc, s->path, s->words, sizeof s->words);
}

static int exec(struct sqlite *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

static sqlite3_int64 signed64(uint64_t n)
{
    return n > INT64_MAX ? INT64_MAX : (sqlite3_int64)n;
}

static int write_row(struct sqlite *s, const char *writer,
                     const struct kc_row *row)
{
    const char *const texts[] = {writer, row->provider, row->key, row->model};
    const uint64_t numbers[] = {row->start_ms, row->span_ms, row->requests,
                                row->input,    row->output,  row->total};
    int rc = SQLITE_OK;
    for (int i = 0; rc == SQLITE_OK && i < 4; i++)
        rc = sqlite3_bind_text(s->insert, i + 1, texts[i], -1, SQLITE_STATIC);
    for (int i = 0; rc == SQLITE_OK && i < 6; i++)
        rc = sqlite3_bind_int64(s->insert, i + 5, signed64(numbers[i]));
    if (rc == SQLITE_OK)
        sqlite3_step(s->insert); /* reset repeats its failure */
    int done = sqlite3_reset(s->insert);
    return rc == SQLITE_OK ? done : rc;
}

/* A failed fold is no failure of the write before it: it is left for later. */
static void fold_now_and_then(struct sqlite *s)
{
    if (s->newest_ms - s->folded_ms < FOLD_EVERY_MS)
        return;
    kc_schema_fold(s->db, s->newest_ms);
    s->folded_ms = s->newest_ms;
}

static int sqlite_write(struct kc_store *store, const char *writer,
                        const struct kc_row *rows, size_t n)
{
    struct sqlite *s = self(store);
    uint64_t newest = s->newest_ms;
    int rc = exec(s, "BEGIN IMMEDIATE");
    if (rc != SQLITE_OK)
        return fail(s, rc);
    for (size_t i = 0; rc == SQLITE_OK && i < n; i++) {
        rc = write_row(s, writer, &rows[i]);
        if (rows[i].start_ms > newest)
            newest = rows[i].start_ms;
    }
    sqlite3_clear_bindings(s->insert); /* the texts are the caller's */
    if (rc == SQLITE_OK)
        rc = exec(s, "COMMIT");
    if (rc != SQLITE_OK) {
        exec(s, "ROLLBACK");
        return fail(s, rc);
    }
    s->words[0] = '\0';
    s->newest_ms = newest;
    fold_now_and_then(s);
    return KC_OK;
}

static uint64_t column(sqlite3_stmt *stmt, int i)
{
    sqlite3_int64 n = sqlite3_column_int64(stmt, i);
    return n > 0 ? (uint64_t)n : 0;
}

static int pass_rows(sqlite3_stmt *stmt, kc_row_fn *fn, void *ctx)
{
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        struct kc_row row = {
            .provider = (const char *)sqlite3_column_text(stmt, 0),
            .key = (const char *)sqlite3_column_text(stmt, 1),
            .model = (const char *)sqlite3_column_text(stmt, 2),
            .start_ms = column(stmt, 3),
            .span_ms = column(stmt, 4),
            .requests = column(stmt, 5),
            .input = column(stmt, 6),
            .output = column(stmt, 7),
            .total = column(stmt, 8)};
        if (!row.provider || !row.key || !row.model)
            return KC_ENOMEM;
        int err = fn(ctx, &row);
        if (err != KC_OK)
            return err;
    }
    return KC_OK;
}

static int sqlite_read(struct kc_store *store, const char *provider,
                       kc_row_fn *fn, void *ctx)
{
    struct sqlite *s = self(store);
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(s->db, provider ? select_one : select_all, -1,
                                &stmt, NULL);
    if (rc == SQLITE_OK && provider)
        rc = sqlite3_bind_text(stmt, 1, provider, -1, SQLITE_STATIC);
    int err = rc == SQLITE_OK ? pass_rows(stmt, fn, ctx) : KC_OK;
    int done = sqlite3_finalize(stmt);
    if (rc == SQLITE_OK)
        rc = done;
    if (rc != SQLITE_OK && err == KC_OK)
        return fail(s, rc);
    return err;
}

static const char *sqlite_error(struct kc_store *s)
{
    return self(s)->words;
}

static void sqlite_close(struct kc_store *store)
{
    struct sqlite *s = self(store);
    sqlite3_finalize(s->insert);
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

/* The handle stays as it is: closing it would drop the parent's locks. */
static void sqlite_forget(struct kc_store *store)
{
    struct sqlite *s = self(store);
    free(s->path);
    free(s);
}

/* -- opening ------------------------------------------------------------- */

/* Whether the file is there and usable, in plainer words than SQLite's. */
static int check_file(const char *path, char *words, size_t size)
{
    struct stat st;
    const char *what = NULL;
    if (stat(path, &st) != 0)
        what = strerror(errno);
    else if (S_ISDIR(st.st_mode))
        what = "it is a directory";
    else if (!S_ISREG(st.st_mode))
        what = "it is not a regular file";
    else if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0)
        what = "no permission to read and write it";
    if (!what)
        return KC_OK;
    snprintf(words, size, "cannot open %s: %s", path, what);
    return KC_ESTORE;
}

/* Makes a new file private; one that is there keeps its mode. */
static int create_file(const char *path, char *words, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return KC_OK;
    }
    if (errno == EEXIST)
        return check_file(path, words, size);
    const char *what = errno == ENOENT    ? "its folder does not exist"
                       : errno == ENOTDIR ? "its folder is a file"
                       : errno == EACCES || errno == EROFS
                           ? "no permission to write in its folder"
                           : strerror(errno);
    snprintf(words, size, "cannot create %s: %s", path, what);
    return KC_ESTORE;
}

/* To change the journal mode takes the file for itself, and SQLite gives up at
 * once where another process does the same: that one's work serves us too. */
static int use_wal(sqlite3 *db)
{
    static const char sql[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;";
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    for (int ms = 1; (rc & 0xff) == SQLITE_BUSY && ms < 1000; ms *= 2) {
        sqlite3_sleep(ms);
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    }
    return rc;
}

static int prepare(struct sqlite *s)
{
    enum kc_schema_state state = KC_SCHEMA_READY;
    int version = 0;
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, OPEN_BUSY_MS);
    int rc = kc_schema_prepare(s->db, &state, &version);
    if (rc == SQLITE_OK && state == KC_SCHEMA_NEWER) {
        snprintf(s->words, sizeof s->words,
                 "%s was written by a newer keycycle (its schema is %d, this "
                 "build knows %d)",
                 s->path, version, KC_SCHEMA_VERSION);
        return KC_ESTORE;
    }
    if (rc == SQLITE_OK && state == KC_SCHEMA_FOREIGN) {
        snprintf(s->words, sizeof s->words,
                 "%s is the database of another program", s->path);
        return KC_ESTORE;
    }
    if (rc == SQLITE_OK)
        rc = use_wal(s->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v3(s->db, upsert, -1, SQLITE_PREPARE_PERSISTENT,
                                &s->insert, NULL);
    if (rc == SQLITE_OK)
        rc = kc_schema_newest(s->db, &s->newest_ms);
    if (rc != SQLITE_OK)
        return fail(s, rc);
    fold_now_and_then(s);
    sqlite3_busy_timeout(s->db, WRITE_BUSY_MS);
    return KC_OK;
}

static int open_db(struct sqlite *s, const char *path)
{
    bool memory = strcmp(path, ":memory:") == 0;
    /* "./" keeps SQLite from seeing a URI or another special name. */
    bool plain = memory || path[0] == '/';
    size_t size = strlen(path) + 3;
    s->path = malloc(size);
    if (!s->path)
        return KC_ENOMEM;
    snprintf(s->path, size, "%s%s", plain ? "" : "./", path);
    int err = memory ? KC_OK : create_file(path, s->words, sizeof s->words);
    if (err != KC_OK)
        return err;
    int rc = sqlite3_open_v2(
        s->path, &s->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return fail(s, rc);
    if (!plain) /* people get the name that they gave */
        memmove(s->path, s->path + 2, size - 2);
    return prepare(s);
}

int kc_sqlite_open(const char *path, struct kc_store **out, char *words,
                   size_t size)
{
    static const struct kc_store_ops ops = {.write = sqlite_write,
                                            .read = sqlite_read,
                                            .error = sqlite_error,
                                            .close = sqlite_close,
                                            .forget = sqlite_forget};
    *out = NULL;
    struct sqlite *s = calloc(1, sizeof *s);
    if (!s)
        return KC_ENOMEM;
    s->head.ops = &ops;
    int err = open_db(s, path);
    if (err == KC_OK) {
        *out = &s->head;
        return KC_OK;
    }
    snprintf(words, size, "%s", s->words);
    sqlite_close(&s->head);
    return err;
}
