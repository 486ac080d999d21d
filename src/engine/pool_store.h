/* pool_store.h -- what a pool tells a store, and what it takes from one.
 *
 * A pool that is kept counts for each (key, model) what was settled, since it
 * is kept and in the running span of 2 s, and what is in flight. The store's
 * thread collects what is new, writes it, and says what came of that: so a call
 * costs a few additions and a mark, and an outage costs no rows, for spans that
 * wait are summed up by minutes, hours and days. States of keys and limits that
 * answers told are news in the same way.
 *
 * What a store remembers of this pool's keys is taken once a key ("the past");
 * what other processes use meanwhile, as it comes. What they have in flight is
 * held here, too, and does not age. Thread-safe, as pool.h.
 */
#ifndef KC_ENGINE_POOL_STORE_H
#define KC_ENGINE_POOL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pool.h"
#include "engine/side.h" /* struct kc_held */
#include "util/err.h"

#define KC_SPAN_MS 2000
#define KC_STATE_KEY_MAX 80
#define KC_LEARNED_MAX 512

struct kc_used {       /* settled */
    uint64_t requests; /* made, refused ones too */
    uint64_t input;    /* tokens, as the provider told */
    uint64_t output;
    uint64_t total;
    uint64_t counted; /* requests and tokens as limits count them */
    uint64_t counted_tokens;
    uint64_t counted_input;
};

struct kc_tally; /* of one (key, model); the pool's */

struct kc_use_news {        /* of one (key, model) */
    struct kc_tally *tally; /* for kc_pool_collected */
    const char *key;        /* hash; lives as long as the pool, as does: */
    const char *model;
    struct kc_used sum; /* since the pool is kept */
    struct kc_held held;
    uint64_t sum_last_ms; /* newest instant that the two speak of */
    uint64_t start_ms;    /* a span; never overlapping another of the same */
    uint64_t span_ms;     /* 0: none is to be written */
    uint64_t last_ms;     /* the newest instant at which any of it counted */
    struct kc_used used;  /* in that span, absolute: it overwrites */
};

/* kc_pool_keep makes the pool count for a store, from now. Idempotent. */
void kc_pool_keep(struct kc_pool *p);

/* kc_pool_has_news: something has changed since kc_pool_collect began last.
 * Takes no lock: for whoever wakes the store's thread after each call. */
bool kc_pool_has_news(const struct kc_pool *p);

/* kc_pool_collect moves at most `max` pieces of news into `out`, and returns
 * how many; fewer than `max`: there is no more now. Each is out until
 * kc_pool_collected, and until then nothing else of its (key, model) comes. One
 * thread collects at a time. */
size_t kc_pool_collect(struct kc_pool *p, uint64_t now_ms,
                       struct kc_use_news *out, size_t max);

enum kc_news_end {
    KC_NEWS_WRITTEN,
    KC_NEWS_FAILED,   /* surely not written: it is news again */
    KC_NEWS_DOUBTFUL, /* perhaps: news again, under the same start and span */
    KC_NEWS_REFUSED   /* nothing of this (key, model) is ever news again */
};
void kc_pool_collected(struct kc_pool *p, const struct kc_use_news *news,
                       size_t n, enum kc_news_end end);

/* kc_pool_unwritten counts the pieces of news that wait, those out too. */
size_t kc_pool_unwritten(struct kc_pool *p);

/* kc_pool_settled_ms: no news that is collected later has a span that begins
 * before. */
uint64_t kc_pool_settled_ms(struct kc_pool *p, uint64_t now_ms);

/* kc_pool_renew: the store took the writer for dead and begins a new one: sums
 * and spans count from what was last written under the old one; what was in
 * doubt is taken for not written. Nothing is out. */
void kc_pool_renew(struct kc_pool *p);

/* -- states -------------------------------------------------------------- */

/* What is kept of a key, of a key for one model, or of a group of keys. Times
 * are engine time. The newer of two (by changed_ms) holds. */
struct kc_state_row {
    char key[KC_STATE_KEY_MAX]; /* hash, or "group:" and the group's name */
    const char *model;          /* "": the whole key. Lives as the pool */
    char label[64];             /* as kc_key_info; of a group its name */
    char suffix[8];
    enum kc_state state; /* READY COOLING EXHAUSTED SUSPENDED INVALID */
    bool disabled;
    bool guessed, auth; /* see kc_cooldown */
    uint32_t tries;
    uint64_t until_ms; /* KC_NEVER: none */
    char reason[64];
    char learned[KC_LEARNED_MAX]; /* "requests_per_day=9 …"; "": nothing */
    uint64_t changed_ms; /* 0: never; the row tells label and suffix alone */
};

/* kc_pool_state_version grows with each change of a state, of a limit that was
 * learned, of a key's label or group, and with each key. */
uint64_t kc_pool_state_version(const struct kc_pool *p);

/* kc_pool_next_state gives the next row that changed after version `since` (0:
 * every key at least). Start with *cursor 0, and read the version before: what
 * changes meanwhile may be told only the next time. KC_EAGAIN: nothing in this
 * stretch, ask again; KC_EEND. */
KC_CHECKED int kc_pool_next_state(struct kc_pool *p, uint64_t now_ms,
                                  uint64_t *cursor, uint64_t since,
                                  struct kc_state_row *out);

/* kc_pool_take_state sets a state that a store remembers or another process has
 * told, if it is newer than ours; it is not news then. A row without limits
 * leaves what was learned. KC_ENOTFOUND: no such key, or no such group and a
 * name too long to be told; KC_EINVALID: no such state. */
KC_CHECKED int kc_pool_take_state(struct kc_pool *p, uint64_t now_ms,
                                  const struct kc_state_row *row);

/* -- use ------------------------------------------------------------------ */

/* kc_pool_begin_restore marks the keys that the past was not read of yet, and
 * returns how many; with kc_pool_end_restore it was, or (not `done`) is still
 * to be. */
size_t kc_pool_begin_restore(struct kc_pool *p);
void kc_pool_end_restore(struct kc_pool *p, bool done);

enum kc_origin {
    KC_PAST,  /* for the keys that kc_pool_begin_restore marked */
    KC_OTHERS /* for those whose past was read */
};

/* kc_pool_take_use books in the windows what `used` counts, at `at_ms`;
 * kc_pool_take_total adds to the totals of statistics. KC_ENOTFOUND: the key is
 * none of those. */
KC_CHECKED int kc_pool_take_use(struct kc_pool *p, uint64_t now_ms,
                                enum kc_origin origin, const char *key,
                                const char *model, uint64_t at_ms,
                                const struct kc_used *used);
KC_CHECKED int kc_pool_take_total(struct kc_pool *p, uint64_t now_ms,
                                  enum kc_origin origin, const char *key,
                                  const char *model, uint64_t requests,
                                  uint64_t tokens);

/* kc_pool_take_held replaces what somebody else was known to hold by what he
 * holds now. What has got free is free for waiters at the next pump. */
KC_CHECKED int kc_pool_take_held(struct kc_pool *p, uint64_t now_ms,
                                 enum kc_origin origin, const char *key,
                                 const char *model,
                                 const struct kc_held *before,
                                 const struct kc_held *now);

/* kc_pool_longest_ms returns how far back some window reaches, a calendar's day
 * included: what is older need not be read. */
uint64_t kc_pool_longest_ms(struct kc_pool *p);

#endif
