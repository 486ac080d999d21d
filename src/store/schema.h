/* schema.h -- the tables: made, checked, brought up to date.
 *
 *   keycycle_writer  who writes: one run of one journal
 *   keycycle_key     keys (and groups of keys) by provider and hash
 *   keycycle_model   models; id 0 is no model
 *   keycycle_use     what a writer used of (key, model) in a span of time
 *   keycycle_sum     in all, and what it holds; `seq` is the writer's, then
 *   keycycle_state   states of keys (model 0) and of keys for one model
 *   keycycle_meta    MySQL: the version of all this; SQLite has its own place
 *
 * Writer 0 is the archive: it has no row. Version 1 was SQLite's alone.
 */
#ifndef KC_STORE_SCHEMA_H
#define KC_STORE_SCHEMA_H

#include <stdint.h>

#include "store/db.h"

#define KC_SCHEMA_VERSION 2
#define KC_SCHEMA_APPLICATION 0x4b435943 /* "KCYC", of SQLite's files */

enum kc_schema_state {
    KC_SCHEMA_READY,
    KC_SCHEMA_EMPTY,
    KC_SCHEMA_OLDER,
    KC_SCHEMA_NEWER,  /* of a later keycycle; *version says which */
    KC_SCHEMA_FOREIGN /* another program's tables */
};

/* kc_schema_look tells what is there, and changes nothing. */
KC_CHECKED int kc_schema_look(struct kc_db *db, enum kc_schema_state *state,
                              int64_t *version);

/* kc_schema_prepare makes the tables where there are none, and brings older
 * ones up to date: all of it, or nothing has changed. Several processes may do
 * it at once. *state is READY, NEWER or FOREIGN on KC_OK. */
KC_CHECKED int kc_schema_prepare(struct kc_db *db, enum kc_schema_state *state,
                                 int64_t *version);

#endif
