/* server.c -- see server.h. */
#include "net/server.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#define BACKLOG 4096
#define MAX_HEADERS (64 * 1024)
#define STREAM_SECONDS 600 /* evhttp would end a silent stream after 50 */
#define PAUSE_MS 100       /* when out of descriptors */

enum { N_SIGNALS = 4 };

struct kc_server {
    struct event_base *base;
    struct evhttp *http;
    struct evconnlistener *listener;
    struct event *again; /* turns the listener on again */
    struct event *signals[N_SIGNALS];
    int signal;                              /* that ended it, or 0 */
    const struct kc_server_handler *handler; /* while it runs */
    struct timer *timers;
    struct kc_incoming *list;
    unsigned port;
};

struct kc_incoming {
    struct kc_server *server;
    struct evhttp_request *req; /* NULL: answered, or the client went away */
    bool started;
    struct kc_incoming *prev, *next;
};

struct timer {
    struct kc_server *server;
    struct event *event;
    uint64_t id;
    struct timer *prev, *next;
};

/* -- timers -------------------------------------------------------------- */

static void free_timer(struct timer *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        t->server->timers = t->next;
    if (t->next)
        t->next->prev = t->prev;
    if (t->event)
        event_free(t->event);
    free(t);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct timer *t = ctx;
    struct kc_server *s = t->server;
    uint64_t id = t->id;
    (void)fd;
    (void)what;
    free_timer(t);
    if (s->handler)
        s->handler->on_timer(s->handler->ctx, id);
}

int kc_server_after(struct kc_server *s, uint64_t ms, uint64_t id)
{
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
                         .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    struct timer *t = calloc(1, sizeof *t);
    if (!t)
        return KC_ENOMEM;
    t->server = s;
    t->id = id;
    t->next = s->timers;
    if (t->next)
        t->next->prev = t;
    s->timers = t;
    t->event = evtimer_new(s->base, on_timer, t);
    if (!t->event || event_add(t->event, &tv) != 0) {
        free_timer(t);
        return KC_ENOMEM;
    }
    return KC_OK;
}

/* -- requests ------------------------------------------------------------ */

static void on_gone(struct evhttp_connection *conn, void *ctx)
{
    struct kc_incoming *in = ctx;
    (void)conn;
    in->req = NULL; /* evhttp frees it with the connection */
}

static void on_request(struct evhttp_request *req, void *ctx)
{
    struct kc_server *s = ctx;
    struct kc_incoming *in = calloc(1, sizeof *in);
    if (!in || !s->handler) {
        free(in);
        evhttp_send_error(req, 503, NULL);
        return;
    }
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    in->server = s;
    in->req = req;
    in->next = s->list;
    if (in->next)
        in->next->prev = in;
    s->list = in;
    evhttp_connection_set_timeout(conn, STREAM_SECONDS);
    evhttp_connection_set_closecb(conn, on_gone, in);
    s->handler->on_request(s->handler->ctx, in);
}

const char *kc_incoming_method(const struct kc_incoming *in)
{
    switch (in->req ? evhttp_request_get_command(in->req) : EVHTTP_REQ_GET) {
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    case EVHTTP_REQ_HEAD:
        return "HEAD";
    case EVHTTP_REQ_OPTIONS:
        return "OPTIONS";
    case EVHTTP_REQ_PATCH:
        return "PATCH";
    default:
        return "GET";
    }
}

static const struct evhttp_uri *uri_of(const struct kc_incoming *in)
{
    return in->req ? evhttp_request_get_evhttp_uri(in->req) : NULL;
}

const char *kc_incoming_path(const struct kc_incoming *in)
{
    const struct evhttp_uri *uri = uri_of(in);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    return path ? path : "/";
}

const char *kc_incoming_query(const struct kc_incoming *in)
{
    const struct evhttp_uri *uri = uri_of(in);
    const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
    return query ? query : "";
}

const char *kc_incoming_header(const struct kc_incoming *in, const char *name)
{
    return in->req ? evhttp_find_header(
                         evhttp_request_get_input_headers(in->req), name)
                   : NULL;
}

const void *kc_incoming_body(const struct kc_incoming *in, size_t *len)
{
    *len = 0;
    if (!in->req)
        return "";
    struct evbuffer *body = evhttp_request_get_input_buffer(in->req);
    *len = evbuffer_get_length(body);
    return *len ? (const void *)evbuffer_pullup(body, -1) : "";
}

bool kc_incoming_is_open(const struct kc_incoming *in)
{
    return in->req != NULL;
}

static void add_fields(struct kc_incoming *in,
                       const struct kc_field_pair *fields, size_t n)
{
    struct evkeyvalq *out = evhttp_request_get_output_headers(in->req);
    for (size_t i = 0; i < n; i++)
        evhttp_add_header(out, fields[i].name, fields[i].value);
}

/* The answer is complete: evhttp frees the request once it has left. */
static struct evhttp_request *complete(struct kc_incoming *in)
{
    struct evhttp_request *req = in->req;
    in->req = NULL;
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL,
                                  NULL);
    return req;
}

void kc_incoming_reply(struct kc_incoming *in, int status,
                       const struct kc_field_pair *fields, size_t n,
                       const void *body, size_t len)
{
    if (!in->req || in->started)
        return;
    struct evbuffer *out = evbuffer_new();
    add_fields(in, fields, n);
    if (out && len > 0)
        evbuffer_add(out, body, len);
    evhttp_send_reply(complete(in), status, NULL, out);
    if (out)
        evbuffer_free(out);
}

void kc_incoming_start(struct kc_incoming *in, int status,
                       const struct kc_field_pair *fields, size_t n)
{
    if (!in->req || in->started)
        return;
    in->started = true;
    add_fields(in, fields, n);
    evhttp_send_reply_start(in->req, status, NULL);
}

void kc_incoming_chunk(struct kc_incoming *in, const void *data, size_t len)
{
    if (!in->req || !in->started || len == 0)
        return;
    struct evbuffer *out = evbuffer_new();
    if (!out)
        return;
    evbuffer_add(out, data, len);
    evhttp_send_reply_chunk(in->req, out);
    evbuffer_free(out);
}

void kc_incoming_finish(struct kc_incoming *in)
{
    if (in->req && in->started)
        evhttp_send_reply_end(complete(in));
}

size_t kc_incoming_backlog(const struct kc_incoming *in)
{
    if (!in->req)
        return 0;
    struct bufferevent *bev = evhttp_connection_get_bufferevent(
        evhttp_request_get_connection(in->req));
    return evbuffer_get_length(bufferevent_get_output(bev));
}

void kc_incoming_free(struct kc_incoming *in)
{
    if (!in)
        return;
    if (in->req && in->started)
        kc_incoming_finish(in);
    else if (in->req)
        evhttp_send_error(complete(in), 500, NULL);
    if (in->prev)
        in->prev->next = in->next;
    else if (in->server)
        in->server->list = in->next;
    if (in->next)
        in->next->prev = in->prev;
    free(in);
}

/* -- the server ---------------------------------------------------------- */

static void on_signal(evutil_socket_t sig, short what, void *ctx)
{
    struct kc_server *s = ctx;
    (void)what;
    s->signal = (int)sig;
    kc_server_stop(s);
}

/* Out of descriptors evhttp would spin: pause and try again. */
static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
    struct kc_server *s = ctx;
    struct timeval tv = {.tv_usec = PAUSE_MS * 1000};
    evconnlistener_disable(listener);
    event_add(s->again, &tv);
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
    struct kc_server *s = ctx;
    (void)fd;
    (void)what;
    evconnlistener_enable(s->listener);
}

static int listen_on(struct kc_server *s, const char *host, unsigned port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof addr;
    if (port > 65535 || inet_pton(AF_INET, host, &addr.sin_addr) != 1)
        return KC_EINVALID;
    s->listener = evconnlistener_new_bind(
        s->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, BACKLOG,
        (struct sockaddr *)&addr, (int)sizeof addr);
    if (!s->listener || !evhttp_bind_listener(s->http, s->listener))
        return KC_ESYSTEM;
    evconnlistener_set_error_cb(s->listener, on_accept_error);
    if (getsockname(evconnlistener_get_fd(s->listener),
                    (struct sockaddr *)&addr, &len) != 0)
        return KC_ESYSTEM;
    s->port = ntohs(addr.sin_port);
    return KC_OK;
}

int kc_server_open(const char *host, unsigned port, size_t max_body,
                   struct kc_server **out)
{
    *out = NULL;
    struct kc_server *s = calloc(1, sizeof *s);
    if (!s)
        return KC_ENOMEM;
    int err = KC_ENOMEM;
    s->base = event_base_new();
    s->http = s->base ? evhttp_new(s->base) : NULL;
    s->again = s->http ? evtimer_new(s->base, on_again, s) : NULL;
    if (s->again)
        err = listen_on(s, host, port);
    if (err != KC_OK) {
        kc_server_close(s);
        return err;
    }
    evhttp_set_gencb(s->http, on_request, s);
    evhttp_set_max_body_size(s->http, (ev_ssize_t)max_body);
    evhttp_set_max_headers_size(s->http, MAX_HEADERS);
    evhttp_set_allowed_methods(
        s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                     EVHTTP_REQ_DELETE | EVHTTP_REQ_HEAD | EVHTTP_REQ_OPTIONS |
                     EVHTTP_REQ_PATCH);
    *out = s;
    return KC_OK;
}

void kc_server_close(struct kc_server *s)
{
    if (!s)
        return;
    s->handler = NULL;
    while (s->timers)
        free_timer(s->timers);
    for (struct kc_incoming *in = s->list; in; in = in->next) {
        if (in->req)
            complete(in);
        in->server = NULL; /* its owner frees it later */
    }
    if (s->http)
        evhttp_free(s->http); /* its connections and the listener, too */
    if (s->again)
        event_free(s->again);
    if (s->base)
        event_base_free(s->base);
    free(s);
}

unsigned kc_server_port(const struct kc_server *s)
{
    return s->port;
}

int kc_server_run(struct kc_server *s, const struct kc_server_handler *handler)
{
    /* SIGALRM is how our program tells of one that came right before. */
    static const int names[N_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    s->handler = handler;
    s->signal = 0;
    /* A client that goes away while it is written to must not end us. */
    sigaction(SIGPIPE, &ignore, &old);
    for (int i = 0; i < N_SIGNALS; i++) {
        s->signals[i] = evsignal_new(s->base, names[i], on_signal, s);
        if (s->signals[i])
            event_add(s->signals[i], NULL);
    }
    int rc = event_base_dispatch(s->base);
    for (int i = 0; i < N_SIGNALS; i++)
        if (s->signals[i])
            event_free(s->signals[i]);
    sigaction(SIGPIPE, &old, NULL);
    s->handler = NULL;
    if (s->signal)
        raise(s->signal);
    return rc < 0 ? KC_ESYSTEM : KC_OK;
}

void kc_server_stop(struct kc_server *s)
{
    event_base_loopbreak(s->base);
}
