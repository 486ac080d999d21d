/* baseline.c -- the least that any client must do: N sequential POSTs by
 * libcurl's multi interface and epoll, one handle reused, answers read and
 * dropped. Prints the CPU time of one call in microseconds.
 *
 * usage: baseline URL KEY BODY COUNT
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

struct state {
    int epoll;
    long timeout_ms;
    CURLM *multi;
    size_t bytes;
};

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx,
                     void *sockp)
{
    struct state *s = ctx;
    struct epoll_event ev = {.data.fd = fd};
    (void)easy;
    (void)sockp;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd, &ev);
        return 0;
    }
    if (what & CURL_POLL_IN)
        ev.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        ev.events |= EPOLLOUT;
    if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &ev) != 0)
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *ctx)
{
    struct state *s = ctx;
    (void)multi;
    s->timeout_ms = ms;
    return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct state *s = ctx;
    (void)data;
    s->bytes += size * n;
    return size * n;
}

static void drive(struct state *s, int *running)
{
    struct epoll_event ev[16];
    int n = epoll_wait(s->epoll, ev, 16, (int)s->timeout_ms);
    if (n <= 0)
        curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, running);
    for (int i = 0; i < n; i++) {
        int mask = 0;
        if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            mask |= CURL_CSELECT_IN;
        if (ev[i].events & EPOLLOUT)
            mask |= CURL_CSELECT_OUT;
        curl_multi_socket_action(s->multi, ev[i].data.fd, mask, running);
    }
}

static int call(struct state *s, CURL *easy)
{
    int running = 1, left;
    long status = 0;
    curl_multi_add_handle(s->multi, easy);
    curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    while (running)
        drive(s, &running);
    CURLMsg *m = curl_multi_info_read(s->multi, &left);
    int ok = m && m->data.result == CURLE_OK;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(s->multi, easy);
    return ok && status == 200;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: baseline URL KEY BODY COUNT\n");
        return 2;
    }
    struct state s = {.epoll = epoll_create1(0), .timeout_ms = -1};
    char auth[256];
    snprintf(auth, sizeof auth, "Authorization: Bearer %s", argv[2]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    s.multi = curl_multi_init();
    CURL *easy = curl_easy_init();
    struct curl_slist *list = curl_slist_append(NULL, auth);
    list = curl_slist_append(list, "Content-Type: application/json");
    curl_multi_setopt(s.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(s.multi, CURLMOPT_SOCKETDATA, &s);
    curl_multi_setopt(s.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(s.multi, CURLMOPT_TIMERDATA, &s);
    curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, argv[3]);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &s);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    long count = strtol(argv[4], NULL, 10);
    int ok = call(&s, easy); /* opens the connection: not measured */
    clock_t start = clock();
    for (long i = 0; ok && i < count; i++)
        ok = call(&s, easy);
    double us = (double)(clock() - start) / (double)count;
    if (ok)
        printf("%.1f\n", us);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(s.multi);
    curl_slist_free_all(list);
    return ok ? 0 : 1;
}
