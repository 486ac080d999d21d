/* db.h -- a database that speaks SQL, behind one vtable: SQLite, MySQL.
 *
 * What is stored, and when, is store.c's and its neighbours'; here is how to
 * run a statement. One thread at a time, but for kc_db_interrupt. A connection
 * that was lost is made anew by the next kc_db_begin.
 */
#ifndef KC_STORE_DB_H
#define KC_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

struct kc_value {     /* of a parameter or of a column */
    const char *text; /* NULL: the number */
    int64_t number;
};

/* Called for each row; the texts live for the call. Not KC_OK ends the query
 * with that code. It must not use the database. */
typedef int kc_db_row_fn(void *ctx, const struct kc_value *columns, size_t n);

/* Where the two speak differently. */
struct kc_dialect {
    const char *name;          /* "sqlite", "mysql" */
    const char *on_conflict;   /* between VALUES (…) and what is set:
                                * " ON CONFLICT DO UPDATE SET ",
                                * " ON DUPLICATE KEY UPDATE " */
    const char *proposed_head; /* around a column's name, its value in the row
                                * that was to be inserted: "excluded.",
                                * "VALUES(" */
    const char *proposed_tail; /* "", ")" */
    const char *latest;        /* behind a SELECT: what is committed by now,
                                * where the transaction began earlier */
    const char *one_by_one;    /* a query that waits until no other transaction
                                * that has asked it runs; NULL: no two that
                                * write run at once */
};

struct kc_db;
struct kc_db_ops {
    const struct kc_dialect *dialect;
    int (*begin)(struct kc_db *db, bool write);
    int (*commit)(struct kc_db *db, bool *doubtful);
    void (*rollback)(struct kc_db *db);
    int (*exec)(struct kc_db *db, const char *sql, int64_t *changed);
    int (*query)(struct kc_db *db, const char *sql,
                 const struct kc_value *params, size_t n, kc_db_row_fn *fn,
                 void *ctx, int64_t *changed);
    int (*quiet)(struct kc_db *db, bool *quiet);
    void (*interrupt)(struct kc_db *db);
    const char *(*error)(struct kc_db *db);
    void (*close)(struct kc_db *db);
    void (*forget)(struct kc_db *db);
};
struct kc_db { /* the head of every implementation */
    const struct kc_db_ops *ops;
};

/* Failures: KC_ESTORE when it may work later (locked, gone, full), KC_EAGAIN
 * when another connection's transaction was in the way and all of this one may
 * work at once, KC_ECORRUPT, KC_ENOMEM, KC_EINVALID when the data itself is
 * refused, KC_ECLOSED after kc_db_interrupt. kc_db_error has the words, never
 * with a password. */

/* kc_db_begin starts a transaction, connecting again if need be: one that
 * writes excludes other writers where the database has but one, and else each
 * of its statements sees what is committed by then; one that reads sees one
 * instant. */
KC_CHECKED static inline int kc_db_begin(struct kc_db *db, bool write)
{
    return db->ops->begin(db, write);
}

/* kc_db_commit ends it. On failure nothing was written, unless *doubtful: the
 * connection was lost before the answer came. */
KC_CHECKED static inline int kc_db_commit(struct kc_db *db, bool *doubtful)
{
    return db->ops->commit(db, doubtful);
}
static inline void kc_db_rollback(struct kc_db *db)
{
    db->ops->rollback(db);
}

/* kc_db_exec runs one statement without parameters or rows; `changed` (or NULL)
 * gets how many rows it matched. */
KC_CHECKED static inline int kc_db_exec(struct kc_db *db, const char *sql,
                                        int64_t *changed)
{
    return db->ops->exec(db, sql, changed);
}

/* kc_db_query runs one statement with a `?` for each parameter; `fn` may be
 * NULL for one without rows. */
KC_CHECKED static inline int kc_db_query(struct kc_db *db, const char *sql,
                                         const struct kc_value *params,
                                         size_t n, kc_db_row_fn *fn, void *ctx,
                                         int64_t *changed)
{
    return db->ops->query(db, sql, params, n, fn, ctx, changed);
}

static inline int kc_db_take_number(void *ctx, const struct kc_value *columns,
                                    size_t n)
{
    (void)n;
    *(int64_t *)ctx = columns[0].number;
    return KC_OK;
}

/* kc_db_number asks for one number; without a row *out stays as it is. */
KC_CHECKED static inline int kc_db_number(struct kc_db *db, const char *sql,
                                          const struct kc_value *params,
                                          size_t n, int64_t *out)
{
    return kc_db_query(db, sql, params, n, kc_db_take_number, out, NULL);
}

/* kc_db_quiet: surely nobody else has written since it was asked last; where
 * that cannot be told cheaply *quiet is false. */
KC_CHECKED static inline int kc_db_quiet(struct kc_db *db, bool *quiet)
{
    return db->ops->quiet(db, quiet);
}

/* kc_db_interrupt has what runs, and all that follows, end soon with
 * KC_ECLOSED. Any thread. */
static inline void kc_db_interrupt(struct kc_db *db)
{
    db->ops->interrupt(db);
}
static inline const char *kc_db_error(struct kc_db *db)
{
    return db->ops->error(db);
}
static inline void kc_db_close(struct kc_db *db)
{
    if (db)
        db->ops->close(db);
}

/* kc_db_forget is close for a forked child: file, locks, descriptors and
 * connection are the parent's and are not touched. */
static inline void kc_db_forget(struct kc_db *db)
{
    if (db)
        db->ops->forget(db);
}

#endif
