/* store.h -- where usage is kept between runs, behind one vtable.
 *
 * A row says how much one writer (one run of one process) used of (provider,
 * key, model) in the span of time [start_ms, start_ms + span_ms). Values are
 * absolute: writing a row again overwrites it, so a doubtful commit can be
 * repeated; a value may fall when a reservation settles. Rows of several
 * writers add up. Keys go by their hash, never by their text. Times are wall
 * clock, UTC, integer milliseconds.
 *
 * A store is used by one thread at a time.
 */
#ifndef KC_STORE_STORE_H
#define KC_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

struct kc_row {
    const char *provider;
    const char *key; /* hash */
    const char *model;
    uint64_t start_ms;
    uint64_t span_ms;
    uint64_t requests;
    uint64_t input;
    uint64_t output;
    uint64_t total; /* tokens */
};

/* Called for each row, oldest first; the texts live for the call. Not KC_OK
 * ends the read with that code. */
typedef int kc_row_fn(void *ctx, const struct kc_row *row);

struct kc_store;
struct kc_store_ops {
    int (*write)(struct kc_store *s, const char *writer,
                 const struct kc_row *rows, size_t n);
    int (*read)(struct kc_store *s, const char *provider, kc_row_fn *fn,
                void *ctx);
    const char *(*error)(struct kc_store *s);
    void (*close)(struct kc_store *s);
    void (*forget)(struct kc_store *s);
};
struct kc_store { /* the head of every implementation */
    const struct kc_store_ops *ops;
};

/* kc_store_open opens what `url` names: "sqlite:PATH", "sqlite:///PATH" (as
 * SQLAlchemy writes it), "memory:". KC_ENOSTORE for "mysql://",
 * "mysql+pymysql://" and every other scheme that this build lacks, KC_ESTORE or
 * KC_ECORRUPT when it cannot be opened, created or migrated. On failure *why
 * gets words for a person, never with the URL's password; the caller frees it
 * with free(). */
KC_CHECKED int kc_store_open(const char *url, struct kc_store **out,
                             char **why);

/* kc_store_write writes all rows or none. */
KC_CHECKED static inline int kc_store_write(struct kc_store *s,
                                            const char *writer,
                                            const struct kc_row *rows, size_t n)
{
    return s->ops->write(s, writer, rows, n);
}

/* kc_store_read reads the rows of `provider` by every writer (NULL: of all
 * providers), ordered by start_ms. */
KC_CHECKED static inline int kc_store_read(struct kc_store *s,
                                           const char *provider, kc_row_fn *fn,
                                           void *ctx)
{
    return s->ops->read(s, provider, fn, ctx);
}

/* kc_store_error says in words what went wrong last. Borrowed. */
static inline const char *kc_store_error(struct kc_store *s)
{
    return s->ops->error(s);
}

static inline void kc_store_close(struct kc_store *s)
{
    if (s)
        s->ops->close(s);
}

/* kc_store_forget is close for a forked child: the file, its locks and its
 * descriptors are the parent's and are not touched. */
static inline void kc_store_forget(struct kc_store *s)
{
    if (s)
        s->ops->forget(s);
}

#endif
