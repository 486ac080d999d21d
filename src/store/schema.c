/* schema.c -- see schema.h. */
#include "store/schema.h"

#include <stdbool.h>
#include <string.h>

#include "store/store_impl.h"
#include "util/buf.h"

#define STATEMENT_MAX 4096

/* The words of the tables below, which begin with `$`, in both languages.
 * Names differ by case, so MySQL compares them by their bytes. */
static const struct word {
    const char *word, *sqlite, *mysql;
} words[] = {
    {"id", "INTEGER PRIMARY KEY AUTOINCREMENT",
     "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY"},
    {"int", "INTEGER NOT NULL", "BIGINT NOT NULL"},
    {"text8", "TEXT NOT NULL", "VARCHAR(8) NOT NULL"},
    {"text16", "TEXT NOT NULL", "VARCHAR(16) NOT NULL"},
    {"text64", "TEXT NOT NULL", "VARCHAR(64) NOT NULL"},
    {"text80", "TEXT NOT NULL", "VARCHAR(80) NOT NULL"},
    {"text255", "TEXT NOT NULL", "VARCHAR(255) NOT NULL"},
    {"text512", "TEXT NOT NULL", "VARCHAR(512) NOT NULL"},
    {"table", "STRICT",
     "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"},
    /* One that lies in the order of its primary key, as all of InnoDB's do. */
    {"ordered", "STRICT, WITHOUT ROWID",
     "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"},
    {"most", KC_COUNT_MAX_TEXT, ""}, /* of one row of version 1 */
};

static const char *const all_tables[] = {
    "CREATE TABLE IF NOT EXISTS keycycle_writer (id $id, name $text64,"
    " seq $int, started_ms $int, seen_ms $int, ended $int,"
    " UNIQUE (name)) $table",

    "CREATE TABLE IF NOT EXISTS keycycle_key (id $id, provider $text255,"
    " hash $text80, label $text64, suffix $text8,"
    " UNIQUE (provider, hash)) $table",

    "CREATE TABLE IF NOT EXISTS keycycle_model (id $id, name $text255,"
    " UNIQUE (name)) $table",

    "CREATE TABLE IF NOT EXISTS keycycle_use (start_ms $int, span_ms $int,"
    " key_id $int, model_id $int, writer $int, last_ms $int,"
    " requests $int, input $int, output $int, total $int,"
    " counted $int, counted_tokens $int, counted_input $int,"
    " PRIMARY KEY (start_ms, span_ms, key_id, model_id, writer)) $ordered",

    "CREATE TABLE IF NOT EXISTS keycycle_sum (writer $int, key_id $int,"
    " model_id $int, last_ms $int,"
    " requests $int, input $int, output $int, total $int,"
    " counted $int, counted_tokens $int, counted_input $int,"
    " held_requests $int, held_tokens $int, held_input $int, seq $int,"
    " PRIMARY KEY (writer, key_id, model_id)) $ordered",

    "CREATE TABLE IF NOT EXISTS keycycle_state (key_id $int, model_id $int,"
    " state $text16, disabled $int, guessed $int, auth $int, tries $int,"
    " until_ms $int, reason $text64, learned $text512, changed_ms $int,"
    " writer $int, seq $int, PRIMARY KEY (key_id, model_id)) $ordered",
    NULL,
};

/* Written last: by then all the tables are there. */
_Static_assert(KC_SCHEMA_APPLICATION == 1262704963, "as in the text below");
_Static_assert(KC_SCHEMA_VERSION == 2, "as in the texts below");
static const char *const sqlite_version[] = {
    "PRAGMA application_id = 1262704963",
    "PRAGMA user_version = 2",
    NULL,
};

static const char *const mysql_version[] = {
    "CREATE TABLE IF NOT EXISTS keycycle_meta (name $text64, value $int,"
    " PRIMARY KEY (name)) $table",
    "INSERT INTO keycycle_meta VALUES ('schema', 2)"
    " ON DUPLICATE KEY UPDATE name = name",
    NULL,
};

/* Version 1 had one table, SQLite's alone. Its rows become those of a writer
 * that has ended, which are summed up in time as all such are. What it booked
 * when a call began counts as used. */
static const char *const from_version_1[] = {
    "INSERT INTO keycycle_key (provider, hash, label, suffix)"
    " SELECT DISTINCT provider, key, '', '' FROM usage",

    "INSERT INTO keycycle_model (name)"
    " SELECT DISTINCT model FROM usage WHERE model <> ''",

    "INSERT INTO keycycle_writer (name, seq, started_ms, seen_ms, ended)"
    " SELECT 'version 1', 1, first_ms, end_ms, 1 FROM"
    " (SELECT min(start_ms) AS first_ms, max(start_ms + span_ms) AS end_ms"
    " FROM usage) WHERE end_ms IS NOT NULL",

    "INSERT INTO keycycle_use SELECT u.start_ms, u.span_ms, k.id,"
    " coalesce(m.id, 0), w.id, u.start_ms + u.span_ms - 1,"
    " sum(min(u.requests, $most)), sum(min(u.input, $most)),"
    " sum(min(u.output, $most)), sum(min(u.total, $most)),"
    " sum(min(u.requests, $most)), sum(min(u.total, $most)),"
    " sum(min(u.input, $most))"
    " FROM usage AS u"
    " JOIN keycycle_key AS k ON k.provider = u.provider AND k.hash = u.key"
    " LEFT JOIN keycycle_model AS m ON m.name = u.model"
    " JOIN keycycle_writer AS w"
    " GROUP BY 1, 2, 3, 4, 5",

    "INSERT INTO keycycle_sum SELECT writer, key_id, model_id, max(last_ms),"
    " sum(min(requests, $most)), sum(min(input, $most)),"
    " sum(min(output, $most)), sum(min(total, $most)),"
    " sum(min(counted, $most)), sum(min(counted_tokens, $most)),"
    " sum(min(counted_input, $most)), 0, 0, 0, 1"
    " FROM keycycle_use GROUP BY 1, 2, 3",

    "DROP TABLE usage",
    NULL,
};

static bool is_sqlite(const struct kc_db *db)
{
    return strcmp(db->ops->dialect->name, "sqlite") == 0;
}

static enum kc_schema_state compare(int64_t version, int64_t oldest)
{
    return version == KC_SCHEMA_VERSION  ? KC_SCHEMA_READY
           : version > KC_SCHEMA_VERSION ? KC_SCHEMA_NEWER
           : version >= oldest           ? KC_SCHEMA_OLDER
                                         : KC_SCHEMA_FOREIGN;
}

static int look_at_sqlite(struct kc_db *db, enum kc_schema_state *state,
                          int64_t *version)
{
    int64_t tables = 0, id = 0;
    int err = kc_db_number(db, "PRAGMA user_version", NULL, 0, version);
    if (err == KC_OK)
        err = kc_db_number(db, "PRAGMA application_id", NULL, 0, &id);
    if (err == KC_OK)
        err = kc_db_number(db, "SELECT count(*) FROM sqlite_schema", NULL, 0,
                           &tables);
    if (id == KC_SCHEMA_APPLICATION)
        *state = compare(*version, 1);
    else if (id == 0 && *version == 0 && tables == 0)
        *state = KC_SCHEMA_EMPTY;
    else
        *state = KC_SCHEMA_FOREIGN;
    return err;
}

static int look_at_mysql(struct kc_db *db, enum kc_schema_state *state,
                         int64_t *version)
{
    int64_t tables = 0;
    int err = kc_db_number(db,
                           "SELECT count(*) FROM information_schema.tables"
                           " WHERE table_schema = DATABASE()"
                           " AND table_name = 'keycycle_meta'",
                           NULL, 0, &tables);
    if (err == KC_OK && tables > 0)
        err = kc_db_number(
            db, "SELECT value FROM keycycle_meta WHERE name = 'schema'", NULL,
            0, version);
    /* The version is written last: somebody may be at it now. */
    *state =
        *version == 0 ? KC_SCHEMA_EMPTY : compare(*version, KC_SCHEMA_VERSION);
    return err;
}

static int look(struct kc_db *db, enum kc_schema_state *state, int64_t *version)
{
    *state = KC_SCHEMA_FOREIGN;
    *version = 0;
    return is_sqlite(db) ? look_at_sqlite(db, state, version)
                         : look_at_mysql(db, state, version);
}

/* Ends a transaction by what came of it. */
static int end(struct kc_db *db, int err)
{
    bool doubtful;
    if (err == KC_OK)
        return kc_db_commit(db, &doubtful);
    kc_db_rollback(db);
    return err;
}

int kc_schema_look(struct kc_db *db, enum kc_schema_state *state,
                   int64_t *version)
{
    *state = KC_SCHEMA_FOREIGN;
    *version = 0;
    /* MySQL cannot read a table that is younger than the transaction. */
    if (!is_sqlite(db))
        return look(db, state, version);
    int err = kc_db_begin(db, false);
    return err == KC_OK ? end(db, look(db, state, version)) : err;
}

static const char *in_dialect(const char *word, size_t len, bool sqlite)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == len &&
            strncmp(words[i].word, word, len) == 0)
            return sqlite ? words[i].sqlite : words[i].mysql;
    return word; /* never: a test makes all of the tables */
}

static int translate(struct kc_buf *sql, const char *text, bool sqlite)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    int err = KC_OK;
    kc_buf_clear(sql);
    while (err == KC_OK && *text) {
        size_t plain = strcspn(text, "$");
        err = kc_buf_add(sql, text, plain);
        text += plain;
        if (err != KC_OK || *text == '\0')
            continue;
        size_t len = strspn(++text, letters);
        err = kc_buf_addstr(sql, in_dialect(text, len, sqlite));
        text += len;
    }
    return err;
}

static int run(struct kc_db *db, const char *const *statements)
{
    struct kc_buf sql;
    int err = KC_OK;
    kc_buf_init(&sql, STATEMENT_MAX);
    for (; err == KC_OK && *statements; statements++) {
        err = translate(&sql, *statements, is_sqlite(db));
        if (err == KC_OK)
            err = kc_db_exec(db, kc_buf_str(&sql), NULL);
    }
    kc_buf_deinit(&sql);
    return err;
}

/* Another process may be at it right now, so it looks again. (MySQL ends the
 * transaction at each table: there each statement may be repeated.) */
static int make(struct kc_db *db, enum kc_schema_state *state, int64_t *version)
{
    int err = look(db, state, version);
    if (err != KC_OK ||
        (*state != KC_SCHEMA_EMPTY && *state != KC_SCHEMA_OLDER))
        return err;
    err = run(db, all_tables);
    if (err == KC_OK)
        err = run(db, is_sqlite(db) ? sqlite_version : mysql_version);
    if (err == KC_OK && *state == KC_SCHEMA_OLDER)
        err = run(db, from_version_1);
    if (err == KC_OK)
        *state = KC_SCHEMA_READY;
    return err;
}

int kc_schema_prepare(struct kc_db *db, enum kc_schema_state *state,
                      int64_t *version)
{
    int err = kc_schema_look(db, state, version);
    if (err != KC_OK ||
        (*state != KC_SCHEMA_EMPTY && *state != KC_SCHEMA_OLDER))
        return err;
    err = kc_db_begin(db, true);
    return err == KC_OK ? end(db, make(db, state, version)) : err;
}
