/* store.h -- where usage is kept between runs.
 *
 * Tables (see schema.h): writers (one run of one pool's journal each), keys by
 * the hash of the whole key, models, spans of use, sums, states. A writer owns
 * its rows: it alone writes, overwrites and sums them up, with absolute values,
 * so a doubtful commit may be repeated; rows of several writers add up. Who has
 * ended, or has not been seen for KC_DEAD_MS, may be summed into the archive
 * (writer 0) by anybody, and is told so (KC_ESTALE) should it come back. Times
 * are UTC, integer milliseconds.
 *
 * A store is used by one thread at a time, but for kc_store_interrupt.
 */
#ifndef KC_STORE_STORE_H
#define KC_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pool_store.h"
#include "util/err.h"

#define KC_DEAD_MS (2 * UINT64_C(86400000))
#define KC_KEEP_DAYS 400

struct kc_store;

/* kc_store_open opens what `url` names and makes or migrates its tables:
 * "sqlite:PATH", "sqlite:///PATH" (as SQLAlchemy writes it), "memory:",
 * "mysql://", "mysql+pymysql://", "mariadb://" where this build has the client.
 * `keep_days`: what is older is deleted by and by (0: KC_KEEP_DAYS); sums stay.
 * KC_ENOSTORE for a scheme that this build lacks, KC_ESTORE, KC_ECORRUPT,
 * KC_EBADURL. On failure *why gets words for a person, never with the URL's
 * password; the caller frees it with free(). */
KC_CHECKED int kc_store_open(const char *url, uint32_t keep_days,
                             struct kc_store **out, char **why);

/* kc_store_look is kc_store_open for who only reads: it makes no file and no
 * table, and changes nothing. KC_ENOTFOUND: there is nothing yet. */
KC_CHECKED int kc_store_look(const char *url, struct kc_store **out,
                             char **why);
void kc_store_close(struct kc_store *s); /* takes NULL */

/* kc_store_forget is close for a forked child. */
void kc_store_forget(struct kc_store *s);

/* kc_store_interrupt has the store fail soon with KC_ECLOSED. Any thread. */
void kc_store_interrupt(struct kc_store *s);

/* kc_store_error says in words what went wrong last. Borrowed. */
const char *kc_store_error(struct kc_store *s);

/* kc_store_is_private: no other process can see it. */
bool kc_store_is_private(const struct kc_store *s);

/* -- writing -------------------------------------------------------------- */

struct kc_use_row { /* what a writer used in one span */
    const char *provider;
    const char *key; /* hash */
    const char *model;
    uint64_t start_ms, span_ms;
    uint64_t last_ms;
    struct kc_used used;
};

struct kc_sum_row { /* what a writer used in all, and holds */
    const char *provider;
    const char *key;
    const char *model;
    uint64_t last_ms;
    struct kc_used used;
    struct kc_held held;
};

struct kc_kept_state {
    const char *provider;
    struct kc_state_row row;
};

enum kc_row_kind { KC_ROW_USE, KC_ROW_SUM, KC_ROW_STATE };

struct kc_batch {
    uint64_t now_ms; /* newest engine time: when the writer was seen */
    bool ended;      /* it will not write again */
    const struct kc_use_row *uses;
    size_t use_len;
    const struct kc_sum_row *sums;
    size_t sum_len;
    const struct kc_kept_state *states;
    size_t state_len;
    /* set on failure */
    bool doubtful;             /* KC_ESTORE: it may be written all the same */
    enum kc_row_kind bad_kind; /* KC_EINVALID: this row is refused */
    size_t bad;
};

/* kc_store_write writes all of it or nothing, in one transaction; an empty one
 * tells that the writer lives. The writer is made with the first. KC_ESTALE: it
 * was taken for dead and summed up; the next write makes a new one, whose sums
 * must begin anew (kc_pool_renew). */
KC_CHECKED int kc_store_write(struct kc_store *s, struct kc_batch *b);

/* kc_store_tend does some of what keeps the store small, as of engine time
 * `now_ms`: own spans that no later write can touch (they began before
 * `settled_ms`) into minutes after 2 minutes, hours after 65 minutes, days
 * after 26 hours; ended and dead writers into the archive after KC_DEAD_MS;
 * what is older than keep_days away. Cheap when nothing is due. */
KC_CHECKED int kc_store_tend(struct kc_store *s, uint64_t now_ms,
                             uint64_t settled_ms);

/* -- reading -------------------------------------------------------------- */

struct kc_writer_row { /* another writer */
    uint64_t id;       /* 0: the archive */
    uint64_t seq;      /* grows with each of its writes */
    uint64_t seen_ms;
    bool ended;
};

/* What a read finds, in this order; a function that is NULL is left out. Not
 * KC_OK ends the read with that code. Texts live for the call. */
struct kc_reader {
    void *ctx;
    int (*writer)(void *ctx, const struct kc_writer_row *w);
    int (*sum)(void *ctx, const struct kc_writer_row *w,
               const struct kc_sum_row *row);
    int (*use)(void *ctx, const struct kc_use_row *row);
    int (*state)(void *ctx, const struct kc_kept_state *state);
    bool counted; /* of spans no more is asked for than the key, the model,
                   * last_ms and what limits count */
};

/* kc_store_restore reads, as of one instant, what all writers but this one have
 * of `provider` (NULL: of all): the writers, their sums, their spans whose
 * last_ms is `since_ms` or later, oldest first, and the states. */
KC_CHECKED int kc_store_restore(struct kc_store *s, const char *provider,
                                uint64_t since_ms, const struct kc_reader *r);

/* kc_store_merge reads, as of one instant, the other writers that have not
 * ended, or had not when it was last asked (when somebody restored first, if it
 * never was), and the sums and states that they have written since then. What a
 * restore has told may come again: sums are absolute. Where surely nobody has
 * written, it calls nothing and sets *quiet. */
KC_CHECKED int kc_store_merge(struct kc_store *s, const struct kc_reader *r,
                              bool *quiet);

/* -- for statistics -------------------------------------------------------- */

struct kc_day_row {
    const char *provider;
    const char *key, *label, *suffix;
    const char *model;
    uint64_t start_ms; /* of the day, UTC */
    struct kc_used used;
};

#define KC_REPORT_WINDOWS 3 /* the last minute, hour, 24 hours */

struct kc_window_row { /* what limits count now of a key and model */
    const char *provider;
    const char *key;
    const char *model;
    uint64_t requests[KC_REPORT_WINDOWS];
    uint64_t tokens[KC_REPORT_WINDOWS];
};

struct kc_reporter {
    void *ctx;
    int (*total)(void *ctx, const struct kc_day_row *row); /* start_ms 0; with
                                                            * what is held */
    int (*day)(void *ctx, const struct kc_day_row *row);
    int (*window)(void *ctx, const struct kc_window_row *row);
    int (*state)(void *ctx, const struct kc_kept_state *state);
};

/* kc_store_report reads, as of one instant, the sums over all writers, what the
 * windows count that end at `now_ms`, and the use of each day since `days_ms`.
 * Of the use of a day or in all it tells requests, input, output and total.
 * What it calls must not use the store. */
KC_CHECKED int kc_store_report(struct kc_store *s, uint64_t now_ms,
                               uint64_t days_ms, const struct kc_reporter *r);

/* kc_store_import writes rows as the archive's: for a store that is filled from
 * elsewhere when it is opened. Only uses, sums and states are read of `b`. */
KC_CHECKED int kc_store_import(struct kc_store *s, struct kc_batch *b);

/* kc_store_export reads as kc_store_restore does, of all providers and all
 * times, what this writer has written, too. */
KC_CHECKED int kc_store_export(struct kc_store *s, const struct kc_reader *r);

#endif
