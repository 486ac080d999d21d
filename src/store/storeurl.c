/* storeurl.c -- see storeurl.h. A parse stops at the first thing that is wrong,
 * with words that are a constant but for the names of options: so nothing of
 * the URL can get into them.
 */
#include "store/storeurl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/ascii.h"

#define PORT 3306
#define FORM "mysql://user:password@host:port/database"

/* -- pieces --------------------------------------------------------------- */

bool kc_storeurl_is_mysql(const char *url)
{
    size_t n = kc_starts_with(url, "mysql")     ? 5
               : kc_starts_with(url, "mariadb") ? 7
                                                : 0;
    if (n > 0 && url[n] == '+' && url[n + 1] != ':')
        do {
            n++;
        } while (kc_is_alnum(url[n]) || url[n] == '_');
    return n > 0 && url[n] == ':';
}

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *p = c ? strchr(digits, kc_lower(c)) : NULL;
    return p ? (int)(p - digits) : -1;
}

/* Decodes [p, end) into out[size]. NULL, or what is wrong with it. */
static const char *decode(const char *p, const char *end, char *out,
                          size_t size)
{
    size_t n = 0;
    while (p < end) {
        unsigned char c = (unsigned char)*p++;
        if (c == '%') {
            int high = p < end ? hex(p[0]) : -1;
            int low = high >= 0 && p + 1 < end ? hex(p[1]) : -1;
            if (low < 0)
                return "has a '%' that two hexadecimal digits do not follow: "
                       "write '%' as %25";
            c = (unsigned char)(high * 16 + low);
            p += 2;
        }
        if (c < ' ' || c == 0x7f)
            return "has a control character";
        if (n + 1 >= size)
            return "is too long";
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return NULL;
}

/* "the NAME WHAT"; KC_OK where nothing is wrong. */
static int judge(const char *name, const char *wrong, char *words, size_t size)
{
    if (!wrong)
        return KC_OK;
    snprintf(words, size, "the %s in the store's URL %s", name, wrong);
    return KC_EBADURL;
}

static bool is_host(const char *s, bool v6)
{
    for (; *s; s++) {
        char c = *s;
        if (v6 ? !(kc_is_hex(c) || c == ':' || c == '.')
               : !(kc_is_alnum(c) || c == '.' || c == '-' || c == '_'))
            return false;
    }
    return true;
}

static const char *read_port(const char *p, const char *end, unsigned *port)
{
    unsigned v = 0;
    for (const char *c = p; c < end; c++) {
        if (!kc_is_digit(*c) || v > 65535)
            return "is not a number from 1 to 65535 (write ':', '/', '?', '#', "
                   "'@' and '%' in a password as %3A, %2F, %3F, %23, %40, %25)";
        v = v * 10 + (unsigned)(*c - '0');
    }
    if (v == 0 || v > 65535)
        return "is not a number from 1 to 65535";
    *port = v;
    return NULL;
}

/* -- user, password, host, port ------------------------------------------- */

static int read_user(const char *p, const char *end, struct kc_storeurl *u,
                     char *words, size_t size)
{
    const char *colon = memchr(p, ':', (size_t)(end - p));
    int err =
        judge("user", decode(p, colon ? colon : end, u->user, sizeof u->user),
              words, size);
    if (err == KC_OK && colon)
        err = judge("password",
                    decode(colon + 1, end, u->password, sizeof u->password),
                    words, size);
    return err;
}

static int read_host(const char *p, const char *end, struct kc_storeurl *u,
                     char *words, size_t size)
{
    bool v6 = p < end && *p == '[';
    const char *stop = memchr(p, v6 ? ']' : ':', (size_t)(end - p));
    if (v6 && !stop)
        return judge("host", "begins with '[' and has no ']'", words, size);
    const char *rest = !stop ? end : v6 ? stop + 1 : stop;
    if (p == end || *p == ':')
        snprintf(u->host, sizeof u->host, "localhost");
    else if (judge("host",
                   decode(v6 ? p + 1 : p, stop ? stop : end, u->host,
                          sizeof u->host),
                   words, size) != KC_OK)
        return KC_EBADURL;
    if (!is_host(u->host, v6) || !*u->host)
        return judge("host",
                     "is not a name or an address (write '@' in a password as "
                     "%40; one host only; IPv6 in brackets)",
                     words, size);
    if (rest == end)
        return KC_OK;
    return judge("port",
                 *rest == ':' ? read_port(rest + 1, end, &u->port)
                              : "does not begin with ':'",
                 words, size);
}

/* -- options -------------------------------------------------------------- */

struct options { /* what is only weighed when all have been read */
    bool has_mode, no_verify;
    enum kc_store_tls mode;
};

static const char *read_text(const char *value, char *out, size_t size)
{
    size_t len = strlen(value);
    if (len == 0)
        return "is empty";
    if (len >= size)
        return "is too long";
    memcpy(out, value, len + 1);
    return NULL;
}

static const char *read_bool(const char *value, bool *out)
{
    static const char *const words[] = {"false", "0", "no",  "off",
                                        "true",  "1", "yes", "on"};
    for (size_t i = 0; i < 8; i++) {
        if (kc_same_word(value, words[i])) {
            *out = i >= 4;
            return NULL;
        }
    }
    return "is neither true nor false";
}

static const char *read_seconds(const char *value, uint32_t *ms)
{
    char *end;
    locale_t before = kc_numbers_begin();
    double s = strtod(value, &end);
    kc_numbers_end(before);
    if (!kc_is_digit(*value) || *end || !(s >= 0.001 && s <= 86400))
        return "is not a number of seconds from 0.001 to 86400";
    *ms = (uint32_t)(s * 1000 + 0.5);
    return NULL;
}

static const char *read_mode(const char *value, struct options *o)
{
    static const char *const modes[] = {"DISABLED", "PREFERRED", "REQUIRED",
                                        "VERIFY_CA", "VERIFY_IDENTITY"};
    for (size_t i = 0; i < 5; i++) {
        if (kc_same_word(value, modes[i])) {
            o->has_mode = true;
            o->mode = (enum kc_store_tls)i;
            return NULL;
        }
    }
    return "is not DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";
}

static const char *read_charset(const char *value)
{
    if (kc_same_word(value, "utf8mb4") || kc_same_word(value, "utf8"))
        return NULL;
    return "is not utf8mb4, which is what the store speaks";
}

static void raise_to(enum kc_store_tls *tls, enum kc_store_tls least)
{
    if (*tls < least)
        *tls = least;
}

static const char *read_tls(const char *name, const char *value,
                            struct kc_storeurl *u, struct options *o)
{
    bool yes = false;
    if (strcmp(name, "mode") == 0)
        return read_mode(value, o);
    if (strcmp(name, "ca") == 0)
        return read_text(value, u->ca, sizeof u->ca);
    if (strcmp(name, "cert") == 0)
        return read_text(value, u->cert, sizeof u->cert);
    if (strcmp(name, "key") == 0)
        return read_text(value, u->key, sizeof u->key);
    const char *wrong = read_bool(value, &yes);
    if (strcmp(name, "verify_cert") == 0)
        o->no_verify = !yes;
    if (yes)
        raise_to(&u->tls,
                 strcmp(name, "verify_identity") == 0 ? KC_STORE_TLS_IDENTITY
                 : strcmp(name, "verify_cert") == 0   ? KC_STORE_TLS_CA
                                                      : KC_STORE_TLS_REQUIRED);
    else if (!*name) /* ssl=false */
        *o = (struct options){true, o->no_verify, KC_STORE_TLS_OFF};
    return wrong;
}

static const char *read_option(const char *name, const char *value,
                               struct kc_storeurl *u, struct options *o)
{
    static const struct {
        const char *name, *tls;
    } tls[] = {
        {"ssl", ""},
        {"ssl_mode", "mode"},
        {"ssl-mode", "mode"},
        {"ssl_ca", "ca"},
        {"ssl_cert", "cert"},
        {"ssl_key", "key"},
        {"ssl_verify_cert", "verify_cert"},
        {"ssl_verify_identity", "verify_identity"},
    };
    for (size_t i = 0; i < sizeof tls / sizeof *tls; i++)
        if (strcmp(name, tls[i].name) == 0)
            return read_tls(tls[i].tls, value, u, o);
    if (strcmp(name, "unix_socket") == 0 || strcmp(name, "socket") == 0)
        return read_text(value, u->socket, sizeof u->socket);
    if (strcmp(name, "connect_timeout") == 0)
        return read_seconds(value, &u->connect_ms);
    if (strcmp(name, "read_timeout") == 0)
        return read_seconds(value, &u->statement_ms);
    if (strcmp(name, "charset") == 0)
        return read_charset(value);
    return "is not known (there are ssl, ssl_mode, ssl_ca, ssl_cert, ssl_key, "
           "ssl_verify_cert, ssl_verify_identity, unix_socket, "
           "connect_timeout, read_timeout, charset)";
}

/* One "name=value" of [p, end). */
static int read_pair(const char *p, const char *end, struct kc_storeurl *u,
                     struct options *o, char *words, size_t size)
{
    char name[32], value[512];
    const char *equal = memchr(p, '=', (size_t)(end - p));
    if (!equal)
        return judge("options", "have one without '='", words, size);
    if (decode(p, equal, name, sizeof name))
        return judge("options", "have one whose name cannot be read", words,
                     size);
    const char *wrong = decode(equal + 1, end, value, sizeof value);
    if (!wrong)
        wrong = read_option(name, value, u, o);
    if (!wrong)
        return KC_OK;
    snprintf(words, size, "the option %s in the store's URL %s", name, wrong);
    return KC_EBADURL;
}

static int read_options(const char *p, struct kc_storeurl *u, char *words,
                        size_t size)
{
    struct options o = {0};
    while (*p) {
        const char *end = p + strcspn(p, "&");
        int err = end > p ? read_pair(p, end, u, &o, words, size) : KC_OK;
        if (err != KC_OK)
            return err;
        p = *end ? end + 1 : end;
    }
    if (*u->ca)
        raise_to(&u->tls,
                 o.no_verify ? KC_STORE_TLS_REQUIRED : KC_STORE_TLS_CA);
    if (*u->cert || *u->key)
        raise_to(&u->tls, KC_STORE_TLS_REQUIRED);
    if (o.has_mode && o.mode < KC_STORE_TLS_REQUIRED && u->tls > o.mode)
        return judge(
            "options",
            "contradict each other: one turns TLS off, one asks for it", words,
            size);
    if (o.has_mode)
        raise_to(&u->tls, o.mode);
    return KC_OK;
}

/* -- all of it ------------------------------------------------------------ */

static int read_url(const char *url, struct kc_storeurl *u, char *words,
                    size_t size)
{
    const char *authority = strstr(url, "://") + 3;
    const char *path = authority + strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', (size_t)(path - authority));
    int err = KC_OK;
    /* Else a piece of the password would be taken for a host or an option. */
    if (strchr(path, '@'))
        return judge("password",
                     "or an option has a '/', '?', '#' or '@': "
                     "write them as %2F, %3F, %23 and %40",
                     words, size);
    if (at)
        err = read_user(authority, at, u, words, size);
    if (err == KC_OK)
        err = read_host(at ? at + 1 : authority, path, u, words, size);
    if (err != KC_OK)
        return err;
    const char *query = path + strcspn(path, "?#");
    if (*query == '#')
        return judge("end", "has a '#': write it as %23", words, size);
    if (*path == '/')
        err = judge("database",
                    decode(path + 1, query, u->database, sizeof u->database),
                    words, size);
    if (err == KC_OK && (!*u->database || strchr(u->database, '/')))
        err = judge("database", "is missing or no name: write " FORM, words,
                    size);
    return err == KC_OK && *query ? read_options(query + 1, u, words, size)
                                  : err;
}

int kc_storeurl_parse(const char *url, struct kc_storeurl *out, char *words,
                      size_t size)
{
    *out = (struct kc_storeurl){.port = PORT,
                                .connect_ms = KC_CONNECT_MS,
                                .statement_ms = KC_STATEMENT_MS};
    int err = KC_EBADURL;
    if (size)
        *words = '\0';
    if (!kc_storeurl_is_mysql(url) || strncmp(strchr(url, ':'), "://", 3) != 0)
        snprintf(words, size, "a MySQL store's URL is " FORM);
    else
        err = read_url(url, out, words, size);
    if (err != KC_OK)
        kc_storeurl_wipe(out);
    return err;
}

void kc_storeurl_wipe(struct kc_storeurl *u)
{
    explicit_bzero(u, sizeof *u);
}
