/* mysql_fixture.h -- a table to write to and to look at, in MariaDB. */
#ifndef TESTS_STORE_MYSQL_FIXTURE_H
#define TESTS_STORE_MYSQL_FIXTURE_H

#include "unit/store/over_mysql.h"

struct found {
    size_t rows;
    int64_t number;
    bool is_text;
    char text[2000];
};

static inline int keep_row(void *ctx, const struct kc_value *columns, size_t n)
{
    struct found *f = ctx;
    assert_int_equal(n, 1);
    f->rows++;
    f->number = columns[0].number;
    f->is_text = columns[0].text != NULL;
    snprintf(f->text, sizeof f->text, "%s", f->is_text ? columns[0].text : "");
    return KC_OK;
}

static inline struct found look(struct kc_db *db, const char *sql)
{
    struct found f = {0};
    ok(db, kc_db_query(db, sql, NULL, 0, keep_row, &f, NULL));
    return f;
}

static inline void make_table(struct kc_db *db)
{
    ok(db, kc_db_exec(db, "DROP TABLE IF EXISTS t", NULL));
    ok(db,
       kc_db_exec(db,
                  "CREATE TABLE t (id BIGINT PRIMARY KEY,"
                  " s VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)"
                  " ENGINE=InnoDB",
                  NULL));
}

static inline int insert(struct kc_db *db, int64_t id, const char *text)
{
    struct kc_value params[] = {{.number = id}, {.text = text}};
    return kc_db_query(db, "INSERT INTO t VALUES (?, ?)", params, 2, NULL, NULL,
                       NULL);
}

static inline int64_t count(struct kc_db *db)
{
    return look(db, "SELECT COUNT(*) FROM t").number;
}

#endif
