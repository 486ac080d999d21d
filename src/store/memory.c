/* memory.c -- rows in an array, found by a map. */
#include "store/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/map.h"

#define MAX_NAME 65536

struct entry {
    struct kc_row row;
    bool written; /* an entry is made before its write is sure to succeed */
    char text[];
};

struct memory {
    struct kc_store head;
    struct kc_map map;
};

static struct memory *self(struct kc_store *s)
{
    return (struct memory *)s;
}

static int make_entry(struct memory *m, const char *name,
                      const struct kc_row *row, struct entry **out)
{
    size_t provider = strlen(row->provider) + 1, key = strlen(row->key) + 1,
           model = strlen(row->model) + 1;
    struct entry *e = calloc(1, sizeof *e + provider + key + model);
    *out = e;
    if (!e)
        return KC_ENOMEM;
    memcpy(e->text, row->provider, provider);
    memcpy(e->text + provider, row->key, key);
    memcpy(e->text + provider + key, row->model, model);
    int err = kc_map_set(&m->map, name, e);
    if (err != KC_OK)
        free(e);
    return err;
}

static int find_entry(struct memory *m, const char *writer,
                      const struct kc_row *row, struct entry **out)
{
    struct kc_buf name;
    kc_buf_init(&name, MAX_NAME);
    int err = kc_buf_addf(&name, "%llu %llu %zu %zu %zu\n%s%s%s%s",
                          (unsigned long long)row->start_ms,
                          (unsigned long long)row->span_ms, strlen(writer),
                          strlen(row->provider), strlen(row->key), writer,
                          row->provider, row->key, row->model);
    if (err == KC_OK) {
        *out = kc_map_get(&m->map, kc_buf_str(&name));
        if (!*out)
            err = make_entry(m, kc_buf_str(&name), row, out);
    }
    kc_buf_deinit(&name);
    return err;
}

static int memory_write(struct kc_store *s, const char *writer,
                        const struct kc_row *rows, size_t n)
{
    struct entry **entries = malloc((n ? n : 1) * sizeof(struct entry *));
    int err = entries ? KC_OK : KC_ENOMEM;
    for (size_t i = 0; err == KC_OK && i < n; i++)
        err = find_entry(self(s), writer, &rows[i], &entries[i]);
    for (size_t i = 0; err == KC_OK && i < n; i++) {
        struct entry *e = entries[i];
        e->row = rows[i];
        e->row.provider = e->text;
        e->row.key = e->row.provider + strlen(e->row.provider) + 1;
        e->row.model = e->row.key + strlen(e->row.key) + 1;
        e->written = true;
    }
    free(entries);
    return err;
}

static int by_start(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *)a;
    const struct entry *y = *(struct entry *const *)b;
    return (x->row.start_ms > y->row.start_ms) -
           (x->row.start_ms < y->row.start_ms);
}

static int memory_read(struct kc_store *s, const char *provider, kc_row_fn *fn,
                       void *ctx)
{
    struct kc_map *map = &self(s)->map;
    struct entry **found =
        malloc((map->len ? map->len : 1) * sizeof(struct entry *));
    if (!found)
        return KC_ENOMEM;
    size_t at = 0, n = 0;
    const char *name;
    void *value;
    while (kc_map_next(map, &at, &name, &value)) {
        struct entry *e = value;
        if (e->written && (!provider || strcmp(provider, e->row.provider) == 0))
            found[n++] = e;
    }
    qsort(found, n, sizeof(struct entry *), by_start);
    int err = KC_OK;
    for (size_t i = 0; err == KC_OK && i < n; i++)
        err = fn(ctx, &found[i]->row);
    free(found);
    return err;
}

static const char *memory_error(struct kc_store *s)
{
    (void)s;
    return "";
}

static void memory_close(struct kc_store *s)
{
    struct memory *m = self(s);
    size_t at = 0;
    const char *name;
    void *value;
    while (kc_map_next(&m->map, &at, &name, &value))
        free(value);
    kc_map_deinit(&m->map);
    free(m);
}

int kc_memory_open(struct kc_store **out)
{
    static const struct kc_store_ops ops = {.write = memory_write,
                                            .read = memory_read,
                                            .error = memory_error,
                                            .close = memory_close,
                                            .forget = memory_close};
    struct memory *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return KC_ENOMEM;
    m->head.ops = &ops;
    kc_map_init(&m->map);
    *out = &m->head;
    return KC_OK;
}
