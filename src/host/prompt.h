/* prompt.h -- `keycycle -i`: reads lines, runs them, prints what they give.
 */
#ifndef KC_HOST_PROMPT_H
#define KC_HOST_PROMPT_H

#include <lua.h>

/* [-all, +1, e] kc_prompt_run returns at the end of the input, or when a signal
 * other than Ctrl-C's came: that drops the line, or stops what it runs. An
 * expression is printed; an unfinished chunk asks for more lines; an error is
 * told and it goes on. The global `keycycle` is the library. Tasks that a line
 * spawns go on while a later one waits, not while a person types. On a terminal
 * it has a history, see history.h; elsewhere neither prompts nor banner. */
void kc_prompt_run(lua_State *L);

#endif
