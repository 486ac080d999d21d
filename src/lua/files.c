/* files.c -- which scripts a program's folders hold. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

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

void lk_open_files(lua_State *L)
{
    static const luaL_Reg none[] = {{NULL, NULL}};
    lk_newclass(L, LK_DIR, none, dir_close);
    lua_pushcfunction(L, core_lua_files);
    lua_setfield(L, -2, "lua_files");
}
