/* storeurl.h -- the URL of a MySQL store, as SQLAlchemy's users write it.
 *
 * mysql[+driver]://[user[:password]@][host][:port]/database[?option=value&…]
 *
 * Pure. User, password, host, database and options may be percent-escaped. What
 * is wrong is said without the part of the URL that may hold the password.
 */
#ifndef KC_STORE_STOREURL_H
#define KC_STORE_STOREURL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

#define KC_CONNECT_MS 10000
#define KC_STATEMENT_MS 15000

enum kc_store_tls { /* each asks for what the one before it asks, and more */
                    KC_STORE_TLS_OFF,
                    KC_STORE_TLS_PREFERRED,
                    KC_STORE_TLS_REQUIRED,
                    KC_STORE_TLS_CA, /* the certificate is signed by a known
                                        authority */
                    KC_STORE_TLS_IDENTITY /* and is made out for this host */
};

struct kc_storeurl {
    char user[256];
    char password[512];
    char host[256]; /* "localhost" when none is given; IPv6 without brackets */
    unsigned port;
    char database[256];
    char socket[108]; /* of the file system, instead of host and port; or "" */
    char ca[512], cert[512], key[512]; /* files, or "" */
    enum kc_store_tls tls;
    uint32_t connect_ms, statement_ms;
};

/* kc_storeurl_is_mysql: the scheme of `url` is one of MySQL's, "mysql" or
 * "mariadb", and behind a '+' any driver of SQLAlchemy's. */
bool kc_storeurl_is_mysql(const char *url);

/* kc_storeurl_parse reads `url`. Options: ssl, ssl_mode, ssl_ca, ssl_cert,
 * ssl_key, ssl_verify_cert, ssl_verify_identity, unix_socket, socket,
 * connect_timeout and read_timeout in seconds, charset. KC_EBADURL with one
 * sentence in `words`, never with the password; `out` is then wiped. */
KC_CHECKED int kc_storeurl_parse(const char *url, struct kc_storeurl *out,
                                 char *words, size_t size);

/* kc_storeurl_wipe overwrites all of it: it held a password. */
void kc_storeurl_wipe(struct kc_storeurl *u);

#endif
