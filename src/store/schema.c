/* schema.c -- see schema.h. */
#include "store/schema.h"

#include <stdbool.h>
#include <string.h>

/* What SQLite and MySQL call the same: an id that the database gives, a whole
 * number, a text of that many characters, the end of a table, that of one which
 * lies in the order of its primary key. */
#define TABLES(ID, INT, TEXT, END, ORDERED)                                    \
    "CREATE TABLE IF NOT EXISTS keycycle_writer (id " ID                       \
    ", name " TEXT(64) ", seq " INT ", started_ms " INT ", seen_ms " INT       \
                       ", ended " INT ", UNIQUE (name)" END,                   \
        "CREATE TABLE IF NOT EXISTS keycycle_key (id " ID                      \
        ", provider " TEXT(255) ", hash " TEXT(80) ", label " TEXT(            \
            64) ", suffix " TEXT(8) ", UNIQUE (provider, hash)" END,           \
        "CREATE TABLE IF NOT EXISTS keycycle_model (id " ID                    \
        ", name " TEXT(255) ", UNIQUE (name)" END,                             \
        "CREATE TABLE IF NOT EXISTS keycycle_use (start_ms " INT               \
        ", span_ms " INT ", key_id " INT ", model_id " INT ", writer " INT     \
        ", last_ms " INT ", " USED(INT) ", PRIMARY KEY (start_ms, span_ms, "   \
                                        "key_id, model_id, writer)" ORDERED,   \
        "CREATE TABLE IF NOT EXISTS keycycle_sum (writer " INT ", key_id " INT \
        ", model_id " INT ", last_ms " INT                                     \
        ", " USED(INT) ", held_requests " INT ", held_tokens " INT             \
                       ", held_input " INT ", seq " INT                        \
                       ", PRIMARY KEY (writer, key_id, model_id)" ORDERED,     \
        "CREATE TABLE IF NOT EXISTS keycycle_state (key_id " INT               \
        ", model_id " INT ", state " TEXT(                                     \
            16) ", disabled " INT ", guessed " INT ", auth " INT               \
                ", tries " INT ", until_ms " INT                               \
                ", reason " TEXT(64) ", learned " TEXT(                        \
                    512) ", changed_ms " INT ", writer " INT ", seq " INT      \
                         ", PRIMARY KEY (key_id, model_id)" ORDERED

#define USED(INT)                                                 \
    "requests " INT ", input " INT ", output " INT ", total " INT \
    ", counted " INT ", counted_tokens " INT ", counted_input " INT

#define SQLITE_TEXT_OF(n) "TEXT NOT NULL"
static const char *const sqlite_tables[] = {
    TABLES("INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER NOT NULL",
           SQLITE_TEXT_OF, ") STRICT", ") STRICT, WITHOUT ROWID"),
    "PRAGMA application_id = 1262704963",
    "PRAGMA user_version = 2",
    NULL,
};
_Static_assert(KC_SCHEMA_APPLICATION == 1262704963, "as in the text above");
_Static_assert(KC_SCHEMA_VERSION == 2, "as in the texts above and below");

/* Names differ by case, so they are compared by their bytes. */
#define MYSQL_TEXT_OF(n) "VARCHAR(" #n ") NOT NULL"
#define MYSQL_END ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
static const char *const mysql_tables[] = {
    "CREATE TABLE IF NOT EXISTS keycycle_meta (name VARCHAR(64) NOT NULL,"
    " value BIGINT NOT NULL, PRIMARY KEY (name)" MYSQL_END,
    TABLES("BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY", "BIGINT NOT NULL",
           MYSQL_TEXT_OF, MYSQL_END, MYSQL_END),
    "INSERT INTO keycycle_meta VALUES ('schema', 2)"
    " ON DUPLICATE KEY UPDATE name = name",
    NULL,
};

/* Version 1 had one table, SQLite's alone. Its rows become those of a writer
 * that has ended, which are summed up in time as all such are. What it booked
 * when a call began counts as used. */
#define LEAST(x) "sum(min(" x ", 1125899906842624))"
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
    " " LEAST("u.requests") ", " LEAST("u.input") ", " LEAST(
        "u.output") ","
                    " " LEAST("u.total") ", " LEAST("u.requests") ", " LEAST(
                        "u.total") ","
                                   " " LEAST(
                                       "u.input") " FROM usage AS u"
                                                  " JOIN keycycle_key AS k ON "
                                                  "k.provider = u.provider AND "
                                                  "k.hash = u.key"
                                                  " LEFT JOIN keycycle_model "
                                                  "AS m ON m.name = u.model"
                                                  " JOIN keycycle_writer AS w "
                                                  "GROUP BY 1, 2, 3, 4, 5",
    "INSERT INTO keycycle_sum SELECT writer, key_id, model_id, max(last_ms),"
    " " LEAST("requests") ", " LEAST("input") ", " LEAST(
        "output") ","
                  " " LEAST("total") ", " LEAST("counted") ", " LEAST(
                      "counted_tokens") ","
                                        " " LEAST(
                                            "counted_input") ", 0, 0, 0, 1"
                                                             " FROM "
                                                             "keycycle_use "
                                                             "GROUP BY 1, 2, 3",
    "DROP TABLE usage",
    NULL,
};

static bool is_sqlite(const struct kc_db *db)
{
    return strcmp(db->ops->dialect->name, "sqlite") == 0;
}

static int take_number(void *ctx, const struct kc_value *columns, size_t n)
{
    (void)n;
    *(int64_t *)ctx = columns[0].number;
    return KC_OK;
}

/* Leaves *out as it is where there is no row. */
static int number(struct kc_db *db, const char *sql, int64_t *out)
{
    return kc_db_query(db, sql, NULL, 0, take_number, out, NULL);
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
    int err = number(db, "PRAGMA user_version", version);
    if (err == KC_OK)
        err = number(db, "PRAGMA application_id", &id);
    if (err == KC_OK)
        err = number(db, "SELECT count(*) FROM sqlite_schema", &tables);
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
    int err = number(db,
                     "SELECT count(*) FROM information_schema.tables"
                     " WHERE table_schema = DATABASE()"
                     " AND table_name = 'keycycle_meta'",
                     &tables);
    if (err == KC_OK && tables > 0)
        err =
            number(db, "SELECT value FROM keycycle_meta WHERE name = 'schema'",
                   version);
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

static int run(struct kc_db *db, const char *const *statements)
{
    int err = KC_OK;
    for (; err == KC_OK && *statements; statements++)
        err = kc_db_exec(db, *statements, NULL);
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
    err = run(db, is_sqlite(db) ? sqlite_tables : mysql_tables);
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
