/* pool_events.c -- the last events, for those who listen. */
#include "engine/pool_impl.h"

#include <stdlib.h>

#define KEPT 1024 /* a power of two */

const char *kc_event_name(enum kc_event_type t)
{
    static const char *const names[KC_EVENTS] = {
        "acquire", "rotate", "cooldown", "invalid", "recover", "wait",
        "learn"};
    return (unsigned)t < KC_EVENTS ? names[t] : "unknown";
}

void kc_pool_note(struct kc_pool *p, const struct kc_note *event)
{
    if (p->listeners == 0)
        return;
    struct kc_note *n = &p->notes[p->note_count++ & (KEPT - 1)];
    *n = *event;
    n->at_ms = p->now_ms;
}

int kc_pool_listen(struct kc_pool *p, bool on, uint64_t *serial)
{
    int err = KC_OK;
    kc_pool_enter(p, 0);
    if (on && !p->notes) {
        p->notes = calloc(KEPT, sizeof *p->notes);
        if (!p->notes)
            err = KC_ENOMEM;
    }
    if (err == KC_OK && on)
        p->listeners++;
    else if (!on && p->listeners > 0)
        p->listeners--;
    *serial = p->note_count;
    kc_pool_leave(p);
    return err;
}

int kc_pool_event(struct kc_pool *p, uint64_t *serial, struct kc_event *out)
{
    *out = (struct kc_event){.lost = 0};
    kc_pool_enter(p, 0);
    uint64_t oldest = p->note_count > KEPT ? p->note_count - KEPT : 0;
    if (*serial < oldest) {
        out->lost = oldest - *serial;
        *serial = oldest;
    }
    int err = *serial < p->note_count ? KC_OK : KC_EEND;
    if (err == KC_OK) {
        const struct kc_note *n = &p->notes[(*serial)++ & (KEPT - 1)];
        out->type = n->type;
        out->at_ms = n->at_ms;
        out->key = n->key;
        out->from = n->from;
        out->until_ms = n->until_ms;
        out->amount = n->amount;
        kc_copy_cut(out->model, sizeof out->model,
                    n->model ? n->model->name : "");
        kc_copy_cut(out->reason, sizeof out->reason, n->reason);
    }
    kc_pool_leave(p);
    return err;
}
