/* mysql.h -- MySQL, MariaDB and TiDB behind db.h, through the MariaDB client
 * library, which is loaded when the first such store is opened.
 *
 * `changed` of a statement counts the rows it matched, but MySQL counts a row
 * that "ON DUPLICATE KEY UPDATE" changed as two. What a server sends may take
 * as long as it likes as long as something comes; silence is bounded
 * (storeurl.h).
 */
#ifndef KC_STORE_MYSQL_H
#define KC_STORE_MYSQL_H

#include <stddef.h>

#include "store/db.h"
#include "util/err.h"

/* kc_mysql_open reads `url` (storeurl.h) and loads the library; the first
 * kc_db_begin, or a statement outside of a transaction, connects. KC_EBADURL;
 * KC_ENOSTORE without the library, in this build or on this machine. On failure
 * `words` gets a sentence, never with the password. */
KC_CHECKED int kc_mysql_open(const char *url, struct kc_db **out, char *words,
                             size_t size);

#endif
