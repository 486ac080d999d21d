/* files.c -- the scripts in a program's folders; what Lua's own files lack. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua/lk.h"

#define LK_DIR "keycycle.dir"
#define MAX_FILES 1000

struct lk_dir {
    DIR *dir;
};

static int dir_close(lua_State *L)
{
    struct lk_dir *box = luaL_checkudata(L, 1, LK_DIR);
    if (box->dir)
        closedir(box->dir);
    box->dir = NULL;
    return 0;
}

static int fail(lua_State *L, const char *why, bool missing)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    lua_pushboolean(L, missing);
    return 3;
}

/* [-0, +0, v] Add the size of `file` in the folder at 1 to the table at -1,
 * unless it is not a plain file: a pipe would block who reads it. */
static void add_file(lua_State *L, const char *file)
{
    struct stat st;
    lua_pushfstring(L, "%s/%s", lua_tostring(L, 1), file);
    int err = stat(lua_tostring(L, -1), &st);
    lua_pop(L, 1);
    if (err != 0 || !S_ISREG(st.st_mode))
        return;
    lua_pushinteger(L, (lua_Integer)st.st_size);
    lua_setfield(L, -2, file);
}

static bool is_script(const char *file)
{
    size_t len = strlen(file);
    return file[0] != '.' && len > 4 && strcmp(file + len - 4, ".lua") == 0;
}

/* core.lua_files(folder): sizes of its plain *.lua files by name; or nil, why,
 * whether there is no such folder. */
static int core_lua_files(lua_State *L)
{
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    struct lk_dir *box = lua_newuserdatauv(L, sizeof *box, 0);
    box->dir = NULL;
    luaL_setmetatable(L, LK_DIR);
    lua_toclose(L, 2);
    lua_newtable(L);
    box->dir = opendir(lua_tostring(L, 1));
    if (!box->dir)
        return fail(L, strerror(errno), errno == ENOENT || errno == ENOTDIR);
    int n = 0;
    for (struct dirent *e; (e = readdir(box->dir)) != NULL;) {
        if (!is_script(e->d_name))
            continue;
        if (++n > MAX_FILES)
            return fail(L, "it holds more than 1000 scripts", false);
        add_file(L, e->d_name);
    }
    return 1;
}

/* The descriptor of the open file at `arg`, one of Lua's own. */
static int descriptor(lua_State *L, int arg)
{
    luaL_Stream *file = luaL_checkudata(L, arg, LUA_FILEHANDLE);
    luaL_argcheck(L, file->closef != NULL, arg, "a closed file");
    return fileno(file->f);
}

static int truth(lua_State *L, bool ok)
{
    if (!ok)
        return fail(L, strerror(errno), false);
    lua_pushboolean(L, true);
    return 1;
}

/* core.cut_file(file, size): what stands behind its first `size` bytes goes. */
static int core_cut_file(lua_State *L)
{
    lua_Integer size = luaL_checkinteger(L, 2);
    return truth(L, ftruncate(descriptor(L, 1), (off_t)size) == 0);
}

/* core.lock_file(file): no one else's, until it is closed or we end. */
static int core_lock_file(lua_State *L)
{
    return truth(L, flock(descriptor(L, 1), LOCK_EX | LOCK_NB) == 0);
}

static const char *kind_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return "other";
    if (S_ISDIR(st.st_mode))
        return "folder";
    return S_ISREG(st.st_mode) ? "file" : "other";
}

/* core.real_path(path): where it leads, through all links, and what is there:
 * "file", "folder" or "other"; or nil, why. */
static int core_real_path(lua_State *L)
{
    char real[PATH_MAX];
    size_t len;
    const char *path = luaL_checklstring(L, 1, &len);
    if (strlen(path) != len)
        return fail(L, strerror(ENOENT), true);
    if (!realpath(path, real))
        return fail(L, strerror(errno), errno == ENOENT || errno == ENOTDIR);
    lua_pushstring(L, real);
    lua_pushstring(L, kind_of(real));
    return 2;
}

void lk_open_files(lua_State *L)
{
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {{"lua_files", core_lua_files},
                                         {"cut_file", core_cut_file},
                                         {"lock_file", core_lock_file},
                                         {"real_path", core_real_path},
                                         {NULL, NULL}};
    lk_newclass(L, LK_DIR, none, dir_close);
    luaL_setfuncs(L, functions, 0);
}
