/* map.c -- FNV-1a and linear probing; at most three quarters full. */
#include "util/map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

struct kc_map_slot {
    char *key; /* NULL: free, or a grave when `grave` is set */
    void *value;
    int grave;
};

static size_t hash(const char *s)
{
    uint64_t h = kc_hash(s);
    return (size_t)(h ^ (h >> 32));
}

void kc_map_init(struct kc_map *m)
{
    *m = (struct kc_map){0};
}

void kc_map_deinit(struct kc_map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        free(m->slots[i].key);
    free(m->slots);
    kc_map_init(m);
}

/* The slot of `key`, or the free one that ends the search for it. */
static struct kc_map_slot *find(const struct kc_map *m, const char *key)
{
    size_t i = hash(key) & (m->cap - 1);
    for (;; i = (i + 1) & (m->cap - 1)) {
        struct kc_map_slot *s = &m->slots[i];
        if (s->key ? strcmp(s->key, key) == 0 : !s->grave)
            return s;
    }
}

void *kc_map_get(const struct kc_map *m, const char *key)
{
    if (m->cap == 0)
        return NULL;
    struct kc_map_slot *s = find(m, key);
    return s->key ? s->value : NULL;
}

static int grow(struct kc_map *m)
{
    struct kc_map bigger = {.cap = m->len * 2 < 16 ? 16 : m->cap};
    while (bigger.cap < m->len * 2 + 2)
        bigger.cap *= 2;
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return KC_ENOMEM;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key)
            *find(&bigger, m->slots[i].key) = m->slots[i];
    bigger.len = bigger.used = m->len;
    free(m->slots);
    *m = bigger;
    return KC_OK;
}

int kc_map_set(struct kc_map *m, const char *key, void *value)
{
    if (!value)
        return KC_EINVALID;
    if ((m->used + 1) * 4 > m->cap * 3) {
        int err = grow(m);
        if (err != KC_OK)
            return err;
    }
    struct kc_map_slot *s = find(m, key);
    if (!s->key) {
        s->key = strdup(key);
        if (!s->key)
            return KC_ENOMEM;
        m->len++;
        m->used++;
    }
    s->value = value;
    return KC_OK;
}

void *kc_map_remove(struct kc_map *m, const char *key)
{
    if (m->cap == 0)
        return NULL;
    struct kc_map_slot *s = find(m, key);
    if (!s->key)
        return NULL;
    void *value = s->value;
    free(s->key);
    *s = (struct kc_map_slot){.grave = 1};
    m->len--;
    return value;
}

int kc_map_next(const struct kc_map *m, size_t *at, const char **key,
                void **value)
{
    while (*at < m->cap) {
        const struct kc_map_slot *s = &m->slots[(*at)++];
        if (s->key) {
            *key = s->key;
            *value = s->value;
            return 1;
        }
    }
    return 0;
}
