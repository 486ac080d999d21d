/* server.c -- the provider of the benches of whole calls: TLS with keep-alive,
 * answers of one size, and little work for each. One thread; each answer or
 * event goes out as one TLS record.
 *
 *   /plain/…     answers at once
 *   /wait/MS/…   answers after a random time up to MS
 *   /sse/MS/…    streams 20 events, MS between two
 *
 * With "close" each answer is the last one of its connection. The header
 * x-connections tells how many were ever opened. Prints its URL when it listens.
 *
 * usage: server CERTIFICATE KEY [close]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>

#define EVENTS 20
#define BACKLOG 4096
#define ANSWER_BYTES 1536 /* of the body */

struct server {
    struct event_base *base;
    SSL_CTX *tls;
    bool close;
    unsigned long connections;
    char text[ANSWER_BYTES]; /* what the answer says */
};

struct client {
    struct server *server;
    struct bufferevent *bev;
    struct event *timer;
    bool streams;
    bool head_only;
    unsigned long ms;
    int sent; /* events of the stream under way */
};

static void hang_up(struct client *c)
{
    event_free(c->timer);
    bufferevent_free(c->bev);
    free(c);
}

static void after(struct client *c, unsigned long ms)
{
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
                         .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(c->timer, &tv);
}

/* Twelve header fields, as providers send them. */
static int head(const struct client *c, char *out, size_t room,
                const char *type, const char *length)
{
    return snprintf(out, room,
                    "HTTP/1.1 200 OK\r\n"
                    "date: Thu, 26 Nov 2026 12:00:00 GMT\r\n"
                    "content-type: %s\r\n"
                    "%s\r\n"
                    "connection: %s\r\n"
                    "openai-processing-ms: 412\r\n"
                    "x-connections: %lu\r\n"
                    "x-ratelimit-limit-requests: 10000000\r\n"
                    "x-ratelimit-limit-tokens: 1000000000\r\n"
                    "x-ratelimit-remaining-requests: 9999999\r\n"
                    "x-ratelimit-remaining-tokens: 999999000\r\n"
                    "x-ratelimit-reset-requests: 6ms\r\n"
                    "x-request-id: req_0123456789abcdef0123456789abcdef\r\n"
                    "\r\n",
                    type, length, c->server->close ? "close" : "keep-alive",
                    c->server->connections);
}

static void answer(struct client *c)
{
    char out[4096], body[2048], length[64];
    int n = snprintf(body, sizeof body,
                     "{\"id\":\"chatcmpl-9f1c\",\"object\":\"chat.completion\","
                     "\"created\":1795694400,\"model\":\"gpt-4o-mini\","
                     "\"choices\":[{\"index\":0,\"message\":{\"role\":"
                     "\"assistant\",\"content\":\"");
    int tail = 200; /* bytes of what follows the text, about */
    n += snprintf(body + n, sizeof body - (size_t)n, "%.*s",
                  ANSWER_BYTES - n - tail, c->server->text);
    n += snprintf(body + n, sizeof body - (size_t)n,
                  "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":"
                  "\"stop\"}],\"usage\":{\"prompt_tokens\":230,"
                  "\"completion_tokens\":210,\"total_tokens\":440},"
                  "\"system_fingerprint\":\"fp_44709d6fcb\"}");
    snprintf(length, sizeof length, "content-length: %d", n);
    int k = head(c, out, sizeof out, "application/json", length);
    if (!c->head_only) {
        memcpy(out + k, body, (size_t)n);
        k += n;
    }
    bufferevent_write(c->bev, out, (size_t)k);
}

static int event(int i, char *out, size_t room)
{
    static const char form[] =
        "data: {\"id\":\"chatcmpl-9f1c\",\"object\":\"chat.completion.chunk\","
        "\"created\":1795694400,\"model\":\"gpt-4o-mini\","
        "\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{\"index\":0,"
        "\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}]}\n\n";
    if (i == EVENTS - 1)
        return snprintf(out, room, form, "", "\"stop\"");
    return snprintf(out, room, form,
                    i == 0 ? "\"role\":\"assistant\",\"content\":\"\""
                           : "\"content\":\" benchmark\"",
                    "null");
}

/* The next event as one chunk; the first one with the head before it, the last
 * one with the stream's end. */
static void stream(struct client *c)
{
    char out[4096], text[1024];
    int k = 0, n = event(c->sent++, text, sizeof text);
    if (c->sent == 1)
        k = head(c, out, sizeof out, "text/event-stream",
                 "transfer-encoding: chunked");
    if (c->sent == EVENTS)
        n += snprintf(text + n, sizeof text - (size_t)n, "data: [DONE]\n\n");
    k += snprintf(out + k, sizeof out - (size_t)k, "%x\r\n%s\r\n%s",
                  (unsigned)n, text, c->sent == EVENTS ? "0\r\n\r\n" : "");
    bufferevent_write(c->bev, out, (size_t)k);
    if (c->sent < EVENTS)
        after(c, c->ms);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct client *c = ctx;
    (void)fd;
    (void)what;
    if (c->streams)
        stream(c);
    else
        answer(c);
}

static void serve(struct client *c, const char *line)
{
    const char *path = strchr(line, ' ');
    c->head_only = strncmp(line, "HEAD ", 5) == 0;
    c->streams = false;
    if (!path || c->head_only || strncmp(path, " /plain/", 8) == 0) {
        answer(c);
        return;
    }
    c->streams = strncmp(path, " /sse/", 6) == 0;
    const char *number = strchr(path + 2, '/');
    c->ms = number ? strtoul(number + 1, NULL, 10) : 0;
    c->sent = 0;
    after(c, (unsigned long)random() % (c->ms + 1));
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;
    struct evbuffer *in = bufferevent_get_input(bev);
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    char head_of[4096] = "";
    if (end.pos < 0 || end.pos >= (ev_ssize_t)sizeof head_of)
        return;
    evbuffer_copyout(in, head_of, (size_t)end.pos);
    const char *field = strcasestr(head_of, "content-length:");
    size_t whole = (size_t)end.pos + 4;
    whole += field ? strtoul(field + 15, NULL, 10) : 0;
    if (evbuffer_get_length(in) < whole)
        return;
    evbuffer_drain(in, whole);
    serve(c, head_of);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;
    (void)bev;
    if (c->server->close && (!c->streams || c->sent == EVENTS))
        hang_up(c);
}

static void on_end(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        hang_up(ctx);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd,
                      struct sockaddr *address, int len, void *ctx)
{
    struct server *s = ctx;
    struct client *c = calloc(1, sizeof *c);
    (void)l;
    (void)address;
    (void)len;
    if (!c)
        exit(1);
    s->connections++;
    c->server = s;
    c->timer = evtimer_new(s->base, on_timer, c);
    c->bev = bufferevent_openssl_socket_new(s->base, fd, SSL_new(s->tls),
                                            BUFFEREVENT_SSL_ACCEPTING,
                                            BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(c->bev, on_read, on_written, on_end, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static SSL_CTX *open_tls(const char *certificate, const char *key)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls ||
        SSL_CTX_use_certificate_file(tls, certificate, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        return NULL;
    return tls;
}

int main(int argc, char **argv)
{
    struct server s = {.close = argc > 3};
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int one = 1;
    s.tls = argc > 2 ? open_tls(argv[1], argv[2]) : NULL;
    if (!s.tls) {
        fprintf(stderr, "usage: server CERTIFICATE KEY [close]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof s.text - 1; i++)
        s.text[i] = "All work and no play. "[i % 22];
    signal(SIGPIPE, SIG_IGN);
    s.base = event_base_new();
    struct evconnlistener *l = evconnlistener_new_bind(
        s.base, on_accept, &s, LEV_OPT_CLOSE_ON_FREE, BACKLOG,
        (struct sockaddr *)&at, sizeof at);
    if (!l)
        return 1;
    evutil_socket_t fd = evconnlistener_get_fd(l);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited */
    getsockname(fd, (struct sockaddr *)&at, &len);
    printf("https://127.0.0.1:%u\n", (unsigned)ntohs(at.sin_port));
    fflush(stdout);
    return event_base_dispatch(s.base) < 0;
}
