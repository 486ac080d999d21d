/* rtld_local.c -- a host that is not linked with Lua, but opens it as a plugin:
 * dlopen(…, RTLD_LOCAL). Nobody else in the process sees Lua's symbols then.
 *
 * A Lua module as Debian and LuaRocks build them, keycycle.so too, leaves these
 * symbols to the program and cannot be loaded here: `require` says "undefined
 * symbol: lua_…". Such a host has three ways:
 *   - "library": it opens libkeycycle.so, which is linked with liblua5.4 and so
 *     finds it by itself, and calls its luaopen_keycycle; so may a script, by
 *     package.loadlib(path, "luaopen_keycycle");
 *   - "global": it opens Lua once more with RTLD_NOLOAD | RTLD_GLOBAL, and all
 *     modules can be loaded. That fits where no other Lua is in the process;
 *   - it links libkeycycle.a and liblua5.4 itself.
 *
 * usage: rtld_local plain|library|global LIBRARY SCRIPT [ARGUMENT...]
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <dlfcn.h>

#include <lauxlib.h>
#include <lualib.h>

#define LUA "liblua5.4.so.0"

/* What this host knows of Lua. */
static struct {
    lua_State *(*newstate)(void);
    void (*openlibs)(lua_State *);
    int (*loadfilex)(lua_State *, const char *, const char *);
    int (*pcallk)(lua_State *, int, int, int, lua_KContext, lua_KFunction);
    void (*pushcclosure)(lua_State *, lua_CFunction, int);
    void (*setglobal)(lua_State *, const char *);
    const char *(*pushstring)(lua_State *, const char *);
    const char *(*tolstring)(lua_State *, int, size_t *);
    void (*close)(lua_State *);
} lua;

static bool find(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found);
    if (!found)
        fprintf(stderr, "%s\n", dlerror());
    return found != NULL;
}

static void *open_lua(void)
{
    void *l = dlopen(LUA, RTLD_NOW | RTLD_LOCAL);
    if (!l) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    bool all = find(l, "luaL_newstate", &lua.newstate) &&
               find(l, "luaL_openlibs", &lua.openlibs) &&
               find(l, "luaL_loadfilex", &lua.loadfilex) &&
               find(l, "lua_pcallk", &lua.pcallk) &&
               find(l, "lua_pushcclosure", &lua.pushcclosure) &&
               find(l, "lua_setglobal", &lua.setglobal) &&
               find(l, "lua_pushstring", &lua.pushstring) &&
               find(l, "lua_tolstring", &lua.tolstring) &&
               find(l, "lua_close", &lua.close);
    return all ? l : NULL;
}

/* The script's `luaopen_keycycle`, of a library that brings Lua with it. */
static bool give_module(lua_State *L, const char *path)
{
    lua_CFunction open;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return false;
    }
    if (!find(library, "luaopen_keycycle", &open))
        return false;
    lua.pushcclosure(L, open, 0);
    lua.setglobal(L, "luaopen_keycycle");
    return true;
}

static bool run(lua_State *L, int argc, char **argv)
{
    int status = lua.loadfilex(L, argv[0], NULL);
    for (int i = 1; status == LUA_OK && i < argc; i++)
        lua.pushstring(L, argv[i]);
    if (status == LUA_OK)
        status = lua.pcallk(L, argc - 1, 0, 0, 0, NULL);
    if (status != LUA_OK) {
        const char *text = lua.tolstring(L, -1, NULL);
        fprintf(stderr, "%s\n", text ? text : "an error object");
    }
    return status == LUA_OK;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: rtld_local plain|library|global LIBRARY SCRIPT "
                        "[ARGUMENT...]\n");
        return 2;
    }
    if (!open_lua())
        return 1;
    if (strcmp(argv[1], "global") == 0 &&
        !dlopen(LUA, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL))
        return 1;
    lua_State *L = lua.newstate();
    if (!L)
        return 1;
    lua.openlibs(L);
    bool ok = strcmp(argv[1], "library") != 0 || give_module(L, argv[2]);
    ok = ok && run(L, argc - 3, argv + 3);
    lua.close(L);
    return ok ? 0 : 1;
}
