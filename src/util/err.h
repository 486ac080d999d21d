/* err.h -- every failure the C floors can report, in one table.
 *
 * A function that can fail returns KC_OK or one of these codes and is marked
 * KC_CHECKED. The table makes the enum, the name that Lua sees as `code`, and
 * the text. It leaves to the Lua library which error class a code becomes.
 */
#ifndef KC_UTIL_ERR_H
#define KC_UTIL_ERR_H

#define KC_CHECKED __attribute__((warn_unused_result))

#define KC_ERRORS(X) \
    X(NOMEM, "no_memory", "out of memory") \
    X(INVALID, "invalid", "an argument is outside its range") \
    X(AGAIN, "again", "nothing to hand out yet") \
    X(END, "end", "nothing more will come") \
    X(LIMITED, "limited", "every key is at its limit") \
    X(QUEUEFULL, "queue_full", "too many callers already wait for a key") \
    X(IMPOSSIBLE, "impossible", "the request is larger than the limit") \
    X(NOKEY, "no_key", "no key is usable") \
    X(NOTFOUND, "not_found", "no such key") \
    X(AMBIGUOUS, "ambiguous", "more than one key fits") \
    X(DIFFERS, "differs", "it is shared with other keys or limits") \
    X(STALE, "stale", "the lease is settled already") \
    X(CLOSED, "closed", "it is closed") \
    X(FORKED, "forked", "the process was forked; open it again here") \
    X(TIMEOUT, "timeout", "the time allowed is over") \
    X(RESOLVE, "resolve", "the host name could not be resolved") \
    X(CONNECT, "connect", "no connection to the server") \
    X(TLS, "tls", "the TLS handshake or the certificate failed") \
    X(CUT, "cut", "the connection ended before the answer did") \
    X(GARBAGE, "garbage", "the answer is not valid HTTP") \
    X(TOOLARGE, "too_large", "larger than the maximum") \
    X(INSECURE, "insecure", "a key would travel over plain http") \
    X(FOREIGNHOST, "foreign_host", "a key would go to an unknown host") \
    X(CANCELLED, "cancelled", "cancelled") \
    X(BADURL, "bad_url", "not a URL this build can use") \
    X(NOSTORE, "no_such_store", "this build has no such store") \
    X(STORE, "store", "the store failed") \
    X(CORRUPT, "corrupt", "the store's file is damaged") \
    X(INTR, "interrupted", "a signal came") \
    X(SYSTEM, "system", "a system call failed")

enum kc_err {
    KC_OK = 0,
#define X(name, code, text) KC_E##name,
    KC_ERRORS(X)
#undef X
    KC_ERR_COUNT
};

/* kc_err_name returns the short name of `err` ("limited"), "ok" for KC_OK and
 * "unknown" for what is no code. Static text, any thread. */
const char *kc_err_name(int err);

/* kc_err_text returns one English clause without a full stop. Static text. */
const char *kc_err_text(int err);

#endif
