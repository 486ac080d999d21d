/* sqlite.h -- a database in a file: WAL, one writer at a time. */
#ifndef KC_STORE_SQLITE_H
#define KC_STORE_SQLITE_H

#include <stdbool.h>
#include <stddef.h>

#include "store/db.h"

/* kc_sqlite_open opens or creates the file at `path`, readable by its owner
 * only when it is new; ":memory:" lives as long as the database. To `look` is
 * to read: KC_ENOTFOUND where there is no file. On failure `words` gets what
 * went wrong, cut at `size`.
 *
 * A file that was moved or deleted fails one transaction with KC_ESTORE; the
 * next one opens what is at `path` then, or makes it anew. */
KC_CHECKED int kc_sqlite_open(const char *path, bool look, struct kc_db **out,
                              char *words, size_t size);

/* kc_sqlite_opened: the tables are there, so from now on a lock is waited for
 * 200 ms at most: whoever writes tries again by himself. */
void kc_sqlite_opened(struct kc_db *db);

#endif
