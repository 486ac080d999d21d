/* empty.c -- a module and a program that do nothing, linked with what ours are:
 * what a start costs without us. */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <lauxlib.h>
#include <lua.h>
#include <sqlite3.h>

int luaopen_empty(lua_State *L);

/* The linker keeps a library that something is taken from. */
static const char *versions(int i)
{
    return i == 0   ? curl_version()
           : i == 1 ? cJSON_Version()
                    : sqlite3_libversion();
}

int luaopen_empty(lua_State *L)
{
    lua_newtable(L);
    if (lua_toboolean(L, lua_upvalueindex(1))) /* there is none */
        lua_pushstring(L, versions(lua_gettop(L)));
    return 1;
}

int main(int argc, char **argv)
{
    (void)argv;
    return argc > 3 ? versions(argc)[0] : 0;
}
