/* pool_store.c -- what a store is told of use: the tallies of a pool. */
#include "engine/pool_impl.h"

#include "util/num.h"

void kc_pool_keep(struct kc_pool *p)
{
    kc_pool_enter(p, 0);
    p->kept = true;
    kc_pool_leave(p);
}

bool kc_pool_has_news(const struct kc_pool *p)
{
    return atomic_load_explicit(&p->news, memory_order_relaxed);
}

int kc_pool_need_tally(struct kc_pool *p, const struct kc_key *k,
                       const struct kc_model *m, struct kc_scope *s)
{
    if (s->tally)
        return KC_OK;
    int err = kc_tally_new(k->hash, m->name, &s->tally);
    if (err == KC_OK) {
        s->tally->next = p->tallies;
        p->tallies = s->tally;
    }
    return err;
}

size_t kc_pool_collect(struct kc_pool *p, uint64_t now_ms,
                       struct kc_use_news *out, size_t max)
{
    size_t n = 0;
    kc_pool_enter(p, now_ms);
    atomic_store_explicit(&p->news, false, memory_order_relaxed);
    while (n < max && p->listed) {
        struct kc_tally *t = p->listed;
        p->listed = t->next_listed;
        n += kc_tally_collect(t, out + n, max - n);
        t->listed = t->out > 0;
    }
    if (p->listed)
        kc_pool_has_new(p);
    kc_pool_leave(p);
    return n;
}

void kc_pool_collected(struct kc_pool *p, const struct kc_use_news *news,
                       size_t n, enum kc_news_end end)
{
    kc_pool_enter(p, 0);
    for (size_t i = 0; i < n; i++) {
        struct kc_tally *t = news[i].tally;
        kc_tally_collected(t, &news[i], end);
        if (t->out > 0)
            continue;
        t->listed = t->refused;
        if (kc_tally_has_news(t))
            kc_pool_tell(p, t);
    }
    kc_pool_leave(p);
}

size_t kc_pool_unwritten(struct kc_pool *p)
{
    size_t n = 0;
    kc_pool_enter(p, 0);
    for (const struct kc_tally *t = p->tallies; t; t = t->next)
        n += kc_tally_unwritten(t);
    kc_pool_leave(p);
    return n;
}

uint64_t kc_pool_settled_ms(struct kc_pool *p, uint64_t now_ms)
{
    uint64_t now = kc_pool_enter(p, now_ms);
    uint64_t running_ms = now - now % KC_SPAN_MS, least = running_ms;
    for (const struct kc_tally *t = p->tallies; t; t = t->next)
        least = kc_least(least, kc_tally_settled_ms(t, running_ms));
    kc_pool_leave(p);
    return least;
}

void kc_pool_renew(struct kc_pool *p)
{
    kc_pool_enter(p, 0);
    for (struct kc_tally *t = p->tallies; t; t = t->next) {
        kc_tally_renew(t);
        if (kc_tally_has_news(t))
            kc_pool_tell(p, t);
    }
    kc_pool_leave(p);
}
