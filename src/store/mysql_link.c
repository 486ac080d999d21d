/* mysql_link.c -- see mysql_link.h. */
#include "store/mysql_link.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <errmsg.h>
#include <mysqld_error.h>

#include "util/clock.h"
#include "util/trust.h"

#define LIBRARY "libmariadb.so.3"
#define STACK (256u << 10) /* of the library's coroutine */
#define COLUMNS_MAX 64

/* -- words ---------------------------------------------------------------- */

static void say(struct kc_link *l, const char *what, const char *more)
{
    const struct kc_storeurl *u = &l->url;
    char place[400];
    if (*u->socket)
        snprintf(place, sizeof place, "%s", u->socket);
    else
        snprintf(place, sizeof place,
                 strchr(u->host, ':') ? "[%s]:%u" : "%s:%u", u->host, u->port);
    snprintf(l->words, sizeof l->words,
             "MySQL database %s at %s (user %s): %s%s%s", u->database, place,
             *u->user ? u->user : "of this system", what, *more ? ": " : "",
             more);
}

struct meaning {
    unsigned code;
    int err;
    const char *text;
};
static const struct meaning meanings[] = {
    {CR_OUT_OF_MEMORY, KC_ENOMEM, "out of memory"},
    {CR_CONNECTION_ERROR, KC_ESTORE, "the server cannot be reached"},
    {CR_CONN_HOST_ERROR, KC_ESTORE, "the server cannot be reached"},
    {CR_UNKNOWN_HOST, KC_ESTORE, "the host's name cannot be resolved"},
    {CR_SERVER_GONE_ERROR, KC_ESTORE, "the connection was lost"},
    {CR_SERVER_LOST, KC_ESTORE, "the connection was lost"},
    {CR_SSL_CONNECTION_ERROR, KC_ESTORE, "TLS failed"},
    {ER_ACCESS_DENIED_ERROR, KC_ESTORE, "user or password is refused"},
    {ER_ACCESS_DENIED_NO_PASSWORD_ERROR, KC_ESTORE,
     "user or password is refused"},
    {ER_DBACCESS_DENIED_ERROR, KC_ESTORE, "the user may not use the database"},
    {ER_TABLEACCESS_DENIED_ERROR, KC_ESTORE, "the user lacks a right"},
    {ER_BAD_DB_ERROR, KC_ESTORE, "there is no such database: create it"},
    {ER_CON_COUNT_ERROR, KC_ESTORE, "the server has too many connections"},
    {ER_TOO_MANY_USER_CONNECTIONS, KC_ESTORE,
     "the user has too many connections"},
    {ER_USER_LIMIT_REACHED, KC_ESTORE, "the user has reached a limit"},
    {ER_LOCK_WAIT_TIMEOUT, KC_EAGAIN, "another connection holds a lock"},
    {ER_LOCK_DEADLOCK, KC_EAGAIN, "a deadlock with another connection"},
    {ER_CHECKREAD, KC_EAGAIN, "another connection has changed the row"},
    {8022, KC_EAGAIN, "another connection has changed the row"}, /* TiDB */
    {9007, KC_EAGAIN, "another connection has changed the row"}, /* TiDB */
    {ER_SERVER_SHUTDOWN, KC_ESTORE, "the server shuts down"},
    {ER_OPTION_PREVENTS_STATEMENT, KC_ESTORE, "the server is read-only"},
    {ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, KC_ESTORE,
     "the server is read-only"},
    {ER_DISK_FULL, KC_ESTORE, "the server's disk is full"},
    {ER_RECORD_FILE_FULL, KC_ESTORE, "the table is full"},
    {ER_CRASHED_ON_USAGE, KC_ECORRUPT, "a table is damaged"},
    {ER_CRASHED_ON_REPAIR, KC_ECORRUPT, "a table is damaged"},
    {ER_INDEX_CORRUPT, KC_ECORRUPT, "a table is damaged"},
    {ER_DUP_ENTRY, KC_EINVALID, "the row is refused"},
    {ER_BAD_NULL_ERROR, KC_EINVALID, "the row is refused"},
    {ER_WARN_DATA_OUT_OF_RANGE, KC_EINVALID, "the row is refused"},
    {WARN_DATA_TRUNCATED, KC_EINVALID, "the row is refused"},
    {ER_INVALID_CHARACTER_STRING, KC_EINVALID, "the row is refused"},
    {ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, KC_EINVALID, "the row is refused"},
    {ER_DATA_TOO_LONG, KC_EINVALID, "the row is refused"},
    {ER_DATA_OUT_OF_RANGE, KC_EINVALID, "the row is refused"},
    {ER_SIGNAL_EXCEPTION, KC_EINVALID, "the row is refused"}, /* a trigger */
    {3140, KC_EINVALID, "the row is refused"}, /* MySQL: no JSON */
    {3819, KC_EINVALID, "the row is refused"}, /* MySQL: a CHECK fails */
    {4025, KC_EINVALID, "the row is refused"}, /* MariaDB: a CHECK fails */
};

/* What the library or the server says now, as our code and words. */
static int explain(struct kc_link *l)
{
    unsigned code = l->mysql_errno(l->my);
    struct meaning m = {code, KC_ESTORE, "the server says"};
    l->undone = code != ER_NO_SUCH_TABLE;
    if (l->cut == KC_ECLOSED || atomic_load(&l->interrupted)) {
        say(l, "it is closed", "");
        return KC_ECLOSED;
    }
    if (l->cut != KC_OK) {
        say(l, "the server does not answer in time", "");
        return KC_ESTORE;
    }
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].code == code)
            m = meanings[i];
    l->undone = l->undone && m.err != KC_EINVALID;
    say(l, m.text, l->mysql_error(l->my));
    return m.err;
}

/* -- waiting -------------------------------------------------------------- */

static void set_guard(struct kc_link *l, int fd)
{
    pthread_mutex_lock(&l->lock);
    if (l->guard >= 0)
        close(l->guard);
    l->guard = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    pthread_mutex_unlock(&l->lock);
}

static void start_time(struct kc_link *l, uint32_t ms)
{
    l->deadline_ms = kc_mono_ms() + ms;
    l->cut = atomic_load(&l->interrupted) ? KC_ECLOSED : KC_OK;
}

/* Waits for what the library waits for (`status`). Where that is in vain the
 * connection is cut, and the library, told that its time is up, ends its call
 * with a failure: so what it had allocated for it is freed. */
static int await(struct kc_link *l, int status)
{
    int fd = l->mysql_get_socket(l->my);
    struct pollfd p[2] = {{.fd = fd}, {.fd = l->wake, .events = POLLIN}};
    if (status & MYSQL_WAIT_READ)
        p[0].events |= POLLIN;
    if (status & MYSQL_WAIT_WRITE)
        p[0].events |= POLLOUT;
    if (status & MYSQL_WAIT_EXCEPT)
        p[0].events |= POLLPRI;
    while (l->cut == KC_OK) {
        uint64_t now = kc_mono_ms();
        int n =
            now < l->deadline_ms ? poll(p, 2, (int)(l->deadline_ms - now)) : 0;
        if (n == 0)
            l->cut = KC_ETIMEOUT;
        else if (n < 0 && errno != EINTR)
            l->cut = KC_ESYSTEM;
        else if (n > 0 && p[1].revents)
            l->cut = KC_ECLOSED;
        else if (n > 0)
            return status & ~MYSQL_WAIT_TIMEOUT;
    }
    shutdown(fd, SHUT_RDWR);
    return status | MYSQL_WAIT_TIMEOUT;
}

/* OpenSSL writes to a dead socket without MSG_NOSIGNAL. */
struct hold {
    sigset_t before;
    bool pending;
};

static void hold_sigpipe(struct hold *h)
{
    sigset_t pipe, waiting;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&waiting);
    h->pending = sigismember(&waiting, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &h->before);
}

static void release_sigpipe(const struct hold *h)
{
    static const struct timespec now = {0};
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    while (!h->pending && sigtimedwait(&pipe, NULL, &now) < 0 && errno == EINTR)
        ;
    pthread_sigmask(SIG_SETMASK, &h->before, NULL);
}

static void drop(struct kc_link *l)
{
    if (l->my)
        l->mysql_close(l->my);
    l->my = NULL;
}

/* -- connecting ----------------------------------------------------------- */

static int set_tls(struct kc_link *l)
{
    const struct kc_storeurl *u = &l->url;
    bool checked = u->tls >= KC_STORE_TLS_CA;
    my_bool on = u->tls > KC_STORE_TLS_OFF;
    /* Later clients cannot check the authority alone: it is both or nothing. */
    my_bool verify = u->tls == KC_STORE_TLS_IDENTITY ||
                     (checked && l->mysql_get_client_version() >= 30400);
    const char *ca = *u->ca ? u->ca : kc_trust_bundle();
    int bad = l->mysql_options(l->my, MYSQL_OPT_SSL_ENFORCE, &on);
    bad |= l->mysql_options(l->my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (checked)
        bad |= l->mysql_options(l->my, MYSQL_OPT_SSL_CA, ca);
    if (*u->cert)
        bad |= l->mysql_options(l->my, MYSQL_OPT_SSL_CERT, u->cert);
    if (*u->key)
        bad |= l->mysql_options(l->my, MYSQL_OPT_SSL_KEY, u->key);
    /* None of these shows the password itself to whoever answers. An old client
     * does not know the option. */
    if (!checked)
        l->mysql_options(l->my, MARIADB_OPT_RESTRICTED_AUTH,
                         "mysql_native_password,caching_sha2_password,"
                         "sha256_password,client_ed25519,parsec");
    if (!checked || ca)
        return bad;
    say(l, "no bundle of certificates is found: name one with ssl_ca", "");
    return 1;
}

/* Not 0: it failed, and there are words. */
static int set_options(struct kc_link *l)
{
    const size_t stack = STACK;
    const unsigned none = 0, seconds = (l->url.connect_ms + 999) / 1000;
    const unsigned way =
        *l->url.socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    say(l, "the client cannot be set up", "");
    int bad = l->mysql_options(l->my, MYSQL_OPT_NONBLOCK, &stack);
    bad |= l->mysql_options(l->my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    bad |= l->mysql_options(l->my, MYSQL_OPT_PROTOCOL, &way);
    bad |= l->mysql_options(l->my, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    /* Else a server could ask for any file of this machine. */
    bad |= l->mysql_options(l->my, MYSQL_OPT_LOCAL_INFILE, &none);
    return bad ? bad : set_tls(l);
}

static int take_flag(void *ctx, const struct kc_value *columns, size_t n)
{
    (void)n;
    *(bool *)ctx = columns[0].number != 0;
    return KC_OK;
}

/* Locks between rows would have writers wait for each other that have nothing
 * in common; but who logs statements cannot do without. */
static int set_isolation(struct kc_link *l)
{
    static const char ask[] =
        "SELECT @@log_bin AND @@binlog_format = 'STATEMENT'";
    static const char low[] =
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
    static const char high[] =
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    bool logged = false;
    int err = kc_link_run(l, ask, sizeof ask - 1, take_flag, &logged, NULL);
    if (err != KC_OK && !l->my)
        return err; /* else the server knows no such thing */
    const char *sql = logged ? high : low;
    return kc_link_run(l, sql, strlen(sql), NULL, NULL, NULL);
}

/* `changed` counts matched rows; strict, whatever the server's defaults are. */
static int prepare(struct kc_link *l)
{
    char sql[160];
    unsigned wait = l->url.statement_ms / 1000;
    /* The server must give up before we do: it would keep its locks. */
    int n = snprintf(sql, sizeof sql,
                     "SET SESSION sql_mode = 'STRICT_ALL_TABLES', autocommit = "
                     "1, innodb_lock_wait_timeout = %u",
                     wait > 2 ? wait - 1 : 1);
    int err = kc_link_run(l, sql, (size_t)n, NULL, NULL, NULL);
    return err == KC_OK ? set_isolation(l) : err;
}

/* The library would look a name up again and again until the time is over. */
static int resolve(struct kc_link *l)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (*l->url.socket)
        return KC_OK;
    int rc = getaddrinfo(l->url.host, NULL, &hints, &found);
    if (rc != 0) {
        say(l, "the host's name cannot be resolved", gai_strerror(rc));
        return KC_ESTORE;
    }
    freeaddrinfo(found);
    return KC_OK;
}

static int connect_now(struct kc_link *l)
{
    const struct kc_storeurl *u = &l->url;
    const char *socket = *u->socket ? u->socket : NULL;
    MYSQL *done = NULL;
    int err = resolve(l);
    if (err != KC_OK)
        return err;
    start_time(l, u->connect_ms);
    int status = l->mysql_real_connect_start(
        &done, l->my, socket ? "localhost" : u->host, u->user, u->password,
        u->database, u->port, socket, CLIENT_FOUND_ROWS);
    while (status) {
        if (u->tls != KC_STORE_TLS_OFF)
            set_guard(l, l->mysql_get_socket(l->my));
        status = l->mysql_real_connect_cont(&done, l->my, await(l, status));
    }
    set_guard(l, -1);
    if (!done)
        return explain(l);
    explicit_bzero(l->my->passwd, strlen(l->my->passwd)); /* its own copy */
    if (u->tls >= KC_STORE_TLS_REQUIRED && !l->mysql_get_ssl_cipher(l->my)) {
        say(l, "TLS is asked for, and the server has none", "");
        return KC_ESTORE;
    }
    /* OpenSSL's reads would block else. */
    int fd = l->mysql_get_socket(l->my);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        say(l, "the socket cannot be set up", strerror(errno));
        return KC_ESYSTEM;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return prepare(l);
}

/* The first time, the library has SIGPIPE ignored: what the program does with
 * it is the program's. */
static void init(struct kc_link *l)
{
    struct sigaction before, after;
    sigaction(SIGPIPE, NULL, &before);
    l->my = l->mysql_init(NULL);
    sigaction(SIGPIPE, NULL, &after);
    if (after.sa_handler == SIG_IGN && before.sa_handler != SIG_IGN)
        sigaction(SIGPIPE, &before, NULL);
}

int kc_link_connect(struct kc_link *l)
{
    struct hold h;
    kc_link_drop(l);
    init(l);
    if (!l->my) {
        say(l, "out of memory", "");
        return KC_ENOMEM;
    }
    hold_sigpipe(&h);
    int err = KC_ESTORE;
    if (atomic_load(&l->interrupted))
        err = explain(l);
    else if (set_options(l) == 0)
        err = connect_now(l);
    if (err != KC_OK)
        drop(l);
    release_sigpipe(&h);
    return err;
}

void kc_link_drop(struct kc_link *l)
{
    struct hold h;
    hold_sigpipe(&h);
    drop(l);
    release_sigpipe(&h);
}

/* -- statements ----------------------------------------------------------- */

/* A failure whose like leaves the session in doubt. */
static bool is_lost(struct kc_link *l)
{
    unsigned code = l->mysql_errno(l->my);
    return l->cut != KC_OK || IS_MYSQL_ERROR(code) || IS_MARIADB_ERROR(code) ||
           code == ER_SERVER_SHUTDOWN || code == ER_CONNECTION_KILLED;
}

static void read_row(MYSQL_ROW row, const MYSQL_FIELD *fields, size_t n,
                     struct kc_value *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct kc_value){0};
        /* Sums of integers are decimals, and numbers, too. */
        if (row[i] && IS_NUM(fields[i].type))
            out[i].number = strtoll(row[i], NULL, 10);
        else
            out[i].text = row[i];
    }
}

static int read_rows(struct kc_link *l, MYSQL_RES *res, kc_db_row_fn *fn,
                     void *ctx)
{
    struct kc_value columns[COLUMNS_MAX];
    size_t n = l->mysql_num_fields(res);
    const MYSQL_FIELD *fields = l->mysql_fetch_fields(res);
    int err = n <= COLUMNS_MAX ? KC_OK : KC_EINVALID;
    while (err == KC_OK) {
        MYSQL_ROW row = NULL;
        start_time(l, l->url.statement_ms);
        int status = l->mysql_fetch_row_start(&row, res);
        while (status)
            status = l->mysql_fetch_row_cont(&row, res, await(l, status));
        if (!row)
            return l->mysql_errno(l->my) ? explain(l) : KC_OK;
        read_row(row, fields, n, columns);
        if (fn)
            err = fn(ctx, columns, n);
    }
    return err;
}

static int run(struct kc_link *l, const char *sql, size_t len, kc_db_row_fn *fn,
               void *ctx, int64_t *changed)
{
    int failed = 1;
    start_time(l, l->url.statement_ms);
    int status = l->mysql_real_query_start(&failed, l->my, sql, len);
    while (status)
        status = l->mysql_real_query_cont(&failed, l->my, await(l, status));
    if (failed)
        return explain(l);
    MYSQL_RES *res = l->mysql_use_result(l->my);
    if (!res && l->mysql_errno(l->my))
        return explain(l);
    if (changed)
        *changed = res ? 0 : (int64_t)l->mysql_affected_rows(l->my);
    if (!res)
        return KC_OK;
    int err = read_rows(l, res, fn, ctx);
    /* What is left of the rows is read and thrown away. */
    start_time(l, l->url.statement_ms);
    status = l->mysql_free_result_start(res);
    while (status)
        status = l->mysql_free_result_cont(res, await(l, status));
    return err;
}

int kc_link_run(struct kc_link *l, const char *sql, size_t len,
                kc_db_row_fn *fn, void *ctx, int64_t *changed)
{
    struct hold h;
    l->undone = false;
    if (changed)
        *changed = 0;
    hold_sigpipe(&h);
    int err = atomic_load(&l->interrupted) ? explain(l)
                                           : run(l, sql, len, fn, ctx, changed);
    if (err == KC_ECLOSED || is_lost(l))
        drop(l);
    release_sigpipe(&h);
    return err;
}

/* -- the link ------------------------------------------------------------- */

static bool load(struct kc_link *l)
{
    /* Never unloaded: OpenSSL behind it would not survive that. */
    void *so = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    bool ok = so != NULL;
#define X(name) ok = ok && (*(void **)&l->name = dlsym(so, #name)) != NULL;
    KC_MYSQL_FUNCTIONS(X)
#undef X
    if (so)
        dlclose(so);
    return ok;
}

int kc_link_init(struct kc_link *l, struct kc_storeurl *url)
{
    *l = (struct kc_link){.wake = -1, .guard = -1};
    l->url = *url;
    kc_storeurl_wipe(url);
    int err = KC_OK;
    if (!load(l)) {
        snprintf(l->words, sizeof l->words,
                 "a MySQL store needs " LIBRARY ": install the MariaDB client "
                 "library (Debian: libmariadb3)");
        err = KC_ENOSTORE;
    } else if ((l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        err = KC_ESYSTEM;
    } else if (pthread_mutex_init(&l->lock, NULL) != 0) {
        close(l->wake);
        err = KC_ENOMEM;
    }
    if (err != KC_OK)
        kc_storeurl_wipe(&l->url);
    return err;
}

void kc_link_deinit(struct kc_link *l)
{
    kc_link_drop(l);
    close(l->wake);
    pthread_mutex_destroy(&l->lock);
    kc_storeurl_wipe(&l->url);
}

/* The library's own memory stays: it could only be freed with a word to the
 * server, or in a state that another thread had left half done. */
void kc_link_forget(struct kc_link *l)
{
    if (l->my) {
        int fd = l->mysql_get_socket(l->my);
        if (fd >= 0)
            close(fd);
    }
    if (l->guard >= 0)
        close(l->guard);
    close(l->wake);
    kc_storeurl_wipe(&l->url);
}

void kc_link_interrupt(struct kc_link *l)
{
    uint64_t one = 1;
    atomic_store(&l->interrupted, true);
    if (write(l->wake, &one, sizeof one) < 0)
        return; /* it is readable already */
    pthread_mutex_lock(&l->lock);
    if (l->guard >= 0)
        shutdown(l->guard, SHUT_RDWR);
    pthread_mutex_unlock(&l->lock);
}
