/* state.h -- the host's Lua state: libraries, the module built in, signals.
 */
#ifndef KC_HOST_STATE_H
#define KC_HOST_STATE_H

#include <lua.h>

/* kc_state_new makes a state with the standard libraries in which `require
 * "keycycle"` finds the module inside this program, and "keycycle.server" the
 * optional one beside it. `lua_dir` (NULL: none) holds a Lua library that
 * stands in for the embedded one. NULL when out of memory. */
lua_State *kc_state_new(const char *lua_dir);

/* kc_state_set_arg makes the global `arg`: the script's name at 0, what is
 * before it at negative places, its arguments from 1 on. */
void kc_state_set_arg(lua_State *L, char **argv, int argc, int script);

/* kc_state_call calls the function below `n` arguments with a traceback; SIGINT
 * raises "interrupted!" in it, a second one ends the process. The status is
 * Lua's; a failure's message is on stderr then and the stack is clean. */
int kc_state_call(lua_State *L, int n, int results);

/* kc_state_report writes the message at the top to stderr and pops it. */
void kc_state_report(lua_State *L);

#endif
