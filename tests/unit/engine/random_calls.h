/* random_calls.h -- random callers of a pool: they acquire, send, wait, settle
 * and crash. What comes of it is held against the exact log.
 */
#ifndef KC_TESTS_RANDOM_CALLS_H
#define KC_TESTS_RANDOM_CALLS_H

#include "unit/engine/exact_log.h"

/* -- time ------------------------------------------------------------- */

/* What was sent so long ago has been counted by the provider. */
static void age(struct world *w)
{
    uint64_t guard_ms = w->config.guard_ms;
    for (size_t i = 0; guard_ms > 0 && i < w->live_len; i++) {
        struct charge *c = charge_of(w, &w->live[i]);
        if (c->at_ms == 0 && !c->unsent && c->start_ms + guard_ms <= w->now)
            c->at_ms = c->start_ms + guard_ms;
    }
}

static void advance(struct world *w, uint64_t to_ms)
{
    w->now = to_ms;
    age(w);
    kc_pool_stamp(w->pool, w->now, 0); /* now it is told the time */
    for (uint32_t k = 1; k <= w->keys; k++)
        for (int m = 0; m < MODELS; m++)
            prune(w, &w->logs[k][m]);
}

static void do_time(struct world *w)
{
    uint64_t to = w->now + below(w, 2500);
    if (one_in(w, 200))
        to = w->now + below(w, 40 * MINUTE_MS);
    if (w->slow && one_in(w, 60))
        to = w->now + below(w, 9 * HOUR_MS);
    if (w->long_ages) /* to more ticks than 32 bits count, without a break */
        to = w->now + below(w, 8 * HOUR_MS);
    if (one_in(w, 3000))
        to = w->now + 60 * DAY_MS;
    if (w->calendar && one_in(w, 40)) {
        uint64_t next = midnight(w, w->now + 25 * HOUR_MS);
        if (next > w->now + 2 * MINUTE_MS)
            to = next - SECOND_MS + below(w, 4 * SECOND_MS);
    }
    advance(w, to);
}

/* The clock that a caller reads may be behind what the pool has seen. */
static uint64_t caller_now(struct world *w)
{
    return one_in(w, 8) ? w->now - below(w, 5000) : w->now;
}

/* -- acquire ---------------------------------------------------------- */

static uint32_t any_key(struct world *w)
{
    return 1 + (uint32_t)below(w, w->keys);
}

static struct kc_request a_request(struct world *w, int model)
{
    struct kc_request r = {.model = model_names[model], .tokens = 20};
    if (one_in(w, 2)) /* else the same as often before */
        r.tokens = one_in(w, 30) ? below(w, 1500) : below(w, 40);
    if (w->parts)
        r.input = r.tokens == 20 ? 10 : below(w, r.tokens + 5);
    switch (below(w, 12)) {
    case 0:
        r.pin = true;
        r.key = any_key(w);
        break;
    case 1:
        r.key = any_key(w);
        break;
    case 2:
        r.not_key = any_key(w);
        break;
    case 3:
        r.affinity = 1 + below(w, 5);
        break;
    default:
        break;
    }
    return r;
}

/* A key that could serve beyond doubt. */
static bool has_room(struct world *w, uint32_t key, int model,
                     const struct kc_request *r)
{
    struct kc_key_info info;
    if (!serves(w, key, model) || w->vague[record_of(w, key)] ||
        !fits(w, key, model, r, true))
        return false;
    assert_int_equal(
        kc_pool_key_info(w->pool, w->now, key, r->model, &info), KC_OK);
    must(w, info.state != KC_COOLING || is_away(w, key, model),
         "it cools longer than it was told", key);
    return info.state == KC_READY;
}

/* No key that comes first by the caller's wishes or by its tier had room. */
static void check_choice(struct world *w, const struct kc_request *r,
                         uint32_t given, int model)
{
    for (uint32_t k = 1; k <= w->keys; k++) {
        bool unwanted = given == r->not_key && given != r->key;
        bool later = w->priority[k] < w->priority[given] && given != r->key;
        if (k != given && k != r->not_key && (unwanted || later))
            must(w, !has_room(w, k, model, r), "a better key had room", k);
    }
    if (r->key && given != r->key)
        must(w, !has_room(w, r->key, model, r), "the wanted key had room",
             r->key);
}

static void take_grant(struct world *w, const struct kc_request *r, int model,
                       const struct kc_grant *g)
{
    must(w, fits(w, g->key, model, r, false), "over the limit", g->key);
    must(w, serves(w, g->key, model), "it is away", g->key);
    must(w, !is_away(w, g->key, model), "it was refused", g->key);
    must(w, !r->pin || g->key == r->key, "another was wanted", g->key);
    if (w->keys <= 8 || one_in(w, 8))
        check_choice(w, r, g->key, model);
    struct charge c = {.granted_ms = w->now,
                       .start_ms = w->now,
                       .lease = g->lease};
    cost_of(r, c.is);
    cost_of(r, c.was);
    add_charge(&w->logs[g->key][model], &c);
    w->live[w->live_len++] = (struct live){.lease = g->lease,
                                           .key = g->key,
                                           .model = model,
                                           .serial = w->grants,
                                           .grouped = w->group[g->key] != 0};
}

static uint64_t wait_of(struct world *w, struct kc_request r)
{
    uint64_t wait;
    int err = kc_pool_next_available(w->pool, w->now, &r, &wait);
    return err == KC_OK ? wait : KC_NEVER;
}

/* The told wait is the least of those that the keys tell one by one. */
static void check_wait(struct world *w, const struct kc_request *r, int err,
                       uint64_t told)
{
    uint64_t least = KC_NEVER;
    for (uint32_t k = 1; k <= w->keys; k++) {
        struct kc_request one = *r;
        one.key = k;
        one.pin = true;
        uint64_t wait = wait_of(w, one);
        must(w, wait != 0 || (r->pin && k != r->key), "it was free", k);
        if ((!r->pin || k == r->key) && wait < least)
            least = wait;
    }
    if (err == KC_ELIMITED)
        must(w, told == least, "told another wait than the keys", told);
}

static void check_refusal(struct world *w, const struct kc_request *r,
                          int model, int err, const struct kc_refusal *refusal)
{
    bool known = err == KC_ELIMITED || err == KC_EIMPOSSIBLE ||
                 err == KC_ENOKEY || (err == KC_ENOTFOUND && r->pin);
    must(w, known, "refused for no reason", (uint64_t)err);
    for (uint32_t k = 1; k <= w->keys; k++) {
        if (r->pin && k != r->key)
            continue;
        must(w, !has_room(w, k, model, r), "refused though it had room", k);
        if (err == KC_EIMPOSSIBLE && serves(w, k, model))
            must(w, !possible(w, k, model, r), "refused for good", k);
    }
    if (w->keys <= 8 || one_in(w, 4))
        check_wait(w, r, err, refusal->wait_ms);
}

/* All that is counted; which day is meant may change with the limits asked. */
static struct kc_snapshot counted(struct world *w, const char *model)
{
    struct kc_snapshot s = counts(w->pool, w->now, 0, model);
    if (w->calendar)
        s.used[KC_DAY][KC_REQUESTS] = s.used[KC_DAY][KC_TOKENS] = 0;
    return s;
}

static int ask(struct world *w, const struct kc_request *r, int model,
               uint64_t now, struct kc_refusal *refusal)
{
    struct kc_grant g;
    struct kc_snapshot before, after;
    bool watched = one_in(w, 4); /* a look drops what is over */
    if (watched)
        before = counted(w, r->model);
    int err = kc_pool_acquire(w->pool, now, r, &g, refusal);
    w->grants += err == KC_OK;
    w->refusals += err != KC_OK;
    if (err == KC_OK) {
        take_grant(w, r, model, &g);
        return KC_OK;
    }
    if (watched) {
        after = counted(w, r->model);
        must(w, memcmp(&before, &after, sizeof before) == 0,
             "a refusal has changed a count", 0);
    }
    check_refusal(w, r, model, err, refusal);
    return err;
}

/* Whether what is in flight may begin to age before then. */
static bool ages_before(struct world *w, uint64_t at_ms)
{
    for (size_t i = 0; w->config.guard_ms > 0 && i < w->live_len; i++) {
        const struct charge *c = charge_of(w, &w->live[i]);
        if (c->at_ms == 0 && !c->unsent &&
            c->start_ms + w->config.guard_ms <= at_ms)
            return true;
    }
    return false;
}

/* Who waits as long as told, and no longer, is served; but for what begins to
 * age meanwhile, which may join the entry that is waited for. */
static void wait_and_ask(struct world *w, const struct kc_request *r, int model,
                         uint64_t wait_ms)
{
    uint64_t at = w->now + wait_ms;
    struct kc_refusal refusal;
    bool still = !ages_before(w, at);
    if (wait_ms > 1 && still) {
        advance(w, at - 1);
        must(w, ask(w, r, model, w->now, &refusal) == KC_ELIMITED,
             "served a millisecond before the told time", wait_ms);
        must(w, refusal.wait_ms == 1, "told another time", refusal.wait_ms);
    }
    advance(w, at);
    int err = ask(w, r, model, w->now, &refusal);
    w->waits += still;
    must(w, err == KC_OK || !still, "not served at the told time", wait_ms);
}

static void do_acquire(struct world *w)
{
    int model = (int)below(w, MODELS);
    struct kc_refusal refusal;
    if (w->live_len + 1 >= LIVE_MAX)
        return;
    struct kc_request r = a_request(w, model);
    int err = ask(w, &r, model, caller_now(w), &refusal);
    bool short_one = refusal.wait_ms < 2 * MINUTE_MS;
    if (err == KC_ELIMITED && refusal.wait_ms != KC_NEVER &&
        one_in(w, short_one ? 20 : 200))
        wait_and_ask(w, &r, model, refusal.wait_ms);
}

/* -- between a grant and its end -------------------------------------- */

/* One whose caller still runs, or NULL. */
static struct live *any_live(struct world *w)
{
    if (w->live_len == 0)
        return NULL;
    struct live *live = &w->live[below(w, w->live_len)];
    return live->lost ? NULL : live;
}

static void do_stamp(struct world *w)
{
    struct live *live = any_live(w);
    if (!live)
        return;
    struct charge *c = charge_of(w, live);
    kc_pool_stamp(w->pool, w->now, live->lease);
    c->unsent = false;
    if (c->at_ms == 0)
        c->at_ms = w->now;
}

static void do_send(struct world *w)
{
    struct live *live = any_live(w);
    if (!live)
        return;
    struct charge *c = charge_of(w, live);
    if (c->unsent) {
        kc_pool_sent(w->pool, w->now, live->lease);
        c->unsent = false;
        c->start_ms = w->now;
    } else if (one_in(w, 2)) {
        /* What was thought to be sent was not: it is held again. */
        kc_pool_sending(w->pool, live->lease);
        c->unsent = true;
        c->at_ms = 0;
    } else {
        kc_pool_sent(w->pool, w->now, live->lease); /* nothing to tell */
    }
}

/* -- the end ---------------------------------------------------------- */

/* The truth replaces what was reserved. */
static void end_charge(struct world *w, const struct live *live,
                       const uint64_t truth[AMOUNTS])
{
    struct charge *c = charge_of(w, live);
    struct charge extra = {.granted_ms = c->granted_ms,
                           .at_ms = w->now,
                           .extra = true};
    bool any = false;
    for (int a = 0; a < AMOUNTS; a++) {
        uint64_t was = c->was[a], is = truth[a];
        c->is[a] = is;
        if (c->at_ms == 0) {
            c->was[a] = most(was, is);
        } else if (is > was) {
            c->is[a] = was;
            extra.is[a] = extra.was[a] = is - was;
            any = true;
        }
    }
    if (c->at_ms == 0)
        c->at_ms = w->now;
    c->lease = 0;
    if (any)
        add_charge(&w->logs[live->key][live->model], &extra);
}

static void drop_live(struct world *w, size_t i)
{
    w->live[i] = w->live[--w->live_len];
}

static void truth_of(const struct charge *c, enum kc_outcome outcome,
                     const struct kc_usage *usage, uint64_t truth[AMOUNTS])
{
    memset(truth, 0, AMOUNTS * sizeof *truth);
    if (outcome == KC_UNKNOWN || (outcome == KC_DONE && !usage))
        memcpy(truth, c->was, sizeof c->was);
    truth[REQUESTS] = outcome != KC_NOT_SENT && outcome != KC_FREE;
    if (outcome != KC_DONE || !usage)
        return;
    bool told = usage->input || usage->output;
    uint64_t total = usage->total ? usage->total : usage->input + usage->output;
    uint64_t input = told ? usage->input : c->was[INPUT];
    if (usage->apart) {
        total = usage->counted;
        input = usage->counted_input;
    }
    truth[TOKENS] = total;
    truth[INPUT] = input < total ? input : total;
    truth[OUTPUT] = total - truth[INPUT];
}

/* What the totals have and the limits do not. */
static void note_totals(struct log *l, enum kc_outcome outcome,
                        const struct kc_usage *usage)
{
    l->old_requests += outcome == KC_FREE;
    if (outcome != KC_DONE || !usage || !usage->apart)
        return;
    uint64_t total = usage->total ? usage->total : usage->input + usage->output;
    l->old_tokens += total - usage->counted; /* it may be less than nothing */
}

static void settle_at(struct world *w, size_t i)
{
    static const enum kc_outcome outcomes[] = {
        KC_DONE,    KC_DONE, KC_DONE,   KC_NOT_SENT,
        KC_REFUSED, KC_FREE, KC_UNKNOWN};
    struct live live = w->live[i];
    enum kc_outcome outcome = outcomes[below(w, 7)];
    struct kc_usage told = {.total = 1 + below(w, 60)};
    if (w->parts && one_in(w, 2))
        told = (struct kc_usage){.input = below(w, 30),
                                 .output = 1 + below(w, 30)};
    told.apart = one_in(w, 4);
    if (told.apart)
        told.counted = below(w, 60);
    told.counted_input = told.counted / 2;
    const struct kc_usage *usage = one_in(w, 8) ? NULL : &told;
    uint64_t truth[AMOUNTS];
    truth_of(charge_of(w, &live), outcome, usage, truth);
    must(w, kc_pool_settle(w->pool, w->now, live.lease, outcome, usage) == KC_OK,
         "a lease was not there to settle", live.key);
    must(w,
         kc_pool_settle(w->pool, w->now, live.lease, outcome, usage) ==
             KC_ESTALE,
         "settled twice", live.key);
    end_charge(w, &live, truth);
    note_totals(&w->logs[live.key][live.model], outcome, usage);
    drop_live(w, i);
}

static void do_settle(struct world *w)
{
    struct live *live = any_live(w);
    if (!live)
        return;
    if (w->config.max_lease_ms > 0 && one_in(w, 40))
        live->lost = true;
    else
        settle_at(w, (size_t)(live - w->live));
}

/* Nobody ends what its caller has lost, but for its age. */
static void do_expire(struct world *w)
{
    size_t expected = 0, n = kc_pool_expire(w->pool, w->now);
    for (size_t i = w->live_len; i-- > 0;) {
        struct live live = w->live[i];
        struct charge *c = charge_of(w, &live);
        if (w->config.max_lease_ms == 0 ||
            c->start_ms + w->config.max_lease_ms > w->now)
            continue;
        uint64_t truth[AMOUNTS];
        memcpy(truth, c->was, sizeof truth);
        end_charge(w, &live, truth);
        drop_live(w, i);
        expected++;
        must(w,
             kc_pool_settle(w->pool, w->now, live.lease, KC_DONE, NULL) ==
                 KC_ESTALE,
             "settled after its age", live.key);
    }
    must(w, n == expected, "another number of leases was over age", n);
}

#endif
