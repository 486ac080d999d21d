/* writer.c -- see writer.h.
 *
 * Any thread: the holds, the users, who is woken. The opener's thread: its
 * watch, and the writers of others whose journals it uses, too.
 */
#include "runtime/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/registry.h"
#include "runtime/writer_impl.h"
#include "util/clock.h"
#include "util/num.h"
#include "util/sha256.h"

#define LAST_MS 1000 /* how long whoever happens to be the last one waits */

struct watch { /* who is told of a journal's change */
    struct kc_loop *loop;
    struct watch *next;
};

struct link { /* to another writer's journal */
    struct kc_writer *to;
    struct watch watch;
    struct link *next;
};

struct kc_writer {
    atomic_size_t holds; /* of the memory: the opener's is one */
    atomic_uint changes;
    unsigned generation; /* of forks */
    struct kc_journal *journal;
    uint8_t url[32]; /* its hash: it may hold a password */
    bool alone;
    pthread_mutex_t lock; /* not held while the journal works */
    size_t users;         /* who needs it open */
    struct watch *watches;
    struct kc_farewell farewell;
    /* the opener's */
    bool closed;
    struct watch own;
    struct link *links;
};

static bool is_forked(const struct kc_writer *w)
{
    return w->generation != kc_registry_generation();
}

/* In the journal's thread. */
static void on_change(void *ctx)
{
    struct kc_writer *w = ctx;
    atomic_fetch_add(&w->changes, 1);
    pthread_mutex_lock(&w->lock);
    for (struct watch *a = w->watches; a; a = a->next)
        if (a->loop)
            kc_loop_wake(a->loop);
    pthread_mutex_unlock(&w->lock);
}

/* The process exits, and nobody has closed it: what waits is written. */
static void at_exit(void *ctx)
{
    struct kc_writer *w = ctx;
    struct kc_journal_status s;
    kc_journal_status(w->journal, &s);
    if (s.waiting == 0)
        return;
    int err = kc_journal_sync(w->journal, LAST_MS);
    (void)err; /* there is nobody left to be told */
}

int kc_writer_open(const char *url, uint32_t keep_days, struct kc_writer **out,
                   char **why)
{
    *out = NULL;
    *why = NULL;
    struct kc_store *store;
    int err = kc_registry_init();
    if (err != KC_OK)
        return err;
    err = kc_store_open(url, keep_days, &store, why);
    if (err != KC_OK)
        return err;
    struct kc_writer *w = calloc(1, sizeof *w);
    if (!w || pthread_mutex_init(&w->lock, NULL) != 0) {
        free(w);
        kc_store_close(store);
        return KC_ENOMEM;
    }
    err = kc_journal_open(store, &w->journal);
    if (err != KC_OK) {
        pthread_mutex_destroy(&w->lock);
        free(w);
        return err;
    }
    atomic_init(&w->holds, 1);
    w->users = 1;
    w->watches = &w->own;
    w->generation = kc_registry_generation();
    kc_sha256(url, strlen(url), w->url);
    kc_journal_on_change(w->journal, on_change, w);
    w->farewell = (struct kc_farewell){.fn = at_exit, .ctx = w};
    kc_registry_at_exit(&w->farewell);
    *out = w;
    return KC_OK;
}

void kc_writer_unref(struct kc_writer *w)
{
    if (!w)
        return;
    kc_writer_close(w, LAST_MS);
    kc_writer_drop(w);
}

struct kc_writer *kc_writer_hold(struct kc_writer *w)
{
    atomic_fetch_add(&w->holds, 1);
    return w;
}

void kc_writer_drop(struct kc_writer *w)
{
    if (!w || atomic_fetch_sub(&w->holds, 1) > 1)
        return;
    if (!is_forked(w)) {
        kc_journal_unref(w->journal);
        pthread_mutex_destroy(&w->lock);
    }
    free(w);
}

struct kc_journal *kc_writer_journal(struct kc_writer *w)
{
    return is_forked(w) ? NULL : w->journal;
}

void kc_writer_wake(struct kc_writer *w)
{
    if (!is_forked(w))
        kc_journal_wake(w->journal);
}

bool kc_writer_same(const struct kc_writer *a, const struct kc_writer *b)
{
    return !a->alone && !b->alone && memcmp(a->url, b->url, sizeof a->url) == 0;
}

void kc_writer_be_alone(struct kc_writer *w)
{
    w->alone = true;
}

/* -- who uses it ----------------------------------------------------------- */

int kc_writer_use(struct kc_writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool open = w->users > 0;
    if (open)
        w->users++;
    pthread_mutex_unlock(&w->lock);
    return open ? KC_OK : KC_ECLOSED;
}

size_t kc_writer_unuse(struct kc_writer *w, uint64_t timeout_ms, bool *last)
{
    pthread_mutex_lock(&w->lock);
    *last = --w->users == 0;
    pthread_mutex_unlock(&w->lock);
    return *last ? kc_journal_close(w->journal, timeout_ms) : 0;
}

int kc_writer_link(struct kc_writer *w, struct kc_writer *to)
{
    for (struct link *l = w->links; l; l = l->next)
        if (l->to == to)
            return KC_OK;
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        return KC_ENOMEM;
    int err = w->closed ? KC_ECLOSED : kc_writer_use(to);
    if (err != KC_OK) {
        free(l);
        return err;
    }
    l->to = kc_writer_hold(to);
    l->watch.loop = w->own.loop;
    l->next = w->links;
    w->links = l;
    pthread_mutex_lock(&to->lock);
    l->watch.next = to->watches;
    to->watches = &l->watch;
    pthread_mutex_unlock(&to->lock);
    return KC_OK;
}

static void unwatch(struct kc_writer *w, struct watch *gone)
{
    pthread_mutex_lock(&w->lock);
    struct watch **at = &w->watches;
    while (*at && *at != gone)
        at = &(*at)->next;
    if (*at)
        *at = gone->next;
    pthread_mutex_unlock(&w->lock);
}

/* -- what the opener asks: of its own journal and of those it is linked to - */

static int check(const struct kc_writer *w)
{
    return is_forked(w) ? KC_EFORKED : w->closed ? KC_ECLOSED : KC_OK;
}

int kc_writer_with_store(struct kc_writer *w,
                         int (*fn)(void *ctx, struct kc_store *s), void *ctx)
{
    int err = check(w);
    return err == KC_OK ? kc_journal_with(w->journal, fn, ctx) : err;
}

static uint64_t left_until(uint64_t end_ms)
{
    uint64_t now = kc_mono_ms();
    return end_ms > now ? end_ms - now : 0;
}

int kc_writer_sync(struct kc_writer *w, uint64_t timeout_ms)
{
    uint64_t end_ms = kc_add_capped(kc_mono_ms(), timeout_ms);
    int err = check(w);
    if (err == KC_OK)
        err = kc_journal_sync(w->journal, timeout_ms);
    for (struct link *l = w->links; l && err == KC_OK; l = l->next)
        err = kc_journal_sync(l->to->journal, left_until(end_ms));
    return err;
}

static void add_status(struct kc_journal_status *to, struct kc_journal *j)
{
    struct kc_journal_status one;
    kc_journal_status(j, &one);
    to->waiting += one.waiting;
    to->set_aside += one.set_aside;
    if (one.failing_ms > to->failing_ms)
        to->failing_ms = one.failing_ms;
    if (one.error[0])
        memcpy(to->error, one.error, sizeof to->error);
    if (one.aside[0])
        memcpy(to->aside, one.aside, sizeof to->aside);
}

void kc_writer_status(struct kc_writer *w, struct kc_journal_status *out)
{
    *out = (struct kc_journal_status){0};
    if (check(w) != KC_OK)
        return;
    add_status(out, w->journal);
    for (struct link *l = w->links; l; l = l->next)
        add_status(out, l->to->journal);
}

unsigned kc_writer_changes(struct kc_writer *w)
{
    unsigned n = atomic_load(&w->changes);
    for (struct link *l = w->links; l; l = l->next)
        n += atomic_load(&l->to->changes);
    return n;
}

static void set_loop(struct kc_writer *w, struct watch *a, struct kc_loop *loop)
{
    pthread_mutex_lock(&w->lock);
    a->loop = loop;
    pthread_mutex_unlock(&w->lock);
}

void kc_writer_watch(struct kc_writer *w, struct kc_loop *loop)
{
    if (check(w) != KC_OK)
        return;
    set_loop(w, &w->own, loop);
    for (struct link *l = w->links; l; l = l->next)
        set_loop(l->to, &l->watch, loop);
}

/* Lets one journal go: where others use it, what has changed is written. */
static size_t leave(struct kc_writer *w, struct watch *watch, uint64_t end_ms)
{
    bool last;
    unwatch(w, watch);
    size_t lost = kc_writer_unuse(w, left_until(end_ms), &last);
    if (!last) {
        int err = kc_journal_sync(w->journal, left_until(end_ms));
        (void)err; /* others go on trying */
    }
    return lost;
}

size_t kc_writer_close(struct kc_writer *w, uint64_t timeout_ms)
{
    uint64_t end_ms = kc_add_capped(kc_mono_ms(), timeout_ms);
    if (w->closed)
        return 0;
    w->closed = true;
    if (is_forked(w)) {
        kc_journal_forget(w->journal);
        return 0;
    }
    kc_registry_not_at_exit(&w->farewell);
    size_t lost = leave(w, &w->own, end_ms);
    while (w->links) {
        struct link *l = w->links;
        w->links = l->next;
        lost += leave(l->to, &l->watch, end_ms);
        kc_writer_drop(l->to);
        free(l);
    }
    return lost;
}
