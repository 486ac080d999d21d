/* tend.c -- what keeps the store small: spans that are over are summed up,
 * writers that are gone go into the archive, what is old away.
 *
 * Each piece is one transaction and has its time; between those nothing is
 * asked of the database.
 */
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "util/num.h"

#define SPANS_A_CALL 60 /* that one call makes */
#define STATEMENT_MAX 8192

/* What windows reach is kept as exactly as they count: of the last hour the
 * minutes, of a day (one of 25 hours, too) the hours. What is older joins the
 * longer span around it at each step, though that one's rest is not as old yet:
 * so no more rows need to be read than those. */
static const struct {
    uint64_t span_ms, after_ms, step_ms;
} levels[KC_LEVELS] = {{KC_MINUTE_MS, 2 * KC_MINUTE_MS, KC_MINUTE_MS},
                       {KC_HOUR_MS, 65 * KC_MINUTE_MS, 5 * KC_MINUTE_MS},
                       {KC_DAY_MS, 26 * KC_HOUR_MS, KC_HOUR_MS}};

void kc_store_note_span(struct kc_store *s, uint64_t start_ms, uint64_t span_ms)
{
    for (int i = 0; i < KC_LEVELS; i++) {
        if (span_ms >= levels[i].span_ms)
            continue;
        if (start_ms < s->from_ms[i])
            s->from_ms[i] = start_ms;
        if (start_ms >= s->to_ms[i])
            s->to_ms[i] = start_ms + 1;
        return;
    }
}

static uint64_t before(uint64_t now_ms, uint64_t ms)
{
    return now_ms > ms ? now_ms - ms : 0;
}

/* -- summing up ------------------------------------------------------- */

struct piece { /* spans of one writer that begin in [from, to) */
    struct kc_store *s;
    int64_t writer;
    uint64_t from_ms, to_ms;
    uint64_t span_ms; /* shorter ones become so long, */
    int64_t owner;    /* this writer's */
};

/* The sum of a column, cut to what can be added up again. */
static int add_sum_of(struct kc_buf *sql, const char *column)
{
    return kc_buf_addf(sql,
                       ", CASE WHEN sum(u.%s) > " KC_COUNT_MAX_TEXT
                       " THEN " KC_COUNT_MAX_TEXT " ELSE sum(u.%s) END",
                       column, column);
}

/* Runs the INSERT that stands in `sql`, unless it failed, and adds to the rows
 * of the table that are there already. Frees it. */
static int add_up(struct kc_store *s, struct kc_buf *sql, const char *table,
                  int err)
{
    if (err == KC_OK)
        err = kc_sql_add_up(sql, s->db->ops->dialect, table);
    if (err == KC_OK)
        err = kc_db_exec(s->db, kc_buf_str(sql), NULL);
    kc_buf_deinit(sql);
    return err;
}

static int add_to_longer(struct kc_store *s, const struct piece *p)
{
    struct kc_buf sql;
    kc_buf_init(&sql, STATEMENT_MAX);
    int err = kc_buf_addf(
        &sql,
        "INSERT INTO keycycle_use (start_ms, span_ms, key_id, model_id,"
        " writer, last_ms, " KC_USED_TEXT ")"
        " SELECT u.start_ms - u.start_ms %% %" PRIu64 " AS fold_ms, %" PRIu64
        ", u.key_id, u.model_id, %" PRId64 ", max(u.last_ms)",
        p->span_ms, p->span_ms, p->owner);
    for (size_t i = 0; err == KC_OK && i < KC_USED_LEN; i++)
        err = add_sum_of(&sql, kc_used_columns[i]);
    if (err == KC_OK)
        err = kc_buf_addf(
            &sql,
            " FROM keycycle_use AS u WHERE u.start_ms >= %" PRId64
            " AND u.start_ms < %" PRId64 " AND u.writer = %" PRId64
            " AND u.span_ms %s %" PRIu64
            " GROUP BY fold_ms, u.key_id, u.model_id",
            kc_sql_time(p->from_ms), kc_sql_time(p->to_ms), p->writer,
            p->owner == p->writer ? "<" : "<=", p->span_ms);
    return add_up(s, &sql, "keycycle_use", err);
}

static int delete_shorter(struct kc_store *s, const struct piece *p)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "DELETE FROM keycycle_use WHERE start_ms >= %" PRId64
             " AND start_ms < %" PRId64 " AND writer = %" PRId64
             " AND span_ms %s %" PRIu64,
             kc_sql_time(p->from_ms), kc_sql_time(p->to_ms), p->writer,
             p->owner == p->writer ? "<" : "<=", p->span_ms);
    return kc_db_exec(s->db, sql, NULL);
}

static int sum_up(struct kc_store *s, const struct piece *p)
{
    int err = add_to_longer(s, p);
    return err == KC_OK ? delete_shorter(s, p) : err;
}

/* MySQL looks at other writers' rows, too, to find those to be deleted, and
 * waits for those that somebody else is summing up. */
static int sum_up_alone(void *ctx)
{
    const struct piece *p = ctx;
    int err = kc_store_alone(p->s);
    return err == KC_OK ? sum_up(p->s, p) : err;
}

/* -- own spans -------------------------------------------------------- */

/* A span that is made must end before anything that may still be written: that
 * could be of the same start and length. */
static int fold_level(struct kc_store *s, int level, uint64_t now_ms,
                      uint64_t settled_ms)
{
    uint64_t span = levels[level].span_ms, from = s->from_ms[level];
    uint64_t end = before(now_ms, levels[level].after_ms);
    end = kc_least(end - end % levels[level].step_ms,
                   settled_ms - settled_ms % span);
    if (from >= end)
        return KC_OK;
    end = kc_least(end, from - from % span + SPANS_A_CALL * span);
    struct piece piece = {.s = s,
                          .writer = s->writer,
                          .from_ms = from,
                          .to_ms = end,
                          .span_ms = span,
                          .owner = s->writer};
    int err = kc_store_change(s, sum_up_alone, &piece, NULL);
    if (err != KC_OK)
        return err;
    bool all = end >= s->to_ms[level];
    uint64_t last = kc_least(end, s->to_ms[level]) - 1;
    s->from_ms[level] = all ? UINT64_MAX : end;
    s->to_ms[level] = all ? 0 : s->to_ms[level];
    kc_store_note_span(s, from - from % span, span);
    kc_store_note_span(s, last - last % span, span);
    return KC_OK;
}

/* -- the archive ------------------------------------------------------ */

struct gone {
    struct kc_store *s;
    int64_t id;
    uint64_t started_ms, seen_ms, dead_ms;
};

static int take_gone(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct gone *g = ctx;
    g->id = c[0].number;
    g->started_ms = kc_from_sql(&c[1]);
    g->seen_ms = kc_from_sql(&c[2]);
    return KC_OK;
}

static int find_gone(struct kc_store *s, struct gone *g)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT id, started_ms, seen_ms FROM keycycle_writer WHERE"
             " seen_ms < %" PRId64 " AND id <> %" PRId64 " ORDER BY id LIMIT 1",
             kc_sql_time(g->dead_ms), s->writer);
    int err = kc_store_begin(s, false);
    if (err != KC_OK)
        return err;
    err = kc_db_query(s->db, sql, NULL, 0, take_gone, g, NULL);
    return kc_store_end(s, err, NULL);
}

/* What it held counts as used: nobody will settle it. */
static int archive_sums(struct kc_store *s, const struct gone *g)
{
    static const char select[] =
        " u.requests + u.held_requests, u.input + u.held_input, u.output,"
        " u.total + u.held_tokens, u.counted + u.held_requests,"
        " u.counted_tokens + u.held_tokens, u.counted_input + u.held_input";
    struct kc_buf sql;
    kc_buf_init(&sql, STATEMENT_MAX);
    int err = kc_buf_addf(
        &sql,
        "INSERT INTO keycycle_sum (writer, key_id, model_id,"
        " last_ms, " KC_USED_TEXT ", held_requests, held_tokens, held_input,"
        " seq) SELECT 0, u.key_id, u.model_id, u.last_ms,%s, 0, 0, 0, 0"
        " FROM keycycle_sum AS u WHERE u.writer = %" PRId64,
        select, g->id);
    return add_up(s, &sql, "keycycle_sum", err);
}

/* The same in the day on which it was seen last. */
static int archive_held(struct kc_store *s, const struct gone *g)
{
    struct kc_buf sql;
    kc_buf_init(&sql, STATEMENT_MAX);
    int err = kc_buf_addf(
        &sql,
        "INSERT INTO keycycle_use (start_ms, span_ms, key_id, model_id,"
        " writer, last_ms, " KC_USED_TEXT ")"
        " SELECT %" PRId64 ", %" PRIu64 ", u.key_id, u.model_id, 0,"
        " u.last_ms, u.held_requests, u.held_input, 0, u.held_tokens,"
        " u.held_requests, u.held_tokens, u.held_input"
        " FROM keycycle_sum AS u WHERE u.writer = %" PRId64
        " AND (u.held_requests > 0 OR u.held_tokens > 0)",
        kc_sql_time(g->seen_ms - g->seen_ms % KC_DAY_MS), KC_DAY_MS, g->id);
    return add_up(s, &sql, "keycycle_use", err);
}

/* Who deletes the writer's row has it: another process finds none, and so does
 * the writer itself, should it live. */
static int archive(void *ctx)
{
    const struct gone *g = ctx;
    struct kc_store *s = g->s;
    char sql[160];
    int64_t matched = 0;
    const struct piece piece = {.writer = g->id,
                                .from_ms = g->started_ms,
                                .to_ms = g->seen_ms + KC_DAY_MS,
                                .span_ms = KC_DAY_MS};
    snprintf(sql, sizeof sql,
             "DELETE FROM keycycle_writer WHERE id = %" PRId64
             " AND seen_ms < %" PRId64,
             g->id, kc_sql_time(g->dead_ms));
    int err = kc_store_alone(s);
    if (err == KC_OK)
        err = kc_db_exec(s->db, sql, &matched);
    if (err != KC_OK || matched == 0)
        return err;
    err = sum_up(s, &piece);
    if (err == KC_OK)
        err = archive_held(s, g);
    if (err == KC_OK)
        err = archive_sums(s, g);
    snprintf(sql, sizeof sql,
             "DELETE FROM keycycle_sum WHERE writer = %" PRId64, g->id);
    return err == KC_OK ? kc_db_exec(s->db, sql, NULL) : err;
}

static int archive_one(struct kc_store *s, uint64_t now_ms)
{
    struct gone g = {.s = s, .dead_ms = before(now_ms, KC_DEAD_MS)};
    int err = find_gone(s, &g);
    if (err != KC_OK)
        return err;
    if (g.id == 0) {
        s->archive_due_ms = now_ms + KC_HOUR_MS;
        return KC_OK;
    }
    return kc_store_change(s, archive, &g, NULL);
}

/* -- what is old ------------------------------------------------------ */

static int take_number(void *ctx, const struct kc_value *columns, size_t n)
{
    (void)n;
    *(uint64_t *)ctx = kc_from_sql(&columns[0]);
    return KC_OK;
}

struct old {
    struct kc_store *s;
    uint64_t end_ms;
};

static int delete_old(void *ctx)
{
    const struct old *o = ctx;
    char sql[120];
    snprintf(sql, sizeof sql,
             "DELETE FROM keycycle_use WHERE start_ms < %" PRId64,
             kc_sql_time(o->end_ms));
    int err = kc_store_alone(o->s);
    return err == KC_OK ? kc_db_exec(o->s->db, sql, NULL) : err;
}

/* Deletes one day. */
static int delete_oldest(struct kc_store *s, uint64_t now_ms)
{
    uint64_t oldest = UINT64_MAX;
    uint64_t end = before(now_ms, s->keep_days * KC_DAY_MS);
    end -= end % KC_DAY_MS;
    int err = kc_store_begin(s, false);
    if (err != KC_OK)
        return err;
    err = kc_db_query(s->db,
                      "SELECT start_ms FROM keycycle_use"
                      " ORDER BY start_ms LIMIT 1",
                      NULL, 0, take_number, &oldest, NULL);
    err = kc_store_end(s, err, NULL);
    if (err != KC_OK)
        return err;
    if (oldest >= end) {
        s->keep_due_ms = now_ms + KC_HOUR_MS;
        return KC_OK;
    }
    struct old o = {s, kc_least(end, oldest - oldest % KC_DAY_MS + KC_DAY_MS)};
    return kc_store_change(s, delete_old, &o, NULL);
}

int kc_store_tend(struct kc_store *s, uint64_t now_ms, uint64_t settled_ms)
{
    int err = KC_OK;
    for (int i = 0; err == KC_OK && s->writer && i < KC_LEVELS; i++)
        err = fold_level(s, i, now_ms, settled_ms);
    if (err == KC_OK && now_ms >= s->archive_due_ms)
        err = archive_one(s, now_ms);
    if (err == KC_OK && now_ms >= s->keep_due_ms)
        err = delete_oldest(s, now_ms);
    return err;
}
