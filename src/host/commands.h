/* commands.h -- where `keycycle NAME` finds its script.
 *
 * Built-in commands come first and cannot be shadowed; then scripts/NAME.lua in
 * the folders of $KEYCYCLE_PATH, of $XDG_CONFIG_HOME/keycycle (or
 * ~/.config/keycycle) and, where `here` says so, of ./.keycycle.
 */
#ifndef KC_HOST_COMMANDS_H
#define KC_HOST_COMMANDS_H

#include <lua.h>
#include <stdbool.h>
#include <stdio.h>

/* kc_command_load pushes the chunk of the command `name`. Returns Lua's status
 * with the chunk or a message on the stack, or -1, with nothing pushed, when
 * there is no such command. */
int kc_command_load(lua_State *L, const char *name, bool here);

/* kc_command_describe writes what the commands are for, a line each: what the
 * first line of each, after "#!", says behind its name. */
void kc_command_describe(FILE *out, bool here);

/* kc_command_suggest writes the names of commands that `name` may be meant for,
 * or else the names of all. */
void kc_command_suggest(FILE *out, const char *name, bool here);

#endif
