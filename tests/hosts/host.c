/* host.c -- see host.h. */
#include "hosts/host.h"

#include <stdio.h>
#include <stdlib.h>

#include <dirent.h>
#include <malloc.h>

#include <lauxlib.h>
#include <lualib.h>

#include "keycycle.h"

#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void); /* gcc has no header */
#endif

void host_must(lua_State *L, int status)
{
    if (status == LUA_OK)
        return;
    fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    exit(1);
}

lua_State *host_open_state(void)
{
    lua_State *L = luaL_newstate();
    if (!L) {
        fprintf(stderr, "no memory for a Lua state\n");
        exit(1);
    }
    luaL_openlibs(L);
    luaL_requiref(L, "keycycle", luaopen_keycycle, 1);
    lua_pop(L, 1);
    return L;
}

void host_run_file(lua_State *L, const char *path, int argc, char **argv)
{
    host_must(L, luaL_loadfile(L, path));
    for (int i = 0; i < argc; i++)
        lua_pushstring(L, argv[i]);
    host_must(L, lua_pcall(L, argc, 1, 0));
}

size_t host_heap(void)
{
#ifdef __SANITIZE_ADDRESS__
    return __sanitizer_get_current_allocated_bytes();
#else
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
#endif
}

int host_count(const char *what)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/self/%s", what);
    DIR *dir = opendir(path);
    if (!dir) {
        perror(path);
        exit(1);
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

int host_number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*end != '\0' || end == text || n < 0 || n > 1000000000) {
        fprintf(stderr, "'%s' is no number from 0\n", text);
        exit(2);
    }
    return (int)n;
}
