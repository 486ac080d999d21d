/* ledger.c -- clock, journal and queue around one pool of the engine. */
#include "runtime/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/ledger_impl.h"

/* -- the ledger ---------------------------------------------------------- */

static void on_time(void *ctx)
{
    kc_ledger_pump(ctx);
}

int kc_ledger_new(struct kc_runtime *rt, const char *provider,
                  const struct kc_pool_config *config, struct kc_clock *clock,
                  struct kc_ledger **out)
{
    *out = NULL;
    struct kc_ledger *l = calloc(1, sizeof *l);
    if (!l)
        return KC_ENOMEM;
    l->refs = 1;
    kc_map_init(&l->models);
    int err = KC_ENOMEM;
    l->provider = strdup(provider);
    if (l->provider)
        err = kc_pool_new(config, &l->pool);
    if (err == KC_OK && !clock)
        err = kc_clock_new_real(&l->clock);
    if (err != KC_OK) {
        kc_pool_free(l->pool);
        free(l->provider);
        free(l);
        return err;
    }
    if (clock)
        l->clock = kc_clock_ref(clock);
    l->rt = kc_runtime_ref(rt);
    l->timer = (struct kc_timer){.fn = on_time, .ctx = l};
    l->follower =
        (struct kc_follower){.fn = on_time, .ctx = l, .clock = l->clock};
    kc_runtime_follow(rt, &l->follower);
    *out = l;
    return KC_OK;
}

struct kc_ledger *kc_ledger_ref(struct kc_ledger *l)
{
    l->refs++;
    return l;
}

void kc_ledger_unref(struct kc_ledger *l)
{
    if (!l || --l->refs > 0)
        return;
    kc_runtime_unfollow(l->rt, &l->follower);
    kc_loop_disarm(kc_runtime_loop(l->rt), &l->timer);
    kc_writer_unref(l->writer);
    kc_pool_free(l->pool);
    kc_clock_unref(l->clock);
    size_t at = 0;
    const char *name;
    void *copy;
    while (kc_map_next(&l->models, &at, &name, &copy))
        free(copy);
    kc_map_deinit(&l->models);
    kc_runtime_unref(l->rt);
    free(l->provider);
    free(l);
}

void kc_ledger_close(struct kc_ledger *l)
{
    l->closed = true;
    for (struct kc_wait *w = l->waits; w; w = w->next)
        kc_ready_mark(&w->ready);
}

bool kc_ledger_is_closed(const struct kc_ledger *l)
{
    return l->closed;
}

struct kc_pool *kc_ledger_pool(struct kc_ledger *l)
{
    return l->pool;
}

struct kc_clock *kc_ledger_clock(struct kc_ledger *l)
{
    return l->clock;
}

struct kc_runtime *kc_ledger_runtime(struct kc_ledger *l)
{
    return l->rt;
}

const char *kc_ledger_provider(const struct kc_ledger *l)
{
    return l->provider;
}

uint64_t kc_ledger_now(const struct kc_ledger *l)
{
    return kc_clock_now_ms(l->clock);
}

static int restore_row(void *ctx, const struct kc_row *row)
{
    struct kc_ledger *l = ctx;
    uint64_t now = kc_ledger_now(l);
    uint64_t end = row->start_ms + row->span_ms;
    int err = kc_pool_restore(l->pool, now, row->key, row->model,
                              end < now ? end : now, row->requests, row->total);
    /* A key that is not registered now keeps its rows; they are not ours. */
    return err == KC_ENOTFOUND ? KC_OK : err;
}

int kc_ledger_attach(struct kc_ledger *l, struct kc_writer *w, char **why)
{
    *why = NULL;
    struct kc_journal *journal = kc_writer_journal(w);
    if (!journal)
        return KC_ECLOSED;
    int err = kc_journal_read(journal, l->provider, restore_row, l, why);
    if (err != KC_OK)
        return err;
    kc_writer_unref(l->writer);
    l->writer = kc_writer_ref(w);
    return KC_OK;
}

int kc_ledger_intern(struct kc_ledger *l, const char *model, const char **out)
{
    char *copy = kc_map_get(&l->models, model);
    if (!copy) {
        copy = strdup(model);
        if (!copy)
            return KC_ENOMEM;
        int err = kc_map_set(&l->models, model, copy);
        if (err != KC_OK) {
            free(copy);
            return err;
        }
    }
    *out = copy;
    return KC_OK;
}

void kc_ledger_arm(struct kc_ledger *l, uint64_t now)
{
    struct kc_loop *loop = kc_runtime_loop(l->rt);
    uint64_t next = kc_pool_next_deadline(l->pool, now);
    if (next == KC_NEVER || kc_clock_is_manual(l->clock)) {
        kc_loop_disarm(loop, &l->timer);
        return;
    }
    uint64_t wait = next > now ? next - now : 0;
    /* Engine time runs through a suspend and the loop's does not: a timer that
     * fires early finds nothing due and is set again. */
    kc_loop_arm(loop, &l->timer, kc_mono_ms() + wait);
}

void kc_ledger_pump(struct kc_ledger *l)
{
    uint64_t now = kc_ledger_now(l);
    struct kc_waiter *w = kc_pool_pump(l->pool, now);
    while (w) {
        struct kc_waiter *next = w->next;
        struct kc_wait *wait = w->owner;
        w->next = w->prev = NULL;
        if (w->result == KC_OK)
            kc_ledger_book_grant(l, &w->grant, w->request.model);
        kc_ready_mark(&wait->ready);
        w = next;
    }
    kc_ledger_arm(l, now);
}

/* -- the journal --------------------------------------------------------- */

static void book(struct kc_ledger *l, const struct kc_grant *g,
                 const char *model, const struct kc_delta *d)
{
    struct kc_journal *journal =
        l->writer ? kc_writer_journal(l->writer) : NULL;
    struct kc_key_info info;
    if (!journal ||
        kc_pool_key_info(l->pool, g->acquired_ms, g->key, NULL, &info) != KC_OK)
        return;
    /* Out of memory loses this difference and nothing else. */
    int err = kc_journal_add(journal, l->provider, info.hash, model,
                             g->acquired_ms, d);
    (void)err;
}

void kc_ledger_book_grant(struct kc_ledger *l, const struct kc_grant *g,
                          const char *model)
{
    struct kc_delta d = {.requests = 1, .total = (int64_t)g->tokens};
    book(l, g, model, &d);
}

void kc_ledger_book_settle(struct kc_ledger *l, const struct kc_lease *lease,
                           enum kc_outcome outcome,
                           const struct kc_usage *usage)
{
    struct kc_delta d = {0};
    int64_t reserved = (int64_t)lease->grant.tokens;
    if (outcome == KC_NOT_SENT) {
        d.requests = -1;
        d.total = -reserved;
    } else if (outcome == KC_REFUSED) {
        d.total = -reserved;
    } else if (outcome == KC_DONE && usage) {
        uint64_t total =
            usage->total ? usage->total : usage->input + usage->output;
        d.input = (int64_t)usage->input;
        d.output = (int64_t)usage->output;
        d.total = (int64_t)total - reserved;
    }
    book(l, &lease->grant, lease->model, &d);
}
