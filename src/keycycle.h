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
 * readable. All calls on one lua_State come from the thread that runs it.
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
 * does no I/O, starts no thread and sets no global; its scripts are inside. It
 * raises Lua errors, like every lua_CFunction. */
int luaopen_keycycle(lua_State *L);

/* keycycle_step does what is due: I/O, timers, and the tasks that they wake.
 * It waits at most `timeout_ms` for something to do (0: not at all, -1: until
 * something happens) and starts no further event or task once `budget_us` are
 * spent (-1: no bound). Returns how many tasks live, or -1 when it failed: for
 * want of memory, or in a forked child. The error goes to keycycle.log then (to
 * standard error, where the program sets no sink). Never raises. */
int keycycle_step(lua_State *L, int timeout_ms, int budget_us);

/* keycycle_pollfd returns a descriptor that is readable whenever
 * keycycle_step(L, 0, …) has something to do, or -1. It belongs to the module.
 * Never raises. */
int keycycle_pollfd(lua_State *L);

/* keycycle_timeout returns the milliseconds until keycycle_step has something
 * to do by itself, -1 when only I/O can tell. Never raises. */
int keycycle_timeout(lua_State *L);

/* -- a transport of the host's own ---------------------------------------- */

/* A program with an HTTP of its own, as engines have, carries the requests in
 * the place of libcurl. It is given one finished request at a time and answers
 * it when it can, from any thread; keys, limits, retries, events and time-outs
 * stay what they are. */

struct keycycle_param; /* a name and a value: see the pool's keys */

/* All of it is borrowed: what is needed after `start` is copied there. The
 * fields, and the URL of some providers, hold the API key: they must not be
 * logged, and go to no other host than the URL's. */
struct keycycle_http_request {
    const char *method; /* "GET", "POST", … */
    const char *url;    /* https; http to this machine, or where the program
                         * allows it. Certificates are the transport's to check.
                         */
    const struct keycycle_param *headers; /* all to be sent, in lower case;
                                           * host and content-length are not
                                           * among them */
    size_t header_count;
    const void *body; /* NULL: none */
    size_t body_len;
    int stream;          /* 1: each piece of the answer is awaited at once */
    uint64_t timeout_ms; /* after which it is cancelled; 0: none of the whole */
    uint64_t connect_timeout_ms; /* what connecting may take */
};

struct keycycle_exchange; /* one request and its answer */

struct keycycle_transport { /* is copied; `ctx` is the host's */
    void *ctx;
    /* Begins to send and returns at once: KEYCYCLE_OK, or a code, with which
     * nothing was sent and nothing of `x` may be used any more. On the thread
     * of the Lua state, into which it must not call. It may give the answer
     * before it returns. No redirect to another host is to be followed, and
     * what a server compresses is delivered as it was before. */
    int (*start)(void *ctx, const struct keycycle_http_request *request,
                 struct keycycle_exchange *x);
    /* Nobody waits for the answer any more: the request is to be given up. At
     * most once for each, on the thread of the Lua state, into which it must
     * not call. `x` is to be ended still, here or later. NULL: none is told. */
    void (*cancel)(void *ctx, struct keycycle_exchange *x);
    /* Nobody reads (`on` 1), or again (0): nothing is to be read off the
     * socket meanwhile. As cancel. NULL, or one that goes on: 16 MiB are kept,
     * more ends the exchange with KEYCYCLE_ETOOLARGE. */
    void (*pause)(void *ctx, struct keycycle_exchange *x, int on);
};

/* keycycle_set_transport has all requests that begin from now on in this Lua
 * state carried by `transport`, but for those of wrappers with the option
 * `transport`; NULL: by libcurl again. `ctx` must live until another one is set
 * or the state is closed, and each exchange has been ended. KEYCYCLE_EINVALID
 * without `start`, KEYCYCLE_ENOMEM, KEYCYCLE_ESYSTEM without descriptors. On
 * the thread of the Lua state. Never raises. */
int keycycle_set_transport(lua_State *L,
                           const struct keycycle_transport *transport);

/* What follows may be called from any thread, one at a time for an exchange. An
 * exchange that `start` accepted lives until the host ends it: also after it
 * was cancelled, and after the Lua state was closed; all other calls return
 * KEYCYCLE_ECLOSED then, and change nothing. In a forked child they return
 * KEYCYCLE_EFORKED, and no function of the host is called.
 *
 * keycycle_exchange_headers gives the status of the final answer, 200 to 599,
 * and its header fields. Copies them. Once, before the body. A field that is no
 * valid one is left out. KEYCYCLE_EINVALID for another status or the second
 * time, KEYCYCLE_ETOOLARGE over 256 KiB, KEYCYCLE_ENOMEM. */
int keycycle_exchange_headers(struct keycycle_exchange *x, int status,
                              const struct keycycle_param *fields, size_t n);

/* keycycle_exchange_data gives the next bytes of the body, in pieces of any
 * size. Copies them. KEYCYCLE_EINVALID before the headers, KEYCYCLE_ETOOLARGE
 * or KEYCYCLE_ENOMEM, which end it for whoever waits: the host may stop. */
int keycycle_exchange_data(struct keycycle_exchange *x, const void *bytes,
                           size_t n);

/* keycycle_exchange_end ends it, exactly once, and is the last use of `x`:
 * KEYCYCLE_OK after the last byte of the answer, or why there is none, or no
 * more. KEYCYCLE_ERESOLVE, KEYCYCLE_ECONNECT and KEYCYCLE_ETLS say, where no
 * headers came, that nothing was sent: the key's request is given back. Others
 * are KEYCYCLE_ECUT, KEYCYCLE_EGARBAGE, KEYCYCLE_ETIMEOUT, KEYCYCLE_ETOOLARGE
 * and KEYCYCLE_ENOMEM; all else is taken for KEYCYCLE_ECUT. `why` is for the
 * message, NULL: the code's own words. */
void keycycle_exchange_end(struct keycycle_exchange *x, enum keycycle_error err,
                           const char *why);

/* keycycle_exchange_set_data keeps a pointer of the host's with `x`, and
 * `release` (or NULL) for it: called once, by whichever thread is the last to
 * use `x`. While `cancel` runs, another thread may end the exchange: what
 * keycycle_exchange_get_data returns is not released before it has returned. */
void keycycle_exchange_set_data(struct keycycle_exchange *x, void *data,
                                void (*release)(void *data));
void *keycycle_exchange_get_data(struct keycycle_exchange *x);

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
