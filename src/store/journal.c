/* journal.c -- see journal.h: those who speak with the thread. */
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/journal_impl.h"
#include "util/clock.h"
#include "util/num.h"

static const struct kc_pace usual = {.write = KC_WRITE_MS,
                                     .merge = KC_MERGE_MS,
                                     .hurry = 100,
                                     .beat = 10000,
                                     .idle_beat = 600000,
                                     .tend = 10000,
                                     .retry = 100,
                                     .retry_max = 10000,
                                     .grace = 200};

/* -- life ------------------------------------------------------------------ */

static int init_sync(struct kc_journal *j)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return KC_ESYSTEM;
    int err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (err == 0)
        err = pthread_cond_init(&j->changed, &attr);
    if (err == 0 && (err = pthread_cond_init(&j->tried, &attr)) != 0)
        pthread_cond_destroy(&j->changed);
    pthread_condattr_destroy(&attr);
    if (err != 0)
        return KC_ESYSTEM;
    pthread_mutex_init(&j->lock, NULL); /* cannot fail without attributes */
    pthread_mutex_init(&j->store_lock, NULL);
    return KC_OK;
}

int kc_journal_open(struct kc_store *store, struct kc_journal **out)
{
    *out = NULL;
    struct kc_journal *j = calloc(1, sizeof *j);
    int err = j ? kc_pages_init(&j->pages) : KC_ENOMEM;
    if (err == KC_OK) {
        err = init_sync(j);
        if (err != KC_OK)
            kc_pages_deinit(&j->pages);
    }
    if (err != KC_OK) {
        free(j);
        kc_store_close(store);
        return err;
    }
    atomic_init(&j->refs, 1);
    j->store = store;
    j->pace = usual;
    kc_others_init(&j->others);
    kc_map_init(&j->providers);
    *out = j;
    return KC_OK;
}

static void free_memory(struct kc_journal *j)
{
    kc_pages_deinit(&j->pages);
    kc_others_deinit(&j->others);
    kc_map_deinit(&j->providers);
    free(j);
}

void kc_journal_unref(struct kc_journal *j)
{
    if (!j || atomic_fetch_sub(&j->refs, 1) > 1)
        return;
    pthread_mutex_destroy(&j->store_lock);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->tried);
    pthread_cond_destroy(&j->changed);
    free_memory(j);
}

void kc_journal_forget(struct kc_journal *j)
{
    /* The thread is not here. Where it held a lock at the fork, what that
     * guards is in no known state: it stays. */
    if (pthread_mutex_trylock(&j->store_lock) != 0)
        return;
    kc_store_forget(j->store);
    if (pthread_mutex_trylock(&j->lock) != 0)
        return;
    while (j->kept) {
        struct kc_keeping *k = j->kept;
        j->kept = k->next;
        k->kept.released = NULL; /* the pool is the parent's */
        kc_keeping_free(k);
    }
    free_memory(j);
}

void kc_journal_on_change(struct kc_journal *j, void (*fn)(void *ctx),
                          void *ctx)
{
    j->on_change = fn;
    j->ctx = ctx;
}

/* -- for any thread -------------------------------------------------------- */

static struct kc_keeping *new_keeping(const struct kc_kept *kept)
{
    struct kc_keeping *k = calloc(1, sizeof *k);
    char *provider = strdup(kept->provider);
    if (!k || !provider) {
        free(k);
        free(provider);
        return NULL;
    }
    k->kept = *kept;
    k->kept.provider = k->provider = provider;
    kc_view_init(&k->view, kept->pool, provider);
    return k;
}

/* With store_lock. */
static int begin_keep(struct kc_journal *j, const struct kc_keeping *k)
{
    pthread_mutex_lock(&j->lock);
    bool closed = j->closed;
    pthread_mutex_unlock(&j->lock);
    if (closed)
        return KC_ECLOSED;
    if (kc_map_get(&j->providers, k->provider))
        return KC_EDIFFERS;
    return kc_map_set(&j->providers, k->provider, j);
}

static int keep(struct kc_journal *j, struct kc_keeping *k, char **why)
{
    k->view.now_ms = k->kept.now(k->kept.ctx);
    k->keys_at = kc_pool_state_version(k->kept.pool);
    int err = kc_others_restore(&j->others, &k->view, j->store);
    if (err != KC_OK) {
        const char *words = kc_store_error(j->store);
        if (err != KC_ENOMEM && words && *words)
            *why = strdup(words);
        return err;
    }
    kc_pool_keep(k->kept.pool);
    k->told_at = kc_pool_state_version(k->kept.pool);
    pthread_mutex_lock(&j->lock);
    if (!j->started)
        err = kc_journal_start(j);
    if (err == KC_OK) {
        j->started = true;
        k->next = j->kept;
        j->kept = k;
        kc_others_add(&j->others, &k->view);
        pthread_cond_signal(&j->changed);
    }
    pthread_mutex_unlock(&j->lock);
    return err;
}

int kc_journal_keep(struct kc_journal *j, const struct kc_kept *kept,
                    char **why)
{
    *why = NULL;
    struct kc_keeping *k = new_keeping(kept);
    if (!k)
        return KC_ENOMEM;
    pthread_mutex_lock(&j->store_lock);
    int err = begin_keep(j, k);
    if (err == KC_OK) {
        err = keep(j, k, why);
        if (err != KC_OK)
            kc_map_remove(&j->providers, k->provider);
    }
    pthread_mutex_unlock(&j->store_lock);
    if (err != KC_OK) {
        k->kept.released = NULL; /* it was never kept */
        kc_keeping_free(k);
    }
    return err;
}

void kc_journal_release(struct kc_journal *j, struct kc_pool *pool)
{
    pthread_mutex_lock(&j->lock);
    for (struct kc_keeping *k = j->kept; k; k = k->next)
        k->leaving |= k->kept.pool == pool;
    atomic_store(&j->woken, true);
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

static void ring(struct kc_journal *j, atomic_bool *bell)
{
    if (atomic_load(bell) || atomic_exchange(bell, true))
        return;
    pthread_mutex_lock(&j->lock);
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

void kc_journal_wake(struct kc_journal *j)
{
    ring(j, &j->woken);
}

void kc_journal_hurry(struct kc_journal *j)
{
    ring(j, &j->hurried);
}

int kc_journal_with(struct kc_journal *j,
                    int (*fn)(void *ctx, struct kc_store *s), void *ctx)
{
    pthread_mutex_lock(&j->store_lock);
    int err = j->store ? fn(ctx, j->store) : KC_ECLOSED;
    pthread_mutex_unlock(&j->store_lock);
    return err;
}

/* With the lock: has the thread try now, however often it has failed. */
static uint64_t ask(struct kc_journal *j)
{
    j->hurry = true;
    j->wait_ms = 0;
    pthread_cond_signal(&j->changed);
    return ++j->asked;
}

int kc_journal_sync(struct kc_journal *j, uint64_t timeout_ms)
{
    uint64_t end_ms = kc_add_capped(kc_mono_ms(), timeout_ms);
    int err = KC_ETIMEOUT;
    pthread_mutex_lock(&j->lock);
    if (j->closed || !j->started) {
        pthread_mutex_unlock(&j->lock);
        return j->closed ? KC_ECLOSED : KC_OK;
    }
    uint64_t upto = ask(j);
    while (j->served < upto && !j->gone && kc_mono_ms() < end_ms)
        kc_journal_wait(&j->tried, &j->lock, end_ms);
    if (j->served >= upto)
        err = KC_OK;
    else if (j->error[0])
        err = KC_ESTORE;
    pthread_mutex_unlock(&j->lock);
    return err;
}

void kc_journal_status(struct kc_journal *j, struct kc_journal_status *out)
{
    *out = (struct kc_journal_status){0};
    pthread_mutex_lock(&j->lock);
    for (const struct kc_keeping *k = j->kept; k; k = k->next)
        out->waiting += kc_news_missing(k);
    out->set_aside = j->set_aside;
    if (j->failing_since_ms)
        out->failing_ms = kc_mono_ms() - j->failing_since_ms + 1;
    memcpy(out->error, j->error, sizeof out->error);
    memcpy(out->aside, j->aside, sizeof out->aside);
    pthread_mutex_unlock(&j->lock);
}

/* With the lock: waits for the thread's end, which may hang in the store. */
static size_t end_thread(struct kc_journal *j, uint64_t end_ms)
{
    ask(j);
    while (!j->gone && kc_mono_ms() < end_ms)
        kc_journal_wait(&j->tried, &j->lock, end_ms);
    if (!j->gone) {
        atomic_store(&j->stop, true);
        if (j->store)
            kc_store_interrupt(j->store);
        pthread_cond_signal(&j->changed);
        end_ms = kc_mono_ms() + j->pace.grace;
    }
    while (!j->gone && kc_mono_ms() < end_ms)
        kc_journal_wait(&j->tried, &j->lock, end_ms);
    size_t lost = j->lost;
    for (const struct kc_keeping *k = j->kept; k; k = k->next)
        lost += kc_news_missing(k);
    bool gone = j->gone;
    pthread_t thread = j->thread;
    pthread_mutex_unlock(&j->lock);
    if (gone)
        pthread_join(thread, NULL);
    else
        pthread_detach(thread);
    pthread_mutex_lock(&j->lock);
    return lost;
}

size_t kc_journal_close(struct kc_journal *j, uint64_t timeout_ms)
{
    uint64_t end_ms = kc_add_capped(kc_mono_ms(), timeout_ms);
    size_t lost = 0;
    pthread_mutex_lock(&j->lock);
    bool first = !j->closed;
    j->closed = true;
    if (first && j->started)
        lost = end_thread(j, end_ms);
    struct kc_store *unused = NULL;
    if (first && !j->started) {
        unused = j->store;
        j->store = NULL;
    }
    pthread_mutex_unlock(&j->lock);
    kc_store_close(unused);
    return lost;
}
