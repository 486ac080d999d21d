/* core.c -- opens the module: the embedded Lua library and its C part.
 *
 * Nothing here does I/O or starts anything: the runtime is made when a call,
 * a wait or a step first needs it.
 */
#include "lua/core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "keycycle.h"
#include "lua/json.h"
#include "lua/lk.h"
#include "lua/transport.h"
#include "util/embed.h"
#include "util/export.h"

#define DIR_KEY "keycycle.lua_dir"
#define CORE "keycycle.core"
#define MODULES "keycycle.modules" /* in the registry: name -> module */
#define GLOBALS "keycycle.globals" /* in the registry: those of the library */

/* -- the embedded library ------------------------------------------------ */

void lk_set_lua_dir(lua_State *L, const char *dir)
{
    lua_pushstring(L, dir);
    lua_setfield(L, LUA_REGISTRYINDEX, DIR_KEY);
}

int lk_load_embedded(lua_State *L, const struct kc_text *t, const char *chunk)
{
    char *text;
    int err = kc_text_unpack(t, &text);
    if (err == KC_ENOMEM) {
        lua_pushliteral(L, "not enough memory");
        return LUA_ERRMEM;
    }
    if (err) {
        lua_pushfstring(L, "%s: the text in this program is damaged",
                        chunk + 1);
        return LUA_ERRSYNTAX;
    }
    int status = luaL_loadbufferx(L, text, t->len, chunk, "t"); /* no raise */
    free(text);
    return status;
}

/* [-0, +1, m] The text, or the file that stands for it, as a chunk. */
static int load_chunk(lua_State *L, const struct kc_text *t)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, DIR_KEY) == LUA_TSTRING) {
        const char *path =
            lua_pushfstring(L, "%s/%s", lua_tostring(L, -1), t->name);
        if (access(path, R_OK) == 0)
            return luaL_loadfilex(L, path, "t");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    const char *chunk = lua_pushfstring(L, "@%s", t->name);
    int status = lk_load_embedded(L, t, chunk);
    lua_remove(L, -2);
    return status;
}

/* [-0, +1, v] Push the text as a function, or raise. */
static void load_text(lua_State *L, const struct kc_text *t)
{
    if (load_chunk(L, t) != LUA_OK)
        lua_error(L);
    lua_getfield(L, LUA_REGISTRYINDEX, GLOBALS);
    lua_setupvalue(L, -2, 1);
}

/* "keycycle/task.lua" is "keycycle.task", "keycycle/x/init.lua" "keycycle.x" */
static bool is_named(const char *file, const char *name)
{
    while (*name && (*file == '/' ? '.' : *file) == *name) {
        file++;
        name++;
    }
    return !*name && (!strcmp(file, ".lua") || !strcmp(file, "/init.lua"));
}

static const struct kc_text *find_part(const char *name)
{
    const struct kc_text *t = kc_embed;
    while (t->name && !is_named(t->name, name))
        t++;
    return t->name ? t : NULL;
}

static int open_core(lua_State *L);

/* (name): the part of the library of that name, as a loader of package.preload,
 * and as the library's own `require`, whose upvalue is the program's. A part is
 * loaded when it is first needed, and once, for it holds state: also where a
 * program, or its test runner, empties package.loaded meanwhile. */
static int open_part(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, MODULES);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL)
        return 1;
    const struct kc_text *t = find_part(name);
    bool ours = t || strcmp(name, CORE) == 0;
    if (t)
        load_text(L, t);
    else if (ours)
        lua_pushcfunction(L, open_core);
    else
        lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (!ours)
        return 1;
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, 2);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
    return 1;
}

/* The library keeps the globals that it needs: what a program takes from its
 * scripts afterwards, as a sandbox does, is not taken from it. */
static void keep_globals(lua_State *L)
{
    static const char *const names[] = {
        "assert",       "coroutine", "debug",  "error",    "getmetatable",
        "io",           "ipairs",    "math",   "next",     "os",
        "pairs",        "pcall",     "print",  "rawequal", "rawget",
        "rawset",       "select",    "string", "table",    "tonumber",
        "setmetatable", "tostring",  "type",   "utf8"};
    lua_pushglobaltable(L);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lua_pushstring(L, names[i]);
        lua_rawget(L, -3);
        lua_setfield(L, -2, names[i]);
    }
    lua_pushliteral(L, "require");
    lua_rawget(L, -3);
    lua_pushcclosure(L, open_part, 1);
    lua_setfield(L, -2, "require");
    lua_setfield(L, LUA_REGISTRYINDEX, GLOBALS);
    lua_pop(L, 1);
}

/* "keycycle/task.lua" -> "keycycle.task", "keycycle/init.lua" -> "keycycle" */
static void push_modname(lua_State *L, const char *file)
{
    size_t len = strlen(file) - strlen(".lua");
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < len; i++) {
        if (strcmp(file + i, "/init.lua") == 0)
            break;
        luaL_addchar(&b, file[i] == '/' ? '.' : file[i]);
    }
    luaL_pushresult(&b);
}

static void preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_part);
    for (int i = 0; kc_embed[i].name; i++) {
        if (strcmp(kc_embed[i].name, "keycycle/init.lua") == 0)
            continue; /* that is luaopen_keycycle itself */
        push_modname(L, kc_embed[i].name);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_setfield(L, -2, CORE);
    lua_pop(L, 1);
}

/* core.builtin(file, env): an embedded file as a function whose globals are
 * those of `env`; nil where there is none of that name. */
static int core_builtin(lua_State *L)
{
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    const struct kc_text *t = kc_text_find(kc_embed, name, len);
    luaL_checktype(L, 2, LUA_TTABLE);
    if (!t)
        return 0;
    load_text(L, t);
    lua_pushvalue(L, 2);
    lua_setupvalue(L, -2, 1);
    return 1;
}

/* core.builtin_names(folder): names of the embedded files in a folder. */
static int core_builtin_names(lua_State *L)
{
    size_t len;
    const char *folder = luaL_checklstring(L, 1, &len);
    lua_Integer n = 0;
    lua_newtable(L);
    for (const struct kc_text *t = kc_embed; t->name; t++) {
        if (strncmp(t->name, folder, len) != 0 || strchr(t->name + len, '/'))
            continue;
        const char *end = strrchr(t->name, '.');
        lua_pushlstring(L, t->name + len, (size_t)(end - t->name) - len);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* core.current(): the C part that is loaded now, which is another once the
 * library was loaded anew; nil where it is closed. */
static int core_current(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, MODULES);
    lua_getfield(L, -1, CORE);
    return 1;
}

/* -- the C part's own functions ------------------------------------------ */

static int core_step(lua_State *L)
{
    uint64_t timeout = lk_optms(L, 1, UINT64_MAX);
    uint64_t budget = lk_optms(L, 2, UINT64_MAX);
    int64_t budget_us = -1;
    if (budget < UINT32_MAX) /* more is none */
        budget_us = (int64_t)(lua_tonumber(L, 2) * 1e6);
    int err = kc_runtime_step(
        lk_runtime(L), timeout > INT64_MAX ? -1 : (int64_t)timeout, budget_us);
    lk_transport_tell(L);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    lua_pushboolean(L, true);
    lua_pushboolean(L, kc_loop_worked(kc_runtime_loop(lk_runtime(L))));
    return 2;
}

static int core_next_ready(lua_State *L)
{
    struct kc_runtime *rt = lk_peek_runtime(L);
    uint64_t id = rt ? kc_runtime_next_ready(rt) : 0;
    if (!id)
        return 0;
    lua_pushinteger(L, (lua_Integer)id);
    return 1;
}

static int core_start(lua_State *L)
{
    lk_runtime(L);
    return 0;
}

static int core_pollfd(lua_State *L)
{
    struct kc_runtime *rt = lk_runtime(L);
    if (kc_runtime_forked(rt))
        return lk_raise(L, KC_EFORKED);
    lua_pushinteger(L, kc_loop_fd(kc_runtime_loop(rt)));
    return 1;
}

static int core_timeout(lua_State *L)
{
    struct kc_runtime *rt = lk_peek_runtime(L);
    int64_t ms = rt ? kc_runtime_timeout_ms(rt) : -1;
    if (ms < 0)
        return 0;
    lk_pushms(L, (uint64_t)ms);
    return 1;
}

static int core_wake(lua_State *L)
{
    struct kc_runtime *rt = lk_peek_runtime(L);
    if (rt)
        kc_loop_wake(kc_runtime_loop(rt));
    return 0;
}

static int core_pending(lua_State *L)
{
    struct kc_runtime *rt = lk_peek_runtime(L);
    lua_pushinteger(L, rt ? (lua_Integer)kc_runtime_pending(rt) : 0);
    return 1;
}

static int core_io_pending(lua_State *L)
{
    struct kc_runtime *rt = lk_peek_runtime(L);
    lua_pushinteger(L, rt ? (lua_Integer)kc_runtime_calls(rt) : 0);
    return 1;
}

static int core_forked(lua_State *L)
{
    struct kc_runtime *rt = lk_peek_runtime(L);
    lua_pushboolean(L, rt && kc_runtime_forked(rt));
    return 1;
}

/* What is required from now on is loaded anew. Last: until all of it is done
 * a host can do it again. */
static void unload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (int i = 0; kc_embed[i].name; i++) {
        push_modname(L, kc_embed[i].name);
        lua_pushnil(L);
        lua_rawset(L, -3);
    }
    lua_pushnil(L);
    lua_setfield(L, -2, CORE);
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, MODULES);
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LK_MODULE);
}

static int core_close(lua_State *L)
{
    lk_close_runtime(L);
    unload(L);
    return 0;
}

static int core_set_error(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "keycycle.error");
    return 0;
}

static int core_isatty(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static int core_terminal_size(lua_State *L)
{
    struct winsize size;
    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) != 0 ||
        size.ws_col == 0)
        return 0;
    lua_pushinteger(L, size.ws_col);
    lua_pushinteger(L, size.ws_row);
    return 2;
}

static const luaL_Reg functions[] = {
    {"builtin", core_builtin},
    {"builtin_names", core_builtin_names},
    {"current", core_current},
    {"step", core_step},
    {"next_ready", core_next_ready},
    {"start", core_start},
    {"pollfd", core_pollfd},
    {"timeout", core_timeout},
    {"wake", core_wake},
    {"pending", core_pending},
    {"io_pending", core_io_pending},
    {"forked", core_forked},
    {"close", core_close},
    {"set_error", core_set_error},
    {"isatty", core_isatty},
    {"terminal_size", core_terminal_size},
    {NULL, NULL},
};

static int open_core(lua_State *L)
{
    luaL_newlib(L, functions);
    lua_pushstring(L, KEYCYCLE_VERSION);
    lua_setfield(L, -2, "VERSION");
    lk_open_json(L);
    lua_setfield(L, -2, "json");
    lk_open_clock(L);
    lk_open_pool(L);
    lk_open_lease(L);
    lk_open_call(L);
    lk_open_store(L);
    lk_open_reader(L);
    lk_open_files(L);
    lk_open_box(L);
    lk_open_transport(L);
    return 1;
}

KC_EXPORT int luaopen_keycycle(lua_State *L)
{
    lk_open_runtime(L);
    keep_globals(L);
    preload(L);
    const struct kc_text *t = find_part("keycycle");
    if (t) {
        load_text(L, t);
        lua_pushliteral(L, "keycycle");
        lua_call(L, 1, 1);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, LK_MODULE);
        return 1;
    }
    return luaL_error(L, "keycycle: built without its Lua library");
}
