/* totals.c -- see totals.h. */
#include "store/totals.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

#define MAX_BYTES ((size_t)1 << 31)
#define WINDOWS KC_REPORT_WINDOWS
#define REQUESTS 0 /* among the counts */
#define TOKENS 3

struct pair_day {
    uint64_t start_ms;
    uint64_t counts[KC_TOTAL_DAY];
    size_t before; /* the pair's one before it, from 1 */
};

void kc_totals_init(struct kc_totals *t, uint64_t now_ms, uint64_t first_ms,
                    size_t days)
{
    *t = (struct kc_totals){
        .now_ms = now_ms, .first_ms = first_ms, .days = days};
    kc_buf_init(&t->totals, MAX_BYTES);
    kc_buf_init(&t->pair_days, MAX_BYTES);
    kc_buf_init(&t->states, MAX_BYTES);
    kc_buf_init(&t->name, MAX_BYTES);
    kc_map_init(&t->places);
    kc_map_init(&t->texts);
}

static size_t count_of(const struct kc_totals *t)
{
    return t->totals.len / sizeof(struct kc_total);
}

static struct kc_total *total_at(const struct kc_totals *t, size_t i)
{
    return (struct kc_total *)(void *)t->totals.data + i;
}

void kc_totals_deinit(struct kc_totals *t)
{
    const char *key;
    void *text;
    size_t at = 0;
    for (size_t i = 0; i < count_of(t); i++)
        free(total_at(t, i)->days);
    while (kc_map_next(&t->texts, &at, &key, &text))
        free(text);
    kc_map_deinit(&t->texts);
    kc_map_deinit(&t->places);
    kc_buf_deinit(&t->totals);
    kc_buf_deinit(&t->pair_days);
    kc_buf_deinit(&t->states);
    kc_buf_deinit(&t->name);
}

/* -- finding totals ------------------------------------------------------ */

/* A copy of `text` that lives as long as `t`; one of each is kept. */
static int keep(struct kc_totals *t, const char *text, const char **out)
{
    *out = kc_map_get(&t->texts, text ? text : "");
    if (*out)
        return KC_OK;
    char *copy = strdup(text ? text : "");
    if (!copy)
        return KC_ENOMEM;
    int err = kc_map_set(&t->texts, copy, copy);
    if (err != KC_OK)
        free(copy);
    else
        *out = copy;
    return err;
}

/* The place, from 1, of the total that has the names of `like`; 0: none has. */
static int look_up(struct kc_totals *t, const struct kc_total *like, size_t *at)
{
    const char *const parts[] = {like->provider, "\n", like->key, "\n",
                                 like->model};
    kc_buf_clear(&t->name);
    *at = 0;
    int err = kc_buf_addch(&t->name, (char)('0' + (int)like->kind));
    for (size_t i = 0; err == KC_OK && i < sizeof parts / sizeof *parts; i++)
        err = kc_buf_addstr(&t->name, parts[i]);
    if (err == KC_OK)
        *at = (size_t)kc_map_get(&t->places, kc_buf_str(&t->name));
    return err;
}

/* The texts of a pair are those of its key and model: pairs are many. */
static int keep_texts(struct kc_totals *t, struct kc_total *of)
{
    if (of->kind == KC_TOTAL_PAIR) {
        const struct kc_total *key = total_at(t, of->up - 1);
        of->provider = key->provider;
        of->key = key->key;
        of->label = key->label;
        of->suffix = key->suffix;
        of->model = total_at(t, of->model_at - 1)->model;
        return KC_OK;
    }
    const char **const texts[] = {&of->provider, &of->key, &of->label,
                                  &of->suffix, &of->model};
    int err = KC_OK;
    for (size_t i = 0; err == KC_OK && i < sizeof texts / sizeof *texts; i++)
        err = keep(t, *texts[i], texts[i]);
    return err;
}

static int add_total(struct kc_totals *t, const struct kc_total *like)
{
    struct kc_total it = *like;
    int err = keep_texts(t, &it);
    if (err == KC_OK && it.kind != KC_TOTAL_PAIR) {
        it.days = calloc(t->days * KC_TOTAL_DAY, sizeof *it.days);
        err = it.days ? KC_OK : KC_ENOMEM;
    }
    if (err == KC_OK)
        err = kc_buf_add(&t->totals, &it, sizeof it);
    if (err != KC_OK)
        free(it.days);
    return err;
}

/* Makes the total that was looked for, and tells its place, from 1. */
static int make(struct kc_totals *t, const struct kc_total *like, size_t *at)
{
    int err = add_total(t, like);
    if (err == KC_OK)
        err = kc_map_set(&t->places, kc_buf_str(&t->name), (void *)count_of(t));
    *at = err == KC_OK ? count_of(t) : 0;
    return err;
}

static int find(struct kc_totals *t, const struct kc_total *like, size_t *at)
{
    int err = look_up(t, like, at);
    return err == KC_OK && *at == 0 ? make(t, like, at) : err;
}

/* All that a new pair is a part of. */
static int find_above(struct kc_totals *t, struct kc_total *pair)
{
    struct kc_total provider = {.kind = KC_TOTAL_PROVIDER,
                                .provider = pair->provider,
                                .key = "",
                                .model = "",
                                .up = t->all};
    struct kc_total key = *pair, model = *pair;
    key.kind = KC_TOTAL_KEY;
    key.model = "";
    model.kind = KC_TOTAL_MODEL;
    model.key = "";
    model.label = model.suffix = NULL;
    int err = find(t, &provider, &key.up);
    model.up = key.up;
    if (err == KC_OK)
        err = find(t, &key, &pair->up);
    return err == KC_OK ? find(t, &model, &pair->model_at) : err;
}

/* Whether the total at a place, from 1, is that of the row; t->last then. */
static bool is_pair_at(struct kc_totals *t, size_t at,
                       const struct kc_day_row *row)
{
    if (at == 0 || at > count_of(t))
        return false;
    const struct kc_total *s = total_at(t, at - 1);
    bool is = s->kind == KC_TOTAL_PAIR && strcmp(s->model, row->model) == 0 &&
              strcmp(s->key, row->key) == 0 &&
              strcmp(s->provider, row->provider) == 0;
    if (is)
        t->last = at;
    return is;
}

/* The total of a row's key and model. Rows of one time mostly come in the order
 * of those of another. */
static int find_pair(struct kc_totals *t, const struct kc_day_row *row,
                     struct kc_total **out)
{
    int err = KC_OK;
    if (!is_pair_at(t, t->last, row) && !is_pair_at(t, t->last + 1, row)) {
        struct kc_total pair = {.kind = KC_TOTAL_PAIR,
                                .provider = row->provider,
                                .key = row->key,
                                .model = row->model,
                                .label = row->label,
                                .suffix = row->suffix};
        err = look_up(t, &pair, &t->last);
        if (err == KC_OK && t->last == 0) {
            err = find_above(t, &pair);
            if (err == KC_OK)
                err = find(t, &pair, &t->last);
        }
    }
    *out = err == KC_OK ? total_at(t, t->last - 1) : NULL;
    return err;
}

/* -- adding up ------------------------------------------------------------ */

static void add(uint64_t *to, const uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = kc_add_capped(to[i], from[i]);
}

static void counts_of(const struct kc_used *used, uint64_t *out)
{
    out[0] = used->requests;
    out[1] = used->input;
    out[2] = used->output;
    out[3] = used->total;
}

static int on_total(void *ctx, const struct kc_day_row *row)
{
    struct kc_total *s;
    int err = find_pair(ctx, row, &s);
    if (err == KC_OK)
        counts_of(&row->used, s->counts);
    return err;
}

static int on_window(void *ctx, const struct kc_window_row *row)
{
    struct kc_day_row of = {
        .provider = row->provider, .key = row->key, .model = row->model};
    struct kc_total *s;
    int err = find_pair(ctx, &of, &s);
    if (err != KC_OK)
        return err;
    memcpy(&s->counts[KC_TOTAL_DAY], row->requests, sizeof row->requests);
    memcpy(&s->counts[KC_TOTAL_DAY + WINDOWS], row->tokens, sizeof row->tokens);
    return KC_OK;
}

static int on_day(void *ctx, const struct kc_day_row *row)
{
    struct kc_totals *t = ctx;
    struct kc_total *s;
    uint64_t day = (row->start_ms - t->first_ms) / KC_DAY_MS;
    if (row->start_ms < t->first_ms || day >= t->days)
        return KC_OK;
    int err = find_pair(t, row, &s);
    if (err != KC_OK)
        return err;
    struct pair_day d = {.start_ms = row->start_ms, .before = s->newest_day};
    counts_of(&row->used, d.counts);
    err = kc_buf_add(&t->pair_days, &d, sizeof d);
    if (err != KC_OK)
        return err;
    s->newest_day = t->pair_days.len / sizeof d;
    add(&total_at(t, s->up - 1)->days[day * KC_TOTAL_DAY], d.counts,
        KC_TOTAL_DAY);
    add(&total_at(t, s->model_at - 1)->days[day * KC_TOTAL_DAY], d.counts,
        KC_TOTAL_DAY);
    return KC_OK;
}

static int on_state(void *ctx, const struct kc_kept_state *given)
{
    struct kc_totals *t = ctx;
    struct kc_kept_state state = *given;
    int err = keep(t, given->provider, &state.provider);
    if (err == KC_OK)
        err = keep(t, given->row.model, &state.row.model);
    return err == KC_OK ? kc_buf_add(&t->states, &state, sizeof state) : err;
}

/* Adds all of a kind to what they are a part of. */
static void add_up(struct kc_totals *t, enum kc_total_kind kind)
{
    for (size_t i = 0; i < count_of(t); i++) {
        struct kc_total *s = total_at(t, i);
        if (s->kind != kind)
            continue;
        struct kc_total *up = total_at(t, s->up - 1);
        add(up->counts, s->counts, KC_TOTAL_COUNTS);
        if (s->days) /* those of pairs were added when they came */
            add(up->days, s->days, t->days * KC_TOTAL_DAY);
        else
            add(total_at(t, s->model_at - 1)->counts, s->counts,
                KC_TOTAL_COUNTS);
    }
}

static int compare(const void *a, const void *b)
{
    const struct kc_total *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int order = strcmp(x->provider, y->provider);
    const uint64_t *m = x->counts, *n = y->counts;
    if (order == 0 && m[TOKENS] != n[TOKENS])
        order = m[TOKENS] > n[TOKENS] ? -1 : 1;
    if (order == 0 && m[REQUESTS] != n[REQUESTS])
        order = m[REQUESTS] > n[REQUESTS] ? -1 : 1;
    if (order == 0)
        order = strcmp(x->key, y->key);
    return order != 0 ? order : strcmp(x->model, y->model);
}

int kc_totals_read(struct kc_totals *t, struct kc_store *s)
{
    const struct kc_reporter reporter = {t, on_total, on_day, on_window,
                                         on_state};
    struct kc_total all = {
        .kind = KC_TOTAL_ALL, .provider = "", .key = "", .model = ""};
    int err = find(t, &all, &t->all);
    if (err == KC_OK)
        err = kc_store_report(s, t->now_ms, t->first_ms, &reporter);
    if (err != KC_OK)
        return err;
    add_up(t, KC_TOTAL_PAIR);
    add_up(t, KC_TOTAL_KEY);
    add_up(t, KC_TOTAL_PROVIDER);
    qsort(t->totals.data, count_of(t), sizeof(struct kc_total), compare);
    kc_map_deinit(&t->places); /* the places hold no more */
    kc_map_init(&t->places);
    t->last = 0;
    return KC_OK;
}

/* -- telling -------------------------------------------------------------- */

const struct kc_total *kc_totals_get(const struct kc_totals *t, size_t i)
{
    return i < count_of(t) ? total_at(t, i) : NULL;
}

void kc_totals_days(const struct kc_totals *t, const struct kc_total *of,
                    uint64_t *out)
{
    const struct pair_day *days = (const void *)t->pair_days.data;
    size_t size = t->days * KC_TOTAL_DAY * sizeof *out;
    if (of->days) {
        memcpy(out, of->days, size);
        return;
    }
    memset(out, 0, size);
    for (size_t i = of->newest_day; i != 0; i = days[i - 1].before) {
        const struct pair_day *d = &days[i - 1];
        size_t day = (size_t)((d->start_ms - t->first_ms) / KC_DAY_MS);
        add(&out[day * KC_TOTAL_DAY], d->counts, KC_TOTAL_DAY);
    }
}

const struct kc_kept_state *kc_totals_state(const struct kc_totals *t, size_t i)
{
    const struct kc_kept_state *states = (const void *)t->states.data;
    return i < t->states.len / sizeof *states ? &states[i] : NULL;
}
