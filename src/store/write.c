/* write.c -- a writer's rows into the tables, in one transaction.
 *
 * Numbers stand in the text of a statement, many rows each; texts go as
 * parameters. The database says that it refuses data, not which: so it is asked
 * again with one row a statement.
 */
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/rng.h"
#include "util/utf8.h"

#define ROWS_A_STATEMENT 100
#define STATEMENT_MAX 100000

struct writing {
    struct kc_store *s;
    struct kc_batch *b;
    int64_t writer;
    size_t rows_each;     /* in one statement */
    const char *bad_name; /* whose it is */
    bool too_long;        /* or no UTF-8, which JSON and some stores refuse */
    struct kc_buf sql;
};

void kc_store_name_writer(struct kc_store *s)
{
    snprintf(s->writer_name, sizeof s->writer_name, "%016" PRIx64 "%016" PRIx64,
             kc_rng_entropy(), kc_rng_entropy());
    s->writer = 0;
    s->started_ms = UINT64_MAX;
    for (int i = 0; i < KC_LEVELS; i++) {
        s->from_ms[i] = UINT64_MAX;
        s->to_ms[i] = 0;
    }
}

/* -- the writer's own row -------------------------------------------------- */

static uint64_t earliest_start(const struct writing *w)
{
    uint64_t ms = w->s->started_ms;
    if (w->b->now_ms < ms)
        ms = w->b->now_ms;
    for (size_t i = 0; i < w->b->use_len; i++)
        if (w->b->uses[i].start_ms < ms)
            ms = w->b->uses[i].start_ms;
    return ms;
}

/* After a doubtful commit the row may be there: so it goes by its name. */
static int make_writer(struct writing *w)
{
    struct kc_db *db = w->s->db;
    struct kc_value name = {.text = w->s->writer_name};
    static const char find[] = "SELECT id FROM keycycle_writer WHERE name = ?";
    int err = kc_db_number(db, find, &name, 1, &w->writer);
    if (err != KC_OK || w->writer != 0)
        return err;
    err = kc_db_query(
        db,
        "INSERT INTO keycycle_writer (name, seq, started_ms, seen_ms, ended)"
        " VALUES (?, 0, 0, 0, 0)",
        &name, 1, NULL, NULL, NULL);
    if (err == KC_OK)
        err = kc_db_number(db, find, &name, 1, &w->writer);
    return err;
}

/* Its name, too, must be there: another file may have the same number. */
static int touch_writer(struct writing *w)
{
    char sql[300];
    int64_t matched = 0;
    w->writer = w->s->writer;
    int err = w->writer ? KC_OK : make_writer(w);
    if (err != KC_OK)
        return err;
    snprintf(sql, sizeof sql,
             "UPDATE keycycle_writer SET seq = %" PRIu64
             ", started_ms = %" PRId64 ", seen_ms = %" PRId64 ", ended = %d"
             " WHERE id = %" PRId64 " AND name = '%s'",
             w->s->seq, kc_sql_time(earliest_start(w)),
             kc_sql_time(w->b->now_ms), w->b->ended, w->writer,
             w->s->writer_name);
    err = kc_db_exec(w->s->db, sql, &matched);
    return err == KC_OK && matched == 0 ? KC_ESTALE : err;
}

/* -- uses and sums ---------------------------------------------------- */

static int refuse_name(struct writing *w, const char *whose, bool too_long)
{
    w->bad_name = whose;
    w->too_long = too_long;
    return KC_EINVALID;
}

static int key_id_of(struct writing *w, const char *provider, const char *key,
                     int64_t *id)
{
    static const char whose[] = "key's or its provider's";
    if (!kc_is_utf8(provider) || !kc_is_utf8(key))
        return refuse_name(w, whose, false);
    int err = kc_ids_key(&w->s->ids, w->s->db, provider, key, id);
    return err == KC_ETOOLARGE ? refuse_name(w, whose, true) : err;
}

static int model_id_of(struct writing *w, const char *model, int64_t *id)
{
    if (!kc_is_utf8(model))
        return refuse_name(w, "model's", false);
    int err = kc_ids_model(&w->s->ids, w->s->db, model, id);
    return err == KC_ETOOLARGE ? refuse_name(w, "model's", true) : err;
}

static int ids_of(struct writing *w, const char *provider, const char *key,
                  const char *model, long long *key_id, long long *model_id)
{
    int64_t k, m = 0;
    int err = key_id_of(w, provider, key, &k);
    if (err == KC_OK)
        err = model_id_of(w, model, &m);
    *key_id = k;
    *model_id = m;
    return err;
}

static int add_use(struct writing *w, size_t i)
{
    const struct kc_use_row *r = &w->b->uses[i];
    long long key, model;
    int err = ids_of(w, r->provider, r->key, r->model, &key, &model);
    if (err == KC_OK)
        err = kc_buf_addf(&w->sql, "(%lld,%lld,%lld,%lld,%lld,%lld",
                          (long long)kc_sql_time(r->start_ms),
                          (long long)kc_sql_time(r->span_ms), key, model,
                          (long long)w->writer,
                          (long long)kc_sql_time(r->last_ms));
    if (err == KC_OK)
        err = kc_sql_used(&w->sql, &r->used);
    return err == KC_OK ? kc_buf_addch(&w->sql, ')') : err;
}

static int add_sum(struct writing *w, size_t i)
{
    const struct kc_sum_row *r = &w->b->sums[i];
    long long key, model;
    int err = ids_of(w, r->provider, r->key, r->model, &key, &model);
    if (err == KC_OK)
        err = kc_buf_addf(&w->sql, "(%lld,%lld,%lld,%lld", (long long)w->writer,
                          key, model, (long long)kc_sql_time(r->last_ms));
    if (err == KC_OK)
        err = kc_sql_used(&w->sql, &r->used);
    if (err == KC_OK)
        err = kc_buf_addf(&w->sql, ",%lld,%lld,%lld,%llu)",
                          (long long)kc_sql_count(r->held.requests),
                          (long long)kc_sql_count(r->held.tokens),
                          (long long)kc_sql_count(r->held.input),
                          (unsigned long long)w->s->seq);
    return err;
}

struct table {
    enum kc_row_kind kind;
    const char *head;
    int (*add)(struct writing *w, size_t i);
    const char *const *columns; /* that are overwritten */
    size_t column_count;
};

static const struct table uses = {
    KC_ROW_USE,
    "INSERT INTO keycycle_use (start_ms, span_ms, key_id, model_id, writer,"
    " last_ms, " KC_USED_TEXT ") VALUES ",
    add_use,
    (const char *const[]){"last_ms", "requests", "input", "output", "total",
                          "counted", "counted_tokens", "counted_input"},
    8};
static const struct table sums = {
    KC_ROW_SUM,
    "INSERT INTO keycycle_sum (writer, key_id, model_id, last_ms,"
    " " KC_USED_TEXT ", held_requests, held_tokens, held_input, seq) VALUES ",
    add_sum,
    (const char *const[]){"last_ms", "requests", "input", "output", "total",
                          "counted", "counted_tokens", "counted_input",
                          "held_requests", "held_tokens", "held_input", "seq"},
    12};

static int flush(struct writing *w, const struct table *t)
{
    int err = kc_sql_overwrite(&w->sql, w->s->db->ops->dialect, t->columns,
                               t->column_count);
    return err == KC_OK ? kc_db_exec(w->s->db, kc_buf_str(&w->sql), NULL) : err;
}

static int write_table(struct writing *w, const struct table *t, size_t n)
{
    int err = KC_OK;
    size_t rows = 0;
    w->b->bad_kind = t->kind;
    for (size_t i = 0; err == KC_OK && i < n; i++) {
        w->b->bad = i;
        if (rows == 0)
            kc_buf_clear(&w->sql);
        err = kc_buf_addstr(&w->sql, rows == 0 ? t->head : ",");
        if (err == KC_OK)
            err = t->add(w, i);
        if (err == KC_OK && (++rows == w->rows_each || i + 1 == n)) {
            err = flush(w, t);
            rows = 0;
        }
    }
    return err;
}

/* -- states ----------------------------------------------------------- */

/* What a provider's words were cut to, as the UTF-8 that MySQL insists on. */
static void clean(const char *text, char *out, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = 0;
    while (*p && n + 1 < size) {
        size_t more = *p < 0x80                 ? 0
                      : *p >= 0xc2 && *p < 0xe0 ? 1
                      : *p >= 0xe0 && *p < 0xf0 ? 2
                      : *p >= 0xf0 && *p < 0xf5 ? 3
                                                : 9;
        size_t good = 1;
        while (good <= more && more < 9 && (p[good] & 0xc0) == 0x80)
            good++;
        bool bad = good <= more || (*p == 0xe0 && p[1] < 0xa0) ||
                   (*p == 0xed && p[1] >= 0xa0) ||
                   (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] >= 0x90);
        if (bad) {
            out[n++] = '?';
            p++;
            continue;
        }
        if (n + more + 1 >= size)
            break;
        memcpy(out + n, p, more + 1);
        n += more + 1;
        p += more + 1;
    }
    out[n] = '\0';
}

static int name_key(struct writing *w, int64_t key,
                    const struct kc_state_row *r)
{
    char label[sizeof r->label], suffix[sizeof r->suffix];
    clean(r->label, label, sizeof label);
    clean(r->suffix, suffix, sizeof suffix);
    const struct kc_value params[] = {{.text = label},
                                      {.text = suffix},
                                      {.number = key},
                                      {.text = label},
                                      {.text = suffix}};
    return kc_db_query(w->s->db,
                       "UPDATE keycycle_key SET label = ?, suffix = ?"
                       " WHERE id = ? AND (label <> ? OR suffix <> ?)",
                       params, 5, NULL, NULL, NULL);
}

/* The newer one holds, and of two as new the same writer's last. MySQL sets the
 * columns one after the other: what is compared comes last. */
static int prepare_state(struct writing *w)
{
    static const char *const columns[] = {
        "state",  "disabled", "guessed", "auth",   "tries",     "until_ms",
        "reason", "learned",  "seq",     "writer", "changed_ms"};
    const struct kc_dialect *d = w->s->db->ops->dialect;
    const char *head = d->proposed_head, *tail = d->proposed_tail;
    kc_buf_clear(&w->sql);
    int err = kc_buf_addf(
        &w->sql,
        "INSERT INTO keycycle_state (key_id, model_id, state, disabled,"
        " guessed, auth, tries, until_ms, reason, learned, seq, writer,"
        " changed_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)%s",
        d->on_conflict);
    for (size_t i = 0; err == KC_OK && i < 11; i++) {
        const char *c = columns[i];
        err = kc_buf_addf(
            &w->sql,
            "%s%s = CASE WHEN %schanged_ms%s > keycycle_state.changed_ms"
            " OR (%schanged_ms%s = keycycle_state.changed_ms"
            " AND %swriter%s = keycycle_state.writer)"
            " THEN %s%s%s ELSE keycycle_state.%s END",
            i ? ", " : "", c, head, tail, head, tail, head, tail, head, c, tail,
            c);
    }
    return err;
}

static int write_state(struct writing *w, const struct kc_kept_state *kept)
{
    const struct kc_state_row *r = &kept->row;
    char reason[sizeof r->reason], learned[sizeof r->learned];
    int64_t key, model = 0;
    int err = key_id_of(w, kept->provider, r->key, &key);
    if (err == KC_OK && r->model)
        err = model_id_of(w, r->model, &model);
    if (err == KC_OK)
        err = name_key(w, key, r);
    if (err != KC_OK || r->changed_ms == 0)
        return err;
    clean(r->reason, reason, sizeof reason);
    clean(r->learned, learned, sizeof learned);
    const struct kc_value params[] = {
        {.number = key},
        {.number = model},
        {.text = kc_state_name(r->state)},
        {.number = r->disabled},
        {.number = r->guessed},
        {.number = r->auth},
        {.number = r->tries},
        {.number = kc_sql_time(r->until_ms)},
        {.text = reason},
        {.text = learned},
        {.number = kc_sql_time(w->s->seq)},
        {.number = w->writer},
        {.number = kc_sql_time(r->changed_ms)},
    };
    return kc_db_query(w->s->db, kc_buf_str(&w->sql), params, 13, NULL, NULL,
                       NULL);
}

static int write_states(struct writing *w)
{
    int err = w->b->state_len ? prepare_state(w) : KC_OK;
    w->b->bad_kind = KC_ROW_STATE;
    for (size_t i = 0; err == KC_OK && i < w->b->state_len; i++) {
        w->b->bad = i;
        err = write_state(w, &w->b->states[i]);
    }
    return err;
}

/* -- all of it -------------------------------------------------------- */

/* A number of a write is used once, lest somebody has read under it what a
 * doubtful commit wrote, and then takes the next for read. */
static int write_all(void *ctx)
{
    struct writing *w = ctx;
    w->s->seq++;
    int err = touch_writer(w);
    /* A writer's own row is no row of the batch. */
    if (err == KC_EINVALID)
        err = KC_ESTORE;
    if (err == KC_OK)
        err = write_table(w, &uses, w->b->use_len);
    if (err == KC_OK)
        err = write_table(w, &sums, w->b->sum_len);
    if (err == KC_OK)
        err = write_states(w);
    return err;
}

static int attempt(struct writing *w)
{
    return kc_store_change(w->s, write_all, w, &w->b->doubtful);
}

int kc_store_write(struct kc_store *s, struct kc_batch *b)
{
    struct writing w = {.s = s, .b = b, .rows_each = ROWS_A_STATEMENT};
    b->doubtful = false;
    kc_buf_init(&w.sql, STATEMENT_MAX);
    int err = attempt(&w);
    if (err == KC_EINVALID) {
        w.rows_each = 1;
        err = attempt(&w);
    }
    kc_buf_deinit(&w.sql);
    if (err == KC_EINVALID && w.bad_name && w.too_long)
        snprintf(s->words, sizeof s->words,
                 "the %s name is longer than %d bytes", w.bad_name,
                 KC_NAME_MAX);
    else if (err == KC_EINVALID && w.bad_name)
        snprintf(s->words, sizeof s->words, "the %s name is not UTF-8",
                 w.bad_name);
    if (err == KC_ESTALE)
        kc_store_name_writer(s);
    if (err != KC_OK)
        return err;
    s->writer = w.writer;
    s->started_ms = earliest_start(&w);
    for (size_t i = 0; i < b->use_len; i++)
        kc_store_note_span(s, b->uses[i].start_ms, b->uses[i].span_ms);
    return KC_OK;
}

/* What is filled in so is a writer that has ended: after KC_DEAD_MS it is
 * summed up as all such are. */
int kc_store_import(struct kc_store *s, struct kc_batch *b)
{
    struct kc_batch mine = *b;
    mine.ended = true;
    mine.now_ms = 0;
    for (size_t i = 0; i < b->use_len; i++)
        if (b->uses[i].last_ms > mine.now_ms)
            mine.now_ms = b->uses[i].last_ms;
    for (size_t i = 0; i < b->sum_len; i++)
        if (b->sums[i].last_ms > mine.now_ms)
            mine.now_ms = b->sums[i].last_ms;
    kc_store_name_writer(s);
    int err = kc_store_write(s, &mine);
    kc_store_name_writer(s);
    b->doubtful = mine.doubtful;
    b->bad_kind = mine.bad_kind;
    b->bad = mine.bad;
    return err;
}
