/* pool_told.c -- the states of keys, as a store keeps them. */
#include "engine/pool_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "util/sha256.h"

#define STRETCH 256 /* places that are looked at under one lock */
#define OF_GROUPS (UINT64_C(1) << 63)
#define GROUP "group:"
#define GROUP_NAME_MAX 64
#define LONGEST_MS (31 * UINT64_C(86400000)) /* of any cooldown */

uint64_t kc_pool_state_version(const struct kc_pool *p)
{
    return atomic_load_explicit(&p->told, memory_order_relaxed);
}

void kc_pool_renamed(struct kc_pool *p, struct kc_told *t)
{
    t->version = kc_pool_state_version(p) + 1;
    atomic_store_explicit(&p->told, t->version, memory_order_relaxed);
    kc_pool_has_new(p);
}

void kc_pool_restated(struct kc_pool *p, struct kc_told *t)
{
    t->changed_ms = p->now_ms > t->changed_ms ? p->now_ms : t->changed_ms + 1;
    kc_pool_renamed(p, t);
}

/* -- the name of a group -------------------------------------------------- */

static void group_key(const char *name, char out[KC_STATE_KEY_MAX])
{
    uint8_t sum[32];
    size_t len = strlen(name);
    if (len <= GROUP_NAME_MAX) {
        snprintf(out, KC_STATE_KEY_MAX, GROUP "%s", name);
        return;
    }
    kc_sha256(name, len, sum);
    int at = snprintf(out, KC_STATE_KEY_MAX, GROUP);
    for (int i = 0; i < 16; i++)
        at += snprintf(out + at, KC_STATE_KEY_MAX - (size_t)at, "%02x", sum[i]);
}

/* Finds a group that is there, or makes it where its whole name is told. */
static int need_group(struct kc_pool *p, const struct kc_state_row *row,
                      struct kc_key **out)
{
    const char *name = row->key + strlen(GROUP);
    char key[KC_STATE_KEY_MAX], label[sizeof row->label];
    for (uint32_t i = 0; i < p->group_count; i++) {
        *out = p->groups[i];
        group_key((*out)->group, key);
        if (strcmp(key, row->key) == 0)
            return KC_OK;
    }
    *out = NULL;
    kc_copy_cut(label, sizeof label, name);
    if (name[0] == '\0' || strcmp(label, row->label) != 0)
        return KC_ENOTFOUND;
    return kc_pool_need_group(p, name, out);
}

/* -- limits as a text ----------------------------------------------------- */

static void tell_limit(char out[KC_LEARNED_MAX], const char *name, uint64_t max)
{
    size_t len = strlen(out);
    if (max != KC_UNLIMITED)
        snprintf(out + len, KC_LEARNED_MAX - len, "%s%s=%" PRIu64,
                 len > 0 ? " " : "", name, max);
}

static const struct kc_side_limit minute = {.span_ms = KC_MINUTE_MS,
                                            .parts = true};

static void tell_learned(const struct kc_limits *l, char out[KC_LEARNED_MAX])
{
    out[0] = '\0';
    if (!l)
        return;
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            tell_limit(out, kc_limit_name((enum kc_window)w, (enum kc_unit)u),
                       l->max[w][u]);
    for (uint32_t i = 0; i < l->side_count; i++)
        for (int u = 0; u < KC_UNITS && l->sides[i].parts; u++)
            tell_limit(out, kc_side_limit_name(&minute, u), l->sides[i].max[u]);
}

/* Returns the amount that the text has for a name; KC_UNLIMITED for none. */
static uint64_t told_limit(const char *text, const char *name)
{
    size_t len = strlen(name);
    const char *at = text;
    while (at && *at) {
        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            uint64_t max;
            /* A limit of 0 is never learned. */
            if (sscanf(at + len + 1, "%19" SCNu64, &max) == 1 && max > 0)
                return max;
        }
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return KC_UNLIMITED;
}

/* What the row says of limits, beside what was learned already. */
static int take_learned(struct kc_pool *p, struct kc_limits **learned,
                        const char *text)
{
    struct kc_limits l;
    if (*learned)
        l = **learned;
    else
        kc_limits_unlimited(&l);
    for (int w = 0; w < KC_WINDOWS; w++) {
        for (int u = 0; u < KC_UNITS; u++) {
            uint64_t max = told_limit(
                text, kc_limit_name((enum kc_window)w, (enum kc_unit)u));
            if (max != KC_UNLIMITED)
                l.max[w][u] = max;
        }
    }
    for (int u = 0; u < KC_UNITS; u++) {
        uint64_t max = told_limit(text, kc_side_limit_name(&minute, u));
        if (max == KC_UNLIMITED)
            continue;
        kc_limits_side(&l, KC_MINUTE_MS, true)->max[u] = max;
        p->has_sides = p->told_sides = true;
    }
    if (!*learned)
        *learned = malloc(sizeof **learned);
    if (!*learned)
        return KC_ENOMEM;
    **learned = l;
    kc_pool_relimited(p);
    return KC_OK;
}

/* -- telling -------------------------------------------------------------- */

static void tell(const struct kc_key *k, const char *model,
                 const struct kc_cooldown *c, const struct kc_limits *learned,
                 const struct kc_told *told, struct kc_state_row *out)
{
    *out = (struct kc_state_row){.model = model,
                                 .state = c->state,
                                 .guessed = c->guessed,
                                 .auth = c->auth,
                                 .tries = c->tries,
                                 .until_ms = c->until_ms,
                                 .disabled = k->disabled && !*model,
                                 .changed_ms = told->changed_ms};
    if (k->secret)
        kc_copy_cut(out->key, sizeof out->key, k->hash);
    else
        group_key(k->group, out->key);
    kc_copy_cut(out->label, sizeof out->label, k->secret ? k->label : k->group);
    kc_copy_cut(out->suffix, sizeof out->suffix, k->suffix);
    kc_copy_cut(out->reason, sizeof out->reason, c->reason);
    tell_learned(learned, out->learned);
}

/* Tells place `slot` of a record: 0 is the whole key, then come the models. */
static bool tell_slot(const struct kc_pool *p, const struct kc_key *k,
                      uint64_t slot, uint64_t since, struct kc_state_row *out)
{
    if (slot == 0) {
        if (k->told.version > since)
            tell(k, "", &k->cool, k->learned, &k->told, out);
        return k->told.version > since;
    }
    const struct kc_rare *r = kc_scope_rare(k->scopes[slot - 1]);
    if (!r || r->told.version <= since)
        return false;
    tell(k, p->models[slot - 1]->name, &r->cool, r->learned, &r->told, out);
    return true;
}

/* The record that the upper half of a cursor names, moved on to the groups
 * after the last key; NULL after the last group. */
static const struct kc_key *record_at(const struct kc_pool *p, uint64_t *cursor)
{
    uint64_t place = (*cursor & ~OF_GROUPS) >> 32;
    if (!(*cursor & OF_GROUPS)) {
        if (place < p->key_count)
            return p->keys[place];
        *cursor = OF_GROUPS;
        place = 0;
    }
    return place < p->group_count ? p->groups[place] : NULL;
}

static int next_state(const struct kc_pool *p, uint64_t *cursor, uint64_t since,
                      struct kc_state_row *out)
{
    for (int i = 0; i < STRETCH; i++) {
        const struct kc_key *k = record_at(p, cursor);
        if (!k)
            return KC_EEND;
        uint64_t slot = *cursor & UINT32_MAX;
        if (slot < k->scope_cap)
            ++*cursor;
        else
            *cursor = ((*cursor >> 32) + 1) << 32;
        if (tell_slot(p, k, slot, since, out))
            return KC_OK;
    }
    return KC_EAGAIN;
}

int kc_pool_next_state(struct kc_pool *p, uint64_t now_ms, uint64_t *cursor,
                       uint64_t since, struct kc_state_row *out)
{
    kc_pool_enter(p, now_ms);
    int err = next_state(p, cursor, since, out);
    kc_pool_leave(p);
    return err;
}

/* -- taking --------------------------------------------------------------- */

static bool is_sane(const struct kc_state_row *row)
{
    if (row->state == KC_READY || row->state == KC_INVALID ||
        row->state == KC_EXHAUSTED)
        return true;
    return (row->state == KC_COOLING || row->state == KC_SUSPENDED) &&
           row->until_ms != KC_NEVER;
}

static void take_cooldown(const struct kc_pool *p, struct kc_cooldown *c,
                          const struct kc_state_row *row)
{
    kc_cooldown_clear(c);
    if (row->state == KC_READY)
        return;
    c->state = row->state;
    c->guessed = row->guessed;
    c->auth = row->auth;
    c->tries = row->tries;
    c->until_ms = row->until_ms;
    if (row->state == KC_INVALID)
        c->until_ms = KC_NEVER;
    if (c->until_ms != KC_NEVER)
        c->until_ms = kc_least(c->until_ms, p->now_ms + LONGEST_MS);
    c->since = p->grants; /* what was sent before proves nothing */
    kc_copy_cut(c->reason, sizeof c->reason, row->reason);
}

static int take_state(struct kc_pool *p, const struct kc_state_row *row)
{
    bool of_group = strncmp(row->key, GROUP, strlen(GROUP)) == 0;
    struct kc_key *k = kc_map_get(&p->by_hash, row->key);
    struct kc_model *m = NULL;
    struct kc_rare *own = NULL;
    int err = k ? KC_OK : KC_ENOTFOUND;
    if (!is_sane(row))
        return KC_EINVALID;
    if (of_group)
        err = need_group(p, row, &k);
    if (err == KC_OK && *row->model)
        err = kc_pool_need_model(p, row->model, &m);
    if (err == KC_OK && m)
        err = kc_key_need_rare(k, m->id, &own);
    if (err != KC_OK)
        return err;
    struct kc_told *told = own ? &own->told : &k->told;
    if (row->changed_ms <= told->changed_ms)
        return KC_OK;
    if (row->learned[0] != '\0')
        err = take_learned(p, own ? &own->learned : &k->learned, row->learned);
    if (err != KC_OK)
        return err;
    take_cooldown(p, own ? &own->cool : &k->cool, row);
    if (!own && !of_group)
        k->disabled = row->disabled;
    told->changed_ms = row->changed_ms;
    kc_pool_changed(p);
    return KC_OK;
}

int kc_pool_take_state(struct kc_pool *p, uint64_t now_ms,
                       const struct kc_state_row *row)
{
    kc_pool_enter(p, now_ms);
    int err = take_state(p, row);
    kc_pool_leave(p);
    return err;
}
