/* rawserver.h -- a server that breaks HTTP byte by byte, for tests.
 *
 * Listens on 127.0.0.1, one thread a connection. The first segment of the path
 * names the fault (rawserver.c lists them), so a client's base_url can be
 * http://127.0.0.1:PORT/cut-in-body/v1.
 */
#ifndef KC_TESTS_RAWSERVER_H
#define KC_TESTS_RAWSERVER_H

struct rawserver;

/* rawserver_open listens on a free port. NULL when it cannot. */
struct rawserver *rawserver_open(void);
unsigned rawserver_port(const struct rawserver *s);

/* rawserver_count returns how many requests came so far. */
unsigned rawserver_count(const struct rawserver *s);

/* rawserver_connections returns how many connections it accepted so far. */
unsigned rawserver_connections(const struct rawserver *s);

/* rawserver_close ends every connection and its thread. */
void rawserver_close(struct rawserver *s);

#endif
