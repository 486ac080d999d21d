/* read.c -- what other writers have written: all of it once, then what is new.
 *
 * Names are read first, all of them, so that the rows are numbers only.
 */
#include "store/read_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

/* -- rows ------------------------------------------------------------- */

int64_t kc_read_from(uint64_t since_ms)
{
    return since_ms > KC_DAY_MS ? kc_sql_time(since_ms - KC_DAY_MS) : 0;
}

static bool read_use(const struct kc_names *names, const struct kc_value *c,
                     struct kc_use_row *out)
{
    const struct kc_key_name *key = kc_names_key(names, c[2].number);
    const char *model = kc_names_model(names, c[3].number);
    if (!key || !model)
        return false;
    *out = (struct kc_use_row){.provider = key->provider,
                               .key = key->hash,
                               .model = model,
                               .start_ms = kc_from_sql(&c[0]),
                               .span_ms = kc_from_sql(&c[1]),
                               .last_ms = kc_from_sql(&c[4])};
    kc_used_from(&c[5], &out->used);
    return true;
}

static void copy_text(char *out, size_t size, const struct kc_value *v)
{
    snprintf(out, size, "%s", v->text ? v->text : "");
}

static enum kc_state state_named(const char *name)
{
    for (int i = 0; name && i < KC_STATES; i++)
        if (strcmp(name, kc_state_name((enum kc_state)i)) == 0)
            return (enum kc_state)i;
    return KC_READY;
}

bool kc_read_state(const struct kc_names *names, const struct kc_value *c,
                   struct kc_kept_state *out)
{
    const struct kc_key_name *key = kc_names_key(names, c[0].number);
    const char *model = kc_names_model(names, c[1].number);
    if (!key || !model)
        return false;
    struct kc_state_row *r = &out->row;
    memset(out, 0, sizeof *out);
    out->provider = key->provider;
    r->model = model;
    snprintf(r->key, sizeof r->key, "%s", key->hash);
    snprintf(r->label, sizeof r->label, "%s", key->label);
    snprintf(r->suffix, sizeof r->suffix, "%s", key->suffix);
    r->state = state_named(c[2].text);
    r->disabled = c[3].number != 0;
    r->guessed = c[4].number != 0;
    r->auth = c[5].number != 0;
    r->tries = (uint32_t)kc_least(kc_from_sql(&c[6]), UINT32_MAX);
    r->until_ms = c[7].number == INT64_MAX ? KC_NEVER : kc_from_sql(&c[7]);
    copy_text(r->reason, sizeof r->reason, &c[8]);
    copy_text(r->learned, sizeof r->learned, &c[9]);
    r->changed_ms = kc_from_sql(&c[10]);
    return true;
}

/* -- the other writers ------------------------------------------------ */

struct found { /* a writer that is there now */
    struct kc_writer_row row;
    uint64_t tag;
    uint64_t after; /* of its rows, those with a greater seq are asked for */
};

struct reading {
    struct kc_store *s;
    const struct kc_reader *r;
    struct kc_names names;
    struct found *writers; /* by id; the archive may be the first */
    size_t len, cap;
    const struct found *writer;    /* whose rows are read */
    const struct kc_key_name *key; /* of the last row: the next one's, often */
};

static int add_found(struct reading *rd, const struct found *f)
{
    if (rd->len == rd->cap) {
        size_t cap = rd->cap ? 2 * rd->cap : 16;
        struct found *p = realloc(rd->writers, cap * sizeof *p);
        if (!p)
            return KC_ENOMEM;
        rd->writers = p;
        rd->cap = cap;
    }
    rd->writers[rd->len++] = *f;
    return KC_OK;
}

static int take_writer(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reading *rd = ctx;
    struct found f = {.row = {.id = kc_from_sql(&c[0]),
                              .seq = kc_from_sql(&c[1]),
                              .seen_ms = kc_from_sql(&c[2]),
                              .ended = c[3].number != 0},
                      .tag = kc_hash(c[4].text ? c[4].text : "")};
    return c[0].number == rd->s->writer ? KC_OK : add_found(rd, &f);
}

static int find_writers(struct reading *rd)
{
    return kc_db_query(rd->s->db,
                       "SELECT id, seq, seen_ms, ended, name"
                       " FROM keycycle_writer ORDER BY id",
                       NULL, 0, take_writer, rd, NULL);
}

static const struct found *writer_of(const struct reading *rd, int64_t id)
{
    size_t low = 0, high = rd->len;
    while (low < high) {
        size_t at = low + (high - low) / 2;
        if ((int64_t)rd->writers[at].row.id < id)
            low = at + 1;
        else
            high = at;
    }
    return low < rd->len && (int64_t)rd->writers[low].row.id == id
               ? &rd->writers[low]
               : NULL;
}

static int tell_writer(struct reading *rd, const struct found *f)
{
    return rd->r->writer ? rd->r->writer(rd->r->ctx, &f->row) : KC_OK;
}

static int end_reading(struct reading *rd, int err)
{
    kc_names_deinit(&rd->names);
    free(rd->writers);
    return kc_store_end(rd->s, err, NULL);
}

/* -- rows to the reader ----------------------------------------------- */

static int take_sum(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reading *rd = ctx;
    const struct found *f = writer_of(rd, c[0].number);
    const struct kc_key_name *key = kc_names_key(&rd->names, c[1].number);
    const char *model = kc_names_model(&rd->names, c[2].number);
    if (!f || !key || !model)
        return KC_OK;
    struct kc_sum_row row = {.provider = key->provider,
                             .key = key->hash,
                             .model = model,
                             .last_ms = kc_from_sql(&c[3]),
                             .held = {.requests = kc_from_sql(&c[11]),
                                      .tokens = kc_from_sql(&c[12]),
                                      .input = kc_from_sql(&c[13])}};
    kc_used_from(&c[4], &row.used);
    return rd->r->sum(rd->r->ctx, &f->row, &row);
}

static int take_use(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reading *rd = ctx;
    struct kc_use_row row;
    return read_use(&rd->names, c, &row) ? rd->r->use(rd->r->ctx, &row) : KC_OK;
}

static int take_counted(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reading *rd = ctx;
    const struct kc_key_name *key = rd->key;
    if (!key || key->id != c[0].number)
        rd->key = key = kc_names_key(&rd->names, c[0].number);
    const char *model = kc_names_model(&rd->names, c[1].number);
    if (!key || !model)
        return KC_OK;
    const struct kc_use_row row = {
        .provider = key->provider,
        .key = key->hash,
        .model = model,
        .last_ms = kc_from_sql(&c[2]),
        .used = {.counted = kc_from_sql(&c[3]),
                 .counted_tokens = kc_from_sql(&c[4]),
                 .counted_input = kc_from_sql(&c[5])}};
    return rd->r->use(rd->r->ctx, &row);
}

static int take_state(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reading *rd = ctx;
    struct kc_kept_state kept;
    return kc_read_state(&rd->names, c, &kept) ? rd->r->state(rd->r->ctx, &kept)
                                               : KC_OK;
}

#define USE_SELECT                                                       \
    "SELECT start_ms, span_ms, key_id, model_id, last_ms, " KC_USED_TEXT \
    " FROM keycycle_use"
#define SUM_SELECT                                            \
    "SELECT writer, key_id, model_id, last_ms, " KC_USED_TEXT \
    ", held_requests, held_tokens, held_input FROM keycycle_sum"

/* Rows of others, or with `of`, of that writer since it was asked last. */
static int read_rows(struct reading *rd, const struct found *of,
                     const char *select, kc_db_row_fn *fn)
{
    char sql[600];
    if (of)
        snprintf(sql, sizeof sql,
                 "%s WHERE writer = %" PRIu64 " AND seq > %" PRIu64, select,
                 of->row.id, of->after);
    else
        snprintf(sql, sizeof sql, "%s WHERE writer <> %" PRId64, select,
                 rd->s->writer ? rd->s->writer : -1);
    return kc_db_query(rd->s->db, sql, NULL, 0, fn, rd, NULL);
}

static int read_sums(struct reading *rd, const struct found *of)
{
    return rd->r->sum ? read_rows(rd, of, SUM_SELECT, take_sum) : KC_OK;
}

static int read_states(struct reading *rd, const struct found *of)
{
    return rd->r->state ? read_rows(rd, of, KC_STATE_SELECT, take_state)
                        : KC_OK;
}

/* Of a million rows each column that is asked for can be felt. */
static int read_uses(struct reading *rd, uint64_t since_ms)
{
    static const char counted[] =
        "SELECT key_id, model_id, last_ms, counted, counted_tokens,"
        " counted_input FROM keycycle_use";
    char sql[sizeof USE_SELECT + sizeof counted + 160];
    if (!rd->r->use)
        return KC_OK;
    snprintf(sql, sizeof sql,
             "%s WHERE start_ms >= %" PRId64 " AND last_ms >= %" PRId64
             " AND writer <> %" PRId64 " ORDER BY start_ms",
             rd->r->counted ? counted : USE_SELECT, kc_read_from(since_ms),
             kc_sql_time(since_ms), rd->s->writer ? rd->s->writer : -1);
    return kc_db_query(rd->s->db, sql, NULL, 0,
                       rd->r->counted ? take_counted : take_use, rd, NULL);
}

/* -- restore ---------------------------------------------------------- */

/* What had ended when somebody read for the first time needs no merging; of
 * the others all rows do, for what a restore read of one provider says nothing
 * of the next. */
static int seed(struct reading *rd, struct kc_known **out, size_t *len)
{
    struct kc_known *known = calloc(rd->len + 1, sizeof *known);
    *out = known;
    *len = 0;
    if (!known)
        return KC_ENOMEM;
    for (size_t i = 0; i < rd->len; i++) {
        const struct found *f = &rd->writers[i];
        if (f->row.id != 0)
            known[(*len)++] =
                (struct kc_known){.id = (int64_t)f->row.id,
                                  .tag = f->tag,
                                  .seq = f->row.ended ? f->row.seq : 0,
                                  .ended = f->row.ended};
    }
    return KC_OK;
}

static void keep_known(struct kc_store *s, struct kc_known *known, size_t len)
{
    free(s->known);
    s->known = known;
    s->known_len = len;
    s->seeded = true;
}

int kc_store_restore(struct kc_store *s, const char *provider,
                     uint64_t since_ms, const struct kc_reader *r)
{
    struct reading rd = {.s = s, .r = r};
    const struct found archive = {.row = {.ended = true}};
    struct kc_known *known = NULL;
    size_t len = 0;
    int err = kc_store_begin(s, false);
    if (err != KC_OK)
        return err;
    err = kc_names_load(&rd.names, s->db, provider);
    if (err == KC_OK)
        err = add_found(&rd, &archive);
    if (err == KC_OK)
        err = find_writers(&rd);
    for (size_t i = 0; err == KC_OK && i < rd.len; i++)
        err = tell_writer(&rd, &rd.writers[i]);
    if (err == KC_OK)
        err = read_sums(&rd, NULL);
    if (err == KC_OK)
        err = read_uses(&rd, since_ms);
    if (err == KC_OK)
        err = read_states(&rd, NULL);
    if (err == KC_OK && !s->seeded)
        err = seed(&rd, &known, &len);
    err = end_reading(&rd, err);
    if (err == KC_OK && !s->seeded)
        keep_known(s, known, len);
    else
        free(known);
    return err;
}

/* As a store that has no writer of its own, which learns nothing by it. */
int kc_store_export(struct kc_store *s, const struct kc_reader *r)
{
    int64_t writer = s->writer;
    bool seeded = s->seeded;
    s->writer = 0;
    s->seeded = true;
    int err = kc_store_restore(s, NULL, 0, r);
    s->writer = writer;
    s->seeded = seeded;
    return err;
}

/* -- merge ------------------------------------------------------------ */

static const struct kc_known *known_as(const struct kc_store *s,
                                       const struct found *f)
{
    for (size_t low = 0, high = s->known_len; low < high;) {
        size_t at = low + (high - low) / 2;
        const struct kc_known *k = &s->known[at];
        if (k->id == (int64_t)f->row.id)
            return k->tag == f->tag ? k : NULL;
        if (k->id < (int64_t)f->row.id)
            low = at + 1;
        else
            high = at;
    }
    return NULL;
}

/* Leaves of the writers found those that have something to tell. */
static void choose(struct reading *rd, struct kc_known *known, size_t *len)
{
    struct kc_store *s = rd->s;
    size_t kept = 0;
    for (size_t i = 0; i < rd->len; i++) {
        struct found f = rd->writers[i];
        const struct kc_known *k = known_as(s, &f);
        bool over =
            f.row.ended && (k ? k->ended && k->seq == f.row.seq : !s->seeded);
        known[(*len)++] = (struct kc_known){.id = (int64_t)f.row.id,
                                            .tag = f.tag,
                                            .seq = f.row.seq,
                                            .ended = f.row.ended};
        f.after = k ? k->seq : 0;
        if (!over)
            rd->writers[kept++] = f;
    }
    rd->len = kept;
}

static bool is_new(const struct found *f)
{
    return f->row.seq > f->after;
}

static int merge_rows(struct reading *rd)
{
    int err = KC_OK;
    for (size_t i = 0; err == KC_OK && i < rd->len; i++)
        err = tell_writer(rd, &rd->writers[i]);
    for (size_t i = 0; err == KC_OK && i < rd->len; i++)
        if (is_new(&rd->writers[i]))
            err = read_sums(rd, &rd->writers[i]);
    for (size_t i = 0; err == KC_OK && i < rd->len; i++)
        if (is_new(&rd->writers[i]))
            err = read_states(rd, &rd->writers[i]);
    return err;
}

static int merge_now(struct kc_store *s, const struct kc_reader *r)
{
    struct reading rd = {.s = s, .r = r};
    struct kc_known *known = NULL;
    size_t len = 0;
    bool news = false;
    int err = kc_store_begin(s, false);
    if (err != KC_OK)
        return err;
    err = find_writers(&rd);
    if (err == KC_OK)
        known = calloc(rd.len + 1, sizeof *known);
    if (err == KC_OK && !known)
        err = KC_ENOMEM;
    if (err == KC_OK)
        choose(&rd, known, &len);
    for (size_t i = 0; err == KC_OK && i < rd.len; i++)
        news = news || is_new(&rd.writers[i]);
    if (err == KC_OK && news)
        err = kc_names_load(&rd.names, s->db, NULL);
    if (err == KC_OK)
        err = merge_rows(&rd);
    err = end_reading(&rd, err);
    if (err == KC_OK)
        keep_known(s, known, len);
    else
        free(known);
    return err;
}

int kc_store_merge(struct kc_store *s, const struct kc_reader *r, bool *quiet)
{
    bool same = false;
    *quiet = false;
    if (!s->unsure) {
        int err = kc_db_quiet(s->db, &same);
        if (err != KC_OK)
            return kc_store_end(s, err, NULL);
    }
    if (same && !s->unmerged) {
        *quiet = true;
        return KC_OK;
    }
    s->unmerged = true;
    int err = merge_now(s, r);
    if (err == KC_OK)
        s->unmerged = false;
    return err;
}
