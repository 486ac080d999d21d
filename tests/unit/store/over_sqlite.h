/* over_sqlite.h -- where the stores of these tests are: in a file. */
#ifndef TESTS_STORE_OVER_SQLITE_H
#define TESTS_STORE_OVER_SQLITE_H

#include <stdio.h>

#include "store/sqlite.h"

#define CAN_BE_QUIET true
#define SOME_DAYS 6 /* of random writes */

/* A trigger that refuses a use of 666 requests. */
#define REFUSE_666                                             \
    "CREATE TRIGGER t BEFORE INSERT ON keycycle_use"           \
    " WHEN new.requests = 666 BEGIN SELECT raise(ABORT, 'that" \
    " number'); END"

static inline const char *url_of(const char *path, char url[200])
{
    snprintf(url, 200, "sqlite:%s", path);
    return url;
}

static inline struct kc_db *open_db(const char *path)
{
    struct kc_db *db;
    char words[200];
    int err = kc_sqlite_open(path, false, &db, words, sizeof words);
    assert_int_equal(err, KC_OK);
    return db;
}

#endif
