/* cells.c -- a map, a list by the last change, a queue of what is dirty. */
#include "store/cells.h"

#include <stdlib.h>
#include <string.h>

#include "util/buf.h"

#define MAX_NAME 65536

struct kc_cell {
    struct kc_cell *prev, *next; /* by their last change */
    struct kc_cell *next_dirty;
    struct kc_delta used;
    uint64_t start_ms;
    uint64_t touched_ms;
    const char *provider, *key, *model;
    char *name; /* in the map; the three texts lie in it */
    uint32_t part;
    bool dirty;
};

void kc_cells_init(struct kc_cells *t)
{
    *t = (struct kc_cells){0};
    kc_map_init(&t->map);
    t->dirty_end = &t->dirty;
}

static void free_cell(struct kc_cell *c)
{
    free(c->name);
    free(c);
}

void kc_cells_deinit(struct kc_cells *t)
{
    for (struct kc_cell *c = t->oldest, *next; c; c = next) {
        next = c->next;
        free_cell(c);
    }
    kc_map_deinit(&t->map);
    kc_cells_init(t);
}

static void unlink_cell(struct kc_cells *t, struct kc_cell *c)
{
    *(c->prev ? &c->prev->next : &t->oldest) = c->next;
    *(c->next ? &c->next->prev : &t->newest) = c->prev;
    c->prev = c->next = NULL;
}

static void append_cell(struct kc_cells *t, struct kc_cell *c)
{
    c->prev = t->newest;
    c->next = NULL;
    *(t->newest ? &t->newest->next : &t->oldest) = c;
    t->newest = c;
}

static void soil(struct kc_cells *t, struct kc_cell *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = NULL;
    *t->dirty_end = c;
    t->dirty_end = &c->next_dirty;
    t->dirty_len++;
}

/* One text that names a cell: its start and the lengths keep apart what the
 * texts alone would not. It ends with "provider\nkey\nmodel". */
static int name_cell(const char *provider, const char *key, const char *model,
                     uint64_t start_ms, char **out)
{
    struct kc_buf b;
    kc_buf_init(&b, MAX_NAME);
    int err = kc_buf_addf(&b, "%llu %zu %zu\n%s\n%s\n%s",
                          (unsigned long long)start_ms, strlen(provider),
                          strlen(key), provider, key, model);
    if (err != KC_OK)
        kc_buf_deinit(&b);
    *out = kc_buf_take(&b);
    return err;
}

/* Takes `name`, even on failure. */
static int make_cell(struct kc_cells *t, char *name, size_t provider_len,
                     size_t key_len, struct kc_cell **out)
{
    struct kc_cell *c = calloc(1, sizeof *c);
    *out = c;
    if (!c || kc_map_set(&t->map, name, c) != KC_OK) {
        free(name);
        free(c);
        return KC_ENOMEM;
    }
    char *text = strchr(name, '\n') + 1;
    text[provider_len] = text[provider_len + 1 + key_len] = '\0';
    c->name = name;
    c->provider = text;
    c->key = c->provider + provider_len + 1;
    c->model = c->key + key_len + 1;
    append_cell(t, c);
    return KC_OK;
}

static void add(int64_t *to, int64_t n)
{
    int64_t sum;
    if (__builtin_add_overflow(*to, n, &sum))
        sum = n > 0 ? INT64_MAX : INT64_MIN;
    *to = sum;
}

int kc_cells_add(struct kc_cells *t, const char *provider, const char *key,
                 const char *model, uint64_t wall_ms, const struct kc_delta *d,
                 uint64_t now_ms)
{
    uint64_t start_ms = wall_ms - wall_ms % KC_SPAN_MS;
    char *name;
    int err = name_cell(provider, key, model, start_ms, &name);
    if (err != KC_OK)
        return err;
    struct kc_cell *c = kc_map_get(&t->map, name);
    if (c) {
        free(name);
        unlink_cell(t, c);
        append_cell(t, c);
    } else {
        err = make_cell(t, name, strlen(provider), strlen(key), &c);
        if (err != KC_OK)
            return err;
        if (start_ms < t->horizon_ms) {
            t->part++;
            t->horizon_ms = 0;
        }
        c->start_ms = start_ms;
        c->part = t->part;
    }
    c->touched_ms = now_ms;
    add(&c->used.requests, d->requests);
    add(&c->used.input, d->input);
    add(&c->used.output, d->output);
    add(&c->used.total, d->total);
    soil(t, c);
    return KC_OK;
}

static uint64_t written(int64_t n)
{
    return n > 0 ? (uint64_t)n : 0;
}

static void fill_row(const struct kc_cell *c, struct kc_row *row)
{
    *row = (struct kc_row){.provider = c->provider,
                           .key = c->key,
                           .model = c->model,
                           .start_ms = c->start_ms,
                           .span_ms = KC_SPAN_MS,
                           .requests = written(c->used.requests),
                           .input = written(c->used.input),
                           .output = written(c->used.output),
                           .total = written(c->used.total)};
}

int kc_cells_take(struct kc_cells *t, struct kc_batch *out)
{
    *out = (struct kc_batch){0};
    if (t->dirty_len == 0)
        return KC_OK;
    out->rows = malloc(t->dirty_len * sizeof *out->rows);
    out->cells = malloc(t->dirty_len * sizeof(struct kc_cell *));
    if (!out->rows || !out->cells) {
        free(out->rows);
        free(out->cells);
        *out = (struct kc_batch){0};
        return KC_ENOMEM;
    }
    struct kc_cell *c = t->dirty;
    out->part = c->part;
    t->dirty = NULL;
    t->dirty_end = &t->dirty;
    t->dirty_len = 0;
    for (struct kc_cell *next; c; c = next) {
        next = c->next_dirty;
        c->dirty = false;
        if (c->part != out->part) {
            soil(t, c);
            out->left++;
            continue;
        }
        fill_row(c, &out->rows[out->len]);
        out->cells[out->len++] = c;
    }
    return KC_OK;
}

void kc_cells_done(struct kc_cells *t, struct kc_batch *b, bool done)
{
    for (size_t i = 0; !done && i < b->len; i++)
        soil(t, b->cells[i]);
    free(b->rows);
    free(b->cells);
    *b = (struct kc_batch){0};
}

/* The cell's name as the map knows it. */
static void join_name(struct kc_cell *c)
{
    char *key = strchr(c->name, '\0');
    *key = '\n';
    *strchr(key, '\0') = '\n';
}

void kc_cells_forget(struct kc_cells *t, uint64_t now_ms)
{
    struct kc_cell *c;
    while ((c = t->oldest) != NULL && !c->dirty &&
           now_ms - c->touched_ms >= KC_FORGET_MS) {
        unlink_cell(t, c);
        join_name(c);
        kc_map_remove(&t->map, c->name);
        if (c->part == t->part && c->start_ms >= t->horizon_ms)
            t->horizon_ms = c->start_ms + 1;
        free_cell(c);
    }
}
