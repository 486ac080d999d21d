/* rawserver.c -- see rawserver.h.
 *
 * Faults: cut-before-headers cut-in-headers cut-in-body cut-in-chunk
 * cut-in-event garbage never never-body header-bomb body-bomb endless-line
 * html-200 html-echo empty-200 error-200 null-content lone-surrogate bad-json bad-utf8
 * retry-after?v=V sse?mode=M gzip redirect-same redirect-other redirect-loop
 * flood play?file=F&cut=N&split=N slow-events status?code=N echo-key echo-head count ok
 */
#include "support/rawserver.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_REQUEST (4 << 20)
#define MAX_CONNECTIONS 256

struct rawserver {
    int fd;
    int stop[2]; /* a pipe: readable once closing */
    unsigned port;
    atomic_uint count, connections;
    atomic_ulong played; /* the last cut + 1 */
    atomic_bool closing;
    pthread_t thread;
    pthread_t workers[MAX_CONNECTIONS];
    bool busy[MAX_CONNECTIONS];
};

struct conn {
    struct rawserver *server;
    int fd;
    char *request; /* headers and body */
    char path[1024];
    char token[256];
};

static const char completion[] =
    "{\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
    "\"message\":{\"role\":\"assistant\",\"content\":%s},"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
    "\"completion_tokens\":2,\"total_tokens\":5}}";

/* -- sending ------------------------------------------------------------- */

static bool send_all(struct conn *c, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        struct pollfd w[2] = {{.fd = c->fd, .events = POLLOUT},
                              {.fd = c->server->stop[0], .events = POLLIN}};
        if (poll(w, 2, -1) < 0 || w[1].revents)
            return false;
        ssize_t k = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static bool say(struct conn *c, const char *text)
{
    return send_all(c, text, strlen(text));
}

static bool answer(struct conn *c, int status, const char *fields,
                   const char *type, const void *body, size_t len)
{
    char head[1024];
    snprintf(head, sizeof head,
             "HTTP/1.1 %d Status\r\nContent-Type: %s\r\n"
             "Content-Length: %zu\r\n%s\r\n",
             status, type, len, fields);
    return say(c, head) && send_all(c, body, len);
}

static bool json(struct conn *c, int status, const char *fields,
                 const char *body)
{
    return answer(c, status, fields, "application/json", body, strlen(body));
}

static bool content(struct conn *c, const char *quoted)
{
    char body[1024];
    snprintf(body, sizeof body, completion, quoted);
    return json(c, 200, "", body);
}

/* Waits until the client or the test ends it. */
static bool hang(struct conn *c)
{
    struct pollfd w[2] = {{.fd = c->fd, .events = POLLIN | POLLRDHUP},
                          {.fd = c->server->stop[0], .events = POLLIN}};
    char drop[256];
    while (poll(w, 2, -1) > 0 && !w[1].revents)
        if (recv(c->fd, drop, sizeof drop, MSG_DONTWAIT) <= 0)
            break;
    return false;
}

static const char *parameter(const struct conn *c, const char *name, char *out,
                             size_t size)
{
    const char *p = strstr(c->path, name);
    size_t n = 0;
    if (p) {
        for (p += strlen(name); *p && *p != '&' && n + 1 < size; p++) {
            if (*p == '%' && isxdigit((unsigned char)p[1]) && p[2]) {
                char hex[3] = {p[1], p[2], 0};
                out[n++] = (char)strtol(hex, NULL, 16);
                p += 2;
            } else {
                out[n++] = *p;
            }
        }
    }
    out[n] = '\0';
    return out;
}

/* -- events -------------------------------------------------------------- */

#define STREAM_HEAD                                          \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
    "Connection: close\r\n\r\n"
#define CHUNK(text) \
    "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}"
#define FINISH \
    "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}"

static bool sse_text(struct conn *c, const char *mode)
{
    if (strcmp(mode, "cr") == 0)
        return say(c, "data: " CHUNK("Hi") "\r\rdata: " FINISH
                                           "\r\rdata: [DONE]\r\r");
    if (strcmp(mode, "crlf") == 0)
        return say(c, "data: " CHUNK("Hi") "\r\n\r\ndata: " FINISH
                                           "\r\n\r\ndata: [DONE]\r\n\r\n");
    if (strcmp(mode, "bom") == 0)
        return say(c, "\xef\xbb\xbf"
                      "data: " CHUNK("Hi") "\n\ndata: " FINISH
                                           "\n\ndata: [DONE]\n\n");
    if (strcmp(mode, "comments") == 0)
        return say(c, ": hello\n\n: again\ndata: " CHUNK(
                          "Hi") "\n: between\n\ndata: " FINISH
                                "\n\ndata: [DONE]\n\n");
    if (strcmp(mode, "multiline") == 0)
        return say(c, "data: {\"choices\":[{\"index\":0,\ndata: \"delta\":"
                      "{\"content\":\"Hi\"}}]}\n\ndata: " FINISH
                      "\n\ndata: [DONE]\n\n");
    if (strcmp(mode, "no-end") == 0)
        return say(c, "data: " CHUNK("Hi") "\n\n");
    return say(c,
               "data: " CHUNK("Hi") "\n\ndata: " FINISH "\n\ndata: [DONE]\n\n");
}

static bool sse_split(struct conn *c)
{
    static const char text[] =
        "data: " CHUNK("Hi") "\r\n\r\ndata: " FINISH "\n\ndata: [DONE]\n\n";
    for (const char *p = text; *p; p++)
        if (!send_all(c, p, 1))
            return false;
    return false;
}

static bool sse(struct conn *c)
{
    char mode[32];
    parameter(c, "mode=", mode, sizeof mode);
    if (!say(c, STREAM_HEAD))
        return false;
    if (strcmp(mode, "split") == 0)
        return sse_split(c);
    sse_text(c, mode);
    return false;
}

static bool flood(struct conn *c)
{
    say(c, STREAM_HEAD);
    while (say(c, "data: " CHUNK("flood") "\n\n"))
        continue;
    return false;
}

/* A whole answer, recorded in a file, and the end of the connection. Of a `cut`
 * only as many bytes, unless that very cut was the last one: then it is the
 * next attempt, and gets all. Of a `split` two pieces. */
static bool play(struct conn *c)
{
    static const size_t room = 1 << 20;
    char name[256], number[32];
    FILE *f = fopen(parameter(c, "file=", name, sizeof name), "rb");
    char *text = f ? malloc(room) : NULL;
    size_t len = text ? fread(text, 1, room, f) : 0;
    if (*parameter(c, "cut=", number, sizeof number)) {
        size_t cut = strtoul(number, NULL, 10);
        if (atomic_exchange(&c->server->played, cut + 1) != cut + 1)
            len = cut < len ? cut : len;
    }
    parameter(c, "split=", number, sizeof number);
    size_t split = strtoul(number, NULL, 10);
    if (split < len && send_all(c, text, split))
        send_all(c, text + split, len - split);
    free(text);
    if (f)
        fclose(f);
    return false;
}

/* -- the faults ---------------------------------------------------------- */

static bool never_body(struct conn *c)
{
    say(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
           "Content-Length: 100\r\n\r\n");
    return hang(c);
}

static bool one_event_then_silence(struct conn *c)
{
    say(c, STREAM_HEAD "data: " CHUNK("Hi") "\n\n");
    return hang(c);
}

static bool header_bomb(struct conn *c)
{
    char field[1100];
    memset(field, 'x', sizeof field);
    memcpy(field, "X-Bomb: ", 8);
    memcpy(field + sizeof field - 3, "\r\n", 3);
    say(c, "HTTP/1.1 200 OK\r\n");
    while (say(c, field))
        continue;
    return false;
}

static bool body_bomb(struct conn *c)
{
    static const char spaces[65536] = {0};
    say(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
           "Connection: close\r\n\r\n");
    while (send_all(c, spaces, sizeof spaces))
        continue;
    return false;
}

static bool endless_line(struct conn *c)
{
    char text[65536];
    memset(text, 'a', sizeof text);
    say(c, STREAM_HEAD "data: ");
    while (send_all(c, text, sizeof text))
        continue;
    return false;
}

static bool gzip(struct conn *c)
{
    /* {"choices":[{"index":0,"message":{"role":"assistant","content":"zip"}}],
     * "usage":{"total_tokens":5}} */
    static const unsigned char body[] = {
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x35, 0x8c,
        0xb1, 0x0a, 0x80, 0x30, 0x0c, 0x05, 0xff, 0xe5, 0xcd, 0x1d, 0x5c, 0x5c,
        0xf2, 0x2b, 0x22, 0x52, 0x6a, 0xd0, 0xa2, 0x26, 0x62, 0x22, 0x88, 0xa5,
        0xff, 0x6e, 0x17, 0xa7, 0xbb, 0xe1, 0xb8, 0x82, 0xb4, 0x6a, 0x4e, 0x6c,
        0xa0, 0xa1, 0x20, 0xcb, 0xcc, 0x0f, 0xa8, 0x0b, 0x38, 0xd8, 0x2c, 0x2e,
        0x0c, 0x2a, 0xb8, 0x74, 0x6f, 0x44, 0x34, 0xcb, 0xe6, 0x51, 0x1c, 0x01,
        0x49, 0xc5, 0xb9, 0x19, 0xe1, 0xcd, 0x27, 0x6a, 0x1d, 0x03, 0xee, 0x3f,
        0x77, 0xf5, 0xb8, 0x4f, 0xae, 0x1b, 0x4b, 0x9b, 0xf6, 0xb5, 0x7e, 0x46,
        0xe6, 0x5a, 0xe7, 0x63, 0x00, 0x00, 0x00};
    return answer(c, 200, "Content-Encoding: gzip\r\n", "application/json",
                  body, sizeof body);
}

static bool retry_after(struct conn *c)
{
    char value[128], field[160];
    parameter(c, "v=", value, sizeof value);
    snprintf(field, sizeof field, "Retry-After: %s\r\n", value);
    return json(c, 429, field,
                "{\"error\":{\"message\":\"Rate limit reached\",\"type\":"
                "\"requests\",\"code\":\"rate_limit_exceeded\"}}");
}

static bool redirect(struct conn *c, const char *target)
{
    char field[256];
    snprintf(field, sizeof field, "Location: %s\r\n", target);
    return json(c, 307, field, "{}");
}

static bool status(struct conn *c)
{
    char code[16];
    parameter(c, "code=", code, sizeof code);
    int n = (int)strtol(code, NULL, 10);
    return json(c, n ? n : 500, "",
                "{\"error\":{\"message\":\"as asked\",\"type\":\"test\"}}");
}

static bool echo_key(struct conn *c)
{
    char body[1024], fields[512];
    snprintf(body, sizeof body,
             "{\"error\":{\"message\":\"Incorrect API key provided: %s. "
             "(%.10s****)\",\"code\":\"invalid_api_key\"}}",
             c->token, c->token);
    snprintf(fields, sizeof fields, "x-a: 1\r\nx-token: %s\r\nx-a: 2\r\n",
             c->token);
    return json(c, 401, fields, body);
}

static bool html_echo(struct conn *c)
{
    char body[512];
    int n = snprintf(body, sizeof body, "<html>No route for %s</html>",
                     c->token);
    return answer(c, 200, "", "text/html", body, (size_t)n);
}

static bool count(struct conn *c)
{
    char body[64];
    snprintf(body, sizeof body, "{\"count\":%u}",
             atomic_load(&c->server->count) - 1);
    return json(c, 200, "", body);
}

/* The request line and the header fields, as they came. */
static bool echo_head(struct conn *c)
{
    char *end = strstr(c->request, "\r\n\r\n");
    return answer(c, 200, "", "text/plain", c->request,
                  (size_t)(end + 2 - c->request));
}

static bool serve_bodies(struct conn *c, const char *name)
{
    if (strcmp(name, "html-200") == 0)
        return answer(c, 200, "", "text/html", "<html>maintenance</html>", 24);
    if (strcmp(name, "html-echo") == 0)
        return html_echo(c);
    if (strcmp(name, "empty-200") == 0)
        return json(c, 200, "", "");
    if (strcmp(name, "error-200") == 0)
        return json(c, 200, "",
                    "{\"error\":{\"message\":\"inside\","
                    "\"code\":\"context_length_exceeded\"}}");
    if (strcmp(name, "null-content") == 0)
        return content(c, "null");
    if (strcmp(name, "lone-surrogate") == 0)
        return content(c, "\"a\\ud83db\"");
    if (strcmp(name, "bad-json") == 0)
        return json(c, 200, "", "{\"choices\": [");
    if (strcmp(name, "bad-utf8") == 0)
        return content(c, "\"a\xff"
                          "b\"");
    if (strcmp(name, "gzip") == 0)
        return gzip(c);
    if (strcmp(name, "retry-after") == 0)
        return retry_after(c);
    if (strcmp(name, "status") == 0)
        return status(c);
    if (strcmp(name, "echo-key") == 0)
        return echo_key(c);
    if (strcmp(name, "echo-head") == 0)
        return echo_head(c);
    if (strcmp(name, "count") == 0)
        return count(c);
    return content(c, "\"ok\"");
}

static bool serve(struct conn *c, const char *name)
{
    char other[64];
    snprintf(other, sizeof other, "http://localhost:%u/ok", c->server->port);
    if (strcmp(name, "cut-before-headers") == 0)
        return false;
    if (strcmp(name, "cut-in-headers") == 0)
        return say(c, "HTTP/1.1 200 OK\r\nContent-Ty"), false;
    if (strcmp(name, "cut-in-body") == 0)
        return say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\""),
               false;
    if (strcmp(name, "cut-in-chunk") == 0)
        return say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "20\r\n{\"a\""),
               false;
    if (strcmp(name, "cut-in-event") == 0)
        return say(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n80\r\n"
                      "data: " CHUNK("Hi") "\n\ndata: {\"cho"),
               false;
    if (strcmp(name, "garbage") == 0)
        return say(c, "\x01\x02garbage\x03\r\n\r\n\x04"), false;
    if (strcmp(name, "never") == 0)
        return hang(c);
    if (strcmp(name, "never-body") == 0)
        return never_body(c);
    if (strcmp(name, "slow-events") == 0)
        return one_event_then_silence(c);
    if (strcmp(name, "header-bomb") == 0)
        return header_bomb(c);
    if (strcmp(name, "body-bomb") == 0)
        return body_bomb(c);
    if (strcmp(name, "endless-line") == 0)
        return endless_line(c);
    if (strcmp(name, "sse") == 0)
        return sse(c);
    if (strcmp(name, "flood") == 0)
        return flood(c);
    if (strcmp(name, "play") == 0)
        return play(c);
    if (strcmp(name, "redirect-same") == 0)
        return redirect(c, "/ok");
    if (strcmp(name, "redirect-loop") == 0)
        return redirect(c, "/redirect-loop");
    if (strcmp(name, "redirect-other") == 0)
        return redirect(c, other);
    return serve_bodies(c, name);
}

/* -- requests ------------------------------------------------------------ */

/* Reads one request into c->request; false at the end. */
static bool read_request(struct conn *c)
{
    size_t len = 0, need = 0;
    for (;;) {
        struct pollfd w[2] = {{.fd = c->fd, .events = POLLIN},
                              {.fd = c->server->stop[0], .events = POLLIN}};
        if (poll(w, 2, -1) < 0 || w[1].revents)
            return false;
        ssize_t n = recv(c->fd, c->request + len, MAX_REQUEST - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        c->request[len] = '\0';
        char *end = strstr(c->request, "\r\n\r\n");
        if (!end)
            continue;
        const char *field = strcasestr(c->request, "\r\ncontent-length:");
        if (field && field < end)
            need = strtoul(field + 17, NULL, 10);
        if (len >= (size_t)(end - c->request) + 4 + need)
            return true;
    }
}

static void read_line(struct conn *c)
{
    c->path[0] = c->token[0] = '\0';
    sscanf(c->request, "%*15s %1023s", c->path);
    const char *auth = strcasestr(c->request, "\r\nauthorization: bearer ");
    if (auth)
        sscanf(auth + 24, "%255s", c->token);
}

static void *run_connection(void *arg)
{
    struct conn *c = arg;
    bool more = true;
    while (more && read_request(c)) {
        char name[64];
        read_line(c);
        atomic_fetch_add(&c->server->count, 1);
        size_t n = strcspn(c->path + 1, "/?&");
        snprintf(name, sizeof name, "%.*s", (int)(n < 63 ? n : 63),
                 c->path + 1);
        more = serve(c, name);
    }
    close(c->fd);
    free(c->request);
    free(c);
    return NULL;
}

/* A place for one more thread; MAX_CONNECTIONS: all serve somebody. */
static size_t free_place(struct rawserver *s)
{
    size_t i = 0;
    while (i < MAX_CONNECTIONS && s->busy[i] &&
           pthread_tryjoin_np(s->workers[i], NULL) != 0)
        i++;
    return i;
}

static void accept_one(struct rawserver *s)
{
    int one = 1, fd = accept(s->fd, NULL, NULL);
    if (fd < 0)
        return;
    size_t place = free_place(s);
    struct conn *c = calloc(1, sizeof *c);
    if (c)
        c->request = malloc(MAX_REQUEST);
    if (place < MAX_CONNECTIONS)
        s->busy[place] = false;
    if (!c || !c->request || place == MAX_CONNECTIONS) {
        close(fd);
        if (c)
            free(c->request);
        free(c);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->server = s;
    c->fd = fd;
    atomic_fetch_add(&s->connections, 1);
    s->busy[place] = true;
    pthread_create(&s->workers[place], NULL, run_connection, c);
}

static void *run(void *arg)
{
    struct rawserver *s = arg;
    for (;;) {
        struct pollfd w[2] = {{.fd = s->fd, .events = POLLIN},
                              {.fd = s->stop[0], .events = POLLIN}};
        if (poll(w, 2, -1) < 0 || w[1].revents)
            return NULL;
        accept_one(s);
    }
}

struct rawserver *rawserver_open(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    struct rawserver *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || pipe(s->stop) != 0 ||
        bind(s->fd, (struct sockaddr *)&addr, sizeof addr) != 0 ||
        listen(s->fd, 128) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&addr, &len) != 0 ||
        pthread_create(&s->thread, NULL, run, s) != 0) {
        free(s);
        return NULL;
    }
    s->port = ntohs(addr.sin_port);
    return s;
}

unsigned rawserver_port(const struct rawserver *s)
{
    return s->port;
}

unsigned rawserver_count(const struct rawserver *s)
{
    return atomic_load(&s->count);
}

unsigned rawserver_connections(const struct rawserver *s)
{
    return atomic_load(&s->connections);
}

void rawserver_close(struct rawserver *s)
{
    close(s->stop[1]); /* every poll sees its end */
    pthread_join(s->thread, NULL);
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (s->busy[i])
            pthread_join(s->workers[i], NULL);
    close(s->stop[0]);
    close(s->fd);
    free(s);
}
