/* state.h -- the host's Lua state: libraries, the module built in, calls.
 */
#ifndef KC_HOST_STATE_H
#define KC_HOST_STATE_H

#include <lua.h>

/* kc_state_new makes a state with the standard libraries in which `require
 * "keycycle"` finds the module inside this program, "keycycle.server" the
 * optional one beside it, and "keycycle.host" what follows. `lua_dir` (NULL:
 * none) holds a Lua library that stands in for the embedded one. NULL when out
 * of memory.
 *
 * keycycle.host:
 *   program        the path of this program
 *   interrupted()  the name of the signal whose error a script has caught
 *                  ("SIGINT"), nil: there was none. A SIGINT is then forgiven:
 *                  the next one raises again, instead of ending the process,
 *                  and the process does not end by it. Any other stays. */
lua_State *kc_state_new(const char *lua_dir);

/* kc_state_set_arg makes the global `arg`: the script's name at 0, what is
 * before it at negative places, its arguments from 1 on. */
void kc_state_set_arg(lua_State *L, char **argv, int argc, int script);

/* kc_state_call calls the function below `n` arguments. Signals end it, see
 * signals.h. The status is Lua's; a failure's message is on stderr then (see
 * trouble.h) and the stack is clean. */
int kc_state_call(lua_State *L, int n, int results);

/* kc_state_end_tasks has every task closed, after a signal. */
void kc_state_end_tasks(lua_State *L);

#endif
