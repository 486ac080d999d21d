/* cpool_start.c -- a pool of keycycle.h takes up its name and its store, and
 * lets go of both. */
#include <stdlib.h>
#include <string.h>

#include "engine/cooldown.h"
#include "engine/pool_store.h"
#include "runtime/cpool_impl.h"
#include "runtime/registry.h"

#define LAST_MS 5000 /* how long a close writes what is left */

bool kc_cpool_is_forked(const struct keycycle_pool *p)
{
    return p->generation != kc_registry_generation();
}

/* -- the start, all with the pool's lock ----------------------------------- */

/* Takes `why`. */
static int fail(struct keycycle_pool *p, int err, char *why)
{
    kc_copy_cut(p->error, sizeof p->error, why ? why : kc_err_text(err));
    free(why);
    return err;
}

static int open_store(struct keycycle_pool *p)
{
    char *why;
    int err =
        kc_writer_open(kc_buf_str(&p->url), p->keep_days, &p->writer, &why);
    if (err != KC_OK)
        return fail(p, err, why);
    kc_buf_wipe(&p->url);
    return KC_OK;
}

/* The program knows keys by the indexes that its own pool gave. */
static bool same_indexes(struct kc_pool *mine, struct kc_pool *there)
{
    uint32_t n = kc_pool_key_count(mine);
    for (uint32_t i = 1; i <= n; i++) {
        struct kc_key_info k, l;
        if (kc_pool_key_info(mine, 0, i, NULL, &k) == KC_OK &&
            k.state != KC_GONE &&
            (kc_pool_key_info(there, 0, i, NULL, &l) != KC_OK ||
             strcmp(k.hash, l.hash) != 0))
            return false;
    }
    return true;
}

/* Goes to the hub of the name, or stays where that is another. */
static int join(struct keycycle_pool *p, struct kc_hub *mine)
{
    if (p->kept) /* nothing of it is to be missed once others know of it */
        kc_pool_keep(kc_hub_pool(mine));
    int err = kc_hub_share(&p->hub, p->name, p->provider);
    if (err != KC_OK)
        return fail(p, err, NULL);
    p->member = true;
    if (same_indexes(kc_hub_pool(mine), kc_hub_pool(p->hub)))
        return KC_OK;
    return fail(p, KC_EDIFFERS, NULL);
}

static int keep(struct keycycle_pool *p)
{
    char *why;
    int err = kc_hub_keep(p->hub, p->provider, p->writer, &why);
    return err == KC_OK ? KC_OK : fail(p, err, why);
}

/* Back to the pool of its own, which it has left; the one that it has made
 * known itself it stays a member of. */
static void return_to(struct keycycle_pool *p, struct kc_hub *mine)
{
    if (p->hub == mine)
        return;
    kc_hub_leave(p->hub);
    kc_hub_unref(p->hub);
    p->hub = kc_hub_ref(mine);
    p->member = false;
}

static int start(struct keycycle_pool *p)
{
    struct kc_hub *mine = kc_hub_ref(p->hub);
    int err = KC_OK;
    if (p->kept && !p->writer)
        err = open_store(p);
    if (err == KC_OK && p->name && !p->member)
        err = join(p, mine);
    if (err == KC_OK && p->writer)
        err = keep(p);
    if (err == KC_OK) {
        p->error[0] = '\0';
        atomic_store(&p->ready, true);
    } else {
        return_to(p, mine);
    }
    kc_hub_unref(mine);
    return err;
}

int kc_cpool_use(struct keycycle_pool *p, struct kc_hub **hub)
{
    *hub = NULL;
    if (!p)
        return KC_EINVALID;
    if (kc_cpool_is_forked(p))
        return KC_EFORKED;
    int err = KC_OK;
    if (!atomic_load(&p->ready)) {
        pthread_mutex_lock(&p->lock);
        if (!atomic_load(&p->ready))
            err = start(p);
        pthread_mutex_unlock(&p->lock);
    }
    if (err == KC_OK)
        *hub = p->hub;
    return err;
}

int kc_cpool_serve(struct keycycle_pool *p, struct kc_hub **hub)
{
    *hub = NULL;
    if (p && atomic_load(&p->stopped) && !kc_cpool_is_forked(p))
        return KC_ECLOSED;
    return kc_cpool_use(p, hub);
}

KC_EXPORT int keycycle_pool_start(struct keycycle_pool *p)
{
    struct kc_hub *hub;
    return kc_cpool_use(p, &hub);
}

/* -- the end --------------------------------------------------------------- */

KC_EXPORT void keycycle_pool_stop(struct keycycle_pool *p)
{
    if (!p || kc_cpool_is_forked(p))
        return;
    atomic_store(&p->stopped, true);
    pthread_mutex_lock(&p->lock); /* the hub may change until it has begun */
    kc_hub_stop(p->hub, &p->stopped);
    pthread_mutex_unlock(&p->lock);
}

void kc_cpool_free(struct keycycle_pool *p)
{
    if (p->writer) {
        kc_writer_close(p->writer, LAST_MS);
        kc_writer_unref(p->writer);
    }
    kc_hub_unref(p->hub);
    pthread_mutex_destroy(&p->lock);
    kc_buf_wipe(&p->url);
    free(p->name);
    free(p->provider);
    free(p);
}

KC_EXPORT void keycycle_pool_close(struct keycycle_pool *p)
{
    if (!p)
        return;
    keycycle_pool_stop(p);
    if (p->member)
        kc_hub_leave(p->hub);
    kc_cpool_free(p);
}

/* -- the store ------------------------------------------------------------- */

KC_EXPORT int keycycle_pool_save(struct keycycle_pool *p, uint64_t timeout_ms)
{
    struct kc_hub *hub;
    int err = kc_cpool_use(p, &hub);
    if (err == KC_OK && p->writer)
        err = kc_writer_sync(p->writer, timeout_ms);
    return err;
}

KC_EXPORT int keycycle_pool_store_state(struct keycycle_pool *p,
                                        struct keycycle_store_state *out)
{
    struct kc_journal_status s = {0};
    if (!out)
        return KC_EINVALID;
    *out = (struct keycycle_store_state){.waiting = 0};
    if (!p)
        return KC_EINVALID;
    if (kc_cpool_is_forked(p))
        return KC_EFORKED;
    pthread_mutex_lock(&p->lock);
    if (p->writer)
        kc_writer_status(p->writer, &s);
    kc_copy_cut(out->error, sizeof out->error, *p->error ? p->error : s.error);
    pthread_mutex_unlock(&p->lock);
    out->waiting = s.waiting;
    out->set_aside = s.set_aside;
    out->failing_ms = s.failing_ms;
    kc_copy_cut(out->aside, sizeof out->aside, s.aside);
    return KC_OK;
}
