/* transport.c -- transports that a program in Lua brings along: functions.
 *
 * `start` is called from within core.call, in the state that called it. What
 * there is to tell of an exchange later is noted in it, and told by
 * lk_transport_tell once C has returned. The library has wrapped the functions
 * (keycycle/transport.lua): what they raise here is want of memory.
 */
#include "lua/transport.h"

#include <string.h>

#include "keycycle.h"
#include "lua/lk.h"

#define LK_TRANSPORT "keycycle.transport"
#define LK_EXCHANGE "keycycle.exchange"

static const char desk_key = 0; /* its address is the desk's place */

enum { START = 1, CANCEL, PAUSE, FUNCTIONS = PAUSE }; /* user values */

struct lk_transport {
    struct kc_runtime *rt; /* kept as long as the carrier */
    struct kc_carrier *carrier;
    lua_State *L; /* while a call of it begins */
};

/* The user value 1 is the transport. */
struct lk_exchange {
    struct keycycle_exchange *x; /* NULL: ended */
    struct lk_desk *desk;
    bool listed; /* there is something to tell */
    bool cancelled;
    bool paused, told_paused;
    struct lk_exchange *prev, *next;
};

/* One a state. The user value 1 has transports and exchanges by their
 * addresses, and keeps none: an exchange that Lua forgets is ended when it is
 * collected. */
struct lk_desk {
    struct lk_exchange *first, *last;
};

/* [-0, +2 or 0, -] Push the desk and its places. NULL: there is none. */
static struct lk_desk *push_desk(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &desk_key) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        return NULL;
    }
    lua_getiuservalue(L, -1, 1);
    return lua_touserdata(L, -2);
}

/* -- what there is to tell ------------------------------------------------- */

static void list(struct lk_exchange *e)
{
    struct lk_desk *d = e->desk;
    if (e->listed)
        return;
    e->listed = true;
    e->next = NULL;
    e->prev = d->last;
    *(d->last ? &d->last->next : &d->first) = e;
    d->last = e;
}

static void unlist(struct lk_exchange *e)
{
    struct lk_desk *d = e->desk;
    if (!e->listed)
        return;
    *(e->prev ? &e->prev->next : &d->first) = e->next;
    *(e->next ? &e->next->prev : &d->last) = e->prev;
    e->listed = false;
}

static void on_cancel(void *ctx, struct keycycle_exchange *x)
{
    struct lk_exchange *e = keycycle_exchange_get_data(x);
    (void)ctx;
    e->cancelled = true;
    list(e);
}

static void on_pause(void *ctx, struct keycycle_exchange *x, int on)
{
    struct lk_exchange *e = keycycle_exchange_get_data(x);
    (void)ctx;
    e->paused = on != 0;
    list(e);
}

/* [-1, +0, -] Tell the exchange at the top, which is `e`, what is new. One that
 * was cancelled is told nothing else; false for want of memory. */
static bool tell(lua_State *L, struct lk_exchange *e)
{
    int place = lua_gettop(L), which = e->cancelled ? CANCEL : PAUSE;
    bool news = e->cancelled || e->paused != e->told_paused;
    int status = LUA_OK;
    e->told_paused = e->paused;
    lua_getiuservalue(L, place, 1);
    if (news && lua_getiuservalue(L, -1, which) == LUA_TFUNCTION) {
        lua_pushvalue(L, place);
        lua_pushboolean(L, e->paused);
        status = lk_pcall(L, 2, 0);
    }
    lua_settop(L, place - 1);
    return status == LUA_OK;
}

void lk_transport_tell(lua_State *L)
{
    struct lk_desk *d;
    if (!lua_checkstack(L, 12) || !(d = push_desk(L)))
        return;
    bool ok = true;
    while (d->first && ok) {
        struct lk_exchange *e = d->first;
        unlist(e);
        if (lua_rawgetp(L, -1, e) == LUA_TUSERDATA)
            ok = tell(L, e);
        else
            lua_pop(L, 1); /* it is being collected */
    }
    lua_pop(L, 2);
}

/* -- the exchange, as Lua has it ------------------------------------------- */

static struct lk_exchange *check_exchange(lua_State *L)
{
    return luaL_checkudata(L, 1, LK_EXCHANGE);
}

/* true, or false where nobody waits for it any more. */
static int push_taken(lua_State *L, int err)
{
    lua_pushboolean(L, err == KC_OK);
    return 1;
}

/* The text at `i`; NULL where a NUL would cut it. */
static const char *whole_text(lua_State *L, int i)
{
    size_t len;
    const char *text = lua_tolstring(L, i, &len);
    return strlen(text) == len ? text : NULL;
}

/* [-0, +n, v] Push room for the fields of the table at `t`, and what keeps
 * their texts. */
static size_t read_fields(lua_State *L, int t, struct keycycle_param **out)
{
    size_t n = 0, most = 0;
    for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1))
        most++;
    luaL_checkstack(L, (int)most + 4, "too many header fields");
    struct keycycle_param *f = lua_newuserdatauv(L, (most + 1) * sizeof *f, 0);
    for (lua_pushnil(L); lua_next(L, t);) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
            luaL_argerror(L, t, "headers are { name = value }, both texts");
        f[n].name = whole_text(L, -2);
        f[n++].value = whole_text(L, -1);
        lua_insert(L, -2); /* what a number became stays here */
    }
    *out = f;
    return n;
}

static int exchange_headers(lua_State *L)
{
    struct lk_exchange *e = check_exchange(L);
    lua_Integer status = luaL_checkinteger(L, 2);
    luaL_argcheck(L, status >= 200 && status <= 599, 2,
                  "the status of the final answer, 200 to 599");
    struct keycycle_param *fields = NULL;
    size_t n = 0;
    lua_settop(L, 3);
    if (!lua_isnil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        n = read_fields(L, 3, &fields);
    }
    if (!e->x)
        return push_taken(L, KC_ECLOSED);
    int err = keycycle_exchange_headers(e->x, (int)status, fields, n);
    if (err == KC_EINVALID)
        return luaL_error(L, "headers were given already");
    return push_taken(L, err);
}

static int exchange_data(lua_State *L)
{
    struct lk_exchange *e = check_exchange(L);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    if (!e->x)
        return push_taken(L, KC_ECLOSED);
    int err = keycycle_exchange_data(e->x, bytes, len);
    if (err == KC_EINVALID)
        return luaL_error(L, "headers come before data");
    return push_taken(L, err);
}

static void end(struct lk_exchange *e, int err, const char *why)
{
    struct keycycle_exchange *x = e->x;
    e->x = NULL;
    unlist(e);
    if (x)
        keycycle_exchange_end(x, (enum keycycle_error)err, why);
}

static int exchange_done(lua_State *L)
{
    end(check_exchange(L), KC_OK, NULL);
    return 0;
}

static int exchange_fail(lua_State *L)
{
    static const char *const names[] = {"cut",       "connect", "resolve",
                                        "tls",       "garbage", "timeout",
                                        "too_large", NULL};
    static const int codes[] = {KC_ECUT,     KC_ECONNECT, KC_ERESOLVE, KC_ETLS,
                                KC_EGARBAGE, KC_ETIMEOUT, KC_ETOOLARGE};
    struct lk_exchange *e = check_exchange(L);
    const char *why = luaL_optstring(L, 2, NULL);
    end(e, codes[luaL_checkoption(L, 3, "cut", names)], why);
    return 0;
}

static int exchange_close(lua_State *L)
{
    end(check_exchange(L), KC_ECUT,
        "the transport let go of the exchange without an end");
    return 0;
}

/* -- beginning one --------------------------------------------------------- */

static void push_request(lua_State *L, const struct keycycle_http_request *r)
{
    lua_createtable(L, 0, 7);
    lua_pushstring(L, r->method);
    lua_setfield(L, -2, "method");
    lua_pushstring(L, r->url);
    lua_setfield(L, -2, "url");
    lua_createtable(L, 0, (int)r->header_count);
    for (size_t i = 0; i < r->header_count; i++) {
        lua_pushstring(L, r->headers[i].value);
        lua_setfield(L, -2, r->headers[i].name);
    }
    lua_setfield(L, -2, "headers");
    if (r->body) {
        lua_pushlstring(L, r->body, r->body_len);
        lua_setfield(L, -2, "body");
    }
    lua_pushboolean(L, r->stream);
    lua_setfield(L, -2, "stream");
    if (r->timeout_ms) {
        lk_pushms(L, r->timeout_ms);
        lua_setfield(L, -2, "timeout");
    }
    lk_pushms(L, r->connect_timeout_ms);
    lua_setfield(L, -2, "connect_timeout");
}

/* Runs in protected mode: (transport, request) as pointers; the exchange,
 * `start`, and what that gets. */
static int prepare(lua_State *L)
{
    struct lk_transport *t = lua_touserdata(L, 1);
    const struct keycycle_http_request *request = lua_touserdata(L, 2);
    struct lk_desk *desk = push_desk(L);
    int places = lua_gettop(L);
    struct lk_exchange *e = lua_newuserdatauv(L, sizeof *e, 1);
    *e = (struct lk_exchange){.desk = desk};
    luaL_setmetatable(L, LK_EXCHANGE);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, places, e);
    lua_rawgetp(L, places, t);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, 1);
    lua_getiuservalue(L, -1, START);
    lua_remove(L, -2);
    push_request(L, request);
    lua_pushvalue(L, -3);
    return 4;
}

/* Called within core.call, which has the transport on its stack. */
static int on_start(void *ctx, const struct keycycle_http_request *request,
                    struct keycycle_exchange *x)
{
    struct lk_transport *t = ctx;
    lua_State *L = t->L;
    if (!lua_checkstack(L, 12))
        return KC_ENOMEM;
    int top = lua_gettop(L);
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, t);
    lua_pushlightuserdata(L, (void *)(uintptr_t)request);
    if (lk_pcall(L, 2, 4) != LUA_OK) {
        lua_settop(L, top);
        return KC_ENOMEM;
    }
    /* From here on it is ended by Lua, by what follows or by its collection. */
    struct lk_exchange *e = lua_touserdata(L, top + 1);
    e->x = x;
    keycycle_exchange_set_data(x, e, NULL);
    if (lk_pcall(L, 2, 1) != LUA_OK)
        end(e, KC_ENOMEM, NULL);
    else if (lua_type(L, -1) == LUA_TSTRING)
        end(e, KC_ECONNECT, lua_tostring(L, -1));
    lua_settop(L, top);
    return KC_OK;
}

/* -- the transport ----------------------------------------------------------
 */

static int transport_close(lua_State *L)
{
    struct lk_transport *t = luaL_checkudata(L, 1, LK_TRANSPORT);
    kc_carrier_unref(t->carrier);
    kc_runtime_unref(t->rt);
    t->carrier = NULL;
    t->rt = NULL;
    return 0;
}

/* [-0, +2, m] Push the desk, made when first asked for, and its places. */
static void need_desk(lua_State *L)
{
    if (push_desk(L))
        return;
    struct lk_desk *d = lua_newuserdatauv(L, sizeof *d, 1);
    *d = (struct lk_desk){0};
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, 1);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &desk_key);
}

/* core.transport(start, cancel, pause) */
static int core_transport(lua_State *L)
{
    luaL_checktype(L, START, LUA_TFUNCTION);
    lua_settop(L, FUNCTIONS);
    struct kc_runtime *rt = lk_runtime(L);
    need_desk(L);
    struct lk_transport *t = lua_newuserdatauv(L, sizeof *t, FUNCTIONS);
    *t = (struct lk_transport){0};
    luaL_setmetatable(L, LK_TRANSPORT);
    for (int i = START; i <= FUNCTIONS; i++) {
        lua_pushvalue(L, i);
        lua_setiuservalue(L, -2, i);
    }
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, t);
    struct keycycle_transport host = {
        .ctx = t, .start = on_start, .cancel = on_cancel, .pause = on_pause};
    t->rt = kc_runtime_ref(rt);
    int err = kc_carrier_open(rt, &host, &t->carrier);
    return err == KC_OK ? 1 : lk_fail(L, err, NULL);
}

struct kc_carrier *lk_opttransport(lua_State *L, int arg,
                                   struct lk_transport **out)
{
    *out = NULL;
    if (lua_isnil(L, arg))
        return NULL;
    struct lk_transport *t = luaL_checkudata(L, arg, LK_TRANSPORT);
    luaL_argcheck(L, t->carrier, arg, "the transport is closed");
    *out = t;
    return t->carrier;
}

lua_State *lk_transport_in(struct lk_transport *t, lua_State *L)
{
    lua_State *before = t ? t->L : NULL;
    if (t)
        t->L = L;
    return before;
}

void lk_open_transport(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"headers", exchange_headers},
        {"data", exchange_data},
        {"done", exchange_done},
        {"fail", exchange_fail},
        {NULL, NULL},
    };
    static const luaL_Reg none[] = {{NULL, NULL}};
    lk_newclass(L, LK_EXCHANGE, methods, exchange_close);
    lk_newclass(L, LK_TRANSPORT, none, transport_close);
    lua_pushcfunction(L, core_transport);
    lua_setfield(L, -2, "transport");
}
