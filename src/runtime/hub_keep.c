/* hub_keep.c -- the tie between a hub and the journal that keeps its pool.
 *
 * It is made once and lasts as long as the hub: the journal has a share of the
 * hub until it has let the pool go, the hub one of the writer. A hub by name
 * uses the writer until its last member has left, whoever brought it.
 */
#include "runtime/hub.h"

#include <stdlib.h>
#include <string.h>

#include "engine/pool_store.h"
#include "runtime/hub_impl.h"
#include "runtime/registry.h"
#include "runtime/writer_impl.h"

#define LAST_MS 1000 /* how long the last member of a name waits for it */

static uint64_t now_of(void *ctx)
{
    return kc_hub_now(ctx);
}

static void eased(void *ctx)
{
    kc_hub_pump(ctx);
}

static void released(void *ctx)
{
    kc_hub_share_out(ctx);
}

/* Those who are members by name need the writer open, as one. */
static int use_for_members(struct kc_hub *h, struct kc_writer *w)
{
    int err = KC_OK;
    kc_registry_enter();
    if (h->members > 0)
        err = kc_writer_use(w);
    h->uses = h->members > 0 && err == KC_OK;
    kc_registry_leave();
    return err;
}

static int tie(struct kc_hub *h, const char *provider, struct kc_writer *w,
               char **why)
{
    struct kc_kept kept = {.pool = h->pool,
                           .provider = provider,
                           .ctx = h,
                           .now = now_of,
                           .eased = eased,
                           .released = released};
    int err = use_for_members(h, w);
    if (err != KC_OK)
        return err;
    /* Before the journal's thread can know of it; where it is set, others may
     * be reading it. */
    if (!h->threads)
        h->threads = true;
    atomic_fetch_add(&h->shares, 1);
    err = kc_journal_keep(kc_writer_journal(w), &kept, why);
    if (err == KC_OK) {
        atomic_store(&h->writer, kc_writer_hold(w));
        return KC_OK;
    }
    if (err == KC_EDIFFERS && !*why)
        *why = strdup("this store keeps another pool of the provider already");
    atomic_fetch_sub(&h->shares, 1);
    kc_hub_unuse(h, w);
    return err;
}

/* Kept already: by whom? */
static int join(struct kc_writer *there, struct kc_writer *w, char **why)
{
    if (there == w)
        return KC_OK;
    if (!kc_writer_same(there, w)) {
        *why = strdup("the shared pool is kept in another store already: all "
                      "who share it need the same db_url, or none; a store "
                      "of the program's own is given by one alone");
        return KC_EDIFFERS;
    }
    return kc_writer_link(w, there);
}

int kc_hub_keep(struct kc_hub *h, const char *provider, struct kc_writer *w,
                char **why)
{
    *why = NULL;
    if (!kc_writer_journal(w) || h->generation != kc_registry_generation())
        return KC_EFORKED;
    pthread_mutex_lock(&h->tie_lock);
    struct kc_writer *there = atomic_load(&h->writer);
    int err = there ? join(there, w, why) : tie(h, provider, w, why);
    pthread_mutex_unlock(&h->tie_lock);
    return err;
}

void kc_hub_unuse(struct kc_hub *h, struct kc_writer *w)
{
    bool last;
    kc_registry_enter();
    bool uses = h->uses;
    h->uses = false;
    kc_registry_leave();
    if (uses)
        kc_writer_unuse(w, LAST_MS, &last);
}

void kc_hub_left(struct kc_hub *h)
{
    struct kc_writer *w = atomic_load(&h->writer);
    if (w)
        kc_hub_unuse(h, w);
}

void kc_hub_let_go(struct kc_hub *h)
{
    struct kc_writer *w = atomic_load(&h->writer);
    if (w)
        kc_journal_release(kc_writer_journal(w), h->pool);
}

void kc_hub_note(struct kc_hub *h)
{
    struct kc_writer *w =
        atomic_load_explicit(&h->writer, memory_order_acquire);
    if (w && kc_pool_has_news(h->pool))
        kc_writer_wake(w);
}

void kc_hub_hurry(struct kc_hub *h)
{
    struct kc_writer *w = atomic_load(&h->writer);
    if (w && !kc_hub_is_forked(h))
        kc_journal_hurry(kc_writer_journal(w));
}
