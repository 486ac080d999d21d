/* tally.h -- what a store is still to be told of one (key, model).
 *
 * What was settled goes into the open cell, which ends with its span of time.
 * A cell that the store has and that has not changed since is forgotten; the
 * others wait. Are there many, those that it surely does not have are summed
 * up: by minutes, hours and days, as they grow old. Two cells never overlap.
 *
 * Pure, and under the lock of the pool that owns it.
 */
#ifndef KC_ENGINE_TALLY_H
#define KC_ENGINE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pool_store.h"

#define KC_TALLY_CELLS 64 /* more are summed up; so many are out at once */

struct kc_cell {
    uint64_t start_ms, span_ms; /* 0 and 0: nothing was ever in it */
    struct kc_used used;
    uint64_t last_ms;
    bool news; /* the store is to be told */
    bool out;  /* it is being told */
    bool told; /* it may have the row: start and span stay as they are */
    struct kc_cell *next;   /* a newer one */
    struct kc_used written; /* what the store surely has */
};

struct kc_tally { /* what every call looks at stands first */
    /* The numbers lie apart: a processor that is made to store two at once, or
     * to load them just after, waits. It is felt. */
    uint64_t held_requests;
    bool listed; /* to be collected, or out, or refused: not to be listed */
    uint64_t held_tokens;
    bool news; /* sums or held: the store is to be told */
    uint64_t held_input;
    bool refused;      /* the store takes nothing of it */
    bool others_apart; /* as the leases' */
    uint64_t held_ms;  /* when what is held changed last */
    struct kc_cell open; /* the newest */
    uint32_t out;        /* pieces that are being told */
    uint32_t waiting;    /* cells beside the open one */
    struct kc_cell *oldest; /* of a list that ends with the open one */
    struct kc_cell **end;   /* what points to the open one */
    struct kc_held others;  /* what other processes hold */
    struct kc_used closed;  /* in all, but what lies in the open cell */
    struct kc_used written; /* in all, as the store has it */
    const char *key;        /* borrowed */
    const char *model;
    struct kc_tally *next_listed;
    struct kc_tally *next; /* of the pool's */
};

/* kc_tally_new makes one with nothing in it. Keeps `key` and `model`. */
KC_CHECKED int kc_tally_new(const char *key, const char *model,
                            struct kc_tally **out);
void kc_tally_free(struct kc_tally *t); /* takes NULL */

/* kc_tally_hold: a request was reserved. */
static inline void kc_tally_hold(struct kc_tally *t, uint64_t now_ms,
                                 uint64_t tokens, uint64_t input)
{
    t->held_requests++;
    t->held_tokens += tokens;
    t->held_input += input;
    t->held_ms = now_ms;
    t->news = true;
}

/* kc_tally_release: what was reserved so is over. */
static inline void kc_tally_release(struct kc_tally *t, uint64_t now_ms,
                                    uint64_t tokens, uint64_t input)
{
    t->held_requests--;
    t->held_tokens -= tokens;
    t->held_input -= input;
    t->held_ms = now_ms;
    t->news = true;
}

/* kc_tally_open_next ends the open cell: another span is running. Without
 * memory for a cell the last one takes more. */
void kc_tally_open_next(struct kc_tally *t, uint64_t now_ms);

/* kc_tally_use returns where to add what was used now. */
static inline struct kc_used *kc_tally_use(struct kc_tally *t, uint64_t now_ms)
{
    if (now_ms - t->open.start_ms >= t->open.span_ms)
        kc_tally_open_next(t, now_ms);
    t->open.last_ms = now_ms + 1; /* it counts until the end of this ms */
    t->open.news = true;
    return &t->open.used;
}

/* kc_tally_has_news: there is something to collect, now or once what is out has
 * come back. */
bool kc_tally_has_news(const struct kc_tally *t);

/* kc_tally_collect writes at most `max` pieces, the oldest first, and returns
 * how many; none while some are out. */
size_t kc_tally_collect(struct kc_tally *t, struct kc_use_news *out,
                        size_t max);

/* kc_tally_collected takes back one piece. */
void kc_tally_collected(struct kc_tally *t, const struct kc_use_news *news,
                        enum kc_news_end end);

/* kc_tally_unwritten counts the pieces that wait or are out. */
size_t kc_tally_unwritten(const struct kc_tally *t);

/* kc_tally_renew: another writer begins; it has nothing yet. */
void kc_tally_renew(struct kc_tally *t);

/* kc_tally_settled_ms returns when the oldest cell begins of which the store
 * may still be told; `running_ms`, the start of the running span, for none. */
uint64_t kc_tally_settled_ms(const struct kc_tally *t, uint64_t running_ms);

#endif
