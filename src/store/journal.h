/* journal.h -- the one thread that writes usage to a store.
 *
 * Callers add differences to counters in memory, which costs a map look-up and
 * a lock held for nanoseconds; the thread wakes within 250 ms of the first
 * change and writes the changed counters as absolute rows, in one transaction.
 * When the store fails the counters stay dirty and are tried again after
 * growing waits: memory is bounded by the counters, not by events.
 *
 * A reservation is added at acquire and corrected at settle, under the same
 * time, so what a killed process had in flight stays counted.
 */
#ifndef KC_STORE_JOURNAL_H
#define KC_STORE_JOURNAL_H

#include <stdint.h>

#include "store/store.h"
#include "util/err.h"

struct kc_journal;

struct kc_delta {
    int64_t requests;
    int64_t input;
    int64_t output;
    int64_t total;
};

/* kc_journal_open starts the thread. Takes `store`, even on failure. The
 * writer's name is random. */
KC_CHECKED int kc_journal_open(struct kc_store *store, struct kc_journal **out);

/* kc_journal_add adds to the counter of (provider, key, model) at `wall_ms`,
 * in spans of 2 s. Any thread. KC_ENOMEM loses this difference only. */
KC_CHECKED int kc_journal_add(struct kc_journal *j, const char *provider,
                              const char *key, const char *model,
                              uint64_t wall_ms, const struct kc_delta *d);

/* kc_journal_read reads rows back through the journal's store, with the writer
 * thread held off meanwhile: what kc_store_read does. At start, before use is
 * added. *why gets words on failure; the caller frees it with free(). */
KC_CHECKED int kc_journal_read(struct kc_journal *j, const char *provider,
                               kc_row_fn *fn, void *ctx, char **why);

/* kc_journal_flush waits until all that was added is written, at most
 * `timeout_ms`. KC_ETIMEOUT or KC_ESTORE say it is not. */
KC_CHECKED int kc_journal_flush(struct kc_journal *j, uint64_t timeout_ms);

/* kc_journal_error copies the words of the last failure, "" when the last
 * write worked. */
void kc_journal_error(struct kc_journal *j, char *out, size_t size);

/* kc_journal_close flushes for at most `timeout_ms`, ends the thread and closes
 * the store. Returns how many counters could not be written. */
size_t kc_journal_close(struct kc_journal *j, uint64_t timeout_ms);

/* kc_journal_forget is close for a forked child: no thread, no store. */
void kc_journal_forget(struct kc_journal *j);

#endif
