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
 * readable. All calls on one lua_State come from the thread that runs it, and
 * lua_close ends all of it; keycycle_close does so where the state lives on.
 *
 * A program without Lua has the engine: keycycle_pool_*, from any thread. A
 * pool with a name is one with that of every Lua state which gives the same
 * name as `shared` and registers the same provider, keys and limits.
 *
 * A process is to have one copy of the library: one that is linked with
 * libkeycycle opens its states with the luaopen_keycycle in it, and loads no
 * keycycle.so. Two copies know nothing of each other's pools.
 *
 * The locale and the signals of the program are left alone, and matter to
 * nothing that is read or sent. What is written to standard error is the log,
 * as long as no other sink is set.
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

/* keycycle_version returns KEYCYCLE_VERSION as it was when the library was
 * built: what a program finds at run time may be another than its header. */
const char *keycycle_version(void);

struct lua_State; /* lua.h calls it lua_State */

/* -- errors -------------------------------------------------------------- */

/* Each function tells which ones it returns, and what they mean there. */
enum keycycle_error {
    KEYCYCLE_OK = 0,
    KEYCYCLE_ENOMEM,
    KEYCYCLE_EINVALID, /* an argument is outside its range */
    KEYCYCLE_EAGAIN,   /* nothing to hand out yet */
    KEYCYCLE_EEND,     /* nothing more will come */
    /* of pools */
    KEYCYCLE_ELIMITED,    /* every key is at its limit */
    KEYCYCLE_EQUEUEFULL,  /* too many callers wait for a key already */
    KEYCYCLE_EIMPOSSIBLE, /* the request is larger than a limit itself */
    KEYCYCLE_ENOKEY,      /* no key is usable */
    KEYCYCLE_ENOTFOUND,
    KEYCYCLE_EAMBIGUOUS, /* more than one key fits */
    KEYCYCLE_EDIFFERS,   /* it is shared, with other keys or limits */
    KEYCYCLE_ESTALE,     /* the lease has ended already, or is none */
    KEYCYCLE_ECLOSED,
    KEYCYCLE_EFORKED, /* it is the parent process's */
    KEYCYCLE_ETIMEOUT,
    /* of HTTP, but for KEYCYCLE_ETOOLARGE */
    KEYCYCLE_ERESOLVE,     /* the host's name could not be resolved */
    KEYCYCLE_ECONNECT,     /* no connection to the server */
    KEYCYCLE_ETLS,         /* the handshake or the certificate failed */
    KEYCYCLE_ECUT,         /* the connection ended before the answer did */
    KEYCYCLE_EGARBAGE,     /* the answer is no HTTP */
    KEYCYCLE_ETOOLARGE,    /* larger than the maximum */
    KEYCYCLE_EINSECURE,    /* a key would travel over plain http */
    KEYCYCLE_EFOREIGNHOST, /* a key would go to an unknown host */
    KEYCYCLE_ECANCELLED,
    /* of stores, and of the system */
    KEYCYCLE_EBADURL,
    KEYCYCLE_ENOSTORE, /* this build has no such store */
    KEYCYCLE_ESTORE,   /* the store failed */
    KEYCYCLE_ECORRUPT, /* the store's file is damaged, or no store's */
    KEYCYCLE_EINTR,    /* a signal came */
    KEYCYCLE_ESYSTEM   /* a system call failed */
};

/* keycycle_error_name returns the short name of a code ("limited"), the same
 * that Lua sees as `code`; keycycle_error_text a clause in English. Static
 * text; "unknown" and the like for what is no code. */
const char *keycycle_error_name(int err);
const char *keycycle_error_text(int err);

/* -- a Lua state --------------------------------------------------------- */

/* luaopen_keycycle leaves the module's table on the stack and returns 1. It
 * does no I/O, starts no thread and sets no global; its scripts are inside.
 * What luaL_openlibs opens must be there then, but `package` need not; the
 * library keeps it, so that a sandbox may take globals from its scripts
 * afterwards. It raises Lua errors, like every lua_CFunction. */
int luaopen_keycycle(struct lua_State *L);

/* The functions below are called on the thread that runs L, and on no other at
 * the same time. L is the state or any of its coroutines that is not suspended
 * and has not failed: all mean the same. C functions that Lua calls may call
 * them, finalizers too; a debug hook may not, nor an allocator. They never
 * raise, leave the stack of L as it was, and do no harm where luaopen_keycycle
 * was not called yet, or L is NULL. */

/* keycycle_step does what is due: I/O, timers, and the tasks that they wake.
 * It waits at most `timeout_ms` for something to do (0: not at all, -1: until
 * something happens) and starts no further event or task once `budget_us` are
 * spent (-1: no bound). What is begun is ended, and one thing is begun in any
 * case: a step takes its budget, and one event or one task more. Events and
 * tasks take turns at that. Returns how many tasks live: with 0 nothing of what
 * was started as a task goes on. After keycycle_close: 0. -1 when it failed,
 * for want of memory or in a forked child: the error goes to the log then, and
 * the next step goes on; -1, too, where the module was not opened. */
int keycycle_step(struct lua_State *L, int timeout_ms, int budget_us);

/* keycycle_pollfd returns a descriptor that is readable whenever
 * keycycle_step(L, 0, …) has something to do; the same one until
 * keycycle_close. It belongs to the module: poll it, and do nothing else with
 * it. -1 for want of memory or of descriptors, in a forked child, and where the
 * module is not open. */
int keycycle_pollfd(struct lua_State *L);

/* keycycle_timeout returns the milliseconds until keycycle_step has something
 * to do by itself, -1 when only I/O can tell, or where the module is not
 * open. */
int keycycle_timeout(struct lua_State *L);

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
int keycycle_set_log(struct lua_State *L, enum keycycle_log_level level,
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
int keycycle_load(struct lua_State *L, const char *folder, char *why,
                  size_t size);

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
int keycycle_close(struct lua_State *L);

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
                                           * host, content-length and
                                           * transfer-encoding are not among
                                           * them */
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
 * `transport`; NULL: by libcurl again. `ctx` must live until another one is
 * set, keycycle_close was called or the state is closed, and each exchange has
 * been ended. KEYCYCLE_EINVALID: without `start`, or L is NULL or suspended;
 * KEYCYCLE_ECLOSED: the module is not open in L; KEYCYCLE_EFORKED;
 * KEYCYCLE_ENOMEM; KEYCYCLE_ESYSTEM: no descriptor was to be had. Nothing is
 * changed then. */
int keycycle_set_transport(struct lua_State *L,
                           const struct keycycle_transport *transport);

/* What follows may be called from any thread, one at a time for an exchange. An
 * exchange that `start` accepted lives until the host ends it: also after it
 * was cancelled, and after the Lua state was closed; all other calls return
 * KEYCYCLE_ECLOSED then, and change nothing. In a forked child they return
 * KEYCYCLE_EFORKED, and no function of the host is called.
 *
 * keycycle_exchange_headers gives the status of the final answer, 200 to 599,
 * and its header fields. Copies them. Once, before the body. A field that is no
 * valid one, or a NULL, is left out. KEYCYCLE_EINVALID for another status or
 * the second time, KEYCYCLE_ETOOLARGE over 256 KiB, KEYCYCLE_ENOMEM. */
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

/* -- a pool of keys ------------------------------------------------------
 *
 * For a program that has its own HTTP: it asks a pool for a key, sends, and
 * tells what came of it.
 *
 *     struct keycycle_pool_options options = {.provider = "groq"};
 *     struct keycycle_key key = {.api_key = secret};
 *     struct keycycle_request request = {.model = "m", .tokens = 900};
 *     struct keycycle_lease lease;
 *     struct keycycle_limits limits;
 *     keycycle_pool_open(&options, &pool);
 *     keycycle_pool_add_key(pool, &key, &index);
 *     keycycle_limits_init(&limits);
 *     limits.requests_per_minute = 30;
 *     keycycle_pool_set_limits(pool, 0, NULL, &limits);
 *     ...
 *     if (keycycle_pool_wait(pool, &request, 10000, &lease, NULL) == 0) {
 *         keycycle_lease_key(&lease, text, sizeof text);
 *         ...                      // sends, with text as the key
 *         keycycle_lease_commit(&lease, 700, 80, 0);
 *     }
 *
 * After a refusal: keycycle_lease_cooldown (429), _suspend (401) or _unpaid
 * (402), then keycycle_lease_refuse, and again with `avoid` set to the key.
 *
 * Every function here may be called from any thread, several at a time on one
 * pool; the exceptions say so. None keeps a pointer that it was given, but to
 * the pool, and none calls back. Times are milliseconds. Those that return int
 * return KEYCYCLE_OK or an error, and set what they hand over on every path.
 * Beside the errors that are named, each returns KEYCYCLE_EINVALID for a NULL
 * that is not allowed and for a number out of its range, KEYCYCLE_ENOMEM, and
 * KEYCYCLE_EFORKED in a forked child: the pool is the parent's, and the child
 * can only close it and open its own. */

#define KEYCYCLE_UNLIMITED UINT64_MAX /* a limit of 0 blocks */
#define KEYCYCLE_NEVER UINT64_MAX     /* a time that does not come by itself */
#define KEYCYCLE_RESERVED UINT64_MAX  /* a total: what was reserved was right */
#define KEYCYCLE_MODEL_MAX 128        /* bytes of a model's name, the NUL too */

enum keycycle_strategy { /* what a key's limits hold for */
    KEYCYCLE_PER_MODEL,  /* each model by itself */
    KEYCYCLE_GLOBAL      /* all its models together */
};

enum keycycle_selection { /* among the keys of the first priority with room */
    KEYCYCLE_BALANCED,       /* the least loaded */
    KEYCYCLE_ROUND_ROBIN,    /* the next one */
    KEYCYCLE_RANDOM_TWO,     /* the less loaded of two */
    KEYCYCLE_FILL_FIRST,     /* the same until it is full */
    KEYCYCLE_WEIGHTED,       /* at random, in proportion to their weights */
    KEYCYCLE_MOST_REMAINING, /* which could serve the most such requests */
    KEYCYCLE_BEST_FIT        /* which could serve the fewest */
};

struct keycycle_pool;

struct keycycle_pool_options { /* all zero but provider will do */
    const char *name;     /* NULL: private; else shared in this process */
    const char *provider; /* "groq": with `name` it says which pool */
    enum keycycle_strategy strategy;
    enum keycycle_selection selection;
    uint32_t max_waiters; /* most callers in the queue; 0: 10,000, as in Lua */
    const char *db_url;   /* where usage, states and learned limits are kept:
                           * "sqlite:PATH", "mysql://USER:PASSWORD@HOST/NAME"
                           * (README.md, Usage that survives); NULL: nowhere */
    uint32_t keep_days;   /* what is older is deleted there, to 36,500; 0: 400
                           * days. Totals stay */
};

/* keycycle_pool_open makes a pool without keys. Copies the texts of `options`.
 * *out is the caller's, who closes it; NULL on failure. KEYCYCLE_ETOOLARGE: a
 * db_url of more than 4096 bytes.
 *
 * The name and the store take effect at the first use, when keys and limits are
 * complete: at keycycle_pool_start, or the first call but those that change
 * them (keycycle_pool_add_key, _remove_key, _set_limits), _store_state and the
 * end. A use that fails for that may be tried again. */
int keycycle_pool_open(const struct keycycle_pool_options *options,
                       struct keycycle_pool **out);

/* keycycle_pool_start is a first use that does nothing else: call it where the
 * store may block and where a wrong name or URL is best told. What fails it,
 * and with it every first use:
 * - A name is published by who comes first. KEYCYCLE_EDIFFERS for who comes
 *   later with other keys, limits or options, or another store than the pool
 *   has already, or while the keys are being changed.
 * - The store is opened, its tables are made, what it knows of the keys is read
 *   back. KEYCYCLE_EBADURL; KEYCYCLE_ENOSTORE: the URL's scheme is unknown, or
 *   the client library for it is missing; KEYCYCLE_ESTORE; KEYCYCLE_ECORRUPT.
 *   keycycle_pool_store_state has words.
 * Blocks as long as the store does; acquiring never waits for it later. Several
 * pools and programs may use one store, and then keep each limit together. */
int keycycle_pool_start(struct keycycle_pool *pool);

/* keycycle_pool_stop ends the giving: threads that wait in the pool and whoever
 * asks it later get KEYCYCLE_ECLOSED, its listeners too once they have read
 * what there is. Leases that are out may be settled. Others who share the pool
 * go on. Does not block but while another thread starts the pool. Takes NULL.
 */
void keycycle_pool_stop(struct keycycle_pool *pool);

/* keycycle_pool_close stops the pool and lets go of it; takes NULL. No other
 * call on it or on its leases may be under way or follow: join the threads that
 * keycycle_pool_stop has sent home before. Listeners are safe, see there.
 * Leases that are out are forgotten as requests whose end is unknown; in a
 * shared pool they stay counted, and are settled so after ten minutes.
 *
 * With a store it first writes what is left, for at most five seconds; what
 * cannot be written by then is lost. Who must know calls keycycle_pool_save
 * before. */
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
    const struct keycycle_param *params; /* of the program's own, not secret:
                                          * see keycycle_lease_param */
    size_t param_count;
};

/* keycycle_pool_add_key adds a key; *index, from 1, names it from then on (0 on
 * failure). One that is there already, or was removed, gives its old index and
 * takes the new words. KEYCYCLE_EINVALID for a text that is no key, too;
 * KEYCYCLE_EDIFFERS while others share the pool. What a store knows of a key
 * that is added after the first use is read a little later. */
int keycycle_pool_add_key(struct keycycle_pool *pool,
                          const struct keycycle_key *key, unsigned *index);

/* keycycle_pool_remove_key takes a key out of use; leases of it may still be
 * settled, and its counts stay. KEYCYCLE_ENOTFOUND, KEYCYCLE_EDIFFERS while
 * others share the pool: there it can be disabled. */
int keycycle_pool_remove_key(struct keycycle_pool *pool, unsigned key);

/* keycycle_pool_key_count tells the highest index that was given: keys are 1 to
 * *count, removed ones among them. */
int keycycle_pool_key_count(struct keycycle_pool *pool, unsigned *count);

/* keycycle_pool_find_key finds a key by its whole text or its last characters,
 * two or more. *index is 0 on failure. KEYCYCLE_ENOTFOUND (removed ones, too),
 * KEYCYCLE_EAMBIGUOUS. */
int keycycle_pool_find_key(struct keycycle_pool *pool, const char *text,
                           unsigned *index);

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
 * the same for a window of `window_ms`. Take NULL. */
void keycycle_limits_init(struct keycycle_limits *limits);
void keycycle_window_init(struct keycycle_window *window, uint64_t window_ms);

/* keycycle_pool_set_limits says what holds for (key, model); `key` 0 is every
 * key, `model` NULL every model without a line of its own. The first that there
 * is holds: (key, model), (key, NULL), (0, model), (0, NULL). Takes effect at
 * once; copies `limits`. KEYCYCLE_ENOTFOUND for a key or a time zone that is
 * unknown, KEYCYCLE_EINVALID for too many windows or a length that is none,
 * too; KEYCYCLE_EDIFFERS while others share the pool. */
int keycycle_pool_set_limits(struct keycycle_pool *pool, unsigned key,
                             const char *model,
                             const struct keycycle_limits *limits);

/* -- to get a key -------------------------------------------------------- */

struct keycycle_request { /* all zero: one request, no tokens, any key */
    const char *model;     /* NULL is "" */
    uint64_t tokens;       /* reserved beside the one request */
    uint64_t input_tokens; /* how many of them are input; the rest is output */
    unsigned key;          /* 0: any; else this key is tried first */
    int pin;               /* with `key`: no other will do */
    unsigned avoid;        /* 0, or the key that has just failed: it is used
                            * only where no other will do */
    int priority;          /* in the queue: 0 (first) to 7; Lua's are 4 */
    const char *affinity;  /* the same text, the same key while it has room;
                            * NULL: none */
};

struct keycycle_refusal {
    uint64_t wait_ms;  /* until it could be granted, or KEYCYCLE_NEVER */
    const char *limit; /* "requests_per_minute", "cooling", …, or "": static */
    uint64_t max;      /* of that limit, where it is a number */
    uint64_t window_ms; /* of a limit "…_per_window"; else 0 */
    unsigned key;      /* whose time that is; 0: none */
};

/* What was given. The caller's; only the functions that fill it in write it. It
 * holds nothing that must be freed, may be copied, and lasts until its pool is
 * closed. */
struct keycycle_lease {
    struct keycycle_pool *pool;
    uint64_t id;     /* 0: none was given */
    uint64_t tokens; /* reserved */
    unsigned key;
    char model[KEYCYCLE_MODEL_MAX];
};

/* keycycle_pool_acquire reserves a request on a key, or says why not; it never
 * blocks but at the first use. `refusal` may be NULL. KEYCYCLE_ELIMITED: every
 * key is at its limit; KEYCYCLE_EIMPOSSIBLE: more than a limit itself;
 * KEYCYCLE_ENOKEY: none is usable; KEYCYCLE_ENOTFOUND: no such key;
 * KEYCYCLE_ETOOLARGE: the model's name; KEYCYCLE_ECLOSED: it was stopped. Send
 * the request within three seconds: from then on it ages in its windows, where
 * keycycle_lease_headers has not said so before. */
int keycycle_pool_acquire(struct keycycle_pool *pool,
                          const struct keycycle_request *request,
                          struct keycycle_lease *lease,
                          struct keycycle_refusal *refusal);

/* keycycle_pool_wait is the same, but blocks this thread in the pool's queue,
 * in which Lua's tasks wait, too: at most `timeout_ms` (KEYCYCLE_NEVER: no
 * bound), then KEYCYCLE_ELIMITED; at once where no key can be free by then.
 * KEYCYCLE_EQUEUEFULL: max_waiters wait already; KEYCYCLE_ECLOSED: the pool was
 * stopped meanwhile. */
int keycycle_pool_wait(struct keycycle_pool *pool,
                       const struct keycycle_request *request,
                       uint64_t timeout_ms, struct keycycle_lease *lease,
                       struct keycycle_refusal *refusal);

/* keycycle_pool_explain tells whether such a request could be granted now
 * (KEYCYCLE_OK, with a wait of 0), or why not and when, as
 * keycycle_pool_acquire would if nobody were waiting. It reserves nothing. With
 * `key` and `pin`: of that key alone. */
int keycycle_pool_explain(struct keycycle_pool *pool,
                          const struct keycycle_request *request,
                          struct keycycle_refusal *refusal);

/* keycycle_lease_key copies the key's text, and a NUL, into `size` bytes at
 * `out`, which the caller wipes after use. KEYCYCLE_ETOOLARGE when they are too
 * few; `out` holds "" then, as after every failure. KEYCYCLE_ENOTFOUND: the key
 * was removed since. */
int keycycle_lease_key(const struct keycycle_lease *lease, char *out,
                       size_t size);

/* keycycle_lease_param is the same of one of the key's params.
 * KEYCYCLE_ENOTFOUND: it has none of that name. */
int keycycle_lease_param(const struct keycycle_lease *lease, const char *name,
                         char *out, size_t size);

/* -- what came of it -----------------------------------------------------
 *
 * A lease ends in exactly one commit, cancel or refuse; the second one returns
 * KEYCYCLE_ESTALE and changes nothing. One that never ends is settled as
 * unknown after ten minutes: it stays counted. All functions of a lease return
 * KEYCYCLE_ESTALE for one that was not given; those that speak of its key may
 * be called after its end, too. */

/* keycycle_lease_headers says that the answer has begun: from now on the
 * request ages in its windows. KEYCYCLE_OK also after the lease's end. */
int keycycle_lease_headers(const struct keycycle_lease *lease);

enum keycycle_unit {
    KEYCYCLE_REQUESTS,
    KEYCYCLE_TOKENS,
    KEYCYCLE_INPUT_TOKENS, /* these two by the minute only */
    KEYCYCLE_OUTPUT_TOKENS
};

/* keycycle_lease_observe takes in what the answer's headers say of one limit of
 * the key: at most `limit` in `window_ms` (60,000, 3,600,000 or 86,400,000),
 * of which `remaining` are left; KEYCYCLE_UNLIMITED for what they do not say.
 * The limit holds from now beside the one that was set: the lower of the two.
 * Of `remaining` only what others must have used is booked, so it never makes
 * room. Before the lease ends: KEYCYCLE_ESTALE else. KEYCYCLE_EINVALID for a
 * window of another length. */
int keycycle_lease_observe(const struct keycycle_lease *lease,
                           enum keycycle_unit unit, uint64_t window_ms,
                           uint64_t limit, uint64_t remaining);

/* keycycle_lease_commit says what was used in truth, in tokens. `total` 0:
 * input + output; KEYCYCLE_RESERVED: what was reserved. */
int keycycle_lease_commit(const struct keycycle_lease *lease, uint64_t input,
                          uint64_t output, uint64_t total);

/* keycycle_lease_cancel gives all back; or nothing, where the request was sent
 * (`sent` not 0) and its end is unknown. */
int keycycle_lease_cancel(const struct keycycle_lease *lease, int sent);

/* keycycle_lease_refuse: the provider said no (a 4xx). The request stays
 * counted, its tokens do not. What that proves about the key is told before or
 * after it, by one of the next three. */
int keycycle_lease_refuse(const struct keycycle_lease *lease);

/* keycycle_lease_cooldown puts the lease's key away after a 429 that said for
 * how long, at most 31 days; KEYCYCLE_NEVER: it did not, the time grows by
 * itself from one second to a minute. For the lease's model, under
 * KEYCYCLE_GLOBAL for all; and the key's group with it. */
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
    uint64_t longest_wait_ms; /* of who came first among them */
};

/* keycycle_pool_stats sums over `key` (0: all) and `model` (NULL: all).
 * KEYCYCLE_ENOTFOUND for a key that there never was. */
int keycycle_pool_stats(struct keycycle_pool *pool, unsigned key,
                        const char *model, struct keycycle_stats *out);

/* -- what happens to its keys --------------------------------------------- */

enum keycycle_event_type {
    KEYCYCLE_EVENT_ACQUIRE,  /* a key was given */
    KEYCYCLE_EVENT_ROTATE,   /* and it is another than `from`, to be avoided */
    KEYCYCLE_EVENT_COOLDOWN, /* a 429 put it away until `until_ms` */
    KEYCYCLE_EVENT_INVALID,  /* it was refused, or its bill is unpaid */
    KEYCYCLE_EVENT_RECOVER,  /* it works again */
    KEYCYCLE_EVENT_WAIT,     /* a caller was put into the queue; no key */
    KEYCYCLE_EVENT_LEARN     /* an answer told another limit: `reason` names
                              * it, `amount` is what it is now */
};

/* keycycle_event_name returns "acquire", "rotate", …, the same that Lua calls
 * it; "unknown" for what is none. Static text. */
const char *keycycle_event_name(enum keycycle_event_type type);

struct keycycle_event { /* a copy; texts are cut where too long */
    enum keycycle_event_type type;
    uint64_t at_ms;    /* since 1970 */
    unsigned key;      /* 0: none */
    unsigned from;     /* of a rotation: the key before; else 0 */
    uint64_t until_ms; /* since 1970, of a cooldown; 0: none */
    uint64_t amount;   /* of a limit that was learned */
    uint64_t lost;     /* events before this one that were not read in time */
    char suffix[8];    /* the key's last characters */
    char model[KEYCYCLE_MODEL_MAX]; /* "": of the whole key */
    char reason[64];
};

/* A listener reads what happens to a pool, by whichever thread and in whichever
 * Lua state that shares the pool, from when it was made: the last 1024 events
 * wait for it. Each one is used by one thread at a time; a pool may have any
 * number of them. */
struct keycycle_listener;

/* keycycle_pool_listen makes a listener. *out is the caller's, who closes it;
 * NULL on failure. It counts as a use of the pool. KEYCYCLE_ECLOSED: the pool
 * was stopped; KEYCYCLE_ESYSTEM: no descriptor was to be had. */
int keycycle_pool_listen(struct keycycle_pool *pool,
                         struct keycycle_listener **out);

/* keycycle_listener_next copies the next event, for which it blocks at most
 * `timeout_ms` (0: not at all; KEYCYCLE_NEVER: no bound). KEYCYCLE_EAGAIN:
 * there is none; KEYCYCLE_ECLOSED: nor will there be, the pool was stopped or
 * closed. */
int keycycle_listener_next(struct keycycle_listener *listener,
                           uint64_t timeout_ms, struct keycycle_event *out);

/* keycycle_listener_fd returns a descriptor for a loop of the program's own,
 * readable when events have come: read until KEYCYCLE_EAGAIN then. It belongs
 * to the listener. -1 for NULL. */
int keycycle_listener_fd(const struct keycycle_listener *listener);

/* keycycle_listener_close frees it, before or after its pool is closed, in any
 * thread that does not use it in another call. Takes NULL. */
void keycycle_listener_close(struct keycycle_listener *listener);

/* -- what is kept of it -------------------------------------------------- */

/* keycycle_pool_save writes to the store what was used until now, and blocks
 * for at most `timeout_ms` (KEYCYCLE_NEVER: no bound). It is written without
 * that, too, within a fraction of a second. KEYCYCLE_ETIMEOUT, or
 * KEYCYCLE_ESTORE with words in keycycle_pool_store_state; what failed is tried
 * again by itself. KEYCYCLE_OK where the pool was given no store. */
int keycycle_pool_save(struct keycycle_pool *pool, uint64_t timeout_ms);

struct keycycle_store_state { /* a copy; texts are cut where too long */
    uint64_t waiting;    /* counts that are not written yet */
    uint64_t set_aside;  /* counts that the store has refused for good */
    uint64_t failing_ms; /* for how long writing has failed; 0: it works */
    char error[256];     /* why it fails, or why the last first use did; "" */
    char aside[256];     /* what was set aside last, and why; "" */
};

/* keycycle_pool_store_state tells how the pool's store is. It is no use of the
 * pool, so that it can be asked after one that failed. Its words never hold a
 * password or a key. All zero where there is no store. */
int keycycle_pool_store_state(struct keycycle_pool *pool,
                              struct keycycle_store_state *out);

#ifdef __cplusplus
}
#endif

#endif
