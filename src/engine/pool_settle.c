/* pool_settle.c -- how a lease ages and ends. */
#include "engine/pool_impl.h"
#include "util/num.h"

/* The group that was charged for a lease, or NULL. */
static struct kc_key *group_of(const struct kc_pool *p,
                               const struct kc_lease *l)
{
    return l->group ? p->groups[l->group - 1] : NULL;
}

static uint64_t stamp_on(struct kc_key *k, const struct kc_lease *l,
                         uint64_t now)
{
    struct kc_scope *s = kc_key_scope(k, l->model);
    if (k->meter && !l->apart)
        kc_meter_stamp(k->meter, now, l->cost);
    return kc_meter_stamp(&s->meter, now, l->cost);
}

static void stamp(struct kc_pool *p, struct kc_lease *l, uint64_t at_ms)
{
    struct kc_key *k = kc_pool_key(p, l->key), *group = group_of(p, l);
    l->stamp_ms = stamp_on(k, l, at_ms);
    if (group)
        stamp_on(group, l, at_ms);
    l->unsent = false; /* its headers tell more than its transport will */
    kc_leases_pass(&p->leases, l);
    kc_pool_touched(p, k, l->model, true); /* what was held has a time now */
}

/* At the times at which they were due, however late somebody asks: nothing was
 * stamped in between, for that would have asked. */
void kc_pool_stamp_due(struct kc_pool *p)
{
    struct kc_lease *l;
    while ((l = kc_pool_due(p)) != NULL)
        stamp(p, l, l->start_ms + p->config.guard_ms);
}

void kc_pool_stamp(struct kc_pool *p, uint64_t now_ms, uint64_t lease)
{
    uint64_t now = kc_pool_enter(p, now_ms);
    struct kc_lease *l = kc_leases_get(&p->leases, lease);
    if (l && l->stamp_ms == 0)
        stamp(p, l, now);
    kc_pool_leave(p);
}

static void hold_again(struct kc_meter *m, uint64_t now,
                       const struct kc_charge *back)
{
    kc_meter_settle(m, now, back);
    kc_meter_hold(m, back->reserved);
}

/* It was stamped too early: what the provider counts is still to come. */
static void unstamp(struct kc_pool *p, struct kc_lease *l)
{
    struct kc_charge back = {.stamp_ms = l->stamp_ms, .reserved = l->cost};
    struct kc_key *of[2] = {kc_pool_key(p, l->key), group_of(p, l)};
    for (int i = 0; i < 2 && of[i]; i++) {
        hold_again(&kc_key_scope(of[i], l->model)->meter, p->now_ms, &back);
        if (of[i]->meter && !l->apart)
            hold_again(of[i]->meter, p->now_ms, &back);
    }
    l->stamp_ms = 0;
    kc_pool_touched(p, of[0], l->model, false);
}

void kc_pool_end_on(struct kc_key *k, const struct kc_lease *l, bool ended)
{
    kc_meter_end(&kc_key_scope(k, l->model)->meter, !ended);
    if (k->meter && !l->apart)
        kc_meter_end(k->meter, !ended);
}

static void set_ended(struct kc_pool *p, struct kc_lease *l, bool ended)
{
    struct kc_key *k = kc_pool_key(p, l->key), *group = group_of(p, l);
    if (l->ended == ended)
        return;
    l->ended = ended;
    kc_pool_end_on(k, l, ended);
    if (group)
        kc_pool_end_on(group, l, ended);
    kc_pool_touched(p, k, l->model, ended);
}

void kc_pool_ended(struct kc_pool *p, uint64_t lease)
{
    kc_pool_enter(p, 0);
    struct kc_lease *l = kc_leases_get(&p->leases, lease);
    if (l)
        set_ended(p, l, true);
    kc_pool_leave(p);
}

void kc_pool_sending(struct kc_pool *p, uint64_t lease)
{
    kc_pool_enter(p, 0);
    struct kc_lease *l = kc_leases_get(&p->leases, lease);
    if (l) {
        set_ended(p, l, false);
        l->unsent = true;
        kc_leases_pass(&p->leases, l);
        if (l->stamp_ms != 0)
            unstamp(p, l);
    }
    kc_pool_leave(p);
}

void kc_pool_sent(struct kc_pool *p, uint64_t now_ms, uint64_t lease)
{
    uint64_t now = kc_pool_enter(p, now_ms);
    struct kc_lease *l = kc_leases_get(&p->leases, lease);
    if (l && l->unsent) {
        l->unsent = false;
        l->start_ms = now;
        kc_leases_restart(&p->leases, l);
    }
    kc_pool_leave(p);
}

static uint64_t capped(uint64_t tokens)
{
    return tokens < KC_TOKENS_MAX ? tokens : KC_TOKENS_MAX;
}

/* What was used, as far as we can count. */
static uint64_t true_tokens(const struct kc_lease *l,
                            const struct kc_usage *usage)
{
    if (!usage)
        return l->cost.tokens;
    uint64_t total = usage->total;
    if (total == 0)
        total = kc_add_capped(usage->input, usage->output);
    return capped(total);
}

/* What the limits count; what was not told apart is reckoned to the output. */
static struct kc_cost true_cost(const struct kc_lease *l,
                                enum kc_outcome outcome,
                                const struct kc_usage *usage)
{
    if (outcome == KC_UNKNOWN)
        return l->cost;
    if (outcome != KC_DONE)
        return (struct kc_cost){0};
    if (usage && usage->apart)
        return (struct kc_cost){.tokens = capped(usage->counted),
                                .input = capped(usage->counted_input)};
    struct kc_cost c = {.tokens = true_tokens(l, usage),
                        .input = l->cost.input};
    if (usage && (usage->input || usage->output))
        c.input = usage->input;
    return c;
}

static void tell_recovery(struct kc_pool *p, const struct kc_lease *l,
                          bool of_model)
{
    struct kc_note n = {.type = KC_EVENT_RECOVER, .key = l->key};
    if (of_model)
        n.model = p->models[l->model];
    kc_pool_note(p, &n);
}

/* The end of a probe, and what a success proves. */
static void end_cooldown(struct kc_pool *p, struct kc_cooldown *c,
                         struct kc_told *told, const struct kc_lease *l,
                         bool worked, bool of_model)
{
    kc_cooldown_settled(c, l->id);
    kc_pool_changed(p); /* for every model, it may be */
    if (worked && kc_cooldown_success(c, p->now_ms, l->serial)) {
        kc_pool_restated(p, told);
        tell_recovery(p, l, of_model);
    }
}

/* Settles on a key's record, or on its group's. */
static void settle_on(struct kc_pool *p, struct kc_key *k,
                      const struct kc_lease *l, const struct kc_charge *c,
                      bool worked)
{
    struct kc_scope *s = kc_key_scope(k, l->model);
    kc_meter_settle(&s->meter, p->now_ms, c);
    if (k->meter && !l->apart)
        kc_meter_settle(k->meter, p->now_ms, c);
    if (k->cool.state != KC_READY)
        end_cooldown(p, &k->cool, &k->told, l, worked, false);
    if (s->rare && s->rare->cool.state != KC_READY)
        end_cooldown(p, &s->rare->cool, &s->rare->told, l, worked, true);
}

/* For the store. What was not told apart is neither input nor output. */
static void tally(struct kc_pool *p, struct kc_tally *t, bool counts,
                  struct kc_cost counted, uint64_t total,
                  const struct kc_usage *usage)
{
    struct kc_used *used = kc_tally_use(t, p->now_ms);
    used->requests++;
    used->total += total;
    used->counted += counts;
    used->counted_tokens += counted.tokens;
    used->counted_input += kc_least(counted.input, counted.tokens);
    if (usage) {
        used->input += capped(usage->input);
        used->output += capped(usage->output);
    }
}

static void settle(struct kc_pool *p, struct kc_lease *l,
                   enum kc_outcome outcome, const struct kc_usage *usage)
{
    bool counts = outcome != KC_NOT_SENT && outcome != KC_FREE;
    struct kc_key *k = kc_pool_key(p, l->key);
    struct kc_scope *s = kc_key_scope(k, l->model);
    struct kc_cost used = true_cost(l, outcome, usage);
    struct kc_charge c = {.stamp_ms = l->stamp_ms,
                          .reserved = l->cost,
                          .ended = l->ended,
                          .requests = counts,
                          .used = used};
    settle_on(p, k, l, &c, outcome == KC_DONE);
    if (l->group)
        settle_on(p, group_of(p, l), l, &c, outcome == KC_DONE);
    uint64_t total = used.tokens;
    if (outcome == KC_DONE)
        total = true_tokens(l, usage);
    s->total_requests -= outcome == KC_NOT_SENT;
    s->total_tokens = kc_add_capped(s->total_tokens, total);
    if (l->tallied) {
        kc_tally_release(s->tally, p->now_ms, l->cost.tokens, l->cost.input);
        if (outcome != KC_NOT_SENT)
            tally(p, s->tally, counts, used, total,
                  outcome == KC_DONE ? usage : NULL);
        kc_pool_tell(p, s->tally);
    }
    kc_pool_touched(p, k, l->model, true);
    k->leases--;
    kc_leases_close(&p->leases, l);
}

int kc_pool_settle(struct kc_pool *p, uint64_t now_ms, uint64_t lease,
                   enum kc_outcome outcome, const struct kc_usage *usage)
{
    kc_pool_enter(p, now_ms);
    struct kc_lease *l = kc_leases_get(&p->leases, lease);
    if (l)
        settle(p, l, outcome, usage);
    kc_pool_leave(p);
    return l ? KC_OK : KC_ESTALE;
}

size_t kc_pool_expire_now(struct kc_pool *p)
{
    size_t n = 0;
    struct kc_lease *l;
    while (p->config.max_lease_ms > 0 &&
           (l = kc_leases_oldest(&p->leases)) != NULL &&
           p->now_ms - l->start_ms >= p->config.max_lease_ms) {
        settle(p, l, KC_UNKNOWN, NULL);
        n++;
    }
    return n;
}

size_t kc_pool_expire(struct kc_pool *p, uint64_t now_ms)
{
    kc_pool_enter(p, now_ms);
    size_t n = kc_pool_expire_now(p);
    kc_pool_leave(p);
    return n;
}
