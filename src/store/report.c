/* report.c -- sums for statistics, over all writers.
 *
 * Rows are added up here, not by the database: one walk over the spans in the
 * order in which they lie, without sorting.
 */
#include "store/read_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

#define DAY_MS UINT64_C(86400000)

struct entry { /* of one key and model on one day */
    uint64_t start_ms;
    int64_t key, model;
    struct kc_used used;
};

struct table {
    struct entry *entries; /* as they came */
    size_t len, cap;
    uint32_t *places; /* open addressing: 1 + the entry's, 0: free */
    size_t place_cap; /* twice `cap` */
    size_t next;      /* where the entry is likely to be: rows of each span
                       * come in the same order */
};

struct reporting {
    struct kc_store *s;
    const struct kc_reporter *r;
    struct kc_names names;
    struct table days;
    uint64_t recent_ms, days_ms;
};

/* -- adding up -------------------------------------------------------- */

static uint32_t *place_of(const struct table *t, uint64_t start_ms, int64_t key,
                          int64_t model)
{
    uint64_t h = start_ms / DAY_MS * 0x9e3779b97f4a7c15u;
    h = (h ^ (uint64_t)key) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 32) ^ (uint64_t)model) * 0x94d049bb133111ebu;
    for (size_t i = (size_t)(h >> 32);; i++) {
        uint32_t *place = &t->places[i & (t->place_cap - 1)];
        const struct entry *e = *place ? &t->entries[*place - 1] : NULL;
        if (!e ||
            (e->start_ms == start_ms && e->key == key && e->model == model))
            return place;
    }
}

static int grow(struct table *t)
{
    size_t cap = t->cap ? 2 * t->cap : 1024;
    struct entry *entries = realloc(t->entries, cap * sizeof *entries);
    if (!entries)
        return KC_ENOMEM;
    t->entries = entries;
    uint32_t *places = calloc(2 * cap, sizeof *places);
    if (!places)
        return KC_ENOMEM;
    free(t->places);
    t->places = places;
    t->place_cap = 2 * cap;
    t->cap = cap;
    for (size_t i = 0; i < t->len; i++)
        *place_of(t, entries[i].start_ms, entries[i].key, entries[i].model) =
            (uint32_t)i + 1;
    return KC_OK;
}

static int find_entry(struct table *t, uint64_t start_ms, int64_t key,
                      int64_t model, struct entry **out)
{
    struct entry *e = t->next < t->len ? &t->entries[t->next] : NULL;
    *out = e;
    if (e && e->start_ms == start_ms && e->key == key && e->model == model) {
        t->next++;
        return KC_OK;
    }
    if (t->len == t->cap && grow(t) != KC_OK)
        return KC_ENOMEM;
    uint32_t *place = place_of(t, start_ms, key, model);
    if (*place == 0) {
        t->entries[t->len] = (struct entry){start_ms, key, model, {0}};
        *place = (uint32_t)++t->len;
    }
    *out = &t->entries[*place - 1];
    t->next = *place;
    return KC_OK;
}

static int add(struct table *t, uint64_t start_ms, int64_t key, int64_t model,
               const struct kc_used *u)
{
    struct entry *e;
    if (find_entry(t, start_ms, key, model, &e) != KC_OK)
        return KC_ENOMEM;
    struct kc_used *sum = &e->used;
    sum->requests = kc_add_capped(sum->requests, u->requests);
    sum->input = kc_add_capped(sum->input, u->input);
    sum->output = kc_add_capped(sum->output, u->output);
    sum->total = kc_add_capped(sum->total, u->total);
    sum->counted = kc_add_capped(sum->counted, u->counted);
    sum->counted_tokens = kc_add_capped(sum->counted_tokens, u->counted_tokens);
    sum->counted_input = kc_add_capped(sum->counted_input, u->counted_input);
    return KC_OK;
}

static void clear(struct table *t)
{
    free(t->entries);
    free(t->places);
    *t = (struct table){0};
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->start_ms != y->start_ms)
        return x->start_ms < y->start_ms ? -1 : 1;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->model > y->model) - (x->model < y->model);
}

/* Tells the entries in the order of time and empties the table. */
static int tell(struct reporting *rp, struct table *t,
                int (*fn)(void *ctx, const struct kc_day_row *row))
{
    int err = KC_OK;
    if (t->len > 0)
        qsort(t->entries, t->len, sizeof *t->entries, compare);
    for (size_t i = 0; err == KC_OK && i < t->len; i++) {
        const struct entry *e = &t->entries[i];
        const struct kc_key_name *key = kc_names_key(&rp->names, e->key);
        const char *model = kc_names_model(&rp->names, e->model);
        if (!key || !model)
            continue;
        const struct kc_day_row row = {.provider = key->provider,
                                       .key = key->hash,
                                       .label = key->label,
                                       .suffix = key->suffix,
                                       .model = model,
                                       .start_ms = e->start_ms,
                                       .used = e->used};
        err = fn(rp->r->ctx, &row);
    }
    clear(t);
    return err;
}

/* -- reading ---------------------------------------------------------- */

static int take_sum(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reporting *rp = ctx;
    struct kc_used used;
    kc_used_from(&c[2], &used);
    return add(&rp->days, 0, c[0].number, c[1].number, &used);
}

static int report_totals(struct reporting *rp)
{
    static const char sql[] =
        "SELECT key_id, model_id, requests + held_requests,"
        " input + held_input, output, total + held_tokens,"
        " counted + held_requests, counted_tokens + held_tokens,"
        " counted_input + held_input FROM keycycle_sum";
    if (!rp->r->total)
        return KC_OK;
    int err = kc_db_query(rp->s->db, sql, NULL, 0, take_sum, rp, NULL);
    return err == KC_OK ? tell(rp, &rp->days, rp->r->total) : err;
}

static int take_use(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reporting *rp = ctx;
    uint64_t start_ms = kc_from_sql(&c[0]);
    struct kc_use_row row;
    struct kc_used used;
    int err = KC_OK;
    if (rp->r->use && kc_from_sql(&c[4]) >= rp->recent_ms &&
        kc_read_use(&rp->names, c, &row))
        err = rp->r->use(rp->r->ctx, &row);
    if (err != KC_OK || !rp->r->day || start_ms < rp->days_ms)
        return err;
    kc_used_from(&c[5], &used);
    return add(&rp->days, start_ms - start_ms % DAY_MS, c[2].number,
               c[3].number, &used);
}

static int report_uses(struct reporting *rp)
{
    char sql[sizeof KC_USE_SELECT + 80];
    int64_t from = INT64_MAX;
    if (rp->r->use)
        from = kc_read_from(rp->recent_ms);
    if (rp->r->day && kc_sql_time(rp->days_ms) < from)
        from = kc_sql_time(rp->days_ms);
    if (from == INT64_MAX)
        return KC_OK;
    snprintf(sql, sizeof sql,
             "%s WHERE start_ms >= %" PRId64 " ORDER BY start_ms",
             KC_USE_SELECT, from);
    int err = kc_db_query(rp->s->db, sql, NULL, 0, take_use, rp, NULL);
    return err == KC_OK && rp->r->day ? tell(rp, &rp->days, rp->r->day) : err;
}

static int take_state(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reporting *rp = ctx;
    struct kc_kept_state kept;
    return kc_read_state(&rp->names, c, &kept) ? rp->r->state(rp->r->ctx, &kept)
                                               : KC_OK;
}

int kc_store_report(struct kc_store *s, uint64_t recent_ms, uint64_t days_ms,
                    const struct kc_reporter *r)
{
    struct reporting rp = {.s = s,
                           .r = r,
                           .recent_ms = recent_ms,
                           .days_ms = days_ms - days_ms % DAY_MS};
    int err = kc_store_begin(s, false);
    if (err != KC_OK)
        return err;
    err = kc_names_load(&rp.names, s->db, NULL);
    if (err == KC_OK)
        err = report_totals(&rp);
    if (err == KC_OK)
        err = report_uses(&rp);
    if (err == KC_OK && r->state)
        err =
            kc_db_query(s->db, KC_STATE_SELECT, NULL, 0, take_state, &rp, NULL);
    clear(&rp.days);
    kc_names_deinit(&rp.names);
    return kc_store_end(s, err, NULL);
}
