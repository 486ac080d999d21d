/* schema.h -- the tables of the SQLite store: made, checked, kept small. */
#ifndef KC_STORE_SCHEMA_H
#define KC_STORE_SCHEMA_H

#include <stdint.h>

#include <sqlite3.h>

#define KC_SCHEMA_VERSION 1

enum kc_schema_state {
    KC_SCHEMA_READY,
    KC_SCHEMA_NEWER,  /* of a later keycycle; *version says which */
    KC_SCHEMA_FOREIGN /* another program's tables */
};

/* kc_schema_prepare makes the tables in an empty file. Returns SQLite's code;
 * *state counts on SQLITE_OK. */
int kc_schema_prepare(sqlite3 *db, enum kc_schema_state *state, int *version);

/* kc_schema_newest returns the start of the newest row, 0 without rows. */
int kc_schema_newest(sqlite3 *db, uint64_t *start_ms);

/* kc_schema_fold sums up old rows of all writers: by the minute what is over an
 * hour older than `newest_ms`, by the hour what no window of a day reaches any
 * more, by the day what is older still. It leaves whole periods only, so a
 * row's end is never later than it was by more than a minute where a window
 * still counts it. Returns SQLite's code; on failure nothing changed. */
int kc_schema_fold(sqlite3 *db, uint64_t newest_ms);

#endif
