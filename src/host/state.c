/* state.c -- see state.h. */
#include "host/state.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "host/modules.h"
#include "keycycle.h"
#include "lua/core.h"

#define SERVER_FILE "keycycle-server.so"
#define MAX_PATH 4096
#define LIBRARY "@keycycle/" /* how its chunks, and its commands', begin */

/* The one thing a signal handler can reach; set while Lua runs. */
static lua_State *volatile running;

/* -- keycycle.server ----------------------------------------------------- */

static int load_server(lua_State *L, const char *path)
{
    if (access(path, R_OK) != 0)
        return 0;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "package");
    lua_getfield(L, -1, "loadlib");
    lua_pushstring(L, path);
    lua_pushliteral(L, "luaopen_keycycle_server");
    lua_call(L, 2, 3);
    if (lua_isnil(L, -3))
        return luaL_error(L, "%s: %s", path, lua_tostring(L, -2));
    lua_pop(L, 2);
    lua_call(L, 0, 1);
    return 1;
}

static int open_server(lua_State *L)
{
    static const char *const places[] = {"", "../lib/keycycle/"};
    char self[MAX_PATH], path[MAX_PATH + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        slash[1] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, sizeof path, "%s%s" SERVER_FILE, self, places[i]);
        if (load_server(L, path))
            return 1;
    }
    return luaL_error(L, "this build has no HTTP server: install libevent "
                         "(Debian: libevent-dev) and build again");
}

/* -- the state ----------------------------------------------------------- */

lua_State *kc_state_new(const char *lua_dir)
{
    lua_State *L = luaL_newstate();
    if (!L)
        return NULL;
    luaL_openlibs(L);
    if (lua_dir)
        lk_set_lua_dir(L, lua_dir);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_keycycle);
    lua_setfield(L, -2, "keycycle");
    lua_pushcfunction(L, open_server);
    lua_setfield(L, -2, "keycycle.server");
    lua_pop(L, 1);
    kc_modules_preload(L);
    return L;
}

void kc_state_set_arg(lua_State *L, char **argv, int argc, int script)
{
    lua_newtable(L);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
}

/* -- calls --------------------------------------------------------------- */

static void on_interrupt(int sig);

/* No SA_RESTART: a wait must end and let the hook run. */
static void listen(struct sigaction *old)
{
    struct sigaction act = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &act, old);
}

static void stop(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    listen(NULL); /* who catches this one may be interrupted again */
    lua_pushliteral(L, "interrupted!");
    lua_error(L);
}

static void on_interrupt(int sig)
{
    int mask = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
    signal(sig, SIG_DFL); /* a second one before it is heard ends us */
    if (running)
        lua_sethook(running, stop, mask, 1);
}

/* [-0, +1, m] Push "file:line: " of the innermost function that is a
 * program's own, or "". */
static void push_place(lua_State *L)
{
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0 && ar.source[0] != '=' &&
            strncmp(ar.source, LIBRARY, sizeof LIBRARY - 1) != 0) {
            lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

/* [-0, +1, e] Push the stacks of the tasks that the error at `arg` came from,
 * or nil. */
static void push_trace(lua_State *L, int arg)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "keycycle.task") != LUA_TTABLE) {
        lua_remove(L, -2);
        return;
    }
    lua_getfield(L, -1, "trace_of");
    lua_pushvalue(L, arg);
    lua_call(L, 1, 1);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* What went wrong, as text. An error object says it in words, and needs but the
 * place in the program; all else is taken for a bug, whose way is of use. One
 * that came out of a task was made there. */
static int describe(lua_State *L)
{
    bool object =
        lua_type(L, 1) == LUA_TTABLE && luaL_getmetafield(L, 1, "__tostring");
    push_trace(L, 1);
    const char *trace = lua_tostring(L, -1);
    if (object && !trace)
        push_place(L);
    const char *text = luaL_tolstring(L, 1, NULL);
    if (trace)
        text = lua_pushfstring(L, "%s\n%s", text, trace);
    else if (object)
        lua_concat(L, 2);
    if (!object)
        luaL_traceback(L, L, text, 1);
    return 1;
}

int kc_state_call(lua_State *L, int n, int results)
{
    struct sigaction old;
    int base = lua_gettop(L) - n;
    lua_pushcfunction(L, describe);
    lua_insert(L, base);
    running = L;
    listen(&old);
    int status = lua_pcall(L, n, results, base);
    sigaction(SIGINT, &old, NULL);
    running = NULL;
    lua_remove(L, base);
    if (status != LUA_OK)
        kc_state_report(L);
    return status;
}

void kc_state_report(lua_State *L)
{
    const char *text = lua_tostring(L, -1);
    fprintf(stderr, "keycycle: %s\n", text ? text : "unknown error");
    fflush(stderr);
    lua_pop(L, 1);
}
