/* trouble.h -- what went wrong in a script, as the program tells it.
 *
 * A message with its place, then the stack of the script's own functions: those
 * of the library are left out, unless it is the library that failed. What
 * others wrote can neither move a terminal's cursor nor show a key.
 */
#ifndef KC_HOST_TROUBLE_H
#define KC_HOST_TROUBLE_H

#include <lua.h>
#include <stdio.h>

/* kc_trouble_describe is a message handler for lua_pcall: the error becomes the
 * text that kc_trouble_report prints, or nil where there is nothing to say: a
 * signal has ended a built-in command, or nobody reads the output. */
int kc_trouble_describe(lua_State *L);

/* kc_trouble_report writes the message at the top to stderr and pops it. */
void kc_trouble_report(lua_State *L);

/* kc_trouble_put writes a text that others wrote: what could give a terminal
 * orders is shown as Lua writes it, "\27". */
void kc_trouble_put(const char *text, FILE *out);

#endif
