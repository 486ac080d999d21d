/* keycycle.h -- keycycle in a program of your own.
 *
 * A host that embeds Lua 5.4 opens the module in its state and drives it from
 * its own loop:
 *
 *     luaL_requiref(L, "keycycle", luaopen_keycycle, 0);
 *     ...
 *     while (running) {            // a game's frame
 *         keycycle_step(L, 0, 1000);
 *         draw();
 *     }
 *
 * or it watches keycycle_pollfd and calls keycycle_step(L, 0, -1) when that is
 * readable. All calls on one lua_State come from the thread that runs it.
 * Includes no Lua header, so that it can stand in any program.
 */
#ifndef KEYCYCLE_H
#define KEYCYCLE_H

#ifdef __cplusplus
extern "C" {
#endif

#define KEYCYCLE_VERSION "0.1.0"

typedef struct lua_State lua_State;

/* luaopen_keycycle leaves the module's table on the stack and returns 1. It
 * does no I/O, starts no thread and sets no global; its scripts are inside. It
 * raises Lua errors, like every lua_CFunction. */
int luaopen_keycycle(lua_State *L);

/* keycycle_step does what is due: I/O, timers, and the tasks that they wake.
 * It waits at most `timeout_ms` for something to do (0: not at all, -1: until
 * something happens) and starts no further event or task once `budget_us` are
 * spent (-1: no bound). Returns how many tasks live, or -1 when it failed; the
 * error is then logged. Never raises. */
int keycycle_step(lua_State *L, int timeout_ms, int budget_us);

/* keycycle_pollfd returns a descriptor that is readable whenever
 * keycycle_step(L, 0, …) has something to do, or -1. It belongs to the module.
 * Never raises. */
int keycycle_pollfd(lua_State *L);

/* keycycle_timeout returns the milliseconds until keycycle_step has something
 * to do by itself, -1 when only I/O can tell. Never raises. */
int keycycle_timeout(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
