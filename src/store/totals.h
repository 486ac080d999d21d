/* totals.h -- what a store reports, added up: of all, by provider, by key, by
 * model, by key and model.
 *
 * A store of a million rows has ten thousands of keys and models: they are
 * added up here, and put in order, so that who shows the first few of them need
 * not touch the rest.
 */
#ifndef KC_STORE_TOTALS_H
#define KC_STORE_TOTALS_H

#include <stddef.h>
#include <stdint.h>

#include "store/store.h"
#include "util/buf.h"
#include "util/err.h"
#include "util/map.h"

#define KC_TOTAL_DAY 4 /* requests, input, output, total tokens */

/* Those four in all, with what is held; then what limits count now of the
 * requests of a minute, an hour, a day, and of the tokens. */
#define KC_TOTAL_COUNTS (KC_TOTAL_DAY + 6)

enum kc_total_kind {
    KC_TOTAL_ALL,
    KC_TOTAL_PROVIDER,
    KC_TOTAL_KEY,
    KC_TOTAL_MODEL,
    KC_TOTAL_PAIR /* of a key and a model */
};

struct kc_total {
    enum kc_total_kind kind;
    const char *provider, *key, *model; /* key is its hash; "" where it has none
                                         */
    const char *label, *suffix;
    uint64_t counts[KC_TOTAL_COUNTS];
    size_t up, model_at; /* whose part it is; of a pair: its key, its model */
    uint64_t *days;      /* KC_TOTAL_DAY a day; NULL: see kc_totals_days */
    size_t newest_day;   /* of a pair; from 1 */
};

struct kc_totals {
    uint64_t now_ms, first_ms;
    size_t days;
    struct kc_buf totals, pair_days, states; /* arrays */
    struct kc_map places, texts;
    struct kc_buf name; /* that is looked for in `places` */
    size_t all, last;   /* places, from 1 */
};

/* kc_totals_init makes an empty one for the state of things at `now_ms`, and
 * for `days` days (1 at least) of which the first begins at `first_ms`. */
void kc_totals_init(struct kc_totals *t, uint64_t now_ms, uint64_t first_ms,
                    size_t days);
void kc_totals_deinit(struct kc_totals *t);

/* kc_totals_read adds up what `s` reports, once. On failure nothing of it is of
 * use; kc_store_error has the words. */
KC_CHECKED int kc_totals_read(struct kc_totals *t, struct kc_store *s);

/* kc_totals_get returns the i-th total, from 0, in this order: all, providers
 * by name, keys, models, pairs; those three by provider, and those that have
 * used most tokens, then requests, first. NULL: there are no more. Borrowed
 * until kc_totals_deinit. */
const struct kc_total *kc_totals_get(const struct kc_totals *t, size_t i);

/* kc_totals_days writes KC_TOTAL_DAY counts for each day, the oldest first. */
void kc_totals_days(const struct kc_totals *t, const struct kc_total *of,
                    uint64_t *out);

/* kc_totals_state returns the i-th state, from 0, or NULL. Borrowed as above.
 */
const struct kc_kept_state *kc_totals_state(const struct kc_totals *t,
                                            size_t i);

#endif
