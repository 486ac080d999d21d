/* hosted_impl.h -- what hosted.c (the loop's side) and hosted_inbox.c (the
 * host's) share; nobody else includes it.
 */
#ifndef KC_NET_HOSTED_IMPL_H
#define KC_NET_HOSTED_IMPL_H

#include <pthread.h>
#include <sys/types.h>

#include "net/hosted.h"
#include "net/inbox.h"

struct kc_hosted {
    struct kc_transport head;
    struct keycycle_transport host;
    struct kc_poller poller;
    pid_t pid; /* whose threads have it */
    /* The loop's alone. */
    struct keycycle_exchange *list; /* those that are not done */
    uint64_t at_ms;                 /* what the timer is set to; 0: not */
    /* Under the lock, which is held for no longer than it takes to link. */
    pthread_mutex_t lock;
    size_t refs; /* the owner's, and one of each exchange */
    struct keycycle_exchange *first, *last; /* those with news */
    size_t news;
};

struct keycycle_exchange {
    struct kc_hosted *t;
    /* The loop's alone. */
    struct kc_inbox in;
    uint64_t ends_ms;    /* by its whole time; 0: none */
    struct kc_buf taken; /* what came, from `fed` on not in the inbox yet */
    size_t fed;
    bool linked;
    bool paused;
    struct keycycle_exchange *prev, *next;
    /* Under the lock, which comes before the transport's. */
    pthread_mutex_t lock;
    bool wanted; /* by the loop; else nothing is taken */
    bool held;   /* by the host, who has to end it */
    bool kept;   /* by the loop, who frees it, if the host does not */
    bool ended;
    bool answered; /* there are headers */
    int status;
    struct kc_headers fields;
    size_t field_bytes;
    struct kc_buf bytes; /* that the loop has not taken */
    int err;             /* why it ended, or what came was not taken */
    char why[200];
    void *data;
    void (*release)(void *data);
    /* Under both. */
    bool listed;
    struct keycycle_exchange *news_prev, *news_next;
};

/* kc_hosted_list puts it, once, among those with news, and wakes the loop;
 * kc_hosted_unlist takes it off. With the exchange's lock held. */
void kc_hosted_list(struct keycycle_exchange *x);
void kc_hosted_unlist(struct keycycle_exchange *x);

/* kc_hosted_let_go gives up a hold, the host's or the loop's, and frees what
 * nobody holds any more. Without a lock. */
void kc_hosted_let_go(struct keycycle_exchange *x, bool *hold);

/* kc_hosted_code returns `err`, or KC_ECUT for what no end can be. */
int kc_hosted_code(int err);

/* kc_hosted_unref frees the transport with its last reference. */
void kc_hosted_unref(struct kc_hosted *t);

#endif
