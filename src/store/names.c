/* names.c -- see names.h. */
#include "store/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pool_store.h"

#define JOINED_MAX 1024

void kc_ids_init(struct kc_ids *ids)
{
    kc_map_init(&ids->keys);
    kc_map_init(&ids->models);
}

void kc_ids_deinit(struct kc_ids *ids)
{
    kc_map_deinit(&ids->keys);
    kc_map_deinit(&ids->models);
}

void kc_ids_clear(struct kc_ids *ids)
{
    kc_ids_deinit(ids);
    kc_ids_init(ids);
}

struct kind {
    const char *find;
    const char *make; /* an INSERT */
    const char *keep; /* what that sets in a row that is there: nothing new */
};

/* Who makes the same name at the same time is waited for by the INSERT, and his
 * number is read then. */
static int find_or_make(struct kc_db *db, const struct kind *kind,
                        const struct kc_value *params, size_t n, int64_t *id)
{
    char sql[256];
    *id = 0;
    int err = kc_db_number(db, kind->find, params, n, id);
    if (err != KC_OK || *id != 0)
        return err;
    snprintf(sql, sizeof sql, "%s%s%s", kind->make,
             db->ops->dialect->on_conflict, kind->keep);
    err = kc_db_query(db, sql, params, n, NULL, NULL, NULL);
    snprintf(sql, sizeof sql, "%s%s", kind->find, db->ops->dialect->latest);
    if (err == KC_OK)
        err = kc_db_number(db, sql, params, n, id);
    return err == KC_OK && *id == 0 ? KC_ESTORE : err;
}

/* A number is kept as the pointer that a map keeps. */
static int need_id(struct kc_map *map, const char *name, struct kc_db *db,
                   const struct kind *kind, const struct kc_value *params,
                   size_t n, int64_t *id)
{
    *id = (int64_t)(intptr_t)kc_map_get(map, name);
    if (*id != 0)
        return KC_OK;
    int err = find_or_make(db, kind, params, n, id);
    return err == KC_OK ? kc_map_set(map, name, (void *)(intptr_t)*id) : err;
}

int kc_ids_key(struct kc_ids *ids, struct kc_db *db, const char *provider,
               const char *hash, int64_t *id)
{
    static const struct kind kind = {
        "SELECT id FROM keycycle_key WHERE provider = ? AND hash = ?",
        "INSERT INTO keycycle_key (provider, hash, label, suffix)"
        " VALUES (?, ?, '', '')",
        "label = keycycle_key.label"};
    struct kc_value params[] = {{.text = provider}, {.text = hash}};
    char name[JOINED_MAX];
    *id = 0;
    if (strlen(provider) > KC_NAME_MAX || strlen(hash) >= KC_STATE_KEY_MAX)
        return KC_ETOOLARGE;
    snprintf(name, sizeof name, "%zu %s%s", strlen(provider), provider, hash);
    return need_id(&ids->keys, name, db, &kind, params, 2, id);
}

int kc_ids_model(struct kc_ids *ids, struct kc_db *db, const char *name,
                 int64_t *id)
{
    static const struct kind kind = {
        "SELECT id FROM keycycle_model WHERE name = ?",
        "INSERT INTO keycycle_model (name) VALUES (?)",
        "name = keycycle_model.name"};
    struct kc_value param = {.text = name};
    *id = 0;
    if (!*name)
        return KC_OK;
    if (strlen(name) > KC_NAME_MAX)
        return KC_ETOOLARGE;
    return need_id(&ids->models, name, db, &kind, &param, 1, id);
}

/* -- all names ------------------------------------------------------------ */

/* Makes room for one more of `size` bytes. */
static int grow(void **items, size_t len, size_t *cap, size_t size)
{
    if (len < *cap)
        return KC_OK;
    size_t n = *cap ? 2 * *cap : 64;
    void *p = realloc(*items, n * size);
    if (!p)
        return KC_ENOMEM;
    *items = p;
    *cap = n;
    return KC_OK;
}

static const char *text_of(const struct kc_value *v)
{
    return v->text ? v->text : "";
}

/* The four texts of a key lie behind each other; the first is freed. */
static int add_key(void *ctx, const struct kc_value *columns, size_t n)
{
    struct kc_names *names = ctx;
    size_t size = 0;
    void *items = names->keys;
    int err =
        grow(&items, names->key_len, &names->key_cap, sizeof *names->keys);
    names->keys = items;
    if (err != KC_OK)
        return err;
    for (size_t i = 1; i < n; i++)
        size += strlen(text_of(&columns[i])) + 1;
    char *p = malloc(size);
    if (!p)
        return KC_ENOMEM;
    struct kc_key_name *key = &names->keys[names->key_len++];
    const char **texts[] = {&key->provider, &key->hash, &key->label,
                            &key->suffix};
    key->id = columns[0].number;
    for (size_t i = 0; i < 4; i++) {
        *texts[i] = p;
        p = stpcpy(p, text_of(&columns[i + 1])) + 1;
    }
    return KC_OK;
}

static int add_model(void *ctx, const struct kc_value *columns, size_t n)
{
    (void)n;
    struct kc_names *names = ctx;
    void *items = names->models;
    int err = grow(&items, names->model_len, &names->model_cap,
                   sizeof *names->models);
    names->models = items;
    if (err != KC_OK)
        return err;
    char *name = strdup(text_of(&columns[1]));
    if (!name)
        return KC_ENOMEM;
    names->models[names->model_len++] =
        (struct kc_model_name){columns[0].number, name};
    return KC_OK;
}

int kc_names_load(struct kc_names *names, struct kc_db *db,
                  const char *provider)
{
    struct kc_value param = {.text = provider};
    memset(names, 0, sizeof *names);
    int err = kc_db_query(
        db,
        provider ? "SELECT id, provider, hash, label, suffix FROM keycycle_key"
                   " WHERE provider = ? ORDER BY id"
                 : "SELECT id, provider, hash, label, suffix FROM keycycle_key"
                   " ORDER BY id",
        &param, provider ? 1 : 0, add_key, names, NULL);
    if (err == KC_OK)
        err = kc_db_query(db, "SELECT id, name FROM keycycle_model ORDER BY id",
                          NULL, 0, add_model, names, NULL);
    return err;
}

void kc_names_deinit(struct kc_names *names)
{
    for (size_t i = 0; i < names->key_len; i++)
        free((char *)names->keys[i].provider);
    for (size_t i = 0; i < names->model_len; i++)
        free((char *)names->models[i].name);
    free(names->keys);
    free(names->models);
    memset(names, 0, sizeof *names);
}

static int by_id(const void *id, const void *item)
{
    int64_t a = *(const int64_t *)id, b = *(const int64_t *)item;
    return (a > b) - (a < b);
}

/* Items are in the order of their ids, with which each begins. */
static const void *find(const void *items, size_t len, size_t size, int64_t id)
{
    return len ? bsearch(&id, items, len, size, by_id) : NULL;
}

const struct kc_key_name *kc_names_key(const struct kc_names *names, int64_t id)
{
    return find(names->keys, names->key_len, sizeof *names->keys, id);
}

const char *kc_names_model(const struct kc_names *names, int64_t id)
{
    const struct kc_model_name *m =
        find(names->models, names->model_len, sizeof *names->models, id);
    return id == 0 ? "" : m ? m->name : NULL;
}
