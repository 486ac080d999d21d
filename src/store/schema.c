/* schema.c -- see schema.h. */
#include "store/schema.h"

#include <stddef.h>

#define APPLICATION_ID 0x4b435943 /* "KCYC" */
#define MINUTE 60000
#define HOUR (60 * MINUTE)
#define DAY (24 * (int64_t)HOUR)

static const char create[] =
    "CREATE TABLE usage ("
    " writer TEXT NOT NULL, provider TEXT NOT NULL, key TEXT NOT NULL,"
    " model TEXT NOT NULL, start_ms INTEGER NOT NULL,"
    " span_ms INTEGER NOT NULL, requests INTEGER NOT NULL,"
    " input INTEGER NOT NULL, output INTEGER NOT NULL,"
    " total INTEGER NOT NULL,"
    " PRIMARY KEY (writer, provider, key, model, start_ms, span_ms)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX usage_by_time ON usage (provider, start_ms);"
    "PRAGMA application_id = 1262704963;"
    "PRAGMA user_version = 1;";

_Static_assert(APPLICATION_ID == 1262704963, "as in the text above");
_Static_assert(KC_SCHEMA_VERSION == 1, "as in the text above");

static int number(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt;
    *out = 0;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    return sqlite3_finalize(stmt);
}

/* Ends a transaction by what came of it. */
static int end(sqlite3 *db, int rc)
{
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

int kc_schema_prepare(sqlite3 *db, enum kc_schema_state *state, int *version)
{
    int64_t user = 0, tables = 0, id = 0;
    *state = KC_SCHEMA_READY;
    *version = 0;
    int rc = number(db, "PRAGMA user_version", &user);
    if (rc == SQLITE_OK)
        rc = number(db, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK && user == KC_SCHEMA_VERSION && id == APPLICATION_ID)
        return SQLITE_OK;
    /* Another process may be making the tables right now: look again. */
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = number(db, "PRAGMA user_version", &user);
    if (rc == SQLITE_OK)
        rc = number(db, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK)
        rc = number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc == SQLITE_OK && user == 0 && id == 0 && tables == 0)
        rc = sqlite3_exec(db, create, NULL, NULL, NULL);
    else if (id != APPLICATION_ID)
        *state = KC_SCHEMA_FOREIGN;
    else if (user > KC_SCHEMA_VERSION)
        *state = KC_SCHEMA_NEWER;
    *version = (int)user;
    return end(db, rc);
}

int kc_schema_newest(sqlite3 *db, uint64_t *start_ms)
{
    int64_t newest;
    int rc = number(db, "SELECT max(start_ms) FROM usage", &newest);
    *start_ms = newest > 0 ? (uint64_t)newest : 0;
    return rc;
}

/* Sums up what began before `before_ms`, a multiple of `span_ms`. */
static int fold(sqlite3 *db, int64_t span_ms, int64_t before_ms)
{
    static const char *const texts[] = {
        "INSERT INTO usage SELECT '', provider, key, model,"
        " start_ms - start_ms % ?1, ?1, sum(requests), sum(input),"
        " sum(output), sum(total) FROM usage"
        " WHERE span_ms < ?1 AND start_ms < ?2"
        " GROUP BY provider, key, model, start_ms / ?1"
        " ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,"
        " input = input + excluded.input, output = output + excluded.output,"
        " total = total + excluded.total",
        "DELETE FROM usage WHERE span_ms < ?1 AND start_ms < ?2",
    };
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < 2; i++) {
        sqlite3_stmt *stmt;
        rc = sqlite3_prepare_v2(db, texts[i], -1, &stmt, NULL);
        if (rc != SQLITE_OK)
            break;
        sqlite3_bind_int64(stmt, 1, span_ms);
        sqlite3_bind_int64(stmt, 2, before_ms);
        sqlite3_step(stmt); /* finalize repeats its failure */
        rc = sqlite3_finalize(stmt);
    }
    return rc;
}

int kc_schema_fold(sqlite3 *db, uint64_t newest_ms)
{
    static const struct {
        int64_t span_ms, keep_ms;
    } levels[] = {{MINUTE, HOUR}, {HOUR, DAY + HOUR}, {DAY, 2 * DAY}};
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return rc;
    for (size_t i = 0; rc == SQLITE_OK && i < 3; i++) {
        int64_t before = (int64_t)newest_ms - levels[i].keep_ms;
        if (before > 0)
            rc = fold(db, levels[i].span_ms,
                      before - before % levels[i].span_ms);
    }
    return end(db, rc);
}
