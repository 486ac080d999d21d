/* writer.h -- what a wrapper holds of a store: a journal that a fork disowns.
 *
 * The journal keeps the pools of those ledgers that were attached. A shared
 * pool that another wrapper has attached before stays with that one's journal
 * (the URL must be the same): then this writer uses that journal, too, and what
 * is asked here is asked of both. A journal lives until nobody uses it any
 * more: no writer that is open, no pool by name that somebody still has.
 */
#ifndef KC_RUNTIME_WRITER_H
#define KC_RUNTIME_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/loop.h"
#include "store/journal.h"
#include "util/err.h"

struct kc_writer; /* lasts as long as its opener and hubs hold it */

/* kc_writer_open opens the store behind `url`; see kc_store_open, which also
 * says what `keep_days` and *why are. */
KC_CHECKED int kc_writer_open(const char *url, uint32_t keep_days,
                              struct kc_writer **out, char **why);

/* kc_writer_unref is the opener's last word: it closes, within a second. Takes
 * NULL. */
void kc_writer_unref(struct kc_writer *w);

/* kc_writer_be_alone: what it keeps is read by its opener alone, so no other
 * writer may stand in for it, whatever its URL. Before a pool is attached. */
void kc_writer_be_alone(struct kc_writer *w);

/* kc_writer_with_store runs fn(ctx, store) while the journal's thread is held
 * off, and returns what it returns: to read a report, or to import. KC_ECLOSED,
 * KC_EFORKED. */
KC_CHECKED int kc_writer_with_store(struct kc_writer *w,
                                    int (*fn)(void *ctx, struct kc_store *s),
                                    void *ctx);

/* kc_writer_sync is kc_journal_sync. KC_ECLOSED, KC_EFORKED. */
KC_CHECKED int kc_writer_sync(struct kc_writer *w, uint64_t timeout_ms);

/* kc_writer_status is kc_journal_status. All zero once it is closed or forked.
 */
void kc_writer_status(struct kc_writer *w, struct kc_journal_status *out);

/* kc_writer_changes counts how often writing has begun to fail, works again, or
 * set rows aside: a few instructions. The loop that was given to
 * kc_writer_watch (NULL: none) is woken each time; it must live until the
 * writer is closed. One loop a writer. */
unsigned kc_writer_changes(struct kc_writer *w);
void kc_writer_watch(struct kc_writer *w, struct kc_loop *loop);

/* kc_writer_close: its opener is done with it. Where nobody else uses the
 * journal it is closed, see kc_journal_close; else what has changed is written,
 * and others go on. Returns how many pieces of news are lost. Idempotent. */
size_t kc_writer_close(struct kc_writer *w, uint64_t timeout_ms);

#endif
