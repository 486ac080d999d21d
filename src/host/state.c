/* state.c -- see state.h. */
#include "host/state.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "host/coroutines.h"
#include "host/modules.h"
#include "host/signals.h"
#include "host/trouble.h"
#include "keycycle.h"
#include "lua/core.h"

#define SERVER_FILE "keycycle-server.so"

/* The path of this program; "" where that is not known. */
static void own_path(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    const char *name = (const char *)getauxval(AT_EXECFN);
    if (n <= 0 && name && !realpath(name, out)) /* there is no /proc */
        out[0] = '\0';
}

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
    char self[PATH_MAX], path[PATH_MAX + 64];
    own_path(self);
    char *slash = strrchr(self, '/');
    if (slash)
        slash[1] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, sizeof path, "%s%s" SERVER_FILE, self, places[i]);
        if (load_server(L, path))
            return 1;
    }
    return luaL_error(L,
                      "there is no HTTP server (%s): install libevent "
                      "(Debian: libevent-dev) and build again",
                      path);
}

/* -- keycycle.host ------------------------------------------------------- */

static int interrupted(lua_State *L)
{
    int sig = kc_signals_came();
    if (sig == 0)
        return 0;
    kc_signals_forgive();
    lua_pushstring(L, kc_signals_name(sig));
    return 1;
}

static int open_host(lua_State *L)
{
    char self[PATH_MAX];
    own_path(self);
    lua_newtable(L);
    lua_pushstring(L, self[0] ? self : "keycycle");
    lua_setfield(L, -2, "program");
    lua_pushcfunction(L, interrupted);
    lua_setfield(L, -2, "interrupted");
    return 1;
}

/* -- the state ----------------------------------------------------------- */

/* os.exit(code, true) closes the state in the midst of a call. */
static int on_close(lua_State *L)
{
    (void)L;
    kc_signals_run(NULL);
    return 0;
}

static int open_all(lua_State *L)
{
    static const luaL_Reg modules[] = {{"keycycle", luaopen_keycycle},
                                       {"keycycle.server", open_server},
                                       {"keycycle.host", open_host},
                                       {NULL, NULL}};
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, on_close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, (const void *)modules);
    luaL_openlibs(L);
    kc_coroutines_watch(L);
    if (!lua_isnil(L, 1))
        lk_set_lua_dir(L, lua_tostring(L, 1));
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, modules, 0);
    kc_modules_preload(L);
    lua_gc(L, LUA_GCGEN, 0, 0); /* as the program `lua` does */
    return 0;
}

lua_State *kc_state_new(const char *lua_dir)
{
    lua_State *L = luaL_newstate();
    if (!L)
        return NULL;
    lua_pushcfunction(L, open_all);
    lua_pushstring(L, lua_dir);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return L;
    lua_close(L);
    return NULL;
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

int kc_state_call(lua_State *L, int n, int results)
{
    int base = lua_gettop(L) - n;
    lua_pushcfunction(L, kc_trouble_describe);
    lua_insert(L, base);
    kc_signals_run(L);
    int status = lua_pcall(L, n, results, base);
    kc_signals_run(NULL);
    lua_remove(L, base);
    if (status != LUA_OK)
        kc_trouble_report(L);
    return status;
}

static int end_tasks(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "keycycle.task") != LUA_TTABLE)
        return 0; /* the library is not used */
    lua_getfield(L, -1, "end_all");
    lua_pushstring(L, kc_signals_error(kc_signals_came()));
    lua_call(L, 1, 0);
    return 0;
}

void kc_state_end_tasks(lua_State *L)
{
    lua_sethook(L, NULL, 0, 0); /* what is closed now is not to be stopped */
    lua_pushcfunction(L, end_tasks);
    kc_state_call(L, 0, 0);
}
