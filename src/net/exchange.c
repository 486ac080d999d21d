/* exchange.c -- one exchange over libcurl: options and callbacks.
 *
 * The callbacks fill the inbox and mark; they never start, stop or free.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/curl_impl.h"
#include "util/ascii.h"
#include "util/clock.h"

#define MAX_REDIRECTS 5

/* -- what comes in ------------------------------------------------------- */

/* 307 and 308 keep the method; the older ones are safe for reading only. */
static bool redirects(const struct kc_curl_exchange *x)
{
    int s = x->in.pub.status;
    bool reads =
        strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
    return x->redirects < MAX_REDIRECTS &&
           kc_headers_get(&x->in.pub.headers, "location") &&
           (s == 307 || s == 308 ||
            (reads && (s == 301 || s == 302 || s == 303)));
}

static void headers_end(struct kc_curl_exchange *x)
{
    if (x->in.pub.status < 200)
        return; /* 100 Continue and its like: the answer follows */
    x->may_redirect = !x->in.pub.raw && redirects(x);
    if (x->may_redirect)
        return;
    kc_inbox_begin(&x->in);
}

static int add_field(struct kc_curl_exchange *x, char *line, size_t len)
{
    char *colon = memchr(line, ':', len);
    if (!colon)
        return KC_OK; /* not a field: libcurl let it pass, so do we */
    char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && kc_is_space(end[-1]))
        end--;
    *colon = *end = '\0';
    int err = kc_headers_add(&x->in.pub.headers, line, value);
    return err == KC_EINVALID ? KC_OK : err; /* odd names are left out */
}

/* Bytes before the line's end. */
static size_t line_len(const char *line, size_t len)
{
    while (len > 0 && kc_is_space(line[len - 1]))
        len--;
    return len;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct kc_curl_exchange *x = ctx;
    size_t len = size * n;
    x->in.heard_ms = kc_mono_ms();
    if (x->in.pub.have_headers)
        return len; /* a trailer */
    x->failure = kc_inbox_count(&x->in, len);
    if (x->failure != KC_OK)
        return 0;
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        const char *space = memchr(data, ' ', len);
        kc_headers_clear(&x->in.pub.headers);
        x->in.pub.status = space ? (int)strtol(space + 1, NULL, 10) : 0;
        if (x->in.pub.raw)
            snprintf(x->in.pub.status_line, sizeof x->in.pub.status_line,
                     "%.*s", (int)line_len(data, len), data);
        return len;
    }
    if (len <= 2 && (data[0] == '\r' || data[0] == '\n')) {
        headers_end(x);
        return len;
    }
    char *line = malloc(len + 1);
    x->failure = KC_ENOMEM;
    if (line) {
        memcpy(line, data, len);
        line[len] = '\0';
        x->failure = add_field(x, line, len);
        free(line);
    }
    return x->failure == KC_OK ? len : 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct kc_curl_exchange *x = ctx;
    size_t len = size * n;
    if (x->may_redirect)
        return len;
    if (kc_inbox_is_full(&x->in)) {
        x->paused = true; /* these bytes come again */
        return CURL_WRITEFUNC_PAUSE;
    }
    x->failure = kc_inbox_data(&x->in, data, len);
    return x->failure == KC_OK ? len : 0;
}

static int on_request(void *ctx, char *ip, char *local, int port, int lport)
{
    struct kc_curl_exchange *x = ctx;
    (void)ip;
    (void)local;
    (void)port;
    (void)lport;
    x->in.pub.sent = true; /* connected: from here on it may have left */
    x->in.pub.sends++;
    kc_inbox_tell(&x->in);
    return CURL_PREREQFUNC_OK;
}

/* -- what goes out ------------------------------------------------------- */

static void wipe_fields(struct curl_slist *list)
{
    for (struct curl_slist *f = list; f; f = f->next)
        explicit_bzero(f->data, strlen(f->data));
    curl_slist_free_all(list);
}

static int append(struct curl_slist **list, const char *text)
{
    struct curl_slist *more = curl_slist_append(*list, text);
    if (!more)
        return KC_ENOMEM;
    *list = more;
    return KC_OK;
}

static int build_fields(struct curl_slist **list, const struct kc_headers *h)
{
    /* libcurl adds these by itself: Expect for large bodies, which costs a
     * second with servers that ignore it, and a form's content type. */
    int err = append(list, "Expect:");
    bool typed = false;
    struct kc_buf line;
    kc_buf_init(&line, 128 * 1024);
    for (size_t i = 0; h && err == KC_OK && i < h->len; i++) {
        const struct kc_header *f = &h->list[i];
        typed = typed || strcmp(f->name, "content-type") == 0;
        kc_buf_clear(&line);
        /* "name;" is how libcurl is told of a field without a value. */
        err = kc_buf_addstr(&line, f->name);
        if (err == KC_OK)
            err = kc_buf_addstr(&line, *f->value ? ": " : ";");
        if (err == KC_OK)
            err = kc_buf_addstr(&line, f->value);
        if (err == KC_OK)
            err = append(list, kc_buf_str(&line));
    }
    kc_buf_wipe(&line);
    if (err == KC_OK && !typed)
        err = append(list, "Content-Type:");
    return err;
}

static void set_method(struct kc_curl_exchange *x,
                       const struct kc_exchange_config *c)
{
    if (c->body || strcmp(c->method, "POST") == 0) {
        curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, c->body ? c->body : "");
        curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)c->body_len);
    }
    if (strcmp(c->method, "HEAD") == 0)
        curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
    else if (strcmp(c->method, c->body ? "POST" : "GET") != 0)
        curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, c->method);
}

static void set_callbacks(struct kc_curl_exchange *x)
{
    curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
    curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->words);
    curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->easy, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(x->easy, CURLOPT_PREREQDATA, x);
}

/* No program that the host starts inherits a connection: libcurl itself sees to
 * that in newer versions only. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose,
                                 struct curl_sockaddr *to)
{
    (void)ctx;
    (void)purpose;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static void set_safety(struct kc_curl_exchange *x)
{
    curl_easy_setopt(x->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(x->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x->easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(x->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(x->easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(x->easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (x->t->ca_file) {
        /* With a CAPATH libcurl would not cache the parsed bundle. */
        curl_easy_setopt(x->easy, CURLOPT_CAINFO, x->t->ca_file);
        curl_easy_setopt(x->easy, CURLOPT_CAPATH, NULL);
    }
    if (kc_url_is_loopback(&x->origin))
        curl_easy_setopt(x->easy, CURLOPT_NOPROXY, "*");
}

int kc_curl_setup(struct kc_curl_exchange *x,
                  const struct kc_exchange_config *c)
{
    int err = build_fields(&x->fields, c->headers);
    if (err != KC_OK)
        return err;
    set_callbacks(x);
    set_safety(x);
    set_method(x, c);
    curl_easy_setopt(x->easy, CURLOPT_SHARE, x->t->share);
    curl_easy_setopt(x->easy, CURLOPT_URL, c->url);
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->fields);
    curl_easy_setopt(x->easy, CURLOPT_USERAGENT, KC_USER_AGENT);
    curl_easy_setopt(x->easy, CURLOPT_ACCEPT_ENCODING, c->raw ? NULL : "");
    curl_easy_setopt(x->easy, CURLOPT_PATH_AS_IS, c->raw ? 1L : 0L);
    curl_easy_setopt(x->easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(x->easy, CURLOPT_HTTP_VERSION,
                     c->raw ? (long)CURL_HTTP_VERSION_1_1
                            : (long)CURL_HTTP_VERSION_2TLS);
    if (strcmp(x->origin.scheme, "https") == 0)
        curl_easy_setopt(x->easy, CURLOPT_PIPEWAIT, 1L);
    uint64_t connect =
        c->connect_timeout_ms ? c->connect_timeout_ms : KC_CONNECT_MS;
    curl_easy_setopt(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect);
    curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)c->total_timeout_ms);
    return KC_OK;
}

/* -- the end ------------------------------------------------------------- */

static int result_of(const struct kc_curl_exchange *x, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return KC_OK;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return KC_ERESOLVE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_PROXY:
        return KC_ECONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return KC_ETIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED:
        return KC_ETLS;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* "HTTP/0.9 when not allowed" */
    case CURLE_BAD_CONTENT_ENCODING:
        return KC_EGARBAGE;
    case CURLE_OUT_OF_MEMORY:
        /* libcurl 7.88 says so of a header line over 100 kB, too. */
        return x->in.pub.status && !x->in.pub.have_headers ? KC_ETOOLARGE
                                                           : KC_ENOMEM;
    case CURLE_URL_MALFORMAT:
        return KC_EBADURL;
    default:
        return KC_ECUT;
    }
}

void kc_curl_finish(struct kc_curl_exchange *x, CURLcode code)
{
    const char *words = x->words[0] ? x->words : curl_easy_strerror(code);
    int err = result_of(x, code);
    if (code == CURLE_WRITE_ERROR && x->failure != KC_OK) {
        err = x->failure;
        words = kc_err_text(err);
    }
    if (err == KC_OK && x->may_redirect) { /* to another place: the answer */
        x->may_redirect = false;
        x->in.pub.have_headers = true;
    }
    if (err == KC_OK && !x->in.pub.have_headers) { /* libcurl lets it pass */
        err = KC_ECUT;
        words = "the connection ended within the headers";
    }
    kc_inbox_end(&x->in, err, words);
}

void kc_curl_reset(struct kc_curl_exchange *x)
{
    kc_inbox_clear(&x->in);
    x->may_redirect = false;
    x->redirects++;
}

static void resume(struct kc_curl_exchange *x)
{
    if (!x->paused || !x->running)
        return;
    x->paused = false; /* before the call, which may pause again */
    x->in.heard_ms = kc_mono_ms();
    curl_easy_pause(x->easy, CURLPAUSE_CONT);
}

int kc_curl_event(struct kc_exchange *pub, struct kc_sse_event *out)
{
    struct kc_curl_exchange *x = pub->impl;
    int err = kc_inbox_event(&x->in, out);
    if (err == KC_OK && kc_inbox_has_room(&x->in))
        resume(x);
    return err;
}

void kc_curl_taken(struct kc_exchange *pub)
{
    resume(pub->impl);
}

void kc_curl_release(struct kc_curl_exchange *x)
{
    wipe_fields(x->fields);
    kc_inbox_deinit(&x->in);
    free(x);
}
