/* log.h -- leveled log lines to a sink that the program chooses.
 *
 * Nothing is written unless a sink is set: a library owns no stderr. Callers
 * never pass a secret; text that came from outside is redacted before.
 */
#ifndef KC_UTIL_LOG_H
#define KC_UTIL_LOG_H

enum kc_level { KC_LOG_ERROR, KC_LOG_WARN, KC_LOG_INFO, KC_LOG_DEBUG };

/* A sink gets one line without its newline. It may be called from any thread
 * that uses the log's owner, never twice at once. */
typedef void kc_log_fn(void *ctx, enum kc_level level, const char *line);

struct kc_log {
    kc_log_fn *fn; /* NULL: silent */
    void *ctx;
    enum kc_level level; /* lines above this one are dropped */
};

/* kc_log_line formats and hands one line to the sink; over 1,000 bytes it is
 * cut. NULL `log` is silent. */
void kc_log_line(const struct kc_log *log, enum kc_level level, const char *fmt,
                 ...) __attribute__((format(printf, 3, 4)));

#endif
