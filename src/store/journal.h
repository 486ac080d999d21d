/* journal.h -- the one thread between pools and a store.
 *
 * It is woken by the first change, writes at once and then at most every
 * KC_WRITE_MS, each time in one transaction what has changed meanwhile; every
 * second, and when told, it takes in what other processes have written. Callers
 * never wait for it. When the store fails the news wait in their pools,
 * bounded, and are tried again after growing waits.
 */
#ifndef KC_STORE_JOURNAL_H
#define KC_STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pool.h"
#include "store/store.h"
#include "util/err.h"

#define KC_WRITE_MS 100
#define KC_MERGE_MS 1000

struct kc_journal; /* any thread */

/* What the journal is told of a pool that it keeps. The pool must live until
 * `released` was called, which may be in the journal's thread. */
struct kc_kept {
    struct kc_pool *pool;
    const char *provider; /* copied; one pool a provider */
    void *ctx;
    uint64_t (*now)(void *ctx);  /* engine time */
    void (*eased)(void *ctx);    /* what others held may have got free */
    void (*released)(void *ctx); /* nothing more will be asked */
};

/* kc_journal_open makes a journal; its thread starts with the first pool. Takes
 * `store`, even on failure. */
KC_CHECKED int kc_journal_open(struct kc_store *store, struct kc_journal **out);

/* kc_journal_unref frees a journal that was closed, once its thread has ended.
 * Until then all that is below may be called, and does nothing after the close
 * (KC_ECLOSED). Takes NULL. */
void kc_journal_unref(struct kc_journal *j);

/* kc_journal_on_change sets what the journal's thread calls when writing begins
 * to fail, when it works again, and when rows were set aside. Before the first
 * pool is kept. */
void kc_journal_on_change(struct kc_journal *j, void (*fn)(void *ctx),
                          void *ctx);

/* kc_journal_keep reads the past of the pool's keys, in the caller's thread,
 * and keeps the pool from now on; keys that are added later have theirs read by
 * the journal's thread. On failure nothing is kept, and *why may get words; the
 * caller frees it with free(). KC_EDIFFERS: that provider has another pool
 * here, or had one that was used: its sums are this writer's. */
KC_CHECKED int kc_journal_keep(struct kc_journal *j, const struct kc_kept *kept,
                               char **why);

/* kc_journal_release: the pool's news are written once more, then it is let go
 * (`released`). Does not wait. */
void kc_journal_release(struct kc_journal *j, struct kc_pool *pool);

/* kc_journal_wake: a pool has news. A few instructions when it was told. */
void kc_journal_wake(struct kc_journal *j);

/* kc_journal_hurry: look at what others have written now: somebody was refused.
 */
void kc_journal_hurry(struct kc_journal *j);

/* kc_journal_with runs fn(ctx, store) while the thread is held off, and returns
 * what it returns. */
KC_CHECKED int kc_journal_with(struct kc_journal *j,
                               int (*fn)(void *ctx, struct kc_store *s),
                               void *ctx);

/* kc_journal_sync waits until what has changed so far is written and what
 * others have written so far is taken in, at most `timeout_ms`. KC_ETIMEOUT, or
 * KC_ESTORE with the words of kc_journal_status. */
KC_CHECKED int kc_journal_sync(struct kc_journal *j, uint64_t timeout_ms);

struct kc_journal_status {
    size_t waiting;      /* pieces of news not written */
    size_t set_aside;    /* rows that the store refuses for good, so far */
    uint64_t failing_ms; /* for how long writing has failed; 0: it works */
    char error[256];     /* words of the last failure, "" when it works */
    char aside[256];     /* what was set aside last, and why */
};
void kc_journal_status(struct kc_journal *j, struct kc_journal_status *out);

/* kc_journal_close writes for at most `timeout_ms` what is left, releases all
 * pools, ends the thread and closes the store; a store that hangs is left to
 * the thread, which ends by itself. Returns how many pieces of news are lost.
 * Idempotent. */
size_t kc_journal_close(struct kc_journal *j, uint64_t timeout_ms);

/* kc_journal_forget is close and unref for a forked child: no thread, no store.
 */
void kc_journal_forget(struct kc_journal *j);

#endif
