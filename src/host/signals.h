/* signals.h -- how the program ends when it is told to: cleanly at the first
 * signal, at once at the second.
 *
 * SIGINT, SIGTERM and SIGHUP raise an error ("interrupted!", "terminated!",
 * "hung up!") in what runs, in a coroutine and then in the main thread, at its
 * next instruction; a wait ends. A broken standard output does the same
 * (SIGPIPE); any other broken pipe is the writer's to notice. The program then
 * closes what is open and ends by the same signal, as a shell expects. But for
 * SIGINT, what comes within a second of the first is taken for the same one.
 *
 * There is one program, so this is the process's one state.
 */
#ifndef KC_HOST_SIGNALS_H
#define KC_HOST_SIGNALS_H

#include <lua.h>
#include <stdbool.h>

/* kc_signals_listen installs the handlers. A signal that the program was
 * started with as ignored stays so (nohup, a shell's background), but for
 * SIGPIPE: a script that prints would never learn that nobody reads. */
void kc_signals_listen(void);

/* kc_signals_run says that code of `L`, a main thread, begins to run; NULL: it
 * has ended. */
void kc_signals_run(lua_State *L);

/* kc_signals_enter says that the coroutine `co` runs until kc_signals_leave is
 * called with what this returns. */
lua_State *kc_signals_enter(lua_State *co);
void kc_signals_leave(lua_State *before);

/* kc_signals_came returns the signal that came and was not forgiven, or 0. */
int kc_signals_came(void);

/* kc_signals_name names it: "SIGINT". */
const char *kc_signals_name(int sig);

/* kc_signals_error is what is raised for it: "interrupted!". */
const char *kc_signals_error(int sig);

/* kc_signals_forgive forgets a SIGINT: the next one is the first again. Any
 * other stays. */
void kc_signals_forgive(void);

/* kc_signals_end ends the process by the signal that came; it returns where
 * none did. */
void kc_signals_end(void);

#endif
