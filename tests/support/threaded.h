/* threaded.h -- an HTTP of a host's own, for tests: a thread an exchange, each
 * with a libcurl of its own, as an engine's HTTP threads are. Not fast.
 */
#ifndef KC_TESTS_THREADED_H
#define KC_TESTS_THREADED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "keycycle.h"

struct threaded {
    struct keycycle_transport transport;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned running;
    atomic_uint started, cancelled, pauses;
};

struct threaded_job {
    struct threaded *host;
    struct keycycle_exchange *x;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *fields;
    atomic_bool cancelled, paused;
    bool answered;
    bool stopped; /* libcurl was told to pause */
    int refused;  /* what the exchange did not take */
    struct keycycle_param list[64];
    size_t n;
};

static inline void threaded_forget(struct threaded_job *j)
{
    while (j->n > 0) {
        free((char *)(uintptr_t)j->list[--j->n].name);
        free((char *)(uintptr_t)j->list[j->n].value);
    }
}

static inline size_t threaded_field(char *line, size_t size, size_t n,
                                    void *ctx)
{
    struct threaded_job *j = ctx;
    size_t len = size * n;
    char *colon = memchr(line, ':', len);
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        threaded_forget(j);
    } else if (j->n == 64) {
        j->refused = KEYCYCLE_ETOOLARGE;
    } else if (colon) {
        char *value = colon + 1 + strspn(colon + 1, " ");
        size_t left = len - (size_t)(value - line);
        j->list[j->n++] =
            (struct keycycle_param){strndup(line, (size_t)(colon - line)),
                                    strndup(value, strcspn(value, "\r\n") < left
                                                       ? strcspn(value, "\r\n")
                                                       : left)};
    } else if (len == 2 && line[0] == '\r') {
        long status = 0;
        curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status < 200)
            return len;
        j->answered = true;
        j->refused =
            keycycle_exchange_headers(j->x, (int)status, j->list, j->n);
    }
    return j->refused ? 0 : len;
}

static inline size_t threaded_body(char *data, size_t size, size_t n, void *ctx)
{
    struct threaded_job *j = ctx;
    if (atomic_load(&j->paused)) {
        j->stopped = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    j->refused = keycycle_exchange_data(j->x, data, size * n);
    return j->refused ? 0 : size * n;
}

static inline enum keycycle_error threaded_code(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return KEYCYCLE_OK;
    case CURLE_COULDNT_RESOLVE_HOST:
        return KEYCYCLE_ERESOLVE;
    case CURLE_COULDNT_CONNECT:
        return KEYCYCLE_ECONNECT;
    case CURLE_OUT_OF_MEMORY: /* what libcurl says of a header of 100 kB */
        return KEYCYCLE_ETOOLARGE;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return KEYCYCLE_EGARBAGE;
    default:
        return KEYCYCLE_ECUT;
    }
}

static inline CURLcode threaded_perform(struct threaded_job *j)
{
    int running = 1, left;
    while (running && !atomic_load(&j->cancelled)) {
        curl_multi_perform(j->multi, &running);
        if (running)
            curl_multi_poll(j->multi, NULL, 0, 60000, NULL);
        if (j->stopped && !atomic_load(&j->paused)) {
            j->stopped = false; /* before the call, which may pause again */
            curl_easy_pause(j->easy, CURLPAUSE_CONT);
        }
    }
    CURLMsg *m = curl_multi_info_read(j->multi, &left);
    return m ? m->data.result : CURLE_ABORTED_BY_CALLBACK;
}

static inline void *threaded_run(void *ctx)
{
    struct threaded_job *j = ctx;
    struct threaded *host = j->host;
    CURLcode code = threaded_perform(j);
    curl_multi_remove_handle(j->multi, j->easy);
    if (code == CURLE_OK && !j->answered)
        code = CURLE_GOT_NOTHING;
    if (j->refused)
        keycycle_exchange_end(j->x, (enum keycycle_error)j->refused, NULL);
    else
        keycycle_exchange_end(j->x, threaded_code(code),
                              curl_easy_strerror(code));
    pthread_mutex_lock(&host->lock);
    host->running--;
    pthread_cond_signal(&host->changed);
    pthread_mutex_unlock(&host->lock);
    return NULL;
}

static inline void threaded_release(void *data)
{
    struct threaded_job *j = data;
    threaded_forget(j);
    curl_easy_cleanup(j->easy);
    curl_multi_cleanup(j->multi);
    curl_slist_free_all(j->fields);
    free(j);
}

static inline int threaded_start(void *ctx,
                                 const struct keycycle_http_request *r,
                                 struct keycycle_exchange *x)
{
    struct threaded *host = ctx;
    struct threaded_job *j = calloc(1, sizeof *j);
    pthread_t thread;
    j->host = host;
    j->x = x;
    j->multi = curl_multi_init();
    j->easy = curl_easy_init();
    for (size_t i = 0; i < r->header_count; i++) {
        char line[4096];
        const char *form = *r->headers[i].value ? "%s: %s" : "%s;";
        snprintf(line, sizeof line, form, r->headers[i].name,
                 r->headers[i].value);
        j->fields = curl_slist_append(j->fields, line);
    }
    curl_easy_setopt(j->easy, CURLOPT_URL, r->url);
    curl_easy_setopt(j->easy, CURLOPT_HTTPHEADER, j->fields);
    if (r->body) {
        curl_easy_setopt(j->easy, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
        curl_easy_setopt(j->easy, CURLOPT_COPYPOSTFIELDS, r->body);
    }
    if (strcmp(r->method, "HEAD") == 0)
        curl_easy_setopt(j->easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(j->easy, CURLOPT_CUSTOMREQUEST, r->method);
    curl_easy_setopt(j->easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(j->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(j->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(j->easy, CURLOPT_HEADERFUNCTION, threaded_field);
    curl_easy_setopt(j->easy, CURLOPT_HEADERDATA, j);
    curl_easy_setopt(j->easy, CURLOPT_WRITEFUNCTION, threaded_body);
    curl_easy_setopt(j->easy, CURLOPT_WRITEDATA, j);
    curl_multi_add_handle(j->multi, j->easy);
    keycycle_exchange_set_data(x, j, threaded_release);
    pthread_mutex_lock(&host->lock);
    host->running++;
    pthread_mutex_unlock(&host->lock);
    atomic_fetch_add(&host->started, 1);
    if (pthread_create(&thread, NULL, threaded_run, j) != 0) {
        pthread_mutex_lock(&host->lock);
        host->running--;
        pthread_mutex_unlock(&host->lock);
        return KEYCYCLE_ESYSTEM;
    }
    pthread_detach(thread);
    return KEYCYCLE_OK;
}

static inline void threaded_cancel(void *ctx, struct keycycle_exchange *x)
{
    struct threaded *host = ctx;
    struct threaded_job *j = keycycle_exchange_get_data(x);
    atomic_fetch_add(&host->cancelled, 1);
    atomic_store(&j->cancelled, true);
    curl_multi_wakeup(j->multi);
}

static inline void threaded_pause(void *ctx, struct keycycle_exchange *x,
                                  int on)
{
    struct threaded *host = ctx;
    struct threaded_job *j = keycycle_exchange_get_data(x);
    atomic_fetch_add(&host->pauses, on ? 1 : 0);
    atomic_store(&j->paused, on != 0);
    curl_multi_wakeup(j->multi);
}

static inline void threaded_open(struct threaded *host)
{
    memset(host, 0, sizeof *host);
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->changed, NULL);
    host->transport = (struct keycycle_transport){.ctx = host,
                                                  .start = threaded_start,
                                                  .cancel = threaded_cancel,
                                                  .pause = threaded_pause};
}

/* threaded_close waits for every thread. */
static inline void threaded_close(struct threaded *host)
{
    pthread_mutex_lock(&host->lock);
    while (host->running > 0)
        pthread_cond_wait(&host->changed, &host->lock);
    pthread_mutex_unlock(&host->lock);
    pthread_cond_destroy(&host->changed);
    pthread_mutex_destroy(&host->lock);
}

#endif
