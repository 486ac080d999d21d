/* journal_impl.h -- the body of a journal, for its own files and for tests.
 *
 * `lock` is held for moments, `store_lock` as long as the store works. Whoever
 * wants both takes `store_lock` first; pools' and hubs' own locks come after.
 */
#ifndef KC_STORE_JOURNAL_IMPL_H
#define KC_STORE_JOURNAL_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/journal.h"
#include "store/others.h"

#define KC_WORDS_MAX 256
#define KC_BATCH_MAX 4000 /* pieces of news in one transaction */
#define KC_BATCH_STATES 256

struct kc_keeping { /* a pool that is kept */
    struct kc_kept kept;
    struct kc_view view;
    struct kc_keeping *next;
    char *provider;
    bool leaving; /* under `lock` */
    bool going;   /* the same, when its news were drawn last */
    bool used;    /* something of it was written */
    uint64_t keys_at; /* the version of states when its keys were looked at */
    /* the one of which nothing would be missed; read under no lock, too */
    _Atomic uint64_t told_at;
    /* the walk over states: all before `since` are written */
    bool walking;
    uint64_t since, upto, cursor;
    /* of the batch that is out */
    size_t first, len;
    bool walked;
    uint64_t next_cursor;
};

struct kc_pages { /* the batch that is out */
    size_t room;
    struct kc_use_news *news;
    struct kc_use_row *uses;
    struct kc_sum_row *sums;
    size_t *of_use, *of_sum; /* the piece of news that each is of */
    struct kc_kept_state *states;
    size_t len, state_len;
};

struct kc_pace { /* times, in ms */
    uint64_t write;     /* between two writes */
    uint64_t merge;     /* between two merges */
    uint64_t hurry;     /* the same after kc_journal_hurry */
    uint64_t beat;      /* something is held: write at least so often */
    uint64_t idle_beat; /* nothing is held */
    uint64_t tend;
    uint64_t retry, retry_max; /* after a failure, doubling */
    uint64_t grace; /* how long a close waits beyond its time for the thread */
};

struct kc_journal {
    atomic_size_t refs;  /* the opener's, the thread's */
    atomic_bool woken;   /* there are news, and the thread knows */
    atomic_bool hurried; /* the same of a merge */
    atomic_bool stop;    /* the thread is to end as it is */
    struct kc_pace pace;
    void (*on_change)(void *ctx);
    void *ctx;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* for the thread */
    pthread_cond_t tried;   /* for those who wait for it */
    pthread_t thread;
    bool started, closed, gone;
    bool hurry; /* try now */
    uint64_t asked, served; /* calls of kc_journal_sync, the close among them */
    uint64_t retry_ms, wait_ms; /* after a failure; 0: the last try worked */
    uint64_t failing_since_ms;
    size_t set_aside, lost;
    size_t told_aside; /* of set_aside, with on_change */
    char error[KC_WORDS_MAX], aside[KC_WORDS_MAX];

    pthread_mutex_t store_lock;
    struct kc_store *store;  /* NULL once it is closed */
    struct kc_others others;
    struct kc_keeping *kept; /* changed under both locks */
    struct kc_map providers; /* that have, or had, a pool here */
    struct kc_pages pages;
    bool ended; /* the store was told so */
    uint64_t now_ms;  /* newest engine time */
    /* monotonic, the thread's alone: when what was done last */
    uint64_t looked_ms, wrote_ms, merged_ms;
    uint64_t tend_ms, beat_ms; /* when the next one is due */
};

/* kc_journal_start starts the thread. */
KC_CHECKED int kc_journal_start(struct kc_journal *j);

/* kc_journal_wait waits with the lock for `cond`, or until `ms` (kc_mono_ms).
 */
void kc_journal_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ms);

/* kc_keeping_free tells that the pool is released, if it was kept. */
void kc_keeping_free(struct kc_keeping *k);

/* kc_pages_init makes room for a few pieces of news, which is never given up.
 */
KC_CHECKED int kc_pages_init(struct kc_pages *p);
void kc_pages_deinit(struct kc_pages *p);

/* kc_news_write writes what is new of all pools, with store_lock held, in as
 * many transactions as that takes; `ended`: and that this was the last.
 * `even_empty`: at least one. *wrote tells whether there was any. */
KC_CHECKED int kc_news_write(struct kc_journal *j, bool ended, bool even_empty,
                             bool *wrote);

/* kc_news_missing counts what a pool has that is not written. */
size_t kc_news_missing(const struct kc_keeping *k);

#endif
