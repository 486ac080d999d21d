/* journal.c -- see journal.h.
 *
 * `lock` guards the counters and is held for moments; `store_lock` is held as
 * long as the store works. Whoever wants both takes `store_lock` first.
 */
#include "store/journal.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/cells.h"
#include "util/clock.h"
#include "util/rng.h"

#define BATCH_MS 250
#define FIRST_WAIT_MS 250
#define LONGEST_WAIT_MS 10000
#define ERROR_MAX 256

struct kc_journal {
    pthread_mutex_t lock;
    pthread_mutex_t store_lock;
    pthread_cond_t changed; /* for the thread */
    pthread_cond_t tried;   /* for those who flush */
    pthread_t thread;
    struct kc_store *store;
    struct kc_cells cells;
    uint64_t due_ms;  /* monotonic: when the next write is tried */
    uint64_t wait_ms; /* after the next failure; 0: the last one worked */
    uint64_t added;   /* calls of kc_journal_add */
    uint64_t saved;   /* how many of them are written */
    bool hurry;       /* somebody flushes: do not wait */
    bool stop;
    char writer[17];
    char error[ERROR_MAX];
};

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ms)
{
    struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
                          .tv_nsec = (long)(ms % 1000) * 1000000};
    pthread_cond_timedwait(cond, lock, &ts);
}

/* Without the lock: one transaction. *error gets the store's words. */
static int write_batch(struct kc_journal *j, const struct kc_batch *batch,
                       char error[ERROR_MAX])
{
    char writer[sizeof j->writer + 12];
    if (batch->part == 0)
        snprintf(writer, sizeof writer, "%s", j->writer);
    else
        snprintf(writer, sizeof writer, "%s-%u", j->writer,
                 (unsigned)batch->part);
    pthread_mutex_lock(&j->store_lock);
    int err = kc_store_write(j->store, writer, batch->rows, batch->len);
    const char *words = err == KC_OK ? "" : kc_store_error(j->store);
    if (err != KC_OK && !*words)
        words = kc_err_text(err);
    snprintf(error, ERROR_MAX, "%s", words);
    pthread_mutex_unlock(&j->store_lock);
    return err;
}

/* With the lock, which is let go while the store works. */
static void try_write(struct kc_journal *j)
{
    struct kc_batch batch;
    uint64_t upto = j->added;
    char error[ERROR_MAX];
    j->hurry = false;
    int err = kc_cells_take(&j->cells, &batch);
    size_t left = batch.left;
    if (err == KC_OK) {
        pthread_mutex_unlock(&j->lock);
        err = write_batch(j, &batch, error);
        pthread_mutex_lock(&j->lock);
        kc_cells_done(&j->cells, &batch, err == KC_OK);
    } else {
        snprintf(error, sizeof error, "%s", kc_err_text(err));
    }
    memcpy(j->error, error, sizeof j->error);
    if (err != KC_OK) {
        j->wait_ms = j->wait_ms ? j->wait_ms * 2 : FIRST_WAIT_MS;
        if (j->wait_ms > LONGEST_WAIT_MS)
            j->wait_ms = LONGEST_WAIT_MS;
        j->due_ms = kc_mono_ms() + j->wait_ms;
    } else if (left > 0) {
        j->due_ms = 0;
    } else {
        j->wait_ms = 0;
        j->saved = upto;
        kc_cells_forget(&j->cells, kc_mono_ms());
    }
    pthread_cond_broadcast(&j->tried);
}

static void *run(void *arg)
{
    struct kc_journal *j = arg;
    pthread_mutex_lock(&j->lock);
    while (!j->stop) {
        if (j->cells.dirty_len == 0)
            pthread_cond_wait(&j->changed, &j->lock);
        else if (!j->hurry && kc_mono_ms() < j->due_ms)
            wait_until(&j->changed, &j->lock, j->due_ms);
        else
            try_write(j);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

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

static void deinit_sync(struct kc_journal *j)
{
    pthread_mutex_destroy(&j->store_lock);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->tried);
    pthread_cond_destroy(&j->changed);
}

/* Signals are the program's: none may land in our thread. */
static int start_thread(struct kc_journal *j)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return KC_ESYSTEM;
    int err = pthread_create(&j->thread, NULL, run, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err == 0 ? KC_OK : KC_ESYSTEM;
}

int kc_journal_open(struct kc_store *store, struct kc_journal **out)
{
    *out = NULL;
    struct kc_journal *j = calloc(1, sizeof *j);
    int err = j ? init_sync(j) : KC_ENOMEM;
    if (err != KC_OK) {
        free(j);
        kc_store_close(store);
        return err;
    }
    kc_cells_init(&j->cells);
    j->store = store;
    snprintf(j->writer, sizeof j->writer, "%016llx",
             (unsigned long long)kc_rng_entropy());
    err = start_thread(j);
    if (err != KC_OK) {
        deinit_sync(j);
        free(j);
        kc_store_close(store);
        return err;
    }
    *out = j;
    return KC_OK;
}

int kc_journal_add(struct kc_journal *j, const char *provider, const char *key,
                   const char *model, uint64_t wall_ms,
                   const struct kc_delta *d)
{
    uint64_t now = kc_mono_ms();
    pthread_mutex_lock(&j->lock);
    bool first = j->cells.dirty_len == 0;
    int err = kc_cells_add(&j->cells, provider, key, model, wall_ms, d, now);
    if (err == KC_OK) {
        j->added++;
        if (first && j->wait_ms == 0)
            j->due_ms = now + BATCH_MS;
        if (first)
            pthread_cond_signal(&j->changed);
    }
    pthread_mutex_unlock(&j->lock);
    return err;
}

int kc_journal_read(struct kc_journal *j, const char *provider, kc_row_fn *fn,
                    void *ctx, char **why)
{
    *why = NULL;
    pthread_mutex_lock(&j->store_lock);
    int err = kc_store_read(j->store, provider, fn, ctx);
    if (err == KC_ESTORE || err == KC_ECORRUPT)
        *why = strdup(kc_store_error(j->store));
    pthread_mutex_unlock(&j->store_lock);
    return err;
}

int kc_journal_flush(struct kc_journal *j, uint64_t timeout_ms)
{
    uint64_t now = kc_mono_ms(), end = now + timeout_ms;
    pthread_mutex_lock(&j->lock);
    uint64_t upto = j->added;
    if (j->saved < upto) {
        j->hurry = true;
        j->wait_ms = 0;
        pthread_cond_signal(&j->changed);
    }
    while (j->saved < upto && (now = kc_mono_ms()) < end)
        wait_until(&j->tried, &j->lock, end);
    int err = j->saved >= upto ? KC_OK : j->error[0] ? KC_ESTORE : KC_ETIMEOUT;
    pthread_mutex_unlock(&j->lock);
    return err;
}

void kc_journal_error(struct kc_journal *j, char *out, size_t size)
{
    pthread_mutex_lock(&j->lock);
    snprintf(out, size, "%s", j->error);
    pthread_mutex_unlock(&j->lock);
}

size_t kc_journal_close(struct kc_journal *j, uint64_t timeout_ms)
{
    int err = kc_journal_flush(j, timeout_ms);
    (void)err; /* what is lost is counted below */
    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    size_t lost = j->cells.dirty_len;
    kc_cells_deinit(&j->cells);
    kc_store_close(j->store);
    deinit_sync(j);
    free(j);
    return lost;
}

void kc_journal_forget(struct kc_journal *j)
{
    kc_store_forget(j->store);
    /* The thread is not here. Where it held the lock at the fork, the cells
     * are in no known state: they stay. */
    if (pthread_mutex_trylock(&j->lock) != 0)
        return;
    kc_cells_deinit(&j->cells);
    free(j);
}
