/* journal_run.c -- the journal's thread: what it does in a turn, and when. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/journal_impl.h"
#include "util/clock.h"
#include "util/num.h"

void kc_journal_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ms)
{
    struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
                          .tv_nsec = (long)(ms % 1000) * 1000000};
    pthread_cond_timedwait(cond, lock, &ts);
}

/* -- pools that go --------------------------------------------------------- */

void kc_keeping_free(struct kc_keeping *k)
{
    if (k->kept.released)
        k->kept.released(k->kept.ctx);
    kc_view_deinit(&k->view);
    free(k->provider);
    free(k);
}

/* With both locks. The sums of a pool that was used stay this writer's: another
 * pool of that provider would begin them anew. */
static void unlink_kept(struct kc_journal *j, struct kc_keeping **at)
{
    struct kc_keeping *k = *at;
    *at = k->next;
    kc_others_remove(&j->others, &k->view);
    if (!k->used)
        kc_map_remove(&j->providers, k->kept.provider);
}

/* Lets those go that asked for it before their last news were drawn. */
static void release_written(struct kc_journal *j)
{
    struct kc_keeping *gone = NULL;
    pthread_mutex_lock(&j->lock);
    for (struct kc_keeping **at = &j->kept; *at;) {
        struct kc_keeping *k = *at;
        if (!k->going || kc_pool_unwritten(k->kept.pool) > 0) {
            at = &k->next;
            continue;
        }
        unlink_kept(j, at);
        k->next = gone;
        gone = k;
    }
    pthread_mutex_unlock(&j->lock);
    while (gone) {
        struct kc_keeping *next = gone->next;
        kc_keeping_free(gone);
        gone = next;
    }
}

/* -- a turn of the thread, with store_lock --------------------------------- */

static bool is_shared(const struct kc_journal *j)
{
    return !kc_store_is_private(j->store);
}

static void look_at_clocks(struct kc_journal *j)
{
    for (struct kc_keeping *k = j->kept; k; k = k->next) {
        k->view.now_ms = k->kept.now(k->kept.ctx);
        if (k->view.now_ms > j->now_ms)
            j->now_ms = k->view.now_ms;
    }
}

/* Keys that were added since have their past read. */
static int restore_new(struct kc_journal *j)
{
    int err = KC_OK;
    for (struct kc_keeping *k = j->kept; k && err == KC_OK; k = k->next) {
        uint64_t version = kc_pool_state_version(k->kept.pool);
        if (version == k->keys_at)
            continue;
        err = kc_others_restore(&j->others, &k->view, j->store);
        if (err == KC_OK)
            k->keys_at = version;
    }
    return err;
}

static bool has_news(const struct kc_journal *j)
{
    bool any = false;
    for (const struct kc_keeping *k = j->kept; k; k = k->next)
        any |= kc_pool_has_news(k->kept.pool) ||
               kc_pool_state_version(k->kept.pool) != k->since;
    return any;
}

/* Whether it is time to tell others that this writer lives. */
static bool must_beat(struct kc_journal *j, uint64_t now)
{
    if (now < j->beat_ms)
        return false;
    j->beat_ms = now + j->pace.beat;
    if (j->wrote_ms == 0)
        return false; /* nobody knows of it */
    bool held = now - j->wrote_ms >= j->pace.idle_beat;
    for (struct kc_keeping *k = j->kept; k && !held; k = k->next) {
        struct kc_snapshot s;
        held = kc_pool_snapshot(k->kept.pool, k->view.now_ms, 0, NULL, &s) ==
                   KC_OK &&
               s.in_flight > 0;
    }
    return held && is_shared(j);
}

static int write_news(struct kc_journal *j, bool closing)
{
    uint64_t now = kc_mono_ms();
    bool wrote = false, beat = must_beat(j, now);
    pthread_mutex_lock(&j->lock);
    for (struct kc_keeping *k = j->kept; k; k = k->next)
        k->going = k->leaving;
    pthread_mutex_unlock(&j->lock);
    j->looked_ms = now;
    /* Who changes a pool after its lock was held below must wake us again. */
    bool woken = atomic_exchange(&j->woken, false);
    int err = KC_OK;
    if (beat || closing || woken || has_news(j))
        err = kc_news_write(j, closing, beat, &wrote);
    if (wrote) {
        j->wrote_ms = kc_mono_ms();
        j->beat_ms = j->wrote_ms + j->pace.beat;
        j->tend_ms = kc_least(j->tend_ms, j->wrote_ms + j->pace.tend);
    }
    if (err == KC_OK)
        release_written(j);
    if (has_news(j))
        atomic_store(&j->woken, true);
    return err;
}

static int merge(struct kc_journal *j, bool now)
{
    uint64_t mono = kc_mono_ms();
    bool hurried = atomic_load(&j->hurried);
    uint64_t pause = hurried ? j->pace.hurry : j->pace.merge;
    if (!is_shared(j) || !j->kept || (!now && mono < j->merged_ms + pause))
        return KC_OK;
    atomic_store(&j->hurried, false);
    j->merged_ms = mono;
    int err = kc_others_merge(&j->others, j->store, mono);
    for (struct kc_keeping *k = j->kept; k; k = k->next)
        if (k->view.eased && !atomic_load(&j->stop)) {
            k->view.eased = false;
            k->kept.eased(k->kept.ctx);
        }
    return err;
}

/* Keeps the store small. It is tried again later, whatever comes of it. */
static void tend(struct kc_journal *j)
{
    uint64_t mono = kc_mono_ms(), settled_ms = j->now_ms;
    if (mono < j->tend_ms)
        return;
    /* Without use there is less to do. */
    bool busy = j->wrote_ms + j->pace.tend >= mono;
    j->tend_ms = mono + (busy ? j->pace.tend : j->pace.idle_beat);
    for (struct kc_keeping *k = j->kept; k; k = k->next)
        settled_ms = kc_least(settled_ms,
                              kc_pool_settled_ms(k->kept.pool, k->view.now_ms));
    int err = kc_store_tend(j->store, j->now_ms, settled_ms);
    (void)err;
}

static int work(struct kc_journal *j, bool all, bool closing,
                char words[KC_WORDS_MAX])
{
    look_at_clocks(j);
    int err = closing ? KC_OK : restore_new(j);
    int written = write_news(j, closing);
    if (err == KC_OK)
        err = written;
    if (err == KC_OK && !closing)
        err = merge(j, all);
    if (err == KC_OK && !closing)
        tend(j);
    const char *told = err == KC_OK ? "" : kc_store_error(j->store);
    if (err != KC_OK && (err == KC_ENOMEM || !told || !*told))
        told = kc_err_text(err);
    snprintf(words, KC_WORDS_MAX, "%s", told);
    return err;
}

/* -- the thread, with the lock --------------------------------------------- */

/* When something is to be done, monotonic. */
static uint64_t due_ms(struct kc_journal *j)
{
    const struct kc_pace *pace = &j->pace;
    if (j->hurry)
        return 0;
    if (j->wait_ms > 0)
        return j->retry_ms;
    uint64_t at = kc_least(j->beat_ms, j->tend_ms);
    if (atomic_load(&j->woken))
        at = kc_least(at, j->looked_ms + pace->write);
    if (j->kept && is_shared(j)) {
        bool hurried = atomic_load(&j->hurried);
        uint64_t pause = hurried ? pace->hurry : pace->merge;
        at = kc_least(at, j->merged_ms + pause);
    }
    return at;
}

static void note(struct kc_journal *j, int err, const char *words)
{
    bool failed = j->failing_since_ms > 0;
    snprintf(j->error, sizeof j->error, "%s", words);
    if (err == KC_OK) {
        j->wait_ms = j->failing_since_ms = 0;
    } else {
        uint64_t now = kc_mono_ms(), twice = j->wait_ms * 2;
        j->wait_ms =
            j->wait_ms ? kc_least(twice, j->pace.retry_max) : j->pace.retry;
        j->retry_ms = now + j->wait_ms;
        if (!failed)
            j->failing_since_ms = now;
    }
    bool news = failed == (err == KC_OK) || j->set_aside != j->told_aside;
    j->told_aside = j->set_aside;
    if (news && j->on_change) {
        pthread_mutex_unlock(&j->lock);
        j->on_change(j->ctx);
        pthread_mutex_lock(&j->lock);
    }
}

static size_t missing(const struct kc_journal *j)
{
    size_t n = 0;
    for (const struct kc_keeping *k = j->kept; k; k = k->next)
        n += kc_news_missing(k);
    return n;
}

static void take_turn(struct kc_journal *j)
{
    char words[KC_WORDS_MAX];
    uint64_t upto = j->asked;
    bool all = upto > j->served, closing = j->closed;
    j->hurry = false;
    pthread_mutex_unlock(&j->lock);
    pthread_mutex_lock(&j->store_lock);
    int err = work(j, all, closing, words);
    pthread_mutex_unlock(&j->store_lock);
    pthread_mutex_lock(&j->lock);
    note(j, err, words);
    if (err == KC_OK)
        j->served = upto;
    else if (closing && missing(j) == 0)
        atomic_store(&j->stop, true); /* that it has ended shows by itself */
    pthread_cond_broadcast(&j->tried);
}

/* With the lock: everything is let go, the store at last. */
static void end(struct kc_journal *j)
{
    pthread_mutex_unlock(&j->lock);
    pthread_mutex_lock(&j->store_lock);
    pthread_mutex_lock(&j->lock);
    struct kc_keeping *kept = j->kept;
    struct kc_store *store = j->store;
    /* At once: who closes adds up both. */
    j->lost += missing(j);
    j->store = NULL;
    j->kept = NULL;
    j->others.views = NULL;
    pthread_mutex_unlock(&j->lock);
    pthread_mutex_unlock(&j->store_lock);
    while (kept) {
        struct kc_keeping *next = kept->next;
        kc_keeping_free(kept);
        kept = next;
    }
    kc_store_close(store);
    pthread_mutex_lock(&j->lock);
    j->gone = true;
    pthread_cond_broadcast(&j->tried);
}

static void *run(void *arg)
{
    struct kc_journal *j = arg;
    pthread_mutex_lock(&j->lock);
    while (!j->ended && !atomic_load(&j->stop)) {
        uint64_t at = due_ms(j);
        if (kc_mono_ms() < at)
            kc_journal_wait(&j->changed, &j->lock, at);
        else
            take_turn(j);
    }
    end(j);
    pthread_mutex_unlock(&j->lock);
    kc_journal_unref(j);
    return NULL;
}

/* Signals are the program's: none may land in our thread. */
int kc_journal_start(struct kc_journal *j)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return KC_ESYSTEM;
    atomic_fetch_add(&j->refs, 1);
    int err = pthread_create(&j->thread, NULL, run, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0)
        atomic_fetch_sub(&j->refs, 1);
    return err == 0 ? KC_OK : KC_ESYSTEM;
}
