/* rows.h -- copies of a store's rows, with their texts.
 *
 * For whoever takes all of a store elsewhere, or fills one from there. Rows of
 * several writers that speak of the same become one. Not thread-safe.
 */
#ifndef KC_STORE_ROWS_H
#define KC_STORE_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "store/store.h"
#include "util/err.h"
#include "util/map.h"

struct kc_rows {
    struct kc_map texts; /* each once */
    struct kc_use_row *uses;
    struct kc_sum_row *sums;
    struct kc_kept_state *states;
    size_t use_len, use_room;
    size_t sum_len, sum_room;
    size_t state_len, state_room;
};

void kc_rows_init(struct kc_rows *r);
void kc_rows_deinit(struct kc_rows *r);

/* Each adds a copy; KC_ENOMEM leaves the rows as they were. */
KC_CHECKED int kc_rows_add_use(struct kc_rows *r, const struct kc_use_row *row);
KC_CHECKED int kc_rows_add_sum(struct kc_rows *r, const struct kc_sum_row *row);
KC_CHECKED int kc_rows_add_state(struct kc_rows *r,
                                 const struct kc_kept_state *row);

/* kc_rows_reader returns a reader that adds all it is given. What a writer
 * holds counts as used when he was seen last, and a guard later: for rows that
 * outlive him. */
struct kc_reader kc_rows_reader(struct kc_rows *r);

/* kc_rows_fold adds up the uses, and the sums, that have the same names and the
 * same span. */
void kc_rows_fold(struct kc_rows *r);

/* kc_rows_hash returns a number that tells other rows, or another order. */
uint64_t kc_rows_hash(const struct kc_rows *r);

#endif
