/* selection.c -- tiers of keys, and where the next choice begins. */
#include "engine/selection.h"

#include <stdlib.h>
#include <string.h>

void kc_selector_init(struct kc_selector *s, enum kc_selection mode)
{
    *s = (struct kc_selector){.mode = mode};
}

void kc_selector_deinit(struct kc_selector *s)
{
    for (size_t i = 0; i < s->len; i++)
        free(s->tiers[i].keys);
    free(s->tiers);
    kc_selector_init(s, s->mode);
}

static int need_tier(struct kc_selector *s, int priority, struct kc_tier **out)
{
    size_t at = 0;
    while (at < s->len && s->tiers[at].priority < priority)
        at++;
    if (at == s->len || s->tiers[at].priority != priority) {
        struct kc_tier *tiers = realloc(s->tiers, (s->len + 1) * sizeof *tiers);
        if (!tiers)
            return KC_ENOMEM;
        s->tiers = tiers;
        memmove(tiers + at + 1, tiers + at, (s->len - at) * sizeof *tiers);
        tiers[at] = (struct kc_tier){.priority = priority};
        s->len++;
    }
    *out = &s->tiers[at];
    return KC_OK;
}

int kc_selector_put(struct kc_selector *s, uint32_t key, int priority)
{
    struct kc_tier *t;
    int err = need_tier(s, priority, &t);
    if (err != KC_OK)
        return err;
    if (t->len == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 8;
        uint32_t *keys = realloc(t->keys, cap * sizeof *keys);
        if (!keys)
            return KC_ENOMEM;
        t->keys = keys;
        t->cap = cap;
    }
    size_t at = t->len;
    for (; at > 0 && t->keys[at - 1] > key; at--)
        t->keys[at] = t->keys[at - 1];
    t->keys[at] = key;
    /* A key that comes back before the place must not shift it. */
    if (at < t->start)
        t->start++;
    if (at <= t->last && t->len > 0 && at < t->len)
        t->last++;
    t->len++;
    return KC_OK;
}

void kc_selector_remove(struct kc_selector *s, uint32_t key, int priority)
{
    for (size_t i = 0; i < s->len; i++) {
        struct kc_tier *t = &s->tiers[i];
        if (t->priority != priority)
            continue;
        size_t at = 0;
        while (at < t->len && t->keys[at] != key)
            at++;
        if (at == t->len)
            return;
        t->len--;
        memmove(t->keys + at, t->keys + at + 1,
                (t->len - at) * sizeof *t->keys);
        if (at < t->start)
            t->start--;
        if (at < t->last)
            t->last--;
        return;
    }
}

void kc_selector_took(struct kc_selector *s, size_t tier, size_t place)
{
    struct kc_tier *t = &s->tiers[tier];
    t->begun = true;
    t->last = place;
    if (s->mode != KC_FILL_FIRST)
        t->start = place + 1 < t->len ? place + 1 : 0;
}

void kc_selector_rotate(struct kc_selector *s)
{
    for (size_t i = 0; i < s->len; i++) {
        struct kc_tier *t = &s->tiers[i];
        if (t->len == 0)
            continue;
        t->start = (t->last + 1) % t->len;
        t->last = t->start;
    }
}
