/* random_changes.h -- what changes about a pool while it is used: limits, keys,
 * groups, and what answers tell.
 */
#ifndef KC_TESTS_RANDOM_CHANGES_H
#define KC_TESTS_RANDOM_CHANGES_H

#include "unit/engine/exact_log.h"
#include "unit/engine/random_calls.h"

/* -- limits ----------------------------------------------------------- */

static uint64_t maybe(struct world *w, uint64_t of, uint64_t least,
                      uint64_t range)
{
    if (one_in(w, 60))
        return 0;
    return below(w, of) ? KC_UNLIMITED : least + below(w, range);
}

static void add_side(struct world *w, struct kc_limits *l, uint64_t span_ms,
                     bool parts)
{
    struct kc_side_limit *side = &l->sides[l->side_count++];
    *side = (struct kc_side_limit){.span_ms = span_ms, .parts = parts};
    uint64_t minutes = 1 + span_ms / (10 * MINUTE_MS);
    for (int u = 0; u < KC_UNITS; u++)
        side->max[u] = parts || u == KC_TOKENS
                           ? maybe(w, 2, 60, 400 * minutes)
                           : maybe(w, 2, 3, 20 * minutes);
}

static struct kc_limits random_limits(struct world *w)
{
    struct kc_limits l = {.concurrent = KC_UNLIMITED};
    uint64_t few = w->crowded ? 8 : 1; /* of many keys each has less */
    l.max[KC_MINUTE][KC_REQUESTS] = maybe(w, 2, 2 + 8 / few, 60 / few);
    l.max[KC_MINUTE][KC_TOKENS] = maybe(w, 2, 200 / few, 1000 / few);
    l.max[KC_HOUR][KC_REQUESTS] = maybe(w, 3, 100 / few, 400 / few);
    l.max[KC_HOUR][KC_TOKENS] = maybe(w, 4, 2000 / few, 9000);
    l.max[KC_DAY][KC_REQUESTS] = maybe(w, w->slow ? 2 : 6, 20, 800);
    l.max[KC_DAY][KC_TOKENS] = maybe(w, w->slow ? 2 : 6, 2000, 20000);
    if (one_in(w, 5))
        l.concurrent = one_in(w, 40) ? 0 : 1 + below(w, 6);
    if (w->parts && !one_in(w, 4))
        add_side(w, &l, MINUTE_MS, true);
    for (int i = 0; w->sides && i < KC_SIDES_MAX - 1; i++)
        if (one_in(w, 2))
            add_side(w, &l, w->spans[i], false);
    l.calendar = w->calendar && !(w->mixed && one_in(w, 3));
    if (l.calendar)
        assert_int_equal(kc_zone_parse(zones[w->zone].rule, &l.zone), KC_OK);
    return l;
}

/* Since when a line asks for a side: what it asked for before it still does. */
static uint64_t since(const struct world *w, const struct line *line,
                      const struct kc_side_limit *side)
{
    for (uint32_t i = 0; line->set && i < line->limits.side_count; i++)
        if (line->limits.sides[i].span_ms == side->span_ms &&
            line->limits.sides[i].parts == side->parts)
            return line->since_ms[i];
    return w->now;
}

static void set_line(struct world *w, uint32_t key, int model)
{
    struct line *line = &w->lines[key][model];
    struct line new = {.set = true, .limits = random_limits(w)};
    for (uint32_t i = 0; i < new.limits.side_count; i++)
        new.since_ms[i] = since(w, line, &new.limits.sides[i]);
    *line = new;
    assert_int_equal(kc_pool_set_limits(w->pool, w->now, key,
                                        model == ALL ? NULL
                                                     : model_names[model],
                                        &new.limits),
                     KC_OK);
}

static void do_limits(struct world *w)
{
    if (one_in(w, 30)) {
        kc_pool_clear_limits(w->pool);
        memset(w->lines, 0, sizeof w->lines);
        w->lines[0][ALL].set = false;
    }
    if (!w->lines[0][ALL].set || one_in(w, 2))
        set_line(w, 0, ALL);
    if (one_in(w, 2))
        set_line(w, one_in(w, 2) ? 0 : any_key(w), (int)below(w, MODELS + 1));
}

/* -- keys and groups -------------------------------------------------- */

static bool is_out(const struct world *w, uint32_t key)
{
    for (size_t i = 0; i < w->live_len; i++)
        if (w->live[i].key == key)
            return true;
    return false;
}

/* Adds a key, or tells of it anew; `group` 0: none that the user knows of. */
static void put(struct world *w, uint32_t key, uint32_t group)
{
    static const char *const names[] = {NULL, "org", "other"};
    char secret[32];
    uint32_t index;
    snprintf(secret, sizeof secret, "sk-test-%04u-key-%04u", 7 * key, key);
    int only = one_in(w, 12) ? (int)below(w, MODELS) : ALL;
    struct kc_key_config config = {.secret = secret,
                                   .group = names[group],
                                   .priority = one_in(w, 8),
                                   .weight = (uint32_t)below(w, 4)};
    if (only != ALL) {
        config.models = &model_names[only];
        config.model_count = 1;
    }
    assert_int_equal(kc_pool_add_key(w->pool, w->now, &config, &index), KC_OK);
    must(w, index == key, "it came back as another key", index);
    w->only[key] = only;
    w->priority[key] = config.priority;
    if (w->removed[key])
        w->disabled[key] = false;
    w->removed[key] = false;
    if (!group && w->told_group[key])
        return;
    if (group != w->group[key] && group + w->group[key] > 0) {
        w->was_in_group[key] = true;
        w->vague[key] = true;
        if (w->step > 0 && w->group[key]) /* else nothing was used yet */
            w->vague[KEYS_MAX + w->group[key]] = true;
        if (w->step > 0 && group)
            w->vague[KEYS_MAX + group] = true;
    }
    w->group[key] = group;
    w->told_group[key] = false;
}

static uint32_t own_group(const struct world *w, uint32_t key)
{
    return w->told_group[key] ? 0 : w->group[key];
}

static void do_key(struct world *w)
{
    uint32_t key = any_key(w);
    if (w->removed[key]) {
        put(w, key, own_group(w, key));
    } else if (one_in(w, 4)) {
        put(w, key, own_group(w, key)); /* it is there already */
    } else {
        assert_int_equal(kc_pool_remove_key(w->pool, w->now, key), KC_OK);
        w->removed[key] = true;
    }
}

/* The user says something else about whose key it is. What is in flight then
 * stays with the group that it was charged to, so a key that joins another one
 * has nothing out here. */
static void move(struct world *w, uint32_t key)
{
    uint32_t group = (uint32_t)below(w, GROUPS + 1);
    if (group == 0 || !is_out(w, key))
        put(w, key, group);
}

static void join(struct world *w, uint32_t key)
{
    uint32_t group = 1 + (uint32_t)below(w, GROUPS);
    bool joined;
    for (size_t i = 0; i < w->live_len; i++)
        if (w->live[i].key == key && w->live[i].grouped && !w->group[key])
            return; /* charged elsewhere, as above */
    assert_int_equal(kc_pool_join(w->pool, w->now, key,
                                  group == 1 ? "org" : "other", &joined),
                     KC_OK);
    must(w, joined == (w->group[key] == 0), "joined twice, or not", key);
    if (!joined)
        return;
    w->group[key] = group;
    w->told_group[key] = true;
    w->was_in_group[key] = true;
    w->vague[key] = w->vague[KEYS_MAX + group] = true;
    for (size_t i = 0; i < w->live_len; i++)
        if (w->live[i].key == key)
            w->live[i].grouped = true;
}

static void do_group(struct world *w)
{
    uint32_t key = 1 + (uint32_t)below(w, w->keys < 4 ? w->keys : 4);
    if (one_in(w, 2))
        join(w, key);
    else
        move(w, key);
}

static void do_cool(struct world *w)
{
    uint32_t key = any_key(w), record = record_of(w, key);
    uint64_t delay = one_in(w, 4) ? KC_NEVER : below(w, 2 * MINUTE_MS), until;
    int model = (int)below(w, MODELS + 1);
    assert_int_equal(kc_pool_cool(w->pool, w->now, key,
                                  model == ALL ? NULL : model_names[model],
                                  delay, "429", &until),
                     KC_OK);
    must(w, delay == KC_NEVER || until >= w->now + delay,
         "it cools shorter than was stated", key);
    w->away_until[record][model] = until;
}

static void do_switch(struct world *w)
{
    uint32_t key = any_key(w);
    if (w->removed[key])
        return;
    if (!w->disabled[key] && one_in(w, 2)) {
        assert_int_equal(kc_pool_disable(w->pool, w->now, key), KC_OK);
        w->disabled[key] = true;
        return;
    }
    assert_int_equal(kc_pool_enable(w->pool, w->now, key), KC_OK);
    w->disabled[key] = false;
    for (int m = 0; m <= MODELS; m++)
        w->away_until[key][m] = w->away_until[record_of(w, key)][m] = 0;
}

static void do_choice(struct world *w)
{
    if (one_in(w, 2))
        kc_pool_force_rotate(w->pool);
    else
        kc_pool_set_selection(w->pool, (enum kc_selection)below(w, 7));
}

/* -- what answers tell ------------------------------------------------ */

/* No more is left than the newest answer says, whoever has used it. */
static void check_remaining(struct world *w, const struct live *live,
                            const struct kc_observation *o)
{
    uint64_t *newest = &w->observed[record_of(w, live->key)][live->model];
    if (live->serial < *newest)
        return;
    *newest = live->serial;
    struct kc_request r = {.model = model_names[live->model],
                           .key = live->key,
                           .pin = true};
    if (o->parts || o->unit == KC_TOKENS)
        r.tokens = o->remaining + 1;
    if (o->parts && o->unit == 0)
        r.input = r.tokens;
    const struct kc_limits *line = &line_of(w, live->key, live->model)->limits;
    if (o->parts && parts_side(line) == KC_SIDES_MAX)
        return; /* one window too many: it is left out */
    if (r.tokens > 0 || o->remaining == 0)
        must(w, wait_of(w, r) != 0, "more is left than was told", live->key);
}

static void learn(struct world *w, const struct live *live,
                  const struct kc_observation *o)
{
    uint32_t record = record_of(w, live->key);
    int m = is_together(w, live->model) ? 0 : live->model;
    uint64_t *told = o->parts ? &w->learned_parts[record][m][o->unit]
                              : &w->learned[record][m][o->window][o->unit];
    if (o->limit != KC_UNLIMITED && o->limit != 0)
        *told = o->limit;
    if (o->remaining < o->limit && o->limit != KC_UNLIMITED) {
        w->vague[record] = true; /* others have used it, too */
        check_remaining(w, live, o);
    }
}

/* An answer never makes room: no count falls, no limit passes the set one. */
static void do_observe(struct world *w)
{
    struct live *live = any_live(w);
    if (!live)
        return;
    struct kc_observation o = {.window = (enum kc_window)below(w, KC_WINDOWS),
                               .unit = (enum kc_unit)below(w, KC_UNITS),
                               .parts = one_in(w, 4),
                               .limit = KC_UNLIMITED,
                               .remaining = KC_UNLIMITED};
    if (!one_in(w, 8)) /* often the same as before */
        o.limit = one_in(w, 20) ? 0 : one_in(w, 2) ? 100 : 1 + below(w, 500);
    if (one_in(w, 4))
        o.remaining = below(w, one_in(w, 2) ? 100 : 600);
    const char *model = model_names[live->model];
    struct kc_snapshot before = counts(w->pool, w->now, live->key, NULL);
    assert_int_equal(kc_pool_observe(w->pool, w->now, live->lease, &o), KC_OK);
    struct kc_snapshot after = counts(w->pool, w->now, live->key, NULL);
    learn(w, live, &o);
    struct kc_limits holding;
    assert_int_equal(
        kc_pool_get_limits(w->pool, live->key, model, &holding), KC_OK);
    const struct kc_limits *set = &line_of(w, live->key, live->model)->limits;
    for (int win = 0; win < KC_WINDOWS; win++) {
        for (int u = 0; u < KC_UNITS; u++) {
            bool same = win < KC_DAY || !w->calendar; /* as before */
            must(w, !same || after.used[win][u] >= before.used[win][u],
                 "an answer has made room", live->key);
            must(w, holding.max[win][u] <= set->max[win][u],
                 "an answer has raised a limit", live->key);
        }
    }
}

#endif
