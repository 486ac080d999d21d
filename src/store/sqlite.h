/* sqlite.h -- the store in a file: one table, WAL, one transaction a write. */
#ifndef KC_STORE_SQLITE_H
#define KC_STORE_SQLITE_H

#include <stddef.h>

#include <sqlite3.h>

#include "store/store.h"

/* kc_sqlite_open opens or creates the file at `path`, readable by its owner
 * only when it is new; ":memory:" lives as long as the store. On failure
 * `words` gets what went wrong, cut at `size`. */
KC_CHECKED int kc_sqlite_open(const char *path, struct kc_store **out,
                              char *words, size_t size);

/* kc_sqlite_explain turns the code `rc` about the file at `path` into words and
 * returns KC_ENOMEM, KC_ECORRUPT or KC_ESTORE. */
KC_CHECKED int kc_sqlite_explain(int rc, const char *path, char *words,
                                 size_t size);

#endif
