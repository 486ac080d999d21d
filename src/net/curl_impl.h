/* curl_impl.h -- what curl.c (the driver) and exchange.c (one exchange's
 * options and libcurl's callbacks) share; nobody else includes it.
 */
#ifndef KC_NET_CURL_IMPL_H
#define KC_NET_CURL_IMPL_H

#include <sys/types.h>

#include <curl/curl.h>

#include "net/inbox.h"
#include "net/url.h"

#define KC_SPARE_HANDLES 16

struct kc_curl {
    struct kc_transport head;
    struct kc_poller poller;
    CURLM *multi;
    CURLSH *share;        /* TLS sessions, which each handle would keep alone */
    char *ca_file;        /* NULL: libcurl's own */
    uint64_t curl_at_ms;  /* when libcurl wants its timer; 0: not */
    uint64_t idle_at_ms;  /* when to look for idle exchanges; 0: not */
    uint64_t timer_at_ms; /* what the poller's timer is set to; 0: not */
    bool busy;            /* libcurl is at work: the timer waits */
    pid_t pid;            /* whose sockets these are */
    CURL *spare[KC_SPARE_HANDLES];
    size_t spares;
    long running;                  /* exchanges in the multi */
    struct kc_curl_exchange *list; /* all of them */
};

struct kc_curl_exchange {
    struct kc_inbox in;
    struct kc_curl *t;
    CURL *easy;
    struct curl_slist *fields;
    bool running; /* in the multi */
    bool paused;
    bool may_redirect;
    int redirects;
    struct kc_url origin;
    char method[16];
    int failure; /* why a callback of ours stopped libcurl */
    char words[CURL_ERROR_SIZE];
    struct kc_curl_exchange *prev, *next;
};

/* kc_curl_setup gives the easy handle all that `c` asks for. */
KC_CHECKED int kc_curl_setup(struct kc_curl_exchange *x,
                             const struct kc_exchange_config *c);

/* kc_curl_reset forgets an answer that was only a redirect. */
void kc_curl_reset(struct kc_curl_exchange *x);

/* kc_curl_finish maps libcurl's result and ends the inbox. */
void kc_curl_finish(struct kc_curl_exchange *x, CURLcode code);

/* kc_curl_event is the transport's `event`. */
int kc_curl_event(struct kc_exchange *pub, struct kc_sse_event *out);

/* kc_curl_taken is the transport's `taken`. */
void kc_curl_taken(struct kc_exchange *pub);

/* kc_curl_release frees what the exchange owns but the easy handle. */
void kc_curl_release(struct kc_curl_exchange *x);

#endif
