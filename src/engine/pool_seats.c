/* pool_seats.c -- what the last look at each key found, for one model.
 *
 * A compact list, so that a choice among many keys touches few of them. A key
 * that could not serve a request is parked for it, and for larger ones, until
 * it can: whoever looks for a key passes it by, unless its time would be the
 * first of all. And how loaded a key is stays known until it is used again or
 * something leaves its windows. Few keys, and those of groups, are not worth
 * it.
 */
#include "engine/pool_impl.h"

#include <stdlib.h>
#include <string.h>

void kc_pool_keep_seats(struct kc_pool *p, struct kc_model *m)
{
    struct kc_seat *grown = NULL;
    if (m->seat_len < p->key_count)
        grown = realloc(m->seats, p->key_cap * sizeof *grown);
    if (grown) {
        m->seats = grown;
        m->seat_len = p->key_cap;
        m->seat_epoch = 0;
    }
    if (m->seats && m->seat_epoch != p->seat_epoch)
        memset(m->seats, 0, m->seat_len * sizeof *m->seats);
    m->seat_epoch = p->seat_epoch;
}

/* Notes the load while what it is made of is at hand: later it would cost a
 * look at a key that is in nobody's cache. */
static void fill(struct kc_pool *p, struct kc_key *k, const struct kc_model *m,
                 struct kc_seat *seat)
{
    struct kc_limits both;
    const struct kc_meter *meter = kc_pool_meter(p, k, m->id);
    bool asked = p->selector.mode == KC_BALANCED ||
                 p->selector.mode == KC_RANDOM_TWO;
    if (!asked || k->shared)
        return;
    seat->load = kc_meter_load(meter, kc_pool_holding(p, k, m, &both));
    seat->load_until_ms = meter->expiry_ms;
}

static void empty(struct kc_model *m, uint32_t key, bool eased)
{
    struct kc_seat *seat = kc_model_seat(m, key);
    if (!seat)
        return;
    seat->load_until_ms = 0;
    if (eased)
        seat->parked_ms = 0;
}

void kc_pool_touched(struct kc_pool *p, struct kc_key *k, uint32_t model,
                     bool eased)
{
    struct kc_model *m = p->models[model];
    p->version++;
    empty(m, k->index, eased);
    for (uint32_t i = 0; k->meter && i < p->model_count; i++)
        empty(p->models[i], k->index, eased);
    struct kc_seat *seat = kc_model_seat(m, k->index);
    if (seat && eased)
        fill(p, k, m, seat);
}
