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

#define COUNTS 4 /* requests, input, output, total */

static const uint64_t windows_ms[KC_REPORT_WINDOWS] = {KC_MINUTE_MS, KC_HOUR_MS,
                                                       KC_DAY_MS};

struct entry { /* of one key and model */
    int64_t key, model;
    uint64_t total[COUNTS];
    uint64_t day[COUNTS]; /* of the one that is added up */
    uint64_t requests[KC_REPORT_WINDOWS], tokens[KC_REPORT_WINDOWS];
};

struct reporting {
    struct kc_store *s;
    const struct kc_reporter *r;
    struct kc_names names;
    uint64_t now_ms, days_ms;
    uint64_t day_ms;       /* when the day began that is added up */
    struct entry *entries; /* as they came */
    size_t len, cap;
    uint32_t *places; /* open addressing: 1 + the entry's, 0: free */
    size_t place_cap; /* twice `cap` */
    size_t next;      /* where the entry is likely to be: rows of each span
                       * come in the same order */
};

/* -- entries --------------------------------------------------------- */

static uint32_t *place_of(const struct reporting *rp, int64_t key,
                          int64_t model)
{
    uint64_t h = (uint64_t)key * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 32) ^ (uint64_t)model) * 0x94d049bb133111ebu;
    for (size_t i = (size_t)(h >> 32);; i++) {
        uint32_t *place = &rp->places[i & (rp->place_cap - 1)];
        const struct entry *e = *place ? &rp->entries[*place - 1] : NULL;
        if (!e || (e->key == key && e->model == model))
            return place;
    }
}

static int grow(struct reporting *rp)
{
    size_t cap = rp->cap ? 2 * rp->cap : 1024;
    struct entry *entries = realloc(rp->entries, cap * sizeof *entries);
    if (!entries)
        return KC_ENOMEM;
    rp->entries = entries;
    uint32_t *places = calloc(2 * cap, sizeof *places);
    if (!places)
        return KC_ENOMEM;
    free(rp->places);
    rp->places = places;
    rp->place_cap = 2 * cap;
    rp->cap = cap;
    for (size_t i = 0; i < rp->len; i++)
        *place_of(rp, entries[i].key, entries[i].model) = (uint32_t)i + 1;
    return KC_OK;
}

static int find_entry(struct reporting *rp, const struct kc_value *names,
                      struct entry **out)
{
    int64_t key = names[0].number, model = names[1].number;
    if (rp->next >= rp->len)
        rp->next = 0;
    struct entry *e = rp->len > 0 ? &rp->entries[rp->next] : NULL;
    *out = e;
    if (e && e->key == key && e->model == model) {
        rp->next++;
        return KC_OK;
    }
    if (rp->len == rp->cap && grow(rp) != KC_OK)
        return KC_ENOMEM;
    uint32_t *place = place_of(rp, key, model);
    if (*place == 0) {
        rp->entries[rp->len] = (struct entry){.key = key, .model = model};
        *place = (uint32_t)++rp->len;
    }
    rp->next = *place;
    *out = &rp->entries[*place - 1];
    return KC_OK;
}

static void add(uint64_t *to, const struct kc_value *columns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = kc_add_capped(to[i], kc_from_sql(&columns[i]));
}

/* -- telling --------------------------------------------------------- */

static bool is_zero(const uint64_t *counts, size_t n)
{
    uint64_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= counts[i];
    return any == 0;
}

static int tell_day(struct reporting *rp, uint64_t start_ms,
                    const struct entry *e, const uint64_t *counts,
                    int (*fn)(void *ctx, const struct kc_day_row *row))
{
    const struct kc_key_name *key = kc_names_key(&rp->names, e->key);
    const char *model = kc_names_model(&rp->names, e->model);
    if (!key || !model)
        return KC_OK;
    const struct kc_day_row row = {.provider = key->provider,
                                   .key = key->hash,
                                   .label = key->label,
                                   .suffix = key->suffix,
                                   .model = model,
                                   .start_ms = start_ms,
                                   .used = {.requests = counts[0],
                                            .input = counts[1],
                                            .output = counts[2],
                                            .total = counts[3]}};
    return fn(rp->r->ctx, &row);
}

/* Tells the day that was added up. */
static int tell_days(struct reporting *rp)
{
    int err = KC_OK;
    for (size_t i = 0; err == KC_OK && i < rp->len; i++) {
        struct entry *e = &rp->entries[i];
        if (is_zero(e->day, COUNTS))
            continue;
        err = tell_day(rp, rp->day_ms, e, e->day, rp->r->day);
        memset(e->day, 0, sizeof e->day);
    }
    return err;
}

static int tell_totals(struct reporting *rp)
{
    int err = KC_OK;
    for (size_t i = 0; err == KC_OK && i < rp->len; i++)
        err = tell_day(rp, 0, &rp->entries[i], rp->entries[i].total,
                       rp->r->total);
    return err;
}

static int tell_windows(struct reporting *rp)
{
    int err = KC_OK;
    for (size_t i = 0; err == KC_OK && i < rp->len; i++) {
        const struct entry *e = &rp->entries[i];
        const struct kc_key_name *key = kc_names_key(&rp->names, e->key);
        const char *model = kc_names_model(&rp->names, e->model);
        if (!key || !model ||
            (is_zero(e->requests, KC_REPORT_WINDOWS) &&
             is_zero(e->tokens, KC_REPORT_WINDOWS)))
            continue;
        struct kc_window_row row = {
            .provider = key->provider, .key = key->hash, .model = model};
        memcpy(row.requests, e->requests, sizeof row.requests);
        memcpy(row.tokens, e->tokens, sizeof row.tokens);
        err = rp->r->window(rp->r->ctx, &row);
    }
    return err;
}

/* -- reading ---------------------------------------------------------- */

static int take_sum(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct entry *e;
    int err = find_entry(ctx, c, &e);
    if (err == KC_OK)
        add(e->total, &c[2], COUNTS);
    return err;
}

static int report_totals(struct reporting *rp)
{
    static const char sql[] =
        "SELECT key_id, model_id, requests + held_requests,"
        " input + held_input, output, total + held_tokens FROM keycycle_sum";
    if (!rp->r->total)
        return KC_OK;
    int err = kc_db_query(rp->s->db, sql, NULL, 0, take_sum, rp, NULL);
    return err == KC_OK ? tell_totals(rp) : err;
}

/* A use on another day ends the one before. */
static int take_use(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reporting *rp = ctx;
    struct entry *e;
    uint64_t start_ms = kc_from_sql(&c[0]), last_ms = kc_from_sql(&c[3]);
    int err = find_entry(rp, &c[1], &e);
    for (int w = KC_REPORT_WINDOWS; err == KC_OK && w-- > 0;) {
        if (last_ms + windows_ms[w] <= rp->now_ms)
            break; /* nor do the shorter ones reach so far back */
        add(&e->requests[w], &c[8], 1);
        add(&e->tokens[w], &c[9], 1);
    }
    if (err != KC_OK || !rp->r->day || start_ms < rp->days_ms)
        return err;
    if (start_ms - start_ms % KC_DAY_MS != rp->day_ms)
        err = tell_days(rp);
    rp->day_ms = start_ms - start_ms % KC_DAY_MS;
    add(e->day, &c[4], COUNTS);
    return err;
}

static int report_uses(struct reporting *rp)
{
    static const char select[] =
        "SELECT start_ms, key_id, model_id, last_ms, requests, input, output,"
        " total, counted, counted_tokens FROM keycycle_use";
    char sql[sizeof select + 80];
    int64_t from = INT64_MAX;
    if (rp->r->window)
        from =
            kc_read_from(rp->now_ms > KC_DAY_MS ? rp->now_ms - KC_DAY_MS : 0);
    if (rp->r->day && kc_sql_time(rp->days_ms) < from)
        from = kc_sql_time(rp->days_ms);
    if (from == INT64_MAX)
        return KC_OK;
    snprintf(sql, sizeof sql,
             "%s WHERE start_ms >= %" PRId64 " ORDER BY start_ms", select,
             from);
    int err = kc_db_query(rp->s->db, sql, NULL, 0, take_use, rp, NULL);
    if (err == KC_OK && rp->r->day)
        err = tell_days(rp);
    return err == KC_OK && rp->r->window ? tell_windows(rp) : err;
}

static int take_state(void *ctx, const struct kc_value *c, size_t n)
{
    (void)n;
    struct reporting *rp = ctx;
    struct kc_kept_state kept;
    return kc_read_state(&rp->names, c, &kept) ? rp->r->state(rp->r->ctx, &kept)
                                               : KC_OK;
}

int kc_store_report(struct kc_store *s, uint64_t now_ms, uint64_t days_ms,
                    const struct kc_reporter *r)
{
    struct reporting rp = {.s = s,
                           .r = r,
                           .now_ms = now_ms,
                           .days_ms = days_ms - days_ms % KC_DAY_MS};
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
    free(rp.entries);
    free(rp.places);
    kc_names_deinit(&rp.names);
    return kc_store_end(s, err, NULL);
}
