/* server.c -- the optional module keycycle.server: an HTTP server for Lua.
 *
 * C reaches Lua only while server:run is on the stack, through the state that
 * called it. Handlers are called in protected mode: an error becomes a 500 and
 * a line on standard error, and the server goes on.
 */
#include "net/server.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "util/export.h"

#define LK_SERVER "keycycle.server"
#define LK_INCOMING "keycycle.incoming"
#define MAX_BODY (16 * 1024 * 1024)

int luaopen_keycycle_server(lua_State *L);

/* The user value 1 holds the functions of timers by their ids. */
struct lk_server {
    struct kc_server *server;
    lua_Integer next_id;
};

struct lk_incoming {
    struct kc_incoming *in;
};

struct run { /* while server:run is on the stack */
    lua_State *L;
    int handler; /* stack places */
    int timers;
};

static struct lk_server *check_server(lua_State *L)
{
    struct lk_server *box = luaL_checkudata(L, 1, LK_SERVER);
    luaL_argcheck(L, box->server, 1, "the server is closed");
    return box;
}

/* -- entering Lua -------------------------------------------------------- */

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* [-(n+1), +0, -] */
static int enter(lua_State *L, int n)
{
    int base = lua_gettop(L) - n;
    lua_pushcfunction(L, traceback);
    lua_insert(L, base);
    int status = lua_pcall(L, n, 0, base);
    if (status != LUA_OK) {
        fprintf(stderr, "keycycle.server: %s\n", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_remove(L, base);
    return status;
}

static void on_request(void *ctx, struct kc_incoming *in)
{
    struct run *r = ctx;
    lua_State *L = r->L;
    lua_pushvalue(L, r->handler);
    struct lk_incoming *box = lua_newuserdatauv(L, sizeof *box, 0);
    box->in = in;
    luaL_setmetatable(L, LK_INCOMING);
    /* Kept below the call, to answer for a handler that fails. */
    lua_pushvalue(L, -1);
    lua_insert(L, -3);
    if (enter(L, 1) != LUA_OK) {
        kc_incoming_free(box->in);
        box->in = NULL;
    }
    lua_pop(L, 1);
}

static void on_timer(void *ctx, uint64_t id)
{
    struct run *r = ctx;
    lua_State *L = r->L;
    lua_rawgeti(L, r->timers, (lua_Integer)id);
    lua_pushnil(L);
    lua_rawseti(L, r->timers, (lua_Integer)id);
    if (lua_isfunction(L, -1))
        enter(L, 0);
    else
        lua_pop(L, 1);
}

/* -- requests ------------------------------------------------------------ */

static struct kc_incoming *check_incoming(lua_State *L)
{
    struct lk_incoming *box = luaL_checkudata(L, 1, LK_INCOMING);
    luaL_argcheck(L, box->in, 1, "the request is closed");
    return box->in;
}

static int incoming_method(lua_State *L)
{
    lua_pushstring(L, kc_incoming_method(check_incoming(L)));
    return 1;
}

static int incoming_path(lua_State *L)
{
    lua_pushstring(L, kc_incoming_path(check_incoming(L)));
    return 1;
}

static int incoming_query(lua_State *L)
{
    lua_pushstring(L, kc_incoming_query(check_incoming(L)));
    return 1;
}

static int incoming_header(lua_State *L)
{
    lua_pushstring(
        L, kc_incoming_header(check_incoming(L), luaL_checkstring(L, 2)));
    return 1;
}

static int incoming_body(lua_State *L)
{
    size_t len;
    const char *body = kc_incoming_body(check_incoming(L), &len);
    lua_pushlstring(L, body, len);
    return 1;
}

static int incoming_open(lua_State *L)
{
    lua_pushboolean(L, kc_incoming_is_open(check_incoming(L)));
    return 1;
}

static int incoming_backlog(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)kc_incoming_backlog(check_incoming(L)));
    return 1;
}

/* The fields of the table at `t`; their texts stay alive in it. */
static size_t read_fields(lua_State *L, int t, struct kc_field_pair *fields,
                          size_t max)
{
    size_t n = 0;
    if (!lua_istable(L, t))
        return 0;
    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING ||
            n == max)
            luaL_error(L, "headers are at most %d texts by name", (int)max);
        fields[n].name = lua_tostring(L, -2);
        fields[n++].value = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    return n;
}

static int incoming_reply(lua_State *L)
{
    struct kc_incoming *in = check_incoming(L);
    struct kc_field_pair fields[64];
    size_t len;
    int status = (int)luaL_checkinteger(L, 2);
    size_t n = read_fields(L, 3, fields, 64);
    const char *body = luaL_optlstring(L, 4, "", &len);
    kc_incoming_reply(in, status, fields, n, body, len);
    return 0;
}

static int incoming_start(lua_State *L)
{
    struct kc_incoming *in = check_incoming(L);
    struct kc_field_pair fields[64];
    int status = (int)luaL_checkinteger(L, 2);
    size_t n = read_fields(L, 3, fields, 64);
    kc_incoming_start(in, status, fields, n);
    return 0;
}

static int incoming_chunk(lua_State *L)
{
    size_t len;
    struct kc_incoming *in = check_incoming(L);
    const char *data = luaL_checklstring(L, 2, &len);
    kc_incoming_chunk(in, data, len);
    return 0;
}

static int incoming_finish(lua_State *L)
{
    kc_incoming_finish(check_incoming(L));
    return 0;
}

static int incoming_close(lua_State *L)
{
    struct lk_incoming *box = luaL_checkudata(L, 1, LK_INCOMING);
    kc_incoming_free(box->in);
    box->in = NULL;
    return 0;
}

/* -- the server ---------------------------------------------------------- */

static int server_open(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "host");
    lua_getfield(L, 1, "port");
    lua_getfield(L, 1, "max_body");
    const char *host = luaL_optstring(L, 2, "127.0.0.1");
    lua_Integer port = luaL_optinteger(L, 3, 0);
    lua_Integer max_body = luaL_optinteger(L, 4, MAX_BODY);
    luaL_argcheck(L, port >= 0 && port <= 65535, 1, "port goes to 65535");
    struct lk_server *box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = (struct lk_server){0};
    luaL_setmetatable(L, LK_SERVER);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    int err =
        kc_server_open(host, (unsigned)port, (size_t)max_body, &box->server);
    if (err == KC_OK)
        return 1;
    lua_pushnil(L);
    lua_pushfstring(L, "cannot listen on %s port %d", host, (int)port);
    return 2;
}

static int server_port(lua_State *L)
{
    lua_pushinteger(L, kc_server_port(check_server(L)->server));
    return 1;
}

static int server_run(lua_State *L)
{
    struct lk_server *box = check_server(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, 1);
    struct run r = {.L = L, .handler = 2, .timers = 3};
    struct kc_server_handler handler = {
        .ctx = &r, .on_request = on_request, .on_timer = on_timer};
    luaL_checkstack(L, 20, NULL);
    if (kc_server_run(box->server, &handler) != KC_OK)
        return luaL_error(L, "the server's loop failed");
    return 0;
}

static int server_stop(lua_State *L)
{
    kc_server_stop(check_server(L)->server);
    return 0;
}

static int server_after(lua_State *L)
{
    struct lk_server *box = check_server(L);
    lua_Number seconds = luaL_checknumber(L, 2);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    luaL_argcheck(L, seconds >= 0 && seconds < 1e6, 2, "seconds");
    lua_Integer id = ++box->next_id;
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 3);
    lua_rawseti(L, -2, id);
    if (kc_server_after(box->server, (uint64_t)(seconds * 1000),
                        (uint64_t)id) != KC_OK)
        return luaL_error(L, "no memory for a timer");
    return 0;
}

static int server_close(lua_State *L)
{
    struct lk_server *box = luaL_checkudata(L, 1, LK_SERVER);
    kc_server_close(box->server);
    box->server = NULL;
    return 0;
}

static void new_class(lua_State *L, const char *name, const luaL_Reg *methods,
                      lua_CFunction close)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__close");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static const luaL_Reg server_methods[] = {
    {"port", server_port},   {"run", server_run},     {"stop", server_stop},
    {"after", server_after}, {"close", server_close}, {NULL, NULL},
};

static const luaL_Reg incoming_methods[] = {
    {"method", incoming_method},
    {"path", incoming_path},
    {"query", incoming_query},
    {"header", incoming_header},
    {"body", incoming_body},
    {"is_open", incoming_open},
    {"backlog", incoming_backlog},
    {"reply", incoming_reply},
    {"start", incoming_start},
    {"chunk", incoming_chunk},
    {"finish", incoming_finish},
    {"close", incoming_close},
    {NULL, NULL},
};

KC_EXPORT int luaopen_keycycle_server(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", server_open}, {NULL, NULL}};
    new_class(L, LK_SERVER, server_methods, server_close);
    new_class(L, LK_INCOMING, incoming_methods, incoming_close);
    luaL_newlib(L, functions);
    return 1;
}
