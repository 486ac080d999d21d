/* pool_settle.c -- how a lease ages and ends. */
#include "engine/pool_impl.h"
#include "util/num.h"

/* The group that was charged for a lease, or NULL. */
static struct kc_key *group_of(const struct kc_pool *p,
                               const struct kc_lease *l)
{
    return l->group ? p->groups[l->group - 1] : NULL;
}

static uint64_t stamp(struct kc_key *k, const struct kc_lease *l, uint64_t now)
{
    struct kc_scope *s = kc_key_scope(k, l->model);
    if (k->meter)
        kc_meter_stamp(k->meter, now, l->tokens);
    return kc_meter_stamp(&s->meter, now, l->tokens);
}

void kc_pool_stamp(struct kc_pool *p, uint64_t now_ms, uint64_t lease)
{
    uint64_t now = kc_pool_enter(p, now_ms);
    struct kc_lease *l = kc_leases_get(&p->leases, lease);
    if (l && l->stamp_ms == 0) {
        struct kc_key *group = group_of(p, l);
        uint64_t stamp_ms = stamp(kc_pool_key(p, l->key), l, now);
        if (group)
            stamp(group, l, now);
        if (l->split)
            kc_split_stamp(l->split, now, kc_parts_of(l->tokens, l->input));
        l->stamp_ms = stamp_ms;
        kc_pool_changed(p); /* what was held has a time now */
    }
    kc_pool_leave(p);
}

/* What the provider says it counted, as far as we can count. */
static uint64_t true_tokens(const struct kc_lease *l,
                            const struct kc_usage *usage)
{
    if (!usage)
        return l->tokens;
    uint64_t total = usage->total;
    if (total == 0)
        total = kc_add_capped(usage->input, usage->output);
    return total < KC_TOKENS_MAX ? total : KC_TOKENS_MAX;
}

/* What was told of input and output; what was not is reckoned to the output. */
static struct kc_parts true_parts(const struct kc_lease *l, uint64_t tokens,
                                  const struct kc_usage *usage)
{
    if (usage && (usage->input || usage->output))
        return kc_parts_of(tokens, usage->input);
    return kc_parts_of(tokens, l->input);
}

/* Settles on a key's record, or on its group's. */
static void settle_on(struct kc_pool *p, struct kc_key *k,
                      const struct kc_lease *l, const struct kc_charge *c,
                      bool worked)
{
    struct kc_scope *s = kc_key_scope(k, l->model);
    struct kc_note back = {.type = KC_EVENT_RECOVER, .key = l->key};
    kc_meter_settle(&s->meter, p->now_ms, c);
    if (k->meter)
        kc_meter_settle(k->meter, p->now_ms, c);
    kc_cooldown_settled(&k->cool, l->id);
    kc_cooldown_settled(&s->cool, l->id);
    if (worked && kc_cooldown_success(&k->cool, p->now_ms, l->serial))
        kc_pool_note(p, &back);
    if (worked && kc_cooldown_success(&s->cool, p->now_ms, l->serial)) {
        back.model = p->models[l->model];
        kc_pool_note(p, &back);
    }
}

static void settle(struct kc_pool *p, struct kc_lease *l,
                   enum kc_outcome outcome, const struct kc_usage *usage)
{
    struct kc_key *k = kc_pool_key(p, l->key);
    struct kc_scope *s = kc_key_scope(k, l->model);
    struct kc_charge c = {
        .stamp_ms = l->stamp_ms, .reserved = l->tokens, .requests = 1};
    if (outcome == KC_DONE)
        c.tokens = true_tokens(l, usage);
    else if (outcome == KC_UNKNOWN)
        c.tokens = l->tokens;
    else if (outcome == KC_NOT_SENT)
        c.requests = 0;
    settle_on(p, k, l, &c, outcome == KC_DONE);
    if (l->group)
        settle_on(p, group_of(p, l), l, &c, outcome == KC_DONE);
    if (l->split)
        kc_split_settle(
            l->split, p->now_ms, l->stamp_ms, kc_parts_of(l->tokens, l->input),
            true_parts(l, c.tokens, outcome == KC_DONE ? usage : NULL));
    s->total_requests -= 1 - c.requests;
    s->total_tokens = kc_add_capped(s->total_tokens, c.tokens);
    kc_pool_changed(p);
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
           p->now_ms - l->acquired_ms >= p->config.max_lease_ms) {
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
