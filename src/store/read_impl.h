/* read_impl.h -- rows from the tables, for who restores, merges or reports. */
#ifndef KC_STORE_READ_IMPL_H
#define KC_STORE_READ_IMPL_H

#include "store/store_impl.h"

#define KC_STATE_SELECT                                               \
    "SELECT key_id, model_id, state, disabled, guessed, auth, tries," \
    " until_ms, reason, learned, changed_ms FROM keycycle_state"

/* kc_read_state makes a row of one that KC_STATE_SELECT found; false: its key
 * is none of `names`. */
bool kc_read_state(const struct kc_names *names, const struct kc_value *columns,
                   struct kc_kept_state *out);

/* kc_read_from returns the earliest start of a span that may reach `since_ms`:
 * none is longer than a day. */
int64_t kc_read_from(uint64_t since_ms);

#endif
