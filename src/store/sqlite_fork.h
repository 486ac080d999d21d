/* sqlite_fork.h -- SQLite in a process that forks.
 *
 * SQLite notes for each file which locks the process has. A child inherits the
 * notes and none of the locks: a file that it opened beside an inherited handle
 * would be without any, and whoever closes that file last elsewhere removes its
 * log, with all that the child writes from then on. So a fork waits until no
 * handle is at work, and the child closes those it inherited before it opens
 * its first.
 */
#ifndef KC_STORE_SQLITE_FORK_H
#define KC_STORE_SQLITE_FORK_H

#include <stdbool.h>

#include <sqlite3.h>

#include "util/err.h"

/* kc_sqlite_enter: this thread uses SQLite until kc_sqlite_leave. A fork waits
 * for that, but not for ever. */
void kc_sqlite_enter(void);
void kc_sqlite_leave(void);

/* Between those two: */

/* kc_sqlite_may_open is to be asked before a handle is opened. KC_EFORKED: this
 * is the child of a fork that could not wait; SQLite's memory is in no known
 * state. */
KC_CHECKED int kc_sqlite_may_open(void);

/* kc_sqlite_note_handle notes a handle; kc_sqlite_close_handle closes it
 * (NULL: none). On KC_ENOMEM it is not noted. */
KC_CHECKED int kc_sqlite_note_handle(sqlite3 *db);
void kc_sqlite_close_handle(sqlite3 *db);

/* kc_sqlite_is_inherited: it is the parent's, and perhaps closed already. */
bool kc_sqlite_is_inherited(const sqlite3 *db);

#endif
