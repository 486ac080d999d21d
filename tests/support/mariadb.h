/* mariadb.h -- a MariaDB server of a test's own, for C (see mariadb.sh).
 *
 * Its folder is under /tmp; it dies with the test program at the latest.
 */
#ifndef KC_TESTS_MARIADB_H
#define KC_TESTS_MARIADB_H

struct mariadb;

/* mariadb_open starts one, with further options of mariadbd's, and waits until
 * it is ready: a second. NULL when it cannot. */
struct mariadb *mariadb_open(const char *options);

/* mariadb_close kills it and removes its folder. */
void mariadb_close(struct mariadb *s);

/* mariadb_url writes "mysql://kc:kcpw@127.0.0.1:PORT/" + `rest`. Until the next
 * call. */
const char *mariadb_url(struct mariadb *s, const char *rest);

/* mariadb_file is a path in its folder: "socket", "cert.pem", "other.pem".
 * Until the next call. */
const char *mariadb_file(struct mariadb *s, const char *name);
unsigned mariadb_port(const struct mariadb *s);

/* mariadb_kill ends it at once (SIGKILL), mariadb_again starts it on the same
 * data and port: 0, or -1 when it cannot. */
void mariadb_kill(struct mariadb *s);
int mariadb_again(struct mariadb *s);

/* mariadb_pause has it answer nothing until mariadb_resume. */
void mariadb_pause(struct mariadb *s);
void mariadb_resume(struct mariadb *s);

#endif
