/* prompt.h -- `keycycle -i`: reads lines, runs them, prints what they give.
 */
#ifndef KC_HOST_PROMPT_H
#define KC_HOST_PROMPT_H

#include <lua.h>

/* kc_prompt_run returns at the end of the input. An expression is printed; an
 * unfinished chunk asks for more lines. */
void kc_prompt_run(lua_State *L);

#endif
