/* journal_fixture.h -- a pool, a clock and a journal on a file; a database in
 * between that fails as it is told. Include cmocka before.
 */
#ifndef TESTS_STORE_JOURNAL_FIXTURE_H
#define TESTS_STORE_JOURNAL_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/journal_impl.h"
#include "store/store_impl.h"
#include "unit/store/store_fixture.h"

#define PATIENCE_MS 60000 /* for what must come; nobody waits that long */

/* GATE_DOUBTS: it is written, GATE_LOSES: it is not, and nobody can tell. */
enum gate_mode { GATE_OPEN, GATE_FAILS, GATE_HANGS, GATE_DOUBTS, GATE_LOSES };

struct gate { /* a database before another one */
    struct kc_db head;
    struct kc_db *inner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum gate_mode mode;
    /* transactions: begun, those that wrote, and those nobody can tell of */
    int tries, writes, doubts;
    bool writing;
    bool waits;        /* somebody hangs */
    bool closed;
};

static inline struct gate *gate_of(struct kc_db *db)
{
    return (struct gate *)db;
}

static inline int gate_begin(struct kc_db *db, bool write)
{
    struct gate *g = gate_of(db);
    pthread_mutex_lock(&g->lock);
    g->tries++;
    g->writing = write;
    g->waits = g->mode == GATE_HANGS;
    pthread_cond_broadcast(&g->changed);
    while (g->mode == GATE_HANGS)
        pthread_cond_wait(&g->changed, &g->lock);
    g->waits = false;
    int err = g->mode == GATE_FAILS ? KC_ESTORE : KC_OK;
    pthread_mutex_unlock(&g->lock);
    return err == KC_OK ? kc_db_begin(g->inner, write) : err;
}

static inline int gate_commit(struct kc_db *db, bool *doubtful)
{
    struct gate *g = gate_of(db);
    int err = KC_OK;
    pthread_mutex_lock(&g->lock);
    if (g->writing && g->mode == GATE_LOSES)
        kc_db_rollback(g->inner);
    else
        err = kc_db_commit(g->inner, doubtful);
    if (err == KC_OK && g->writing && g->mode >= GATE_DOUBTS) {
        err = KC_ESTORE;
        *doubtful = true;
        g->doubts++;
    }
    g->writes += err == KC_OK && g->writing;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return err;
}

static inline void gate_rollback(struct kc_db *db)
{
    kc_db_rollback(gate_of(db)->inner);
}

static inline int gate_exec(struct kc_db *db, const char *sql, int64_t *changed)
{
    return kc_db_exec(gate_of(db)->inner, sql, changed);
}

static inline int gate_query(struct kc_db *db, const char *sql,
                             const struct kc_value *params, size_t n,
                             kc_db_row_fn *fn, void *ctx, int64_t *changed)
{
    return kc_db_query(gate_of(db)->inner, sql, params, n, fn, ctx, changed);
}

static inline int gate_quiet(struct kc_db *db, bool *quiet)
{
    return kc_db_quiet(gate_of(db)->inner, quiet);
}

static inline void gate_interrupt(struct kc_db *db)
{
    (void)db; /* what hangs does not hear it */
}

static inline const char *gate_error(struct kc_db *db)
{
    struct gate *g = gate_of(db);
    const char *words = kc_db_error(g->inner);
    return words && *words ? words : "the disk is on fire";
}

static inline void gate_close(struct kc_db *db)
{
    struct gate *g = gate_of(db);
    kc_db_close(g->inner);
    pthread_mutex_lock(&g->lock);
    g->closed = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static inline void gate_forget(struct kc_db *db)
{
    kc_db_forget(gate_of(db)->inner);
}

static struct kc_db_ops gate_ops = {
    .begin = gate_begin,         .commit = gate_commit,
    .rollback = gate_rollback,   .exec = gate_exec,
    .query = gate_query,         .quiet = gate_quiet,
    .interrupt = gate_interrupt, .error = gate_error,
    .close = gate_close,         .forget = gate_forget};

static inline void set_gate(struct gate *g, enum gate_mode mode)
{
    pthread_mutex_lock(&g->lock);
    g->mode = mode;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static inline int gate_tries(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    int n = g->tries;
    pthread_mutex_unlock(&g->lock);
    return n;
}

static inline int gate_writes(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    int n = g->writes;
    pthread_mutex_unlock(&g->lock);
    return n;
}

static inline int gate_doubts(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    int n = g->doubts;
    pthread_mutex_unlock(&g->lock);
    return n;
}

static inline void wait_for_writes(struct gate *g, int n)
{
    pthread_mutex_lock(&g->lock);
    while (g->writes < n)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static inline void wait_for_tries(struct gate *g, int n)
{
    pthread_mutex_lock(&g->lock);
    while (g->tries < n)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

/* -- one run of a program -------------------------------------------------- */

struct run {
    struct gate gate;
    struct kc_journal *journal;
    struct kc_pool *pool;
    atomic_uint_fast64_t now_ms;
    atomic_int eased, released, changes;
};

static inline uint64_t run_now(void *ctx)
{
    return ((struct run *)ctx)->now_ms;
}
static inline void run_eased(void *ctx)
{
    atomic_fetch_add(&((struct run *)ctx)->eased, 1);
}
static inline void run_released(void *ctx)
{
    atomic_fetch_add(&((struct run *)ctx)->released, 1);
}
static inline void run_changed(void *ctx)
{
    atomic_fetch_add(&((struct run *)ctx)->changes, 1);
}

static inline uint32_t add_key(struct kc_pool *p, int n)
{
    char secret[40];
    uint32_t index;
    snprintf(secret, sizeof secret, "sk-test-%04d-key-%04d", 7 * n, n);
    struct kc_key_config key = {.secret = secret};
    assert_int_equal(kc_pool_add_key(p, START_MS, &key, &index), KC_OK);
    return index;
}

static inline struct kc_pool *pool_of(int keys)
{
    struct kc_pool_config config = {
        .max_waiters = 100, .max_lease_ms = 600000, .seed = 1};
    struct kc_pool *p;
    assert_int_equal(kc_pool_new(&config, &p), KC_OK);
    for (int i = 1; i <= keys; i++)
        add_key(p, i);
    return p;
}

static inline struct kc_kept kept_of(struct run *r)
{
    return (struct kc_kept){.pool = r->pool,
                            .provider = "p",
                            .ctx = r,
                            .now = run_now,
                            .eased = run_eased,
                            .released = run_released};
}

/* In the caller's memory, because the journal keeps its address. */
static inline void start_run(struct run *r, const char *url, uint64_t now_ms,
                             int keys)
{
    struct kc_store *s;
    char *why;
    memset(r, 0, sizeof *r);
    atomic_init(&r->now_ms, now_ms);
    assert_int_equal(kc_store_open(url, 0, &s, &why), KC_OK);
    pthread_mutex_init(&r->gate.lock, NULL);
    pthread_cond_init(&r->gate.changed, NULL);
    gate_ops.dialect = s->db->ops->dialect;
    r->gate.head.ops = &gate_ops;
    r->gate.inner = s->db;
    s->db = &r->gate.head;
    r->pool = pool_of(keys);
    assert_int_equal(kc_journal_open(s, &r->journal), KC_OK);
    kc_journal_on_change(r->journal, run_changed, r);
    struct kc_kept kept = kept_of(r);
    int err = kc_journal_keep(r->journal, &kept, &why);
    if (why)
        assert_string_equal(why, "");
    assert_int_equal(err, KC_OK);
}

static inline void free_run(struct run *r)
{
    kc_journal_unref(r->journal);
    kc_pool_free(r->pool);
    pthread_mutex_destroy(&r->gate.lock);
    pthread_cond_destroy(&r->gate.changed);
}

static inline void end_run(struct run *r)
{
    assert_int_equal(kc_journal_close(r->journal, PATIENCE_MS), 0);
    assert_int_equal(r->released, 1);
    free_run(r);
}

static inline void sync_run(struct run *r)
{
    assert_int_equal(kc_journal_sync(r->journal, PATIENCE_MS), KC_OK);
}

/* -- what programs do ------------------------------------------------------ */

static inline uint64_t take(struct run *r, uint64_t tokens)
{
    struct kc_request request = {.model = "m", .tokens = tokens};
    struct kc_grant g;
    struct kc_refusal refusal;
    assert_int_equal(
        kc_pool_acquire(r->pool, r->now_ms, &request, &g, &refusal), KC_OK);
    kc_journal_wake(r->journal);
    return g.lease;
}

static inline void settle(struct run *r, uint64_t lease)
{
    assert_int_equal(
        kc_pool_settle(r->pool, r->now_ms, lease, KC_DONE, NULL), KC_OK);
    kc_journal_wake(r->journal);
}

static inline void use(struct run *r, uint64_t tokens)
{
    settle(r, take(r, tokens));
}

static inline struct kc_snapshot counts(struct run *r)
{
    struct kc_snapshot s;
    assert_int_equal(kc_pool_snapshot(r->pool, r->now_ms, 0, NULL, &s), KC_OK);
    return s;
}

static inline uint64_t minute(struct run *r)
{
    return counts(r).used[KC_MINUTE][KC_REQUESTS];
}

#endif
