/* prompt.c -- see prompt.h; the same ways as lua.c. */
#include "host/prompt.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "host/editor.h"
#include "host/history.h"
#include "host/secrets.h"
#include "host/signals.h"
#include "host/state.h"
#include "host/trouble.h"
#include "keycycle.h"

#define EOF_MARK "<eof>"
#define SHOW 1 /* where keycycle.show is on the stack */

/* [-0, +1, m] Push a global, or nil: a program may have made it an error to ask
 * for an unknown one. */
static int push_global(lua_State *L, const char *name)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, name);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    return type;
}

static int hide(lua_State *L)
{
    kc_secrets_push_hidden(L);
    return 1;
}

/* [-0, +0, m] Keeps the line at the top, but for one with a key in it. */
static void keep_line(lua_State *L)
{
    const char *line = lua_tostring(L, -1);
    if (!*line)
        return;
    kc_editor_remember(line);
    lua_pushcfunction(L, hide);
    lua_pushvalue(L, -2);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_rawequal(L, -1, -2))
        kc_history_add(line);
    lua_pop(L, 1);
}

/* [-0, +1 or +0, m] Asks for a line. */
static enum kc_editor_end push_line(lua_State *L, bool first)
{
    char *line;
    enum kc_editor_end end = kc_editor_read(first ? "> " : ">> ", &line);
    if (end != KC_LINE)
        return end;
    lua_pushstring(L, line);
    free(line);
    if (kc_editor_is_terminal())
        keep_line(L);
    return KC_LINE;
}

static bool unfinished(lua_State *L, int status)
{
    size_t mark = sizeof EOF_MARK - 1, n;
    const char *message = lua_tolstring(L, -1, &n);
    return status == LUA_ERRSYNTAX && n >= mark &&
           strcmp(message + n - mark, EOF_MARK) == 0;
}

/* [-0, +1] The line at the top as an expression, `= x` as well; nothing is
 * pushed where it is none. */
static int load_expression(lua_State *L)
{
    const char *line = lua_tostring(L, -1);
    line += strspn(line, " \t");
    const char *code = lua_pushfstring(L, "return %s", line + (*line == '='));
    int status = luaL_loadbuffer(L, code, strlen(code), "=stdin");
    lua_remove(L, -2);
    if (status != LUA_OK)
        lua_pop(L, 1);
    return status;
}

/* [-1, +1 or +0] The line at the top, and those after it that it needs, become
 * a chunk or a message. */
static enum kc_editor_end compile(lua_State *L, int *status)
{
    *status = load_expression(L);
    enum kc_editor_end end = KC_LINE;
    while (*status != LUA_OK) {
        size_t len;
        const char *code = lua_tolstring(L, -1, &len);
        *status = luaL_loadbuffer(L, code, len, "=stdin");
        if (!unfinished(L, *status))
            break;
        int before = lua_gettop(L);
        end = push_line(L, false);
        if (end != KC_LINE)
            break; /* the message stays */
        lua_remove(L, before);
        lua_pushfstring(L, "%s\n%s", lua_tostring(L, -2), lua_tostring(L, -1));
        lua_replace(L, -3);
        lua_pop(L, 1);
    }
    lua_remove(L, -2);
    return end;
}

/* Prints the values at 1 and above; tables as the function in the upvalue shows
 * them, where there is one. */
static int print_values(lua_State *L)
{
    int n = lua_gettop(L);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, lua_upvalueindex(1));
        if (lua_type(L, i) != LUA_TTABLE || lua_isnil(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        lua_replace(L, i);
    }
    if (push_global(L, "print") == LUA_TNIL)
        return luaL_error(L, "there is no function 'print' to show it");
    lua_insert(L, 1);
    lua_call(L, n, 0);
    return 0;
}

/* The chunk at the top; below it is what shows tables. */
static void run_chunk(lua_State *L)
{
    int base = lua_gettop(L);
    if (kc_state_call(L, 0, LUA_MULTRET) != LUA_OK)
        return;
    int n = lua_gettop(L) - base + 1;
    if (n == 0)
        return;
    luaL_checkstack(L, LUA_MINSTACK, "too many values to print");
    lua_pushvalue(L, SHOW);
    lua_pushcclosure(L, print_values, 1);
    lua_insert(L, base);
    kc_state_call(L, n, 0);
}

/* [-0, +1, e] Push what shows tables, having made `keycycle` global. */
static void begin(lua_State *L)
{
    luaL_requiref(L, "keycycle", luaopen_keycycle, 0);
    if (push_global(L, "keycycle") == LUA_TNIL) {
        lua_pushglobaltable(L);
        lua_pushliteral(L, "keycycle");
        lua_pushvalue(L, -4);
        lua_rawset(L, -3);
    }
    lua_settop(L, 0);
    if (push_global(L, "require") == LUA_TFUNCTION) {
        lua_pushliteral(L, "keycycle.show");
        lua_call(L, 1, 1);
    }
    if (kc_editor_is_terminal())
        puts("keycycle " KEYCYCLE_VERSION " (" LUA_RELEASE
             "): `keycycle` is the library; Ctrl-C stops a line, Ctrl-D ends");
}

/* Whether it goes on: a Ctrl-C is over, all else ends it. */
static bool goes_on(void)
{
    kc_signals_forgive();
    return kc_signals_came() == 0;
}

void kc_prompt_run(lua_State *L)
{
    lua_settop(L, 0);
    begin(L);
    if (kc_editor_is_terminal())
        kc_history_load(kc_editor_remember);
    enum kc_editor_end end;
    do {
        lua_settop(L, SHOW);
        int status = LUA_OK;
        end = push_line(L, true);
        if (end == KC_LINE)
            end = compile(L, &status);
        if (end == KC_LINE && status != LUA_OK)
            kc_trouble_report(L);
        else if (end == KC_LINE)
            run_chunk(L);
        else if (end == KC_LINE_END && status != LUA_OK)
            kc_trouble_report(L); /* the input ends in the midst of a chunk */
    } while (end != KC_LINE_END && goes_on());
    if (kc_editor_is_terminal())
        puts("");
    fflush(stdout);
}
