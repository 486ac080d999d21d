/* baseline.c -- the least that any client must do: so many POSTs side by side by
 * libcurl's multi interface and epoll, each followed by the next one; handles
 * are reused, answers read and dropped, events told apart and counted.
 *
 * Once every place has had an answer, and so has its connection, it measures for
 * SECONDS. Prints microseconds of CPU time for a call (or, of streams, for an
 * event), how many there were, and bytes of memory that libcurl takes for a place.
 *
 * usage: baseline URL KEY BODY PLACES SECONDS
 */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

struct place {
    struct client *client;
    CURL *easy;
    bool warm; /* has had an answer */
    char line[1024], data[1024]; /* of a stream: what is not complete */
    size_t line_len, data_len;
};

struct client {
    int epoll;
    double timer_at; /* when libcurl wants to be called; 0: not */
    CURLM *multi;
    int running;
    long calls, events, warm;
};

static double seconds(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static long memory(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "baseline: %s failed\n", what);
        exit(1);
    }
}

/* -- server-sent events --------------------------------------------------- */

static void end_line(struct place *p)
{
    if (p->line_len > 0 && p->line[p->line_len - 1] == '\r')
        p->line_len--;
    if (p->line_len == 0) {
        p->client->events +=
            p->data_len > 0 && strncmp(p->data, "[DONE]", p->data_len) != 0;
        p->data_len = 0;
    } else if (p->line_len > 6 && memcmp(p->line, "data: ", 6) == 0) {
        must(p->data_len + p->line_len < sizeof p->data, "an event");
        memcpy(p->data + p->data_len, p->line + 6, p->line_len - 6);
        p->data_len += p->line_len - 6;
    }
    p->line_len = 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct place *p = ctx;
    for (size_t at = 0; at < size * n;) {
        const char *end = memchr(bytes + at, '\n', size * n - at);
        size_t len = (end ? (size_t)(end - bytes) : size * n) - at;
        must(p->line_len + len <= sizeof p->line, "a line");
        memcpy(p->line + p->line_len, bytes + at, len);
        p->line_len += len;
        at += len;
        if (end) {
            end_line(p);
            at++;
        }
    }
    return size * n;
}

static size_t on_plain(char *bytes, size_t size, size_t n, void *ctx)
{
    (void)bytes;
    (void)ctx;
    return size * n;
}

/* -- libcurl and epoll ---------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx,
                     void *mine)
{
    struct client *c = ctx;
    struct epoll_event ev = {.data.fd = fd};
    (void)easy;
    (void)mine;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(c->epoll, EPOLL_CTL_DEL, fd, &ev);
        return 0;
    }
    if (what & CURL_POLL_IN)
        ev.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        ev.events |= EPOLLOUT;
    if (epoll_ctl(c->epoll, EPOLL_CTL_MOD, fd, &ev) != 0)
        epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &ev);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *ctx)
{
    struct client *c = ctx;
    (void)multi;
    c->timer_at =
        ms < 0 ? 0 : seconds(CLOCK_MONOTONIC) + (double)ms / 1000;
    return 0;
}

static void begin(struct place *p)
{
    must(curl_multi_add_handle(p->client->multi, p->easy) == CURLM_OK, "add");
}

/* Counts the answers that are complete, and asks again. */
static void collect(struct client *c)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(c->multi, &left))) {
        CURL *easy = m->easy_handle;
        struct place *p = NULL;
        long status = 0;
        must(m->data.result == CURLE_OK, curl_easy_strerror(m->data.result));
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &p);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        must(status == 200, "a call");
        curl_multi_remove_handle(c->multi, easy);
        c->calls++;
        c->warm += !p->warm;
        p->warm = true;
        begin(p);
    }
}

static void drive(struct client *c)
{
    struct epoll_event ev[64];
    int wait = -1;
    if (c->timer_at > 0) {
        double left = c->timer_at - seconds(CLOCK_MONOTONIC);
        wait = left > 0 ? (int)(left * 1000) + 1 : 0;
    }
    int n = epoll_wait(c->epoll, ev, 64, wait);
    for (int i = 0; i < n; i++) {
        int mask = 0;
        if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            mask |= CURL_CSELECT_IN;
        if (ev[i].events & EPOLLOUT)
            mask |= CURL_CSELECT_OUT;
        curl_multi_socket_action(c->multi, ev[i].data.fd, mask, &c->running);
    }
    if (c->timer_at > 0 && c->timer_at <= seconds(CLOCK_MONOTONIC)) {
        c->timer_at = 0;
        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0,
                                 &c->running);
    }
    collect(c);
}

/* -- */

static void set_up(struct place *p, struct client *c, char **argv,
                   struct curl_slist *fields)
{
    bool streams = strstr(argv[1], "/sse/") != NULL;
    p->client = c;
    p->easy = curl_easy_init();
    must(p->easy != NULL, "easy_init");
    curl_easy_setopt(p->easy, CURLOPT_PRIVATE, p);
    curl_easy_setopt(p->easy, CURLOPT_URL, argv[1]);
    curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(p->easy, CURLOPT_POSTFIELDS, argv[3]);
    curl_easy_setopt(p->easy, CURLOPT_WRITEFUNCTION,
                     streams ? on_body : on_plain);
    curl_easy_setopt(p->easy, CURLOPT_WRITEDATA, p);
    curl_easy_setopt(p->easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(p->easy, CURLOPT_USERAGENT, "baseline/1");
    curl_easy_setopt(p->easy, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
    curl_easy_setopt(p->easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(p->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(p->easy, CURLOPT_NOSIGNAL, 1L);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: baseline URL KEY BODY PLACES SECONDS\n");
        return 2;
    }
    static struct client c;
    char auth[256];
    long places = strtol(argv[4], NULL, 10);
    c.epoll = epoll_create1(0);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    c.multi = curl_multi_init();
    curl_multi_setopt(c.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c.multi, CURLMOPT_SOCKETDATA, &c);
    curl_multi_setopt(c.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c.multi, CURLMOPT_TIMERDATA, &c);
    snprintf(auth, sizeof auth, "Authorization: Bearer %s", argv[2]);
    struct curl_slist *fields = curl_slist_append(NULL, auth);
    fields = curl_slist_append(fields, "Content-Type: application/json");
    fields = curl_slist_append(fields, "Accept: application/json");
    struct place *p = calloc((size_t)places, sizeof *p);
    must(p && fields, "memory");
    set_up(p, &c, argv, fields);
    begin(p);
    while (c.warm < 1)
        drive(&c);
    long before = memory();
    for (long i = 1; i < places; i++) {
        set_up(&p[i], &c, argv, fields);
        begin(&p[i]);
    }
    while (c.warm < places)
        drive(&c);
    c.calls = c.events = 0;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    double end = seconds(CLOCK_MONOTONIC) + strtod(argv[5], NULL);
    while (seconds(CLOCK_MONOTONIC) < end)
        drive(&c);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    long n = c.events ? c.events : c.calls;
    must(n > 0, "the measurement");
    printf("%.2f %ld %ld\n", cpu * 1e6 / (double)n, n,
           (memory() - before) / places - (long)sizeof *p);
    return 0;
}
