/* pool.h -- one provider's keys, what each has used, and who waits for one.
 *
 * The way of a request: acquire reserves its cost on a key that has room in
 * every window; stamp says the provider has counted it; settle replaces the
 * reservation by the truth, exactly once. What a refusal proves about a key is
 * told by kc_pool_cool, _suspend or _unpaid. Nobody free: the caller is told
 * when, or puts a waiter into the queue and pumps it.
 *
 * Pure: no clock, no I/O, no callback; every call is told `now_ms`, which the
 * pool holds at the greatest it has seen. Thread-safe: one mutex, never held
 * across anything slow. Keys are named by their 1-based index, which a removed
 * key keeps: indexes are never reused.
 */
#ifndef KC_ENGINE_POOL_H
#define KC_ENGINE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/limits.h"
#include "util/buf.h"
#include "util/err.h"

struct kc_pool;

/* What callers use who have no wish of their own. */
#define KC_GUARD_MS 3000
#define KC_MAX_WAITERS 10000
#define KC_MAX_LEASE_MS (10 * 60 * 1000) /* longer than an answer takes */
#define KC_CONFIRM_MS 60000 /* until a key that auth refused is probed */

enum kc_strategy { KC_PER_MODEL, KC_GLOBAL };

/* Which of the keys with room serves a request, within the first tier (by
 * priority) that has one. */
enum kc_selection {
    KC_BALANCED,       /* the least loaded of all, or of 4 in a tier over 8 */
    KC_ROUND_ROBIN,    /* the next one */
    KC_RANDOM_TWO,     /* the less loaded of two */
    KC_FILL_FIRST,     /* the same until it is full */
    KC_WEIGHTED,       /* at random, in proportion to the keys' weights */
    KC_MOST_REMAINING, /* which could serve the most such requests */
    KC_BEST_FIT        /* which could serve the fewest: room stays whole */
};

/* READY..PROBING may serve now or later by themselves; EXHAUSTED too when it
 * has an `until`. The rest wait for the user. */
enum kc_state {
    KC_READY,
    KC_COOLING, /* a refusal of a minute or less, or of unknown length */
    KC_PROBING, /* back from a refusal: one request at a time until one works */
    KC_EXHAUSTED, /* a longer window is spent, or (until 0) money is */
    KC_SUSPENDED, /* auth refused once; probed after `until` */
    KC_INVALID,   /* auth refused again by the probe */
    KC_DISABLED,  /* by the user */
    KC_DRAINING,  /* removed, some leases still out */
    KC_GONE,      /* removed; only its index and its counts stay */
    KC_STATES
};

/* kc_state_name returns "ready", "cooling", … */
const char *kc_state_name(enum kc_state s);

struct kc_pool_config {
    enum kc_strategy strategy; /* GLOBAL: limits hold for all models of a key */
    enum kc_selection selection;
    uint32_t max_waiters;  /* most callers in the queue */
    uint64_t max_lease_ms; /* a lease older than this is settled as unknown */
    uint64_t guard_ms;     /* a request sent so long ago has been counted by the
                            * provider; 0: its headers or its end alone
                            * tell */
    uint64_t seed;         /* of the jitter and of random choices */
    bool random_start;     /* the first choice falls on any key */
};

/* kc_pool_new makes a pool without keys. Copies `config`. */
KC_CHECKED int kc_pool_new(const struct kc_pool_config *config,
                           struct kc_pool **out);

/* kc_pool_free frees all; no waiter may be queued. Takes NULL. Leases that are
 * still out are forgotten: their owners must not use them again. */
void kc_pool_free(struct kc_pool *p);

/* -- keys ---------------------------------------------------------------- */

struct kc_param {
    const char *name;
    const char *value;
};

struct kc_key_config { /* all text is copied */
    const char *secret;
    const char *label;             /* NULL: none */
    const char *group;             /* shares one quota with all of that name:
                                    * limits, 429s and unpaid bills; or NULL */
    int priority;                  /* lower numbers are served first */
    uint32_t weight;               /* for KC_WEIGHTED; 0 is 1 */
    const char *const *models;     /* the only ones it serves */
    size_t model_count;            /* 0: it serves all */
    const struct kc_param *params; /* extra, not secret */
    size_t param_count;
};

/* kc_pool_add_key adds a key and tells its index. A key that is there already
 * (also one that was removed: it comes back with its counts) gives its old
 * index and takes the new label, group, priority and parameters; into another
 * group it brings what it has used, as by kc_pool_join. */
KC_CHECKED int kc_pool_add_key(struct kc_pool *p, uint64_t now_ms,
                               const struct kc_key_config *key,
                               uint32_t *index);

/* kc_pool_remove_key takes a key out of use; its leases stay valid. */
KC_CHECKED int kc_pool_remove_key(struct kc_pool *p, uint64_t now_ms,
                                  uint32_t index);

/* kc_pool_find_key finds a key by its whole text or by its last characters
 * (at least 2). KC_ENOTFOUND, KC_EAMBIGUOUS. Removed keys are not found. */
KC_CHECKED int kc_pool_find_key(struct kc_pool *p, const char *id, size_t len,
                                uint32_t *index);

/* kc_pool_key_count returns the highest index ever given. */
uint32_t kc_pool_key_count(struct kc_pool *p);

struct kc_key_info { /* a snapshot; the texts are copies, cut where too long */
    uint32_t index;
    char suffix[8];
    char label[64];
    char group[64];
    char hash[33]; /* the key's name in a store */
    int priority;
    enum kc_state state;
    char reason[64];
    char model[128];   /* "" when the state is the whole key's */
    bool of_group;     /* the state is all its group's */
    uint64_t until_ms; /* 0: none */
};

/* kc_pool_key_info copies what may be shown of a key. With `model`, the state
 * of the key for that model; with NULL the whole key's state, or if that is
 * ready, the worst of its models'. */
KC_CHECKED int kc_pool_key_info(struct kc_pool *p, uint64_t now_ms,
                                uint32_t index, const char *model,
                                struct kc_key_info *out);

/* kc_pool_key_secret appends the key's text to `out`: for a request about to
 * be sent, or a program that asked. The caller wipes `out`. */
KC_CHECKED int kc_pool_key_secret(struct kc_pool *p, uint32_t index,
                                  struct kc_buf *out);

/* kc_pool_key_param appends the value of an extra parameter; KC_ENOTFOUND. */
KC_CHECKED int kc_pool_key_param(struct kc_pool *p, uint32_t index,
                                 const char *name, struct kc_buf *out);

/* kc_pool_key_param_name copies the name of the n-th (from 0) extra parameter;
 * KC_EEND after the last. */
KC_CHECKED int kc_pool_key_param_name(struct kc_pool *p, uint32_t index,
                                      size_t n, struct kc_buf *out);

/* kc_pool_redact blacks the key `index` out of `text` (see secret.h). */
KC_CHECKED int kc_pool_redact(struct kc_pool *p, uint32_t index,
                              struct kc_buf *text);

/* -- limits -------------------------------------------------------------- */

/* kc_pool_set_limits sets what holds for (key, model). `key` 0 is every key,
 * `model` NULL every model without a line of its own. The first line that
 * exists holds: (key, model), (key, NULL), (0, model), (0, NULL); none:
 * unlimited. Under KC_GLOBAL only lines with model NULL are read. Takes effect
 * at once, counts are kept. */
KC_CHECKED int kc_pool_set_limits(struct kc_pool *p, uint64_t now_ms,
                                  uint32_t key, const char *model,
                                  const struct kc_limits *limits);

/* kc_pool_clear_limits removes every line. */
void kc_pool_clear_limits(struct kc_pool *p);

/* kc_pool_set_only: under KC_GLOBAL only models whose names fit `pattern` (a
 * `*` at its end or beginning stands for any text; NULL: every model) have
 * their limits together. Each other model counts by itself and has those lines
 * alone that name it: the quota is none of its business. Copies `pattern`; what
 * is in flight stays where it was counted. */
KC_CHECKED int kc_pool_set_only(struct kc_pool *p, uint64_t now_ms,
                                const char *pattern);

/* kc_pool_has_only tells whether such a pattern is set. */
bool kc_pool_has_only(struct kc_pool *p);

/* kc_pool_get_limits tells what holds for (key, model) now, with what was
 * learned. */
KC_CHECKED int kc_pool_get_limits(struct kc_pool *p, uint32_t key,
                                  const char *model, struct kc_limits *out);

/* kc_pool_same: both have the same strategies, pattern of models, bound of
 * waiters, keys in use (in order) and lines of limits. Use, states and what was
 * learned are not looked at. */
bool kc_pool_same(struct kc_pool *a, struct kc_pool *b);

/* kc_pool_lined_model appends the name of the n-th (from 0) model for which
 * some key has a line of its own; KC_EEND after the last. */
KC_CHECKED int kc_pool_lined_model(struct kc_pool *p, size_t n,
                                   struct kc_buf *out);

/* kc_pool_strategy returns what the pool was made with. */
enum kc_strategy kc_pool_strategy(const struct kc_pool *p);

/* kc_pool_set_selection changes the strategy of choice. */
void kc_pool_set_selection(struct kc_pool *p, enum kc_selection selection);

/* -- leases -------------------------------------------------------------- */

struct kc_request {
    const char *model; /* copied where it is kept */
    uint64_t tokens;   /* reserved beside the one request */
    uint64_t input;    /* how many of them are input; the rest is output */
    uint32_t key;      /* 0: any; else this key is tried first */
    bool pin;          /* with `key`: no other key will do */
    uint32_t not_key;  /* 0, or a key to use only when no other will do */
    uint64_t affinity; /* 0, or kc_affinity: the same key while it has room */
    bool made;         /* it was made with `key` already: charged to that key,
                        * whatever limits, state and queue say */
};

/* kc_affinity makes a request's affinity of a text; never 0. The key that it
 * falls on depends on the text and the keys alone (rendezvous hashing: Thaler,
 * Ravishankar 1996), so that a key that comes or goes moves few others. */
uint64_t kc_affinity(const char *text);

struct kc_grant {
    uint64_t lease; /* slot and generation; 0 is never a lease */
    uint32_t key;
    uint64_t acquired_ms; /* engine time: names the bucket in the journal */
    uint64_t tokens;      /* reserved */
};

struct kc_refusal {
    uint64_t
        wait_ms; /* until it could be granted; KC_NEVER: an event decides */
    const char *limit; /* "requests_per_minute", "cooling", …; static text */
    uint64_t max;      /* of that limit, where it is a number */
    uint64_t span_ms;  /* of its window, where the name does not say; else 0 */
    uint32_t key;      /* the key whose time that is; 0: none */
};

/* kc_pool_acquire charges every meter of one key, or none.
 * KC_OK: *grant is set. KC_ELIMITED: *refusal says how long. KC_EIMPOSSIBLE:
 * over the limit itself on every key, *refusal names it. KC_ENOKEY: no key is
 * to be counted on; where one is SUSPENDED, *refusal says when it is probed.
 * KC_ENOTFOUND: no such `key`. A refusal changes
 * no count. A caller who finds others queued for the same model is refused with
 * KC_ELIMITED, unless it names a pinned key nobody waits for. */
KC_CHECKED int kc_pool_acquire(struct kc_pool *p, uint64_t now_ms,
                               const struct kc_request *request,
                               struct kc_grant *grant,
                               struct kc_refusal *refusal);

/* kc_pool_stamp says that the provider has counted the request (its headers
 * are here): from now it ages. Stale leases are ignored. Without a word a lease
 * is stamped `guard_ms` after its request was sent, which is at its grant
 * unless the two calls below say otherwise. */
void kc_pool_stamp(struct kc_pool *p, uint64_t now_ms, uint64_t lease);

/* kc_pool_sending: the request is still to be sent, and kc_pool_sent will tell
 * when it is, unless its headers come first. One that has been stamped, because
 * the guard took it for sent, is held again. Stale leases are ignored. */
void kc_pool_sending(struct kc_pool *p, uint64_t lease);
void kc_pool_sent(struct kc_pool *p, uint64_t now_ms, uint64_t lease);

/* kc_pool_ended: the answer is here, whole or broken off, though what it used
 * is not told yet. It keeps no other request waiting for its place. Stale
 * leases are ignored. */
void kc_pool_ended(struct kc_pool *p, uint64_t lease);

enum kc_outcome {
    KC_DONE,     /* answered: `usage` is the truth */
    KC_NOT_SENT, /* never left: everything is given back */
    KC_REFUSED,  /* the provider said no: the request counts, its tokens do not
                  */
    KC_FREE,     /* the same of a provider whose limits do not count what it
                  * refused: the request stays in the totals alone */
    KC_UNKNOWN   /* sent, end unknown: the whole reservation stays counted */
};

struct kc_usage {
    uint64_t input;
    uint64_t output;
    uint64_t total; /* 0 with input or output set: their sum */
    bool apart;     /* the provider's limits count other figures, these: */
    uint64_t counted;
    uint64_t counted_input; /* of them */
};

/* kc_pool_settle ends a lease. `usage` is read for KC_DONE only (NULL: the
 * reservation is the truth). KC_ESTALE when it was settled or was never given;
 * nothing changes then. */
KC_CHECKED int kc_pool_settle(struct kc_pool *p, uint64_t now_ms,
                              uint64_t lease, enum kc_outcome outcome,
                              const struct kc_usage *usage);

/* kc_pool_expire settles as KC_UNKNOWN the leases older than max_lease_ms and
 * returns how many; kc_pool_pump does it too. */
size_t kc_pool_expire(struct kc_pool *p, uint64_t now_ms);

/* -- what refusals prove ------------------------------------------------- */

/* kc_pool_cool puts (key, model) away after a 429; `model` NULL the whole key.
 * `delay_ms` is what the provider stated; KC_NEVER: unknown, then 1 s doubled
 * at each further one without a success, full jitter, at most 60 s, and at most
 * 1 s for the last key that is usable. Over 60 s the state is EXHAUSTED. At
 * most one day. `reason` is copied, cut at 63. *until_ms tells the end. An end
 * never moves earlier by a later guess. */
KC_CHECKED int kc_pool_cool(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                            const char *model, uint64_t delay_ms,
                            const char *reason, uint64_t *until_ms);

/* kc_pool_suspend: auth was refused. The first time the key is SUSPENDED for
 * `confirm_ms` and then probed; refused again while PROBING it is INVALID. */
KC_CHECKED int kc_pool_suspend(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                               uint64_t confirm_ms, const char *reason);

/* kc_pool_unpaid: EXHAUSTED without an end, until the user revives it. */
KC_CHECKED int kc_pool_unpaid(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                              const char *reason);

/* kc_pool_disable and kc_pool_enable are the user's; enable (= reset) revives
 * from every state but DRAINING and GONE, forgets cooldowns, keeps counts. */
KC_CHECKED int kc_pool_disable(struct kc_pool *p, uint64_t now_ms,
                               uint32_t key);
KC_CHECKED int kc_pool_enable(struct kc_pool *p, uint64_t now_ms, uint32_t key);

/* kc_pool_force_rotate makes the next choice begin at the next key. */
void kc_pool_force_rotate(struct kc_pool *p);

/* -- what answers tell --------------------------------------------------- */

struct kc_observation { /* one line of a provider's rate-limit headers */
    enum kc_window window;
    enum kc_unit unit;
    bool parts;         /* of a minute's input (unit 0) or output tokens (1);
                           `window` says nothing then */
    uint64_t limit;     /* KC_UNLIMITED: not told */
    uint64_t remaining; /* KC_UNLIMITED: not told */
};

/* kc_pool_observe takes in what the answer to `lease` says. A limit holds from
 * now beside the configured one: the lower of the two. Of `remaining` only what
 * others must have used is booked, so it never makes room; what an answer tells
 * that was asked for before the newest one is not. KC_ESTALE. */
KC_CHECKED int kc_pool_observe(struct kc_pool *p, uint64_t now_ms,
                               uint64_t lease, const struct kc_observation *o);

/* kc_pool_join: an answer named an organisation. The key shares one quota from
 * now with all that were joined under that name; what it has used is summed in.
 * A key with a group of its own, which the user knows better, stays there.
 * *joined tells whether anything changed. */
KC_CHECKED int kc_pool_join(struct kc_pool *p, uint64_t now_ms, uint32_t key,
                            const char *name, bool *joined);

/* -- waiting ------------------------------------------------------------- */

/* A waiter lies in its owner's memory, which must stay until the waiter is
 * settled or dequeued. */
struct kc_waiter {
    struct kc_request request; /* `model` must live as long as the waiter */
    int priority;              /* 0 to 7, 0 is served first */
    uint64_t deadline_ms;      /* engine time; KC_NEVER: none */
    void *owner;               /* the caller's, never touched */
    /* set by the pool */
    int result; /* KC_EAGAIN while queued, else as kc_pool_acquire */
    struct kc_grant grant;
    struct kc_refusal refusal;
    struct kc_waiter *prev, *next;
    uint64_t queued_ms;
};

/* kc_pool_enqueue tries, and queues where nothing is free. KC_OK: granted now.
 * KC_EAGAIN: queued. Else it is refused: KC_ELIMITED when not even with all
 * reservations given back a key would be free before the deadline;
 * KC_EQUEUEFULL, KC_EIMPOSSIBLE, KC_ENOKEY, KC_ENOTFOUND. */
KC_CHECKED int kc_pool_enqueue(struct kc_pool *p, uint64_t now_ms,
                               struct kc_waiter *w);

/* kc_pool_dequeue takes a waiter back; harmless when it is settled. A grant
 * that it holds stays the caller's to settle. */
void kc_pool_dequeue(struct kc_pool *p, struct kc_waiter *w);

/* kc_pool_pump serves the queue by priority and in order, one model's waiters
 * never overtaking one another, and returns a list (by `next`) of the waiters
 * settled now: granted, timed out (KC_ELIMITED) or hopeless. Call it after
 * whatever frees capacity and at kc_pool_next_deadline. */
struct kc_waiter *kc_pool_pump(struct kc_pool *p, uint64_t now_ms);

/* kc_pool_next_deadline returns when kc_pool_pump has something to do;
 * KC_NEVER for an empty queue. */
uint64_t kc_pool_next_deadline(struct kc_pool *p, uint64_t now_ms);

size_t kc_pool_waiting(struct kc_pool *p);

/* kc_pool_longest_wait returns for how many ms the one who came first waits; 0
 * for an empty queue. */
uint64_t kc_pool_longest_wait(struct kc_pool *p, uint64_t now_ms);

/* kc_pool_explain tells whether a request could be served now (KC_OK), or why
 * not, as kc_pool_acquire would without those who wait. It charges nothing. */
KC_CHECKED int kc_pool_explain(struct kc_pool *p, uint64_t now_ms,
                               const struct kc_request *request,
                               struct kc_refusal *refusal);

/* kc_pool_next_available tells in how many ms (key, model, tokens) could be
 * served, 0 for now: KC_OK, KC_ENOKEY, or KC_EIMPOSSIBLE. It charges nothing.
 */
KC_CHECKED int kc_pool_next_available(struct kc_pool *p, uint64_t now_ms,
                                      const struct kc_request *request,
                                      uint64_t *wait_ms);

/* -- events -------------------------------------------------------------- */

enum kc_event_type {
    KC_EVENT_ACQUIRE,  /* a key was given */
    KC_EVENT_ROTATE,   /* and it is another than the caller's last one */
    KC_EVENT_COOLDOWN, /* a 429 put it away until a time */
    KC_EVENT_INVALID,  /* it was refused, or its bill is unpaid */
    KC_EVENT_RECOVER,  /* it works again */
    KC_EVENT_WAIT,     /* a caller was put into the queue; no key */
    KC_EVENT_LEARN,    /* an answer told another limit */
    KC_EVENTS
};

/* kc_event_name returns "acquire", "rotate", … */
const char *kc_event_name(enum kc_event_type t);

struct kc_event { /* a copy */
    enum kc_event_type type;
    uint64_t at_ms;
    uint32_t key;      /* 0: none */
    uint32_t from;     /* of a rotation: the key before */
    uint64_t until_ms; /* of a cooldown */
    uint64_t amount;   /* of a limit that was learned; `reason` names it */
    uint64_t lost;     /* events before this one that came too fast */
    char model[128];   /* "" for a whole key */
    char reason[64];
};

/* kc_pool_listen begins (or, with false, ends) to keep events: nothing is kept
 * while nobody listens. *serial gets the place to read on from. */
KC_CHECKED int kc_pool_listen(struct kc_pool *p, bool on, uint64_t *serial);

/* kc_pool_event reads the event at *serial and moves it on; KC_EEND when there
 * is none yet. The last 1024 are kept. */
KC_CHECKED int kc_pool_event(struct kc_pool *p, uint64_t *serial,
                             struct kc_event *out);

/* -- statistics ---------------------------------------------------------- */

struct kc_snapshot {
    uint64_t used[KC_WINDOWS][KC_UNITS]; /* in flight included */
    uint64_t total_requests; /* sent, refused ones too; and what was taken
                              * from a store, see pool_store.h */
    uint64_t total_tokens;   /* settled */
    uint64_t in_flight;      /* others' too */
};

/* kc_pool_snapshot sums over `key` (0: all, removed ones too) and `model`
 * (NULL: all). KC_ENOTFOUND for an index never given; an unknown model is all
 * zero. Of all keys together 64 are summed at once, then others may go first:
 * it is no one instant where other threads are at work. */
KC_CHECKED int kc_pool_snapshot(struct kc_pool *p, uint64_t now_ms,
                                uint32_t key, const char *model,
                                struct kc_snapshot *out);

/* kc_pool_model appends the name of the n-th (from 0) model ever used;
 * KC_EEND after the last. */
KC_CHECKED int kc_pool_model(struct kc_pool *p, size_t n, struct kc_buf *out);

#endif
