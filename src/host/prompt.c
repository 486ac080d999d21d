/* prompt.c -- see prompt.h; the same ways as lua.c. */
#include "host/prompt.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "host/state.h"

#define MAX_LINE 4096

/* [-0, +1 or +0] */
static bool push_line(lua_State *L, const char *prompt)
{
    char line[MAX_LINE];
    fputs(prompt, stdout);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return false;
    line[strcspn(line, "\n")] = '\0';
    lua_pushstring(L, line);
    return true;
}

static bool unfinished(lua_State *L, int status)
{
    const char *message = lua_tostring(L, -1);
    size_t n = message ? strlen(message) : 0;
    return status == LUA_ERRSYNTAX && n >= 5 &&
           strcmp(message + n - 5, "<eof>") == 0;
}

/* [-1, +1] The line at the top becomes a chunk, or a message. */
static int compile(lua_State *L)
{
    lua_pushfstring(L, "return %s", lua_tostring(L, -1));
    int status = luaL_loadstring(L, lua_tostring(L, -1));
    lua_remove(L, -2);
    if (status == LUA_OK) {
        lua_remove(L, -2);
        return status;
    }
    lua_pop(L, 1);
    for (;;) {
        status = luaL_loadbuffer(L, lua_tostring(L, -1), lua_rawlen(L, -1),
                                 "=stdin");
        if (!unfinished(L, status) || (lua_pop(L, 1), !push_line(L, ">> ")))
            break;
        lua_pushfstring(L, "%s\n%s", lua_tostring(L, -2), lua_tostring(L, -1));
        lua_replace(L, -3);
        lua_pop(L, 1);
    }
    if (lua_gettop(L) > 1)
        lua_remove(L, -2);
    return status;
}

static void print_results(lua_State *L)
{
    int n = lua_gettop(L);
    if (n == 0)
        return;
    lua_getglobal(L, "print");
    lua_insert(L, 1);
    if (lua_pcall(L, n, 0, 0) != LUA_OK)
        kc_state_report(L);
}

void kc_prompt_run(lua_State *L)
{
    lua_settop(L, 0);
    while (push_line(L, "> ")) {
        int status = compile(L);
        if (status != LUA_OK)
            kc_state_report(L);
        else if (kc_state_call(L, 0, LUA_MULTRET) == LUA_OK)
            print_results(L);
        lua_settop(L, 0);
    }
    fputs("\n", stdout);
}
