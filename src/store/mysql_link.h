/* mysql_link.h -- one connection to a MySQL server, which never hangs.
 *
 * Each wait has a bound and can be ended by kc_link_interrupt, for the
 * library's non-blocking calls are driven by a poll of our own. Two things
 * block in the library all the same: the look-up of the host's name, as long as
 * the system's resolver takes, and the TLS handshake, which kc_link_interrupt
 * ends and a silence of `connect_ms` does.
 */
#ifndef KC_STORE_MYSQL_LINK_H
#define KC_STORE_MYSQL_LINK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mysql.h>

#include "store/db.h"
#include "store/storeurl.h"
#include "util/err.h"

#define KC_MYSQL_FUNCTIONS(X)   \
    X(mysql_init)               \
    X(mysql_options)            \
    X(mysql_close)              \
    X(mysql_errno)              \
    X(mysql_error)              \
    X(mysql_get_socket)         \
    X(mysql_get_ssl_cipher)     \
    X(mysql_get_client_version) \
    X(mysql_real_connect_start) \
    X(mysql_real_connect_cont)  \
    X(mysql_real_escape_string) \
    X(mysql_real_query_start)   \
    X(mysql_real_query_cont)    \
    X(mysql_affected_rows)      \
    X(mysql_use_result)         \
    X(mysql_num_fields)         \
    X(mysql_fetch_fields)       \
    X(mysql_fetch_row_start)    \
    X(mysql_fetch_row_cont)     \
    X(mysql_free_result_start)  \
    X(mysql_free_result_cont)

struct kc_link {
#define X(name) __typeof__(name) *name;
    KC_MYSQL_FUNCTIONS(X)
#undef X
    struct kc_storeurl url;
    MYSQL *my;            /* NULL: not connected */
    uint64_t deadline_ms; /* of what runs */
    int cut;              /* why what runs was cut short, or KC_OK */
    atomic_bool interrupted;
    int wake; /* eventfd: readable from the interrupt on */
    pthread_mutex_t lock;
    int guard;        /* a copy of the socket while it connects, or -1 */
    bool undone;      /* the last failure may have undone the transaction */
    char words[1024]; /* of the last failure */
};

/* kc_link_init loads the library. Takes what `url` holds. KC_ENOSTORE when it
 * cannot be loaded, with words; nothing is to be deinited then. */
KC_CHECKED int kc_link_init(struct kc_link *l, struct kc_storeurl *url);
void kc_link_deinit(struct kc_link *l);

/* kc_link_forget is kc_link_deinit in a forked child: nothing is sent, nothing
 * shut down. */
void kc_link_forget(struct kc_link *l);

/* kc_link_connect connects anew and prepares the session. Failures of this and
 * of what follows: see db.h; where the server is lost, or said what leaves no
 * doubt that it should be, `my` is NULL afterwards. */
KC_CHECKED int kc_link_connect(struct kc_link *l);

/* kc_link_run runs one statement; with `fn` NULL its rows are thrown away. */
KC_CHECKED int kc_link_run(struct kc_link *l, const char *sql, size_t len,
                           kc_db_row_fn *fn, void *ctx, int64_t *changed);

/* kc_link_drop ends the connection; the server undoes what it had begun. */
void kc_link_drop(struct kc_link *l);

/* kc_link_interrupt has what runs, and all that follows, end with KC_ECLOSED.
 * Any thread. */
void kc_link_interrupt(struct kc_link *l);

#endif
