/* commands.h -- where `keycycle NAME` finds its script.
 */
#ifndef KC_HOST_COMMANDS_H
#define KC_HOST_COMMANDS_H

#include <lua.h>
#include <stdbool.h>
#include <stdio.h>

/* kc_command_load pushes the chunk of the command `name`: built in, else
 * scripts/NAME.lua in the folders of $KEYCYCLE_PATH, of
 * $XDG_CONFIG_HOME/keycycle (or ~/.config/keycycle) and, with `here`, of
 * ./.keycycle. Returns Lua's status with the chunk or a message on the stack,
 * or -1, with nothing pushed, when there is no such command. */
int kc_command_load(lua_State *L, const char *name, bool here);

/* kc_command_names pushes a text of the built-in commands' names. */
void kc_command_names(lua_State *L);

/* kc_command_describe writes what the built-in commands are for, a line each:
 * what the first line of each says behind its name. */
void kc_command_describe(FILE *out);

#endif
