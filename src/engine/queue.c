/* queue.c -- a sorted list of waiters. */
#include "engine/queue.h"

#define PRIORITY_MS 10000

uint64_t kc_waiter_order(const struct kc_waiter *w)
{
    return w->queued_ms + (uint64_t)w->priority * PRIORITY_MS;
}

void kc_queue_insert(struct kc_queue *q, struct kc_waiter *w)
{
    struct kc_waiter *before = q->last;
    while (before && kc_waiter_order(before) > kc_waiter_order(w))
        before = before->prev;
    w->prev = before;
    w->next = before ? before->next : q->first;
    if (w->next)
        w->next->prev = w;
    else
        q->last = w;
    if (before)
        before->next = w;
    else
        q->first = w;
    if (q->len == 0)
        q->mixed = false;
    if (!q->mixed && ((w->prev && w->prev->deadline_ms > w->deadline_ms) ||
                      (w->next && w->next->deadline_ms < w->deadline_ms)))
        q->mixed = q->stale = true;
    else if (q->mixed && w->deadline_ms < q->deadline_ms)
        q->deadline_ms = w->deadline_ms;
    q->len++;
}

void kc_queue_remove(struct kc_queue *q, struct kc_waiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        q->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        q->last = w->prev;
    w->prev = NULL;
    w->next = NULL;
    q->len--;
    if (q->mixed && w->deadline_ms <= q->deadline_ms &&
        w->deadline_ms != KC_NEVER)
        q->stale = true;
}

uint64_t kc_queue_deadline(struct kc_queue *q)
{
    if (q->len == 0)
        return KC_NEVER;
    if (!q->mixed) /* as where all wait equally long: the first is the least */
        return q->first->deadline_ms;
    if (q->stale) {
        q->deadline_ms = KC_NEVER;
        for (const struct kc_waiter *w = q->first; w; w = w->next)
            if (w->deadline_ms < q->deadline_ms)
                q->deadline_ms = w->deadline_ms;
        q->stale = false;
    }
    return q->deadline_ms;
}
