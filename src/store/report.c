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
    bool taken;
};

struct table { /* open addressing; at most half full */
    struct entry *slots;
    size_t cap, len;
};

struct reporting {
    struct kc_store *s;
    const struct kc_reporter *r;
    struct kc_names names;
    struct table days;
    uint64_t recent_ms, days_ms;
};

/* -- adding up
 * ------------------------------------------------------------------ */

static struct entry *slot_of(const struct table *t, uint64_t start_ms,
                             int64_t key, int64_t model)
{
    uint64_t h = start_ms / DAY_MS;
    h = (h * 0x9e3779b97f4a7c15u) ^ (uint64_t)key;
    h = (h * 0x9e3779b97f4a7c15u) ^ (uint64_t)model;
    h *= 0x9e3779b97f4a7c15u;
    for (size_t i = (size_t)(h >> 20);; i++) {
        struct entry *e = &t->slots[i & (t->cap - 1)];
        if (!e->taken ||
            (e->start_ms == start_ms && e->key == key && e->model == model))
            return e;
    }
}

static int grow(struct table *t)
{
    struct table bigger = {.cap = t->cap ? 2 * t->cap : 1024, .len = t->len};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return KC_ENOMEM;
    for (size_t i = 0; i < t->cap; i++) {
        const struct entry *e = &t->slots[i];
        if (e->taken)
            *slot_of(&bigger, e->start_ms, e->key, e->model) = *e;
    }
    free(t->slots);
    *t = bigger;
    return KC_OK;
}

static int add(struct table *t, uint64_t start_ms, int64_t key, int64_t model,
               const struct kc_used *u)
{
    if (2 * t->len >= t->cap && grow(t) != KC_OK)
        return KC_ENOMEM;
    struct entry *e = slot_of(t, start_ms, key, model);
    if (!e->taken) {
        t->len++;
        *e = (struct entry){start_ms, key, model, .taken = true};
    }
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
    size_t n = 0;
    int err = KC_OK;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i].taken)
            t->slots[n++] = t->slots[i];
    if (n > 0)
        qsort(t->slots, n, sizeof *t->slots, compare);
    for (size_t i = 0; err == KC_OK && i < n; i++) {
        const struct entry *e = &t->slots[i];
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
    free(t->slots);
    *t = (struct table){0};
    return err;
}

/* -- reading
 * ---------------------------------------------------------------------- */

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
    struct kc_use_row row;
    if (!kc_read_use(&rp->names, c, &row))
        return KC_OK;
    int err = KC_OK;
    if (rp->r->use && row.last_ms >= rp->recent_ms)
        err = rp->r->use(rp->r->ctx, &row);
    if (err == KC_OK && rp->r->day && row.start_ms >= rp->days_ms)
        err = add(&rp->days, row.start_ms - row.start_ms % DAY_MS, c[2].number,
                  c[3].number, &row.used);
    return err;
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
    free(rp.days.slots);
    kc_names_deinit(&rp.names);
    return kc_store_end(s, err, NULL);
}
