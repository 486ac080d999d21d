/* writer_impl.h -- what hubs need of a writer: writer.c and hub_keep.c only. */
#ifndef KC_RUNTIME_WRITER_IMPL_H
#define KC_RUNTIME_WRITER_IMPL_H

#include <stdbool.h>

#include "runtime/writer.h"

/* kc_writer_hold keeps the memory, and with it the journal, which may be
 * closed; kc_writer_drop ends that. Any thread, the journal's too. */
struct kc_writer *kc_writer_hold(struct kc_writer *w);
void kc_writer_drop(struct kc_writer *w); /* takes NULL */

/* kc_writer_use: one more needs it open. KC_ECLOSED. kc_writer_unuse closes the
 * journal with the last one; it returns what is lost then. */
KC_CHECKED int kc_writer_use(struct kc_writer *w);
size_t kc_writer_unuse(struct kc_writer *w, uint64_t timeout_ms, bool *last);

/* kc_writer_link: what is asked of `w` is asked of `to` as well, and `to` stays
 * open until `w` is closed. In the thread that opened `w`. */
KC_CHECKED int kc_writer_link(struct kc_writer *w, struct kc_writer *to);

/* kc_writer_same: both were opened with the same URL, neither is alone. */
bool kc_writer_same(const struct kc_writer *a, const struct kc_writer *b);

/* kc_writer_wake is kc_journal_wake. */
void kc_writer_wake(struct kc_writer *w);

/* kc_writer_journal returns the journal; NULL in a forked child. */
struct kc_journal *kc_writer_journal(struct kc_writer *w);

#endif
