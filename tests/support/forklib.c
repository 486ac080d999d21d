/* forklib.c -- fork() and waitpid() for specs, which Lua does not have.
 */
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>

int luaopen_forklib(lua_State *L);

static int l_fork(lua_State *L)
{
    pid_t pid = fork();
    if (pid < 0)
        return luaL_error(L, "fork failed");
    lua_pushinteger(L, pid);
    return 1;
}

static int l_wait(lua_State *L)
{
    int status = 0;
    waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return 1;
}

__attribute__((visibility("default"))) int luaopen_forklib(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"fork", l_fork}, {"wait", l_wait}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
