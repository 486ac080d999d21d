/* url.c -- see url.h. Deliberately narrower than RFC 3986: what is unusual is
 * refused, so that we and libcurl cannot read one text as two hosts.
 */
#include "net/url.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "util/ascii.h"

static int copy_lower(char *out, size_t size, const char *s, size_t len)
{
    if (len == 0 || len >= size)
        return KC_EBADURL;
    for (size_t i = 0; i < len; i++)
        out[i] = kc_lower(s[i]);
    out[len] = '\0';
    return KC_OK;
}

static bool is_host(const char *s, size_t len, bool v6)
{
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (v6 ? !(kc_is_hex(c) || c == ':' || c == '.')
               : !(kc_is_alnum(c) || c == '.' || c == '-' || c == '_'))
            return false;
    }
    return true;
}

static int read_port(const char *p, const char *end, unsigned *port)
{
    unsigned long v = 0;
    if (p == end)
        return KC_EBADURL;
    for (; p < end; p++) {
        if (!kc_is_digit(*p) || v > 65535)
            return KC_EBADURL;
        v = v * 10 + (unsigned long)(*p - '0');
    }
    if (v == 0 || v > 65535)
        return KC_EBADURL;
    *port = (unsigned)v;
    return KC_OK;
}

int kc_url_parse(const char *url, struct kc_url *out)
{
    *out = (struct kc_url){0};
    for (const unsigned char *p = (const unsigned char *)url; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '\\')
            return KC_EBADURL;
    const char *sep = strstr(url, "://");
    if (!sep || copy_lower(out->scheme, sizeof out->scheme, url,
                           (size_t)(sep - url)) != KC_OK)
        return KC_EBADURL;
    bool tls = strcmp(out->scheme, "https") == 0;
    if (!tls && strcmp(out->scheme, "http") != 0)
        return KC_EBADURL;
    const char *host = sep + 3;
    const char *end = host + strcspn(host, "/?#");
    const char *host_end;
    bool v6 = *host == '[';
    if (v6) {
        host++;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end)
            return KC_EBADURL;
    } else {
        host_end = memchr(host, ':', (size_t)(end - host));
        if (!host_end)
            host_end = end;
    }
    if (!is_host(host, (size_t)(host_end - host), v6))
        return KC_EBADURL; /* user:password@ ends here too */
    int err = copy_lower(out->host, sizeof out->host, host,
                         (size_t)(host_end - host));
    const char *rest = host_end + (v6 ? 1 : 0);
    out->port = tls ? 443 : 80;
    if (err == KC_OK && rest < end)
        err = *rest == ':' ? read_port(rest + 1, end, &out->port) : KC_EBADURL;
    return err;
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n > m && strcmp(s + n - m, tail) == 0;
}

bool kc_url_is_loopback(const struct kc_url *u)
{
    struct in_addr v4;
    struct in6_addr v6;
    /* inet_pton wants four decimal numbers: "127.1" is a name to it. */
    if (inet_pton(AF_INET, u->host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, u->host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(u->host, "localhost") == 0 ||
           ends_with(u->host, ".localhost");
}

bool kc_url_same_origin(const struct kc_url *a, const struct kc_url *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 &&
           a->port == b->port;
}

int kc_url_escape(struct kc_buf *out, const char *s)
{
    int err = KC_OK;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        if (kc_is_alnum((char)*p) || strchr("-._~", *p))
            err = kc_buf_addch(out, (char)*p);
        else
            err = kc_buf_addf(out, "%%%02X", *p);
        if (err != KC_OK)
            break;
    }
    return err;
}
