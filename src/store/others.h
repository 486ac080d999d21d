/* others.h -- what is known of the other writers of a store.
 *
 * Of each (writer, key, model) it is remembered what had been used when it was
 * looked at last, and what is held. What was used since is booked in the pool,
 * at its own time; what is held is held there, too, until its writer lets go of
 * it. A writer that has ended, or that was silent for so long that it cannot be
 * alive, lets go of all: that counts as used from then. One thread at a time.
 */
#ifndef KC_STORE_OTHERS_H
#define KC_STORE_OTHERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pool_store.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/map.h"

#define KC_SILENT_MS 30000

struct kc_view { /* of one pool; in its owner's memory */
    struct kc_pool *pool;
    const char *provider;
    uint64_t now_ms;    /* engine time; the owner's to set before a call */
    uint64_t seen_ms;   /* the same at the last merge */
    bool eased;         /* set when something may have got free for waiters */
    struct kc_map sums; /* what is remembered */
    struct kc_view *next;
};

struct kc_others {
    struct kc_map writers;
    struct kc_view *views;
    struct kc_buf text; /* for a moment: a name in one of the maps */
    uint64_t silent_ms;
    uint64_t looked_ms; /* monotonic: the last merge */
};

void kc_others_init(struct kc_others *o);
void kc_others_deinit(struct kc_others *o); /* the views are left alone */

void kc_view_init(struct kc_view *v, struct kc_pool *pool,
                  const char *provider);
void kc_view_deinit(struct kc_view *v);

/* kc_others_add has the view take part in merges; kc_others_remove ends that.
 */
void kc_others_add(struct kc_others *o, struct kc_view *v);
void kc_others_remove(struct kc_others *o, struct kc_view *v);

/* kc_others_restore reads the past of those of the view's keys that it was not
 * read of yet; it is cheap without such keys. */
KC_CHECKED int kc_others_restore(struct kc_others *o, struct kc_view *v,
                                 struct kc_store *s);

/* kc_others_merge takes in what has been written since it was asked last.
 * `mono_ms` is any steady time. */
KC_CHECKED int kc_others_merge(struct kc_others *o, struct kc_store *s,
                               uint64_t mono_ms);

#endif
