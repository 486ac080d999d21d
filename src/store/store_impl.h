/* store_impl.h -- what the files of a store share. */
#ifndef KC_STORE_STORE_IMPL_H
#define KC_STORE_STORE_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/db.h"
#include "store/names.h"
#include "store/store.h"
#include "util/buf.h"

#define KC_LEVELS 3 /* minutes, hours, days: what spans are summed up to */

/* One number of a row at most: some thousand of them can be added up. */
#define KC_COUNT_MAX (INT64_C(1) << 50)
#define KC_COUNT_MAX_TEXT "1125899906842624"

#define KC_USED_LEN 7
extern const char *const kc_used_columns[KC_USED_LEN]; /* of struct kc_used */
#define KC_USED_TEXT \
    "requests, input, output, total, counted, counted_tokens, counted_input"

struct kc_known { /* another writer, as it was merged last */
    int64_t id;
    uint64_t tag; /* of its name: ids begin anew in another file */
    uint64_t seq;
    bool ended;
};

struct kc_store {
    struct kc_db *db;
    bool is_private, look;
    bool unsure; /* the tables are looked at before the next transaction */
    uint32_t keep_days;
    char *name; /* what people know it by */
    char words[512];

    /* write.c */
    char writer_name[33];
    int64_t writer;      /* 0: not made yet */
    uint64_t seq;        /* of the last attempt to write */
    uint64_t started_ms; /* the earliest start of a row */
    struct kc_ids ids;

    /* read.c */
    struct kc_known *known; /* by id */
    size_t known_len;
    bool seeded;   /* somebody has read before: `known` counts */
    bool unmerged; /* what others wrote was seen to be there, but not read */

    /* tend.c: own spans shorter than a level's lie in [from, to) */
    uint64_t from_ms[KC_LEVELS], to_ms[KC_LEVELS];
    uint64_t archive_due_ms, keep_due_ms;
};

/* kc_store_begin starts a transaction; kc_store_end ends it: it commits on
 * KC_OK, and else rolls back and keeps the words. Both return what came of it;
 * `doubtful` may be NULL. */
KC_CHECKED int kc_store_begin(struct kc_store *s, bool write);
KC_CHECKED int kc_store_end(struct kc_store *s, int err, bool *doubtful);

/* kc_store_change runs fn(ctx) in a transaction that writes, and returns what
 * came of it. Where another connection's was in the way it is done again, for a
 * while. */
KC_CHECKED int kc_store_change(struct kc_store *s, int (*fn)(void *ctx),
                               void *ctx, bool *doubtful);

/* kc_store_alone has the transaction that runs go by itself: of those that ask
 * for it there is one at a time. */
KC_CHECKED int kc_store_alone(struct kc_store *s);

/* kc_store_name_writer gives the store a new writer, not made yet. */
void kc_store_name_writer(struct kc_store *s);

/* kc_store_note_span tells tend.c of a span that was written. */
void kc_store_note_span(struct kc_store *s, uint64_t start_ms,
                        uint64_t span_ms);

/* -- sql.c ---------------------------------------------------------------- */

static inline int64_t kc_sql_time(uint64_t ms)
{
    return ms > INT64_MAX ? INT64_MAX : (int64_t)ms;
}

static inline int64_t kc_sql_count(uint64_t n)
{
    return n > (uint64_t)KC_COUNT_MAX ? KC_COUNT_MAX : (int64_t)n;
}

static inline uint64_t kc_from_sql(const struct kc_value *v)
{
    return v->number > 0 ? (uint64_t)v->number : 0;
}

/* kc_sql_overwrite adds to an INSERT: where the row is there, these `n` columns
 * get the new values. */
KC_CHECKED int kc_sql_overwrite(struct kc_buf *sql, const struct kc_dialect *d,
                                const char *const *columns, size_t n);

/* kc_sql_add_up adds to an INSERT into `table`: where the row is there, last_ms
 * becomes the later one and the counts are added. */
KC_CHECKED int kc_sql_add_up(struct kc_buf *sql, const struct kc_dialect *d,
                             const char *table);

/* kc_sql_used appends ", n" for each count; kc_used_from reads the columns that
 * begin at `v`. */
KC_CHECKED int kc_sql_used(struct kc_buf *sql, const struct kc_used *used);
void kc_used_from(const struct kc_value *v, struct kc_used *out);

#endif
