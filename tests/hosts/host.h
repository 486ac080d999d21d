/* host.h -- what the small hosts of this folder share: a Lua state with the
 * module in it, and what a process holds at the moment. */
#ifndef KC_TESTS_HOST_H
#define KC_TESTS_HOST_H

#include <stddef.h>

#include <lua.h>

/* host_open_state makes a state with Lua's libraries and `keycycle` as a
 * global. Ends the program where it cannot. */
lua_State *host_open_state(void);

/* host_run_file runs a script with `argc` arguments, and leaves its first
 * result on the stack. What it raises is printed and ends the program. */
void host_run_file(lua_State *L, const char *path, int argc, char **argv);

/* host_must ends the program with the error on top of the stack, unless
 * `status` is LUA_OK. */
void host_must(lua_State *L, int status);

/* Bytes that the process has of malloc. */
size_t host_heap(void);

/* How many entries /proc/self/`what` has: "fd" or "task". */
int host_count(const char *what);

/* host_number reads a number from 0, or ends the program. */
int host_number(const char *text);

#endif
