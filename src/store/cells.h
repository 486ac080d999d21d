/* cells.h -- the counters that wait to be written.
 *
 * A cell is what this run used of (provider, key, model) in one span of 2 s.
 * Running values may be negative for a moment; written ones are not. Cells stay
 * for a while after they were written, because a settled reservation changes
 * them. Told the time; not thread-safe, the journal holds its lock.
 */
#ifndef KC_STORE_CELLS_H
#define KC_STORE_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/journal.h"
#include "store/store.h"
#include "util/err.h"
#include "util/map.h"

#define KC_SPAN_MS 2000
#define KC_FORGET_MS (15 * 60 * 1000) /* leases settle within ten minutes */

struct kc_cell;

struct kc_cells {
    struct kc_map map;
    struct kc_cell *oldest, *newest; /* by their last change */
    struct kc_cell *dirty, **dirty_end;
    size_t dirty_len;
    uint64_t horizon_ms; /* every forgotten cell of this part began before */
    uint32_t part;
};

struct kc_batch { /* what is being written */
    struct kc_row *rows;
    struct kc_cell **cells;
    size_t len;
    size_t left; /* dirty cells of other parts */
    uint32_t part;
};

void kc_cells_init(struct kc_cells *t);
void kc_cells_deinit(struct kc_cells *t);

/* kc_cells_add adds to the cell at `wall_ms`, and makes it if need be. A cell
 * that was forgotten begins at zero again: so it gets the number of a new part,
 * and its row does not overwrite the older one. `now_ms` is any steady time. */
KC_CHECKED int kc_cells_add(struct kc_cells *t, const char *provider,
                            const char *key, const char *model,
                            uint64_t wall_ms, const struct kc_delta *d,
                            uint64_t now_ms);

/* kc_cells_take moves the dirty cells of one part into `out` as rows; their
 * texts live until kc_cells_done. At most one batch is out. */
KC_CHECKED int kc_cells_take(struct kc_cells *t, struct kc_batch *out);

/* kc_cells_done ends the batch; without `written` its cells are dirty again. */
void kc_cells_done(struct kc_cells *t, struct kc_batch *b, bool written);

/* kc_cells_forget frees clean cells that did not change for KC_FORGET_MS. Not
 * while a batch is out. */
void kc_cells_forget(struct kc_cells *t, uint64_t now_ms);

#endif
