/* pool_wait.c -- who waits for a key, and when somebody can be served.
 *
 * Each model has its own queue. A waiter that cannot be served closes its model
 * for those behind it; one that is pinned closes only its key. Models are taken
 * in the order of their first waiters and never hold each other up.
 */
#include "engine/pool_impl.h"
#include "util/num.h"

static bool is_pinned(const struct kc_request *r)
{
    return r->key != 0 && r->pin;
}

/* Keeps a pinned waiter's key, and those that share its quota, for it during
 * this pump. Where that is noted was made when it was queued. */
static void shut(struct kc_pool *p, const struct kc_model *m,
                 const struct kc_waiter *w)
{
    struct kc_key *k = kc_pool_key(p, w->request.key);
    struct kc_rare *own =
        k ? kc_scope_rare(kc_key_scope(kc_key_quota(k), m->id)) : NULL;
    if (own)
        own->shut = p->pumps;
}

static void link_waiter(struct kc_pool *p, struct kc_model *m,
                        struct kc_waiter *w)
{
    if (m->queue.len == 0) {
        m->next_active = p->active;
        p->active = m;
    }
    kc_queue_insert(&m->queue, w);
    p->waiting++;
}

static void unlink_waiter(struct kc_pool *p, struct kc_model *m,
                          struct kc_waiter *w)
{
    if (m->cursor == w)
        m->cursor = w->next;
    kc_queue_remove(&m->queue, w);
    p->waiting--;
    if (m->queue.len > 0)
        return;
    struct kc_model **at = &p->active;
    while (*at != m)
        at = &(*at)->next_active;
    *at = m->next_active;
    m->next_active = NULL;
}

static bool same_quota(const struct kc_pool *p, uint32_t a, uint32_t b)
{
    struct kc_key *k = kc_pool_key(p, a), *l = kc_pool_key(p, b);
    return a == b || (k && l && k->shared && k->shared == l->shared);
}

bool kc_pool_queue_block(struct kc_pool *p, const struct kc_request *request,
                         struct kc_model *m, struct kc_block *b)
{
    const struct kc_waiter *w = m->queue.first;
    while (w && is_pinned(request) && is_pinned(&w->request) &&
           !same_quota(p, w->request.key, request->key))
        w = w->next;
    if (!w)
        return false;
    struct kc_offer offer = {.request = &w->request, .model = m};
    kc_pool_choose(p, &offer, false, b);
    if (b->err != KC_ELIMITED || b->at_ms <= p->now_ms) {
        /* It is served at the next pump: ask again just after. */
        kc_block_clear(b, b->key);
        kc_block_add(b, KC_ELIMITED, p->now_ms + 1, "queue", 0);
    }
    b->limit = "queue";
    b->max = 0;
    return true;
}

/* -- queueing ------------------------------------------------------------- */

/* Shuts the keys of pinned waiters ahead of `w`; true when one ahead of it
 * wants the same. */
static bool is_behind(struct kc_pool *p, const struct kc_model *m,
                      const struct kc_waiter *w)
{
    const struct kc_waiter *ahead = m->queue.first;
    p->pumps++;
    for (; ahead; ahead = ahead->next) {
        if (kc_waiter_order(ahead) > kc_waiter_order(w))
            break;
        if (!is_pinned(&ahead->request))
            return true;
        shut(p, m, ahead);
    }
    return false;
}

static int put_in_queue(struct kc_pool *p, struct kc_model *m,
                        struct kc_waiter *w)
{
    struct kc_offer offer = {.request = &w->request, .model = m, .idle = true};
    struct kc_block b;
    kc_pool_choose(p, &offer, false, &b);
    uint64_t at_ms = b.err == KC_OK ? p->now_ms : b.at_ms;
    if (w->deadline_ms <= p->now_ms)
        return KC_ELIMITED;
    if (at_ms != KC_NEVER && at_ms > w->deadline_ms) {
        kc_pool_refuse(p, &b, &w->refusal);
        return KC_ELIMITED;
    }
    if (p->waiting >= p->config.max_waiters)
        return KC_EQUEUEFULL;
    if (is_pinned(&w->request)) {
        struct kc_rare *own;
        struct kc_key *k = kc_pool_key(p, w->request.key);
        int err = kc_key_need_rare(kc_key_quota(k), m->id, &own);
        if (err != KC_OK)
            return err;
    }
    link_waiter(p, m, w);
    kc_pool_note(p, &(struct kc_note){.type = KC_EVENT_WAIT, .model = m});
    return KC_EAGAIN;
}

static int enqueue(struct kc_pool *p, struct kc_waiter *w)
{
    struct kc_model *m;
    int err = kc_pool_need_model(p, w->request.model, &m);
    if (err != KC_OK)
        return err;
    bool behind = is_behind(p, m, w);
    struct kc_offer offer = {
        .request = &w->request, .model = m, .pump = p->pumps};
    struct kc_block b;
    if (behind)
        err = kc_pool_choose(p, &offer, false, &b);
    else
        err = kc_pool_grant(p, &offer, &w->grant, &b);
    if (err != KC_OK && err != KC_ENOMEM)
        kc_pool_refuse(p, &b, &w->refusal);
    if (err == KC_ELIMITED || (behind && err == KC_OK))
        err = put_in_queue(p, m, w);
    return err;
}

int kc_pool_enqueue(struct kc_pool *p, uint64_t now_ms, struct kc_waiter *w)
{
    if (w->priority < 0 || w->priority > 7)
        return KC_EINVALID;
    w->grant = (struct kc_grant){.lease = 0};
    w->refusal = (struct kc_refusal){.limit = ""};
    w->prev = NULL;
    w->next = NULL;
    w->queued_ms = kc_pool_enter(p, now_ms);
    w->result = enqueue(p, w);
    int result = w->result;
    kc_pool_leave(p);
    return result;
}

void kc_pool_dequeue(struct kc_pool *p, struct kc_waiter *w)
{
    kc_pool_enter(p, 0);
    if (w->result == KC_EAGAIN) {
        struct kc_model *m = kc_pool_find_model(p, w->request.model);
        unlink_waiter(p, m, w);
        w->result = KC_ECANCELLED;
    }
    kc_pool_leave(p);
}

/* -- serving --------------------------------------------------------------- */

struct done { /* the list of those settled by one pump */
    struct kc_waiter *first, *last;
};

static void finish(struct kc_pool *p, struct kc_model *m, struct kc_waiter *w,
                   int result, struct done *done)
{
    unlink_waiter(p, m, w);
    w->result = result;
    if (done->last)
        done->last->next = w;
    else
        done->first = w;
    done->last = w;
}

static struct kc_model *next_in_order(struct kc_pool *p)
{
    struct kc_model *best = NULL;
    for (struct kc_model *m = p->active; m; m = m->next_active)
        if (m->cursor && (!best || kc_waiter_order(m->cursor) <
                                       kc_waiter_order(best->cursor)))
            best = m;
    return best;
}

/* Tries the waiter at the cursor of `m` and moves the cursor on. */
static void serve(struct kc_pool *p, struct kc_model *m, struct done *done)
{
    struct kc_waiter *w = m->cursor;
    struct kc_offer offer = {
        .request = &w->request, .model = m, .pump = p->pumps};
    struct kc_block b;
    int result;
    /* Its caller has given up by now: it must not get a key. */
    if (w->deadline_ms < p->now_ms)
        result =
            kc_pool_choose(p, &offer, false, &b) == KC_OK ? KC_ELIMITED : b.err;
    else
        result = kc_pool_grant(p, &offer, &w->grant, &b);
    if (result != KC_OK && result != KC_ENOMEM)
        kc_pool_refuse(p, &b, &w->refusal);
    if (result != KC_ELIMITED || w->deadline_ms <= p->now_ms) {
        finish(p, m, w, result, done);
    } else if (is_pinned(&w->request)) {
        shut(p, m, w);
        m->cursor = w->next;
    } else {
        m->cursor = NULL;
    }
}

/* Those behind a closed head whose time is over. */
static void time_out(struct kc_pool *p, struct kc_model *m, struct done *done)
{
    if (kc_queue_deadline(&m->queue) > p->now_ms)
        return;
    struct kc_waiter *next;
    for (struct kc_waiter *w = m->queue.first; w; w = next) {
        next = w->next;
        if (w->deadline_ms > p->now_ms)
            continue;
        struct kc_offer offer = {.request = &w->request, .model = m};
        struct kc_block b;
        kc_pool_choose(p, &offer, false, &b);
        kc_pool_refuse(p, &b, &w->refusal);
        if (b.err == KC_OK)
            w->refusal.limit = "queue";
        finish(p, m, w, KC_ELIMITED, done);
    }
}

struct kc_waiter *kc_pool_pump(struct kc_pool *p, uint64_t now_ms)
{
    struct done done = {NULL, NULL};
    kc_pool_enter(p, now_ms);
    kc_pool_expire_now(p);
    p->pumps++;
    struct kc_model *m;
    for (m = p->active; m; m = m->next_active)
        m->cursor = m->queue.first;
    while ((m = next_in_order(p)) != NULL)
        serve(p, m, &done);
    struct kc_model *next;
    for (m = p->active; m; m = next) {
        next = m->next_active;
        time_out(p, m, &done);
    }
    kc_pool_leave(p);
    return done.first;
}

/* When the first waiter of `m` can be served; behind a pinned one the next. */
static uint64_t model_deadline(struct kc_pool *p, struct kc_model *m)
{
    uint64_t at_ms = kc_queue_deadline(&m->queue);
    for (struct kc_waiter *w = m->queue.first; w; w = w->next) {
        struct kc_offer offer = {
            .request = &w->request, .model = m, .pump = p->pumps};
        struct kc_block b;
        if (kc_pool_choose(p, &offer, false, &b) != KC_ELIMITED)
            return p->now_ms;
        if (b.at_ms < at_ms)
            at_ms = b.at_ms;
        if (!is_pinned(&w->request))
            break;
        shut(p, m, w);
    }
    return at_ms;
}

/* When the next lease is stamped by itself, or is over its age. */
static uint64_t leases_deadline(const struct kc_pool *p)
{
    const struct kc_lease *l = kc_leases_oldest(&p->leases);
    uint64_t at_ms = KC_NEVER;
    if (l && p->config.max_lease_ms > 0)
        at_ms = l->start_ms + p->config.max_lease_ms;
    l = kc_leases_due(&p->leases);
    if (l && p->config.guard_ms > 0)
        at_ms = kc_least(at_ms, l->start_ms + p->config.guard_ms);
    return at_ms;
}

uint64_t kc_pool_next_deadline(struct kc_pool *p, uint64_t now_ms)
{
    uint64_t now = kc_pool_enter(p, now_ms);
    uint64_t at_ms = KC_NEVER;
    p->pumps++;
    for (struct kc_model *m = p->active; m; m = m->next_active) {
        uint64_t own = model_deadline(p, m);
        if (own < at_ms)
            at_ms = own;
    }
    if (p->active)
        at_ms = kc_least(at_ms, leases_deadline(p));
    kc_pool_leave(p);
    return at_ms < now ? now : at_ms;
}

size_t kc_pool_waiting(struct kc_pool *p)
{
    kc_pool_enter(p, 0);
    size_t n = p->waiting;
    kc_pool_leave(p);
    return n;
}

uint64_t kc_pool_longest_wait(struct kc_pool *p, uint64_t now_ms)
{
    uint64_t now = kc_pool_enter(p, now_ms), first = now;
    for (const struct kc_model *m = p->active; m; m = m->next_active)
        for (const struct kc_waiter *w = m->queue.first; w; w = w->next)
            if (w->queued_ms < first)
                first = w->queued_ms;
    kc_pool_leave(p);
    return now - first;
}
