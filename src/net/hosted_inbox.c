/* hosted_inbox.c -- what the host gives an exchange, from any thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/hosted_impl.h"
#include "util/export.h"

/* -- lives ----------------------------------------------------------------- */

void kc_hosted_unref(struct kc_hosted *t)
{
    pthread_mutex_lock(&t->lock);
    bool last = --t->refs == 0;
    pthread_mutex_unlock(&t->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void destroy(struct keycycle_exchange *x)
{
    if (x->release)
        x->release(x->data);
    kc_headers_deinit(&x->fields);
    kc_buf_deinit(&x->bytes);
    pthread_mutex_destroy(&x->lock);
    kc_hosted_unref(x->t);
    free(x);
}

void kc_hosted_let_go(struct keycycle_exchange *x, bool *hold)
{
    pthread_mutex_lock(&x->lock);
    *hold = false;
    bool gone = !x->held && !x->kept;
    pthread_mutex_unlock(&x->lock);
    if (gone)
        destroy(x);
}

/* -- news, with the lock held ------------------------------------------------
 */

void kc_hosted_unlist(struct keycycle_exchange *x)
{
    struct kc_hosted *t = x->t;
    if (!x->listed)
        return;
    pthread_mutex_lock(&t->lock);
    *(x->news_prev ? &x->news_prev->news_next : &t->first) = x->news_next;
    *(x->news_next ? &x->news_next->news_prev : &t->last) = x->news_prev;
    x->listed = false;
    t->news--;
    pthread_mutex_unlock(&t->lock);
}

/* The loop is there as long as the exchange is wanted. */
void kc_hosted_list(struct keycycle_exchange *x)
{
    struct kc_hosted *t = x->t;
    if (x->listed)
        return;
    pthread_mutex_lock(&t->lock);
    x->listed = true;
    x->news_next = NULL;
    x->news_prev = t->last;
    *(t->last ? &t->last->news_next : &t->first) = x;
    t->last = x;
    t->news++;
    pthread_mutex_unlock(&t->lock);
    t->poller.wake(t->poller.ctx);
}

/* -- the host's functions ----------------------------------------------------
 */

/* Locks, if there is somebody to give something to. */
static int enter(struct keycycle_exchange *x)
{
    if (x->t->pid != getpid())
        return KC_EFORKED;
    pthread_mutex_lock(&x->lock);
    if (x->wanted && x->err == KC_OK)
        return KC_OK;
    pthread_mutex_unlock(&x->lock);
    return KC_ECLOSED;
}

/* What cannot be taken ends it for whoever waits. */
static int leave(struct keycycle_exchange *x, int err)
{
    if (err == KC_ENOMEM || err == KC_ETOOLARGE)
        x->err = err;
    if (err != KC_EINVALID)
        kc_hosted_list(x);
    pthread_mutex_unlock(&x->lock);
    return err;
}

static int add_fields(struct keycycle_exchange *x,
                      const struct keycycle_param *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!f[i].name || !f[i].value)
            continue;
        x->field_bytes += strlen(f[i].name) + strlen(f[i].value) + 4;
        if (x->field_bytes > x->in.max_header_bytes)
            return KC_ETOOLARGE;
        int err = kc_headers_add(&x->fields, f[i].name, f[i].value);
        if (err != KC_OK && err != KC_EINVALID)
            return err;
    }
    return KC_OK;
}

KC_EXPORT int keycycle_exchange_headers(struct keycycle_exchange *x, int status,
                                        const struct keycycle_param *fields,
                                        size_t n)
{
    int err = enter(x);
    if (err != KC_OK)
        return err;
    if (x->answered || status < 200 || status > 599)
        return leave(x, KC_EINVALID);
    err = add_fields(x, fields, n);
    x->answered = err == KC_OK;
    x->status = status;
    return leave(x, err);
}

KC_EXPORT int keycycle_exchange_data(struct keycycle_exchange *x,
                                     const void *bytes, size_t n)
{
    int err = enter(x);
    if (err != KC_OK)
        return err;
    if (!x->answered)
        return leave(x, KC_EINVALID);
    return leave(x, kc_buf_add(&x->bytes, bytes, n));
}

int kc_hosted_code(int err)
{
    switch (err) {
    case KC_OK:
    case KC_ENOMEM:
    case KC_ETIMEOUT:
    case KC_ERESOLVE:
    case KC_ECONNECT:
    case KC_ETLS:
    case KC_EGARBAGE:
    case KC_ETOOLARGE:
        return err;
    default:
        return KC_ECUT;
    }
}

KC_EXPORT void keycycle_exchange_end(struct keycycle_exchange *x,
                                     enum keycycle_error err, const char *why)
{
    if (x->t->pid != getpid())
        return;
    if (enter(x) == KC_OK) {
        int code = kc_hosted_code((int)err);
        if (code == KC_OK && !x->answered) {
            code = KC_ECUT;
            why = "the transport ended it without an answer";
        }
        x->ended = true;
        x->err = code;
        snprintf(x->why, sizeof x->why, "%s", why ? why : kc_err_text(code));
        kc_hosted_list(x);
        pthread_mutex_unlock(&x->lock);
    }
    kc_hosted_let_go(x, &x->held);
}

KC_EXPORT void keycycle_exchange_set_data(struct keycycle_exchange *x,
                                          void *data,
                                          void (*release)(void *data))
{
    if (x->t->pid != getpid())
        return;
    pthread_mutex_lock(&x->lock);
    x->data = data;
    x->release = release;
    pthread_mutex_unlock(&x->lock);
}

KC_EXPORT void *keycycle_exchange_get_data(struct keycycle_exchange *x)
{
    if (x->t->pid != getpid())
        return x->data; /* the lock may be held by a thread that is not here */
    pthread_mutex_lock(&x->lock);
    void *data = x->data;
    pthread_mutex_unlock(&x->lock);
    return data;
}
