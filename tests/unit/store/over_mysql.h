/* over_mysql.h -- where the stores of these tests are: in MariaDB, a database
 * of its own for each folder. The server's defaults are as unlike ours as they
 * can be. */
#ifndef TESTS_STORE_OVER_MYSQL_H
#define TESTS_STORE_OVER_MYSQL_H

#include <stdio.h>
#include <string.h>

#include "store/mysql.h"
#include "support/mariadb.h"

#define CAN_BE_QUIET false
#define SOME_DAYS 2 /* of random writes: each costs much more here */

/* A trigger that refuses a use of 666 requests. */
#define REFUSE_666                                             \
    "CREATE TRIGGER t BEFORE INSERT ON keycycle_use"           \
    " FOR EACH ROW IF new.requests = 666 THEN SIGNAL SQLSTATE" \
    " '45000' SET message_text = 'that number'; END IF"

#define ok(db, call)                           \
    do {                                       \
        if ((call) != KC_OK)                   \
            fail_msg("%s", kc_db_error((db))); \
    } while (0)

static struct mariadb *server;

static inline int start_server(void **state)
{
    (void)state;
    server = mariadb_open("--sql-mode=NO_BACKSLASH_ESCAPES,ANSI_QUOTES"
                          " --autocommit=0 --character-set-server=latin1");
    return server ? 0 : -1;
}

static inline int stop_server(void **state)
{
    (void)state;
    if (server)
        mariadb_close(server);
    return 0;
}

static inline struct kc_db *open_url(const char *url)
{
    struct kc_db *db = NULL;
    char words[500];
    if (kc_mysql_open(url, &db, words, sizeof words) != KC_OK)
        fail_msg("%s: %s", url, words);
    return db;
}

static inline struct kc_db *open_kc(void)
{
    return open_url(mariadb_url(server, "kc"));
}

/* "/tmp/keycycle-store-XXXXXX/usage.db" is the database kc_XXXXXX, which is
 * made when it is asked for. */
static inline const char *url_of(const char *path, char url[200])
{
    char name[12], sql[60];
    const char *end = strrchr(path, '/');
    assert_true(end && end - path > 6);
    snprintf(name, sizeof name, "kc_%.6s", end - 6);
    snprintf(sql, sizeof sql, "CREATE DATABASE IF NOT EXISTS %s", name);
    struct kc_db *db = open_kc();
    ok(db, kc_db_exec(db, sql, NULL));
    kc_db_close(db);
    snprintf(url, 200, "%s", mariadb_url(server, name));
    return url;
}

static inline struct kc_db *open_db(const char *path)
{
    char url[200];
    return open_url(url_of(path, url));
}

#endif
