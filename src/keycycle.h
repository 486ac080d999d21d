/* keycycle.h -- keycycle in a program of your own.
 *
 * A host that embeds Lua 5.4 opens the module in its state and drives it from
 * its own loop:
 *
 *     luaL_requiref(L, "keycycle", luaopen_keycycle, 0);
 *     ...
 *     while (running) {            // a game's frame
 *         keycycle_step(L, 0, 1000);
 *         draw();
 *     }
 *
 * or it watches keycycle_pollfd and calls keycycle_step(L, 0, -1) when that is
 * readable. lua_close ends all of it.
 *
 * A program without Lua has the engine: keycycle_pool_*, from any thread. A
 * pool with a name is one with that of every Lua state which gives the same
 * name as `shared` and registers the same provider, keys and limits.
 *
 * Includes no Lua header, so that it can stand in any program.
 */
#ifndef KEYCYCLE_H
#define KEYCYCLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KEYCYCLE_VERSION "0.1.0"

typedef struct lua_State lua_State;

/* -- errors -------------------------------------------------------------- */

/* What the functions below return that say so, or that say nothing of their
 * int. */
enum keycycle_error {
    KEYCYCLE_OK = 0,
    KEYCYCLE_ENOMEM, KEYCYCLE_EINVALID, KEYCYCLE_EAGAIN, KEYCYCLE_EEND,
    KEYCYCLE_ELIMITED, KEYCYCLE_EQUEUEFULL, KEYCYCLE_EIMPOSSIBLE,
    KEYCYCLE_ENOKEY, KEYCYCLE_ENOTFOUND, KEYCYCLE_EAMBIGUOUS, KEYCYCLE_EDIFFERS,
    KEYCYCLE_ESTALE, KEYCYCLE_ECLOSED, KEYCYCLE_EFORKED, KEYCYCLE_ETIMEOUT,
    KEYCYCLE_ERESOLVE, KEYCYCLE_ECONNECT, KEYCYCLE_ETLS, KEYCYCLE_ECUT,
    KEYCYCLE_EGARBAGE, KEYCYCLE_ETOOLARGE, KEYCYCLE_EINSECURE,
    KEYCYCLE_EFOREIGNHOST, KEYCYCLE_ECANCELLED, KEYCYCLE_EBADURL,
    KEYCYCLE_ENOSTORE, KEYCYCLE_ESTORE, KEYCYCLE_ECORRUPT, KEYCYCLE_EINTR,
    KEYCYCLE_ESYSTEM
};

/* keycycle_error_name returns the short name of a code ("limited"), the same
 * that Lua sees as `code`; "unknown" for what is none. Static text. */
const char *keycycle_error_name(int err);

/* -- a Lua state --------------------------------------------------------- */

/* luaopen_keycycle leaves the module's table on the stack and returns 1. It
 * does no I/O, starts no thread and sets no global; its scripts are inside. The
 * state needs `package` and `require`, and for a program's scripts all that
 * luaL_openlibs opens. It raises Lua errors, like every lua_CFunction. */
int luaopen_keycycle(lua_State *L);

/* The functions below are called on the thread that runs L, and on no other at
 * the same time. L is the state or any of its coroutines that is not suspended:
 * all mean the same. They never raise, leave the stack of L as it was, and do
 * no harm where luaopen_keycycle was not called yet, or L is NULL. */

/* keycycle_step does what is due: I/O, timers, and the tasks that they wake.
 * It waits at most `timeout_ms` for something to do (0: not at all, -1: until
 * something happens) and starts no further event or task once `budget_us` are
 * spent (-1: no bound). Returns how many tasks live: with 0 nothing of what
 * was started as a task goes on. After keycycle_close: 0. -1 when it failed:
 * for want of memory, in a forked child, or where the module was not opened;
 * the error goes to the log then, and the next step goes on. */
int keycycle_step(lua_State *L, int timeout_ms, int budget_us);

/* keycycle_pollfd returns a descriptor that is readable whenever
 * keycycle_step(L, 0, …) has something to do; the same one until
 * keycycle_close. It belongs to the module: poll it, and do nothing else with
 * it. -1 for want of memory or of descriptors, and where the module is not
 * open. */
int keycycle_pollfd(lua_State *L);

/* keycycle_timeout returns the milliseconds until keycycle_step has something
 * to do by itself, -1 when only I/O can tell, or where the module is not
 * open. */
int keycycle_timeout(lua_State *L);

enum keycycle_log_level {
    KEYCYCLE_LOG_OFF, /* nothing at all */
    KEYCYCLE_LOG_ERROR,
    KEYCYCLE_LOG_WARN, /* the default: and errors */
    KEYCYCLE_LOG_INFO,
    KEYCYCLE_LOG_DEBUG
};

/* What takes a line of the log: its level, and a text without control
 * characters, which is gone after the call. No line shows a key. It is called
 * inside Lua: it must not raise, nor call L or the functions here with it. */
typedef void keycycle_log_fn(void *ctx, enum keycycle_log_level level,
                             const char *line);

/* keycycle_set_log has all lines down to `level` go to fn(ctx, …), on the
 * thread that runs L; NULL: to standard error, as at first. It is what
 * keycycle.log.set_level and set_sink do in Lua, and the last one holds. `ctx`
 * is kept: it must last until another sink is set, keycycle_close has returned
 * KEYCYCLE_OK, or L is closed; lua_close itself may log.
 * KEYCYCLE_EINVALID: no such level, or L is NULL or suspended;
 * KEYCYCLE_ECLOSED: the module is not open in L; KEYCYCLE_ENOMEM. Nothing is
 * changed then. */
int keycycle_set_log(lua_State *L, enum keycycle_log_level level,
                     keycycle_log_fn *fn, void *ctx);

/* keycycle_load loads the scripts of a folder: its providers/, policies/ and
 * limits/, any of which may be missing, before those of all folders that were
 * loaded earlier; those of $KEYCYCLE_PATH and of the user's own come last, with
 * the first wrapper. It is what keycycle.load does in Lua, and reads files. All
 * or nothing: where one is faulty all stays as it was. `why` (NULL: nowhere)
 * gets at most `size` bytes of text, a NUL among them: "", or what is wrong,
 * with file and line where it lies in a script.
 * KEYCYCLE_EINVALID: `folder` is not there or cannot be read, a script in it
 * is faulty, or `folder` or L is NULL, or L suspended; KEYCYCLE_ECLOSED: the
 * module is not open in L; KEYCYCLE_ENOMEM. */
int keycycle_load(lua_State *L, const char *folder, char *why, size_t size);

/* keycycle_close ends all that the module does in a state that lives on, as a
 * game's does that leaves a level: each task is cancelled and has ended, each
 * wrapper is stopped (leases are settled, usage is written, for which it waits
 * five seconds at most each), connections are dropped, the log's sink is let
 * go. It is what keycycle.close does in Lua. From then on calls raise
 * `closed`; a second time it does nothing. luaopen_keycycle, as by
 * luaL_requiref, opens the module anew then. Before lua_close it is not needed.
 *
 * It may be called from a task, a subscriber, and whatever else runs in L: the
 * others have ended when it returns, and that one, with those that wait for it
 * on the same stack, goes on until its next wait, which raises.
 *
 * KEYCYCLE_OK, also where the module was not opened or L is NULL;
 * KEYCYCLE_EFORKED: in a forked child, where all that lives is the parent's,
 * and nothing is done; KEYCYCLE_ENOMEM: not all of it is done, call it again;
 * KEYCYCLE_EINVALID: L is suspended. */
int keycycle_close(lua_State *L);

/* -- a pool of keys ------------------------------------------------------ */

#define KEYCYCLE_UNLIMITED UINT64_MAX /* a limit of 0 blocks */
#define KEYCYCLE_NEVER UINT64_MAX     /* a time that does not come by itself */
#define KEYCYCLE_RESERVED UINT64_MAX  /* a total: what was reserved was right */
#define KEYCYCLE_MODEL_MAX 128        /* bytes of a model's name, the NUL too */

enum keycycle_strategy { KEYCYCLE_PER_MODEL, KEYCYCLE_GLOBAL };

enum keycycle_selection { /* among the keys with room; README.md, Limits */
    KEYCYCLE_BALANCED,
    KEYCYCLE_ROUND_ROBIN,
    KEYCYCLE_RANDOM_TWO,
    KEYCYCLE_FILL_FIRST,
    KEYCYCLE_WEIGHTED,
    KEYCYCLE_MOST_REMAINING,
    KEYCYCLE_BEST_FIT
};

struct keycycle_pool; /* any thread */

struct keycycle_pool_options {
    const char *name;     /* NULL: private; else shared in this process */
    const char *provider; /* "groq": with `name` it says which pool */
    enum keycycle_strategy strategy;
    enum keycycle_selection selection;
    uint32_t max_waiters; /* most callers in the queue; 0: 10,000, as in Lua */
};

/* keycycle_pool_open makes a pool without keys. Copies the texts of `options`.
 * A name takes effect at the first use, when keys and limits are complete: the
 * first call but the three below that change them. Who comes first publishes
 * them; for who comes later with others, or while they are being changed, that
 * use returns KEYCYCLE_EDIFFERS, and the next one tries again. */
int keycycle_pool_open(const struct keycycle_pool_options *options,
                       struct keycycle_pool **out);

/* keycycle_pool_close lets go; takes NULL. No other call on the pool or on its
 * leases may be under way or follow. The last one out of a name frees it; in a
 * shared pool leases that are out stay counted, and are settled as unknown
 * after ten minutes. */
void keycycle_pool_close(struct keycycle_pool *pool);

struct keycycle_param {
    const char *name;
    const char *value;
};

struct keycycle_key { /* all zero but api_key will do; all text is copied */
    const char *api_key;
    const char *label; /* NULL: none */
    const char *group; /* keys of one group share one quota; NULL: none */
    int priority;      /* lower numbers are served first */
    uint32_t weight;   /* for KEYCYCLE_WEIGHTED; 0 is 1 */
    const char *const *models; /* the only ones that it serves */
    size_t model_count;        /* 0: it serves all */
    const struct keycycle_param *params; /* further ones, not secret */
    size_t param_count;
};

/* keycycle_pool_add_key adds a key; *index, from 1, names it from then on. One
 * that is there already, or was removed, gives its old index and takes the new
 * words. KEYCYCLE_EINVALID for a text that is no key, KEYCYCLE_EDIFFERS once
 * others share the pool. */
int keycycle_pool_add_key(struct keycycle_pool *pool,
                          const struct keycycle_key *key, unsigned *index);

/* keycycle_pool_remove_key takes a key out of use; leases of it may still be
 * settled, and its counts stay. KEYCYCLE_ENOTFOUND, KEYCYCLE_EDIFFERS once
 * others share the pool: there it can be disabled. */
int keycycle_pool_remove_key(struct keycycle_pool *pool, unsigned key);

struct keycycle_window { /* of any length up to 31 days */
    uint64_t window_ms;
    uint64_t requests, tokens, input_tokens, output_tokens; /* as below */
};

struct keycycle_limits { /* KEYCYCLE_UNLIMITED, or how much; 0 blocks */
    uint64_t requests_per_minute, requests_per_hour, requests_per_day;
    uint64_t tokens_per_minute, tokens_per_hour, tokens_per_day;
    uint64_t input_tokens_per_minute, output_tokens_per_minute;
    uint64_t concurrent_requests;
    const char *day_resets_at; /* a time zone; NULL: any 24 hours are a day */
    const struct keycycle_window *windows; /* further ones, NULL: none */
    size_t window_count; /* four in all; input and output count as another one
                          * beside requests and tokens */
};

/* keycycle_limits_init fills in that nothing is limited; keycycle_window_init
 * the same for a window of `window_ms`. */
void keycycle_limits_init(struct keycycle_limits *limits);
void keycycle_window_init(struct keycycle_window *window, uint64_t window_ms);

/* keycycle_pool_set_limits says what holds for (key, model); `key` 0 is every
 * key, `model` NULL every model without a line of its own. The first that there
 * is holds: (key, model), (key, NULL), (0, model), (0, NULL). Takes effect at
 * once. KEYCYCLE_ENOTFOUND for a key or a time zone that is unknown,
 * KEYCYCLE_EINVALID for too many windows or a length that is none,
 * KEYCYCLE_EDIFFERS once others share the pool. */
int keycycle_pool_set_limits(struct keycycle_pool *pool, unsigned key,
                             const char *model,
                             const struct keycycle_limits *limits);

struct keycycle_request { /* all zero: one request, no tokens, any key */
    const char *model;     /* NULL is "" */
    uint64_t tokens;       /* reserved beside the one request */
    uint64_t input_tokens; /* how many of them are input; the rest is output */
    unsigned key;          /* 0: any; else this key is tried first */
    int pin;               /* with `key`: no other will do */
    int priority;          /* in the queue: 0 (first) to 7; Lua's are 4 */
    const char *affinity;  /* the same text, the same key while it has room */
};

struct keycycle_refusal {
    uint64_t wait_ms;  /* until it could be granted, or KEYCYCLE_NEVER */
    const char *limit; /* "requests_per_minute", "cooling", …; static text */
    uint64_t max;      /* of that limit, where it is a number */
    uint64_t window_ms; /* of a limit "…_per_window"; else 0 */
    unsigned key;      /* whose time that is; 0: none */
};

struct keycycle_lease { /* the caller's; only its functions below write it */
    struct keycycle_pool *pool;
    uint64_t id;
    uint64_t tokens; /* reserved */
    unsigned key;
    char model[KEYCYCLE_MODEL_MAX];
};

/* keycycle_pool_acquire reserves a request on a key, or says why not; it never
 * blocks. `refusal` may be NULL. KEYCYCLE_ELIMITED: every key is at its limit;
 * KEYCYCLE_EIMPOSSIBLE: more than a limit itself; KEYCYCLE_ENOKEY: none is
 * usable; KEYCYCLE_ENOTFOUND: no such key; KEYCYCLE_ETOOLARGE: the model's
 * name; KEYCYCLE_EFORKED: in a forked child, as from all functions of a pool. */
int keycycle_pool_acquire(struct keycycle_pool *pool,
                          const struct keycycle_request *request,
                          struct keycycle_lease *lease,
                          struct keycycle_refusal *refusal);

/* keycycle_pool_wait is the same, but blocks this thread in the pool's queue,
 * in which Lua's tasks wait, too: at most `timeout_ms` (KEYCYCLE_NEVER: no
 * bound), then KEYCYCLE_ELIMITED; at once where no key can be free by then.
 * KEYCYCLE_EQUEUEFULL: max_waiters wait already; KEYCYCLE_EINVALID: no such
 * priority. */
int keycycle_pool_wait(struct keycycle_pool *pool,
                       const struct keycycle_request *request,
                       uint64_t timeout_ms, struct keycycle_lease *lease,
                       struct keycycle_refusal *refusal);

/* keycycle_lease_key copies the key's text, and a NUL, into `size` bytes at
 * `out`, which the caller wipes after use. KEYCYCLE_ETOOLARGE when they are too
 * few; `out` holds "" then. */
int keycycle_lease_key(const struct keycycle_lease *lease, char *out,
                       size_t size);

/* A lease ends in exactly one commit, cancel or refuse; the second one returns
 * KEYCYCLE_ESTALE and changes nothing, as all of these do with a lease that was
 * not given. One that never ends is settled as unknown after ten minutes: it
 * stays counted.
 *
 * keycycle_lease_headers says that the answer has begun: from now on the
 * request ages in its windows. */
int keycycle_lease_headers(const struct keycycle_lease *lease);

/* keycycle_lease_commit says what was used in truth. `total` 0: input + output;
 * KEYCYCLE_RESERVED: what was reserved. */
int keycycle_lease_commit(const struct keycycle_lease *lease, uint64_t input,
                          uint64_t output, uint64_t total);

/* keycycle_lease_cancel gives all back; or nothing, where the request was sent
 * (`sent` not 0) and its end is unknown. */
int keycycle_lease_cancel(const struct keycycle_lease *lease, int sent);

/* keycycle_lease_refuse: the provider said no (a 4xx). The request stays
 * counted, its tokens do not. What that proves about the key is told before or
 * after it, by one of the next three. */
int keycycle_lease_refuse(const struct keycycle_lease *lease);

/* keycycle_lease_cooldown puts the lease's key away for its model, after a 429
 * that said how long; KEYCYCLE_NEVER: it did not, the time grows by itself. */
int keycycle_lease_cooldown(const struct keycycle_lease *lease,
                            uint64_t delay_ms);

/* keycycle_lease_suspend puts the lease's key away after a 401. In a minute one
 * request tries it; refused again it is invalid. */
int keycycle_lease_suspend(const struct keycycle_lease *lease);

/* keycycle_lease_unpaid puts the lease's key, and its group, away after a 402,
 * until keycycle_pool_enable. */
int keycycle_lease_unpaid(const struct keycycle_lease *lease);

/* -- what can be seen of it ---------------------------------------------- */

enum keycycle_state { /* with an until_ms it ends by itself */
    KEYCYCLE_READY,
    KEYCYCLE_COOLING,   /* refused for a minute or less, or nobody said */
    KEYCYCLE_PROBING,   /* one request at a time, until one works */
    KEYCYCLE_EXHAUSTED, /* for longer; with until_ms 0 for want of money */
    KEYCYCLE_SUSPENDED, /* auth was refused once; tried at until_ms */
    KEYCYCLE_INVALID,   /* auth was refused again */
    KEYCYCLE_DISABLED,
    KEYCYCLE_DRAINING,  /* removed, with leases that are out */
    KEYCYCLE_GONE       /* removed */
};

/* keycycle_state_name returns "ready", "cooling", …; "unknown" for what is
 * none. Static text. */
const char *keycycle_state_name(enum keycycle_state state);

struct keycycle_key_state { /* a copy; texts are cut where too long */
    enum keycycle_state state;
    char reason[64];               /* of the state; "": none */
    char model[KEYCYCLE_MODEL_MAX]; /* whose state it is; "": the whole key's */
    int of_group;                  /* it is all its group's */
    uint64_t until_ms;             /* since 1970; 0: none */
    char suffix[8];                /* the key's last characters */
    char label[64];
    char group[64];
};

/* keycycle_pool_key_state tells the state of a key for `model`; NULL: the whole
 * key's, or if that is ready the worst of its models'. KEYCYCLE_ENOTFOUND. */
int keycycle_pool_key_state(struct keycycle_pool *pool, unsigned key,
                            const char *model, struct keycycle_key_state *out);

/* keycycle_pool_disable takes a key out of use until keycycle_pool_enable,
 * which revives it from every state and keeps its counts; both at any time, and
 * for all who share the pool. KEYCYCLE_ENOTFOUND. */
int keycycle_pool_disable(struct keycycle_pool *pool, unsigned key);
int keycycle_pool_enable(struct keycycle_pool *pool, unsigned key);

struct keycycle_stats { /* of each window as it is now, in flight included */
    uint64_t rpm, rph, rpd;  /* requests by minute, hour and day */
    uint64_t tpm, tph, tpd;  /* tokens */
    uint64_t total_requests; /* sent */
    uint64_t total_tokens;   /* settled */
    uint64_t in_flight;
    uint64_t waiting; /* callers in the queue, over all keys and models */
};

/* keycycle_pool_stats sums over `key` (0: all) and `model` (NULL: all).
 * KEYCYCLE_ENOTFOUND for a key that there never was. */
int keycycle_pool_stats(struct keycycle_pool *pool, unsigned key,
                        const char *model, struct keycycle_stats *out);

#ifdef __cplusplus
}
#endif

#endif
