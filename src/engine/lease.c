/* lease.c -- slots, generations and the list by age. */
#include "engine/lease.h"

#include <stdlib.h>

/* 2^23 leases at once, and 2^40 in one slot before a name comes back. */
#define SLOT_BITS 24
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)

void kc_leases_init(struct kc_leases *t)
{
    *t = (struct kc_leases){.cap = 0};
}

void kc_leases_deinit(struct kc_leases *t)
{
    free(t->slots);
    kc_leases_init(t);
}

static int grow(struct kc_leases *t)
{
    uint32_t cap = t->cap ? t->cap * 2 : 16;
    if (cap > SLOT_MASK)
        return KC_ENOMEM;
    struct kc_lease *slots = realloc(t->slots, cap * sizeof *slots);
    if (!slots)
        return KC_ENOMEM;
    t->slots = slots;
    for (uint32_t i = cap; i-- > t->cap;) {
        slots[i] = (struct kc_lease){.next = t->free};
        t->free = i + 1;
    }
    t->cap = cap;
    return KC_OK;
}

static void append(struct kc_leases *t, struct kc_lease *l, uint32_t place)
{
    l->prev = t->newest;
    l->next = 0;
    if (t->newest)
        t->slots[t->newest - 1].next = place;
    else
        t->oldest = place;
    t->newest = place;
    if (t->due == 0)
        t->due = place;
}

static void unlink_lease(struct kc_leases *t, const struct kc_lease *l)
{
    if (l->prev)
        t->slots[l->prev - 1].next = l->next;
    else
        t->oldest = l->next;
    if (l->next)
        t->slots[l->next - 1].prev = l->prev;
    else
        t->newest = l->prev;
}

static uint32_t place_of(const struct kc_lease *l)
{
    return (uint32_t)(l->id & SLOT_MASK);
}

int kc_leases_open(struct kc_leases *t, struct kc_lease **out)
{
    *out = NULL;
    if (t->free == 0) {
        int err = grow(t);
        if (err != KC_OK)
            return err;
    }
    uint32_t place = t->free;
    struct kc_lease *l = &t->slots[place - 1];
    t->free = l->next;
    uint64_t generation = l->generation + 1;
    *l = (struct kc_lease){.generation = generation};
    l->id = generation << SLOT_BITS | place;
    append(t, l, place);
    t->len++;
    *out = l;
    return KC_OK;
}

struct kc_lease *kc_leases_get(const struct kc_leases *t, uint64_t id)
{
    uint64_t place = id & SLOT_MASK;
    if (place == 0 || place > t->cap)
        return NULL;
    struct kc_lease *l = &t->slots[place - 1];
    return l->id == id ? l : NULL;
}

struct kc_lease *kc_leases_oldest(const struct kc_leases *t)
{
    return t->oldest ? &t->slots[t->oldest - 1] : NULL;
}

struct kc_lease *kc_leases_next(const struct kc_leases *t,
                                const struct kc_lease *l)
{
    return l->next ? &t->slots[l->next - 1] : NULL;
}

struct kc_lease *kc_leases_due(const struct kc_leases *t)
{
    return t->due ? &t->slots[t->due - 1] : NULL;
}

void kc_leases_pass(struct kc_leases *t, const struct kc_lease *l)
{
    if (place_of(l) != t->due)
        return;
    do
        t->due = t->slots[t->due - 1].next;
    while (t->due && (t->slots[t->due - 1].stamp_ms != 0 ||
                      t->slots[t->due - 1].unsent));
}

void kc_leases_restart(struct kc_leases *t, struct kc_lease *l)
{
    kc_leases_pass(t, l);
    unlink_lease(t, l);
    append(t, l, place_of(l));
}

void kc_leases_close(struct kc_leases *t, struct kc_lease *l)
{
    uint32_t place = place_of(l);
    kc_leases_pass(t, l);
    unlink_lease(t, l);
    l->id = 0;
    l->next = t->free;
    t->free = place;
    t->len--;
}
