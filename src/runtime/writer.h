/* writer.h -- a journal that several ledgers share, and that a fork disowns.
 */
#ifndef KC_RUNTIME_WRITER_H
#define KC_RUNTIME_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "store/journal.h"
#include "util/err.h"

struct kc_writer; /* reference counted, one thread */

/* kc_writer_open opens the store behind `url` and starts its journal. On
 * failure *why may get words for a person; the caller frees it with free(). */
KC_CHECKED int kc_writer_open(const char *url, struct kc_writer **out,
                              char **why);
struct kc_writer *kc_writer_ref(struct kc_writer *w);

/* kc_writer_unref closes with the last reference, waiting at most a second. */
void kc_writer_unref(struct kc_writer *w);

/* kc_writer_journal returns the journal, NULL once it is closed or forked. */
struct kc_journal *kc_writer_journal(struct kc_writer *w);

/* kc_writer_close flushes and ends the thread; returns how many counters could
 * not be written. Idempotent. */
size_t kc_writer_close(struct kc_writer *w, uint64_t timeout_ms);

#endif
