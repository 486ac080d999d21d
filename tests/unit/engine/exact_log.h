/* exact_log.h -- what a pool should know, as a plain list of all that happened.
 *
 * Shares no code with the engine: every window is summed up by scanning. Two
 * sums are told of each. The strict one counts what lies in (now - span, now],
 * and in flight: no grant may pass a limit by it. The late one counts what the
 * engine's bounded logs may still hold (2 W / bound + granule + 2 ticks, see
 * ring.h): nothing may be refused that fits by it.
 */
#ifndef KC_TESTS_EXACT_LOG_H
#define KC_TESTS_EXACT_LOG_H

#include "unit/engine/pool_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "util/rng.h"

#define DAY_MS (24 * HOUR_MS)
#define KEYS_MAX 40
#define GROUPS 2
#define RECORDS (KEYS_MAX + GROUPS + 1) /* the keys from 1, then the groups */
#define MODELS 2
#define ALL MODELS /* the line of every model */
#define LIVE_MAX 400
#define WINDOWS_MAX (KC_WINDOWS + KC_SIDES_MAX + 1) /* and what was told */

enum { REQUESTS, TOKENS, INPUT, OUTPUT, AMOUNTS };

struct charge {
    uint64_t granted_ms;
    uint64_t at_ms;        /* 0: it does not age yet */
    uint64_t is[AMOUNTS];  /* as far as known */
    uint64_t was[AMOUNTS]; /* as reserved */
    bool extra;            /* what came out beyond the reservation */
    uint64_t lease;        /* 0: settled */
    uint64_t start_ms;     /* granted, or sent */
    bool unsent;           /* its transport will tell */
};

struct log { /* of one key and model, in the order of the grants */
    struct charge *list;
    size_t len, cap;
    uint64_t old_requests, old_tokens; /* of those that no window reaches, and
                                        * what no window counts */
};

struct live {
    uint64_t lease;
    uint32_t key;
    int model;
    uint64_t serial;
    bool lost;    /* its caller has crashed */
    bool grouped; /* granted while its key was in a group */
};

struct line {
    bool set;
    struct kc_limits limits;
    uint64_t since_ms[KC_SIDES_MAX]; /* when each side was first asked for */
};

struct world {
    struct kc_pool *pool;
    struct kc_rng rng;
    uint64_t seed, step;
    struct kc_pool_config config;
    /* what may happen in it */
    bool parts, sides, calendar, crowded, learns, moves, slow, long_ages;
    bool apart; /* under GLOBAL the last model counts by itself */
    bool mixed; /* not every line has the calendar */
    int zone;           /* in zones[] */
    uint64_t spans[KC_SIDES_MAX];
    uint64_t reach_ms;  /* the longest that any window counts */
    uint32_t keys;
    /* what has happened */
    uint64_t grants, refusals, waits;
    uint64_t now;
    struct log logs[KEYS_MAX + 1][MODELS];
    struct live live[LIVE_MAX];
    size_t live_len;
    struct line lines[KEYS_MAX + 1][MODELS + 1];
    struct line unlimited;
    uint64_t learned[RECORDS][MODELS][KC_WINDOWS][KC_UNITS];
    uint64_t learned_parts[RECORDS][MODELS][KC_UNITS];
    uint64_t observed[RECORDS][MODELS]; /* the newest lease that told of it */
    bool vague[RECORDS];  /* what the engine counts there nobody can know */
    bool was_in_group[KEYS_MAX + 1];
    uint32_t group[KEYS_MAX + 1]; /* 0: none */
    bool told_group[KEYS_MAX + 1]; /* by an answer, not by the user */
    uint64_t away_until[RECORDS][MODELS + 1]; /* after a 429 */
    bool removed[KEYS_MAX + 1], disabled[KEYS_MAX + 1];
    int only[KEYS_MAX + 1]; /* the one model it serves, or ALL */
    int priority[KEYS_MAX + 1];
};

static const char *const model_names[MODELS] = {"a", "b"};

static const struct {
    const char *rule;
    int west_h; /* of Greenwich, in winter */
    bool summer;
} zones[] = {{"PST8PDT,M3.2.0,M11.1.0", 8, true},
             {"EST5EDT,M3.2.0,M11.1.0", 5, true},
             {"UTC0", 0, false}};

/* What must hold; where it does not the seed repeats it. */
static void must(const struct world *w, bool holds, const char *what,
                 uint64_t key)
{
    if (!holds)
        fail_msg("seed %llu, step %llu: %s (key %llu)",
                 (unsigned long long)w->seed, (unsigned long long)w->step,
                 what, (unsigned long long)key);
}

static uint64_t below(struct world *w, uint64_t n)
{
    return kc_rng_below(&w->rng, n);
}

static bool one_in(struct world *w, uint64_t n)
{
    return below(w, n) == 0;
}

/* -- the log ---------------------------------------------------------- */

static struct charge *add_charge(struct log *l, const struct charge *c)
{
    if (l->len == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->list = realloc(l->list, l->cap * sizeof *l->list);
        assert_non_null(l->list);
    }
    l->list[l->len] = *c;
    return &l->list[l->len++];
}

static struct charge *charge_of(struct world *w, const struct live *live)
{
    struct log *l = &w->logs[live->key][live->model];
    for (size_t i = l->len; i-- > 0;)
        if (l->list[i].lease == live->lease)
            return &l->list[i];
    must(w, false, "a lease was lost", live->key);
    return NULL;
}

/* What is settled and out of every window becomes part of the totals. */
static void prune(struct world *w, struct log *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->len; i++) {
        struct charge *c = &l->list[i];
        if (c->lease == 0 && c->at_ms + w->reach_ms < w->now) {
            l->old_requests += c->is[REQUESTS];
            l->old_tokens += c->is[TOKENS];
        } else {
            l->list[kept++] = *c;
        }
    }
    l->len = kept;
}

/* -- which windows hold ----------------------------------------------- */

static uint32_t record_of(const struct world *w, uint32_t key)
{
    return w->group[key] ? KEYS_MAX + w->group[key] : key;
}

static bool is_together(const struct world *w, int model)
{
    return w->config.strategy == KC_GLOBAL &&
           !(w->apart && model == MODELS - 1);
}

static const struct line *line_of(const struct world *w, uint32_t key,
                                  int model)
{
    bool by_model = !is_together(w, model);
    bool alone = by_model && w->config.strategy == KC_GLOBAL;
    if (by_model && w->lines[key][model].set)
        return &w->lines[key][model];
    if (w->lines[key][ALL].set && !alone)
        return &w->lines[key][ALL];
    if (by_model && w->lines[0][model].set)
        return &w->lines[0][model];
    return alone ? &w->unlimited : &w->lines[0][ALL];
}

static uint64_t span_of(int window)
{
    static const uint64_t spans[KC_WINDOWS] = {MINUTE_MS, HOUR_MS, DAY_MS};
    return spans[window];
}

static uint64_t slack_of(uint64_t span_ms, uint64_t bound)
{
    return 2 * span_ms / bound + span_ms / (4 * bound) + 4;
}

/* A side may have begun with the log of the next longer window. */
static uint64_t slack_of_side(uint64_t span_ms)
{
    uint64_t own = slack_of(span_ms, span_ms < DAY_MS ? 32 : 64);
    uint64_t other = slack_of(DAY_MS, 64);
    if (span_ms <= HOUR_MS)
        other = slack_of(HOUR_MS, 32);
    if (span_ms <= MINUTE_MS)
        other = slack_of(MINUTE_MS, 32);
    return own > other ? own : other;
}

/* The last midnight of the world's zone at or before a time, by a table. */
static uint64_t midnight(const struct world *w, uint64_t ms)
{
    static const uint64_t changes[] = {/* days since 1970, from March 2026 on */
                                       20520, 20758, 20891, 21129,
                                       21255, 21493, 21619, 21857};
    uint64_t at = 0;
    for (uint64_t day = ms / DAY_MS + 1; at == 0 || at > ms; day--) {
        uint64_t passed = 0;
        while (passed < sizeof changes / sizeof changes[0] &&
               changes[passed] < day)
            passed++;
        bool summer = zones[w->zone].summer && passed % 2 == 1;
        uint64_t west = (uint64_t)zones[w->zone].west_h - summer;
        at = day * DAY_MS + west * HOUR_MS;
    }
    return at;
}

struct window {
    uint64_t max[KC_UNITS];
    bool parts;
    uint64_t from_ms;    /* what is not older counts */
    uint64_t granted_ms; /* and was not granted earlier */
    uint64_t split_ms;   /* what was granted by then is not told apart */
    uint64_t known_ms;   /* what is older counts as it was reserved */
};

static uint64_t back(uint64_t ms, uint64_t span_ms)
{
    return ms > span_ms ? ms - span_ms : 0;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void common_window(const struct world *w, uint32_t key, int model,
                          const struct kc_limits *l, int window, bool late,
                          struct window *out)
{
    uint64_t slack = slack_of(span_of(window), window == KC_DAY ? 64 : 32);
    int m = is_together(w, model) ? 0 : model;
    *out = (struct window){.from_ms = back(w->now + 1, span_of(window))};
    out->known_ms = out->from_ms; /* too late to give back */
    if (window == KC_DAY && l->calendar) {
        /* The old day counts until two seconds after its end. A day of 25
         * hours that begins anew in its last one knows 24 of them. */
        uint64_t begin = midnight(w, w->now - 2 * SECOND_MS);
        if ((w->moves || w->mixed) && !late)
            begin = most(begin, out->from_ms);
        out->from_ms = begin;
        out->known_ms = begin;
    }
    if (late)
        out->from_ms = back(out->from_ms, slack);
    for (int u = 0; u < KC_UNITS; u++) {
        uint64_t told = w->learned[record_of(w, key)][m][window][u];
        out->max[u] = l->max[window][u] < told ? l->max[window][u] : told;
    }
}

static void side_window(const struct world *w, uint32_t key,
                        const struct line *line, uint32_t i, bool late,
                        struct window *out)
{
    const struct kc_side_limit *side = &line->limits.sides[i];
    bool mixed = w->was_in_group[key]; /* then nobody knows since when */
    *out = (struct window){.parts = side->parts,
                           .max = {side->max[0], side->max[1]},
                           .from_ms = back(w->now + 1, side->span_ms)};
    out->known_ms = out->from_ms;
    if (side->parts)
        out->split_ms = mixed ? KC_NEVER : line->since_ms[i];
    if (late) {
        out->from_ms = back(out->from_ms, slack_of_side(side->span_ms));
    } else if (side->span_ms > DAY_MS) {
        /* It began with what the day knew. */
        out->granted_ms = mixed ? 0 : line->since_ms[i];
        if (mixed)
            out->from_ms = back(w->now + 1, DAY_MS);
    }
}

/* Where a line has the side of a minute's parts; side_count: nowhere. */
static uint32_t parts_side(const struct kc_limits *l)
{
    uint32_t i = 0;
    while (i < l->side_count &&
           !(l->sides[i].parts && l->sides[i].span_ms == MINUTE_MS))
        i++;
    return i;
}

/* What answers told of input and output lowers the line's own window, or is one
 * more. What was granted before nobody knows apart, for all that is known. */
static size_t told_window(const struct world *w, uint32_t key, int model,
                          const struct kc_limits *l, bool late,
                          struct window *out, size_t n)
{
    int m = is_together(w, model) ? 0 : model;
    const uint64_t *told = w->learned_parts[record_of(w, key)][m];
    uint32_t i = parts_side(l);
    if ((told[0] == KC_UNLIMITED && told[1] == KC_UNLIMITED) ||
        i == KC_SIDES_MAX)
        return n;
    struct window *win = &out[n - l->side_count + i];
    if (i == l->side_count) {
        uint64_t slack = late ? slack_of_side(MINUTE_MS) : 0;
        *win = (struct window){.parts = true,
                               .max = {KC_UNLIMITED, KC_UNLIMITED},
                               .from_ms = back(w->now + 1, MINUTE_MS),
                               .split_ms = KC_NEVER};
        win->known_ms = win->from_ms;
        win->from_ms = back(win->from_ms, slack);
        n++;
    }
    for (int u = 0; u < KC_UNITS; u++)
        win->max[u] = win->max[u] < told[u] ? win->max[u] : told[u];
    return n;
}

static size_t windows_of(const struct world *w, uint32_t key, int model,
                         bool late, struct window out[WINDOWS_MAX])
{
    const struct line *line = line_of(w, key, model);
    size_t n = 0;
    for (int win = 0; win < KC_WINDOWS; win++) {
        common_window(w, key, model, &line->limits, win, late, &out[n]);
        n += out[n].max[0] != KC_UNLIMITED || out[n].max[1] != KC_UNLIMITED;
    }
    for (uint32_t i = 0; i < line->limits.side_count; i++)
        side_window(w, key, line, i, late, &out[n++]);
    return told_window(w, key, model, &line->limits, late, out, n);
}

/* -- what they count -------------------------------------------------- */

/* One charge in the units of a window. */
static void weigh(const struct charge *c, const struct window *win, bool late,
                  uint64_t sum[KC_UNITS])
{
    const uint64_t *n =
        late && c->at_ms != 0 && c->at_ms < win->known_ms ? c->was : c->is;
    bool split = c->granted_ms > win->split_ms;
    if (!win->parts) {
        sum[0] += n[REQUESTS];
        sum[1] += n[TOKENS];
    } else if (split || (!late && !c->extra)) {
        sum[0] += n[INPUT];
        sum[1] += n[OUTPUT];
    } else if (late) {
        uint64_t either = most(c->was[TOKENS],
                               most(c->was[INPUT], c->was[OUTPUT]));
        sum[0] += either;
        sum[1] += either;
    }
}

struct count {
    uint64_t sum[WINDOWS_MAX][KC_UNITS];
    uint64_t in_flight;
};

static void count_log(const struct log *l, const struct window *win, size_t n,
                      bool late, struct count *out)
{
    for (size_t i = 0; i < l->len; i++) {
        const struct charge *c = &l->list[i];
        out->in_flight += c->lease != 0;
        for (size_t j = 0; j < n; j++)
            if (c->at_ms == 0 || (c->at_ms >= win[j].from_ms &&
                                  c->granted_ms >= win[j].granted_ms))
                weigh(c, &win[j], late, out->sum[j]);
    }
}

/* What the key, or all of its group, has used. */
static void count_quota(const struct world *w, uint32_t key, int model,
                        const struct window *win, size_t n, bool late,
                        struct count *out)
{
    *out = (struct count){.in_flight = 0};
    for (uint32_t k = 1; k <= w->keys; k++) {
        if (k != key && (!w->group[k] || w->group[k] != w->group[key]))
            continue;
        for (int m = 0; m < MODELS; m++)
            if (m == model || (is_together(w, m) && is_together(w, model)))
                count_log(&w->logs[k][m], win, n, late, out);
    }
}

static void cost_of(const struct kc_request *r, uint64_t cost[AMOUNTS])
{
    cost[REQUESTS] = 1;
    cost[TOKENS] = r->tokens;
    cost[INPUT] = r->input < r->tokens ? r->input : r->tokens;
    cost[OUTPUT] = r->tokens - cost[INPUT];
}

static bool over(uint64_t sum, uint64_t cost, uint64_t max)
{
    return max != KC_UNLIMITED && (max == 0 || sum + cost > max);
}

static bool fits(const struct world *w, uint32_t key, int model,
                 const struct kc_request *r, bool late)
{
    struct window win[WINDOWS_MAX];
    struct count used;
    uint64_t cost[AMOUNTS];
    size_t n = windows_of(w, key, model, late, win);
    uint64_t at_once = line_of(w, key, model)->limits.concurrent;
    cost_of(r, cost);
    count_quota(w, key, model, win, n, late, &used);
    for (size_t i = 0; i < n; i++) {
        const uint64_t *c = win[i].parts ? &cost[INPUT] : &cost[REQUESTS];
        for (int u = 0; u < KC_UNITS; u++)
            if (over(used.sum[i][u], c[u], win[i].max[u]))
                return false;
    }
    return !over(used.in_flight, 1, at_once);
}

/* Whether an unused key could serve it. */
static bool possible(const struct world *w, uint32_t key, int model,
                     const struct kc_request *r)
{
    struct window win[WINDOWS_MAX];
    uint64_t cost[AMOUNTS];
    size_t n = windows_of(w, key, model, false, win);
    cost_of(r, cost);
    for (size_t i = 0; i < n; i++) {
        const uint64_t *c = win[i].parts ? &cost[INPUT] : &cost[REQUESTS];
        if (over(0, c[0], win[i].max[0]) || over(0, c[1], win[i].max[1]))
            return false;
    }
    return !over(0, 1, line_of(w, key, model)->limits.concurrent);
}

static bool is_away(const struct world *w, uint32_t key, int model)
{
    uint32_t record = record_of(w, key);
    return w->away_until[key][ALL] > w->now ||
           w->away_until[key][model] > w->now ||
           w->away_until[record][ALL] > w->now ||
           w->away_until[record][model] > w->now;
}

static bool serves(const struct world *w, uint32_t key, int model)
{
    return !w->removed[key] && !w->disabled[key] &&
           (w->only[key] == ALL || w->only[key] == model);
}

#endif
