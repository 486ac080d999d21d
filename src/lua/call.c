/* call.c -- one attempt of one call, for Lua. */
#include "runtime/call.h"

#include <string.h>

#include "lua/lk.h"
#include "lua/transport.h"

#define MAX_BODY_COPY (256u * 1024 * 1024)

/* The user value 1 keeps the request's body alive, which is borrowed. */
struct lk_call {
    struct kc_call call;
    struct kc_buf text; /* the body on its way to Lua, freed by close */
};

static struct lk_call *check_call(lua_State *L)
{
    return luaL_checkudata(L, 1, LK_CALL);
}

/* [-0, +1, v] Push room for the header fields of the list at `t` and point it
 * at their texts, which stay alive in the list. */
static size_t read_fields(lua_State *L, int t, struct kc_field **out)
{
    lua_Unsigned n = lua_rawlen(L, t);
    struct kc_field *f = lua_newuserdatauv(L, (n + 1) * sizeof *f, 0);
    for (lua_Unsigned i = 0; i < n; i++) {
        if (lua_rawgeti(L, t, (lua_Integer)i + 1) != LUA_TTABLE ||
            lua_rawgeti(L, -1, 1) != LUA_TSTRING ||
            lua_rawgeti(L, -2, 2) != LUA_TSTRING)
            luaL_error(L, "headers[%d] must be { name, value }", (int)i + 1);
        f[i].name = lua_tostring(L, -2);
        f[i].value = lua_tostring(L, -1);
        lua_pop(L, 3);
    }
    *out = f;
    return n;
}

/* Every text is left on the stack, where it stays alive. */
static void read_spec(lua_State *L, struct kc_call_spec *spec)
{
    spec->method = lk_fieldstr(L, 1, "method");
    spec->url = lk_fieldstr(L, 1, "url");
    luaL_argcheck(L, spec->method && spec->url, 1, "method or url is missing");
    if (lua_getfield(L, 1, "headers") == LUA_TTABLE) {
        struct kc_field *fields;
        spec->header_count = read_fields(L, lua_gettop(L), &fields);
        spec->headers = fields;
    }
    if (lua_getfield(L, 1, "auth") == LUA_TTABLE) {
        int auth = lua_gettop(L);
        spec->auth_header = lk_fieldstr(L, auth, "header");
        spec->auth_query = lk_fieldstr(L, auth, "query");
        spec->auth_value = lk_fieldstr(L, auth, "value");
        luaL_argcheck(L, spec->auth_value, 1, "auth.value is missing");
    }
    lua_getfield(L, 1, "lease");
    spec->lease = lk_optlease(L, lua_gettop(L));
    spec->stream = lk_fieldbool(L, 1, "stream");
    spec->lines = lk_fieldbool(L, 1, "lines");
    spec->raw = lk_fieldbool(L, 1, "raw");
    spec->allow_insecure = lk_fieldbool(L, 1, "allow_insecure");
    spec->connect_timeout_ms = lk_fieldms(L, 1, "connect_timeout", 0);
    spec->request_timeout_ms = lk_fieldms(L, 1, "request_timeout", 0);
    spec->idle_timeout_ms = lk_fieldms(L, 1, "idle_timeout", 0);
    spec->deadline_timeout_ms = lk_fieldms(L, 1, "deadline_timeout", 0);
    lua_getfield(L, 1, "max_body");
    spec->max_body_bytes = lk_optcount(L, lua_gettop(L), 0);
    lua_getfield(L, 1, "max_event");
    spec->max_event_bytes = lk_optcount(L, lua_gettop(L), 0);
}

static int core_call(lua_State *L)
{
    struct kc_call_spec spec = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_checkstack(L, 32, NULL);
    read_spec(L, &spec);
    if (lk_fieldstr(L, 1, "body"))
        spec.body = lua_tolstring(L, -1, &spec.body_len);
    int body = lua_gettop(L);
    lua_getfield(L, 1, "transport");
    struct lk_transport *host;
    spec.carrier = lk_opttransport(L, lua_gettop(L), &host);
    struct kc_runtime *rt = lk_runtime(L);
    struct lk_call *box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = (struct lk_call){0};
    kc_buf_init(&box->text, MAX_BODY_COPY);
    luaL_setmetatable(L, LK_CALL);
    lua_pushvalue(L, body);
    lua_setiuservalue(L, -2, 1);
    lua_State *before = lk_transport_in(host, L);
    int err = kc_call_init(&box->call, rt, &spec);
    lk_transport_in(host, before);
    return err == KC_OK ? 1 : lk_fail(L, err, NULL);
}

static int call_id(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_call(L)->call.ready.id);
    return 1;
}

static int call_ready(lua_State *L)
{
    bool ready = kc_call_is_ready(&check_call(L)->call);
    lk_transport_tell(L);
    lua_pushboolean(L, ready);
    return 1;
}

static int call_done(lua_State *L)
{
    lua_pushboolean(L, kc_call_is_done(&check_call(L)->call));
    return 1;
}

static int call_status(lua_State *L)
{
    const struct kc_exchange *x = check_call(L)->call.exchange;
    if (!x || x->status == 0)
        return 0;
    lua_pushinteger(L, x->status);
    return 1;
}

/* [-0, +0, m] Add a field to the table at the top. */
static void add_field(lua_State *L, const char *name, const char *value,
                      size_t len)
{
    lua_pushstring(L, name);
    lua_pushlstring(L, value, len);
    lua_pushvalue(L, -2);
    if (lua_rawget(L, -4) != LUA_TNIL) {
        const char *before = lua_tostring(L, -1);
        lua_pushfstring(L, "%s, %s", before, lua_tostring(L, -2));
        lua_replace(L, -3);
    }
    lua_pop(L, 1);
    lua_rawset(L, -3);
}

/* Without the key, which a server may send back: scripts see these. */
static int call_headers(lua_State *L)
{
    struct lk_call *box = check_call(L);
    const struct kc_exchange *x = box->call.exchange;
    lua_createtable(L, 0, x ? (int)x->headers.len : 0);
    kc_buf_clear(&box->text);
    int err = kc_call_fields(&box->call, &box->text);
    if (err == KC_ENOMEM)
        return lk_nomem(L);
    const char *value = kc_buf_str(&box->text);
    for (size_t i = 0; x && err == KC_OK && i < x->headers.len; i++) {
        size_t len = strcspn(value, "\n");
        add_field(L, x->headers.list[i].name, value, len);
        value += len + 1;
    }
    kc_buf_deinit(&box->text);
    return 1;
}

static int call_header(lua_State *L)
{
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    call_headers(L);
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
    return 1;
}

static int call_body(lua_State *L)
{
    struct lk_call *box = check_call(L);
    kc_buf_clear(&box->text);
    int err = kc_call_body(&box->call, &box->text);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    lua_pushlstring(L, kc_buf_str(&box->text), box->text.len);
    kc_buf_deinit(&box->text);
    return 1;
}

static int call_status_line(lua_State *L)
{
    const struct kc_exchange *x = check_call(L)->call.exchange;
    if (!x || !x->status_line[0])
        return 0;
    lua_pushstring(L, x->status_line);
    return 1;
}

/* What was taken stays in the box until Lua has it: a raise loses nothing. */
static int call_piece(lua_State *L)
{
    struct lk_call *box = check_call(L);
    int err = kc_call_piece(&box->call, &box->text);
    lk_transport_tell(L);
    if (err != KC_OK)
        return lk_fail(L, err, NULL);
    if (box->text.len == 0)
        return 0;
    lua_pushlstring(L, kc_buf_str(&box->text), box->text.len);
    kc_buf_clear(&box->text);
    return 1;
}

/* In words without the key, which a program's own transport may know. */
static int call_error(lua_State *L)
{
    struct lk_call *box = check_call(L);
    const char *detail;
    int err = kc_call_error(&box->call, &detail);
    if (err == KC_OK)
        return 0;
    kc_buf_clear(&box->text);
    if (kc_buf_addstr(&box->text, detail) != KC_OK ||
        kc_call_blacken(&box->call, &box->text) != KC_OK)
        kc_buf_clear(&box->text);
    lk_fail(L, err, kc_buf_str(&box->text));
    kc_buf_deinit(&box->text);
    return 1;
}

static int call_is_events(lua_State *L)
{
    const struct kc_exchange *x = check_call(L)->call.exchange;
    lua_pushboolean(L, x && x->is_events);
    return 1;
}

static int call_event(lua_State *L)
{
    struct kc_call *call = &check_call(L)->call;
    struct kc_sse_event event;
    int err = kc_call_peek(call, &event);
    if (err != KC_OK) {
        lua_pushnil(L);
        lua_pushstring(L, err == KC_EAGAIN ? "again" : "end");
        return 2;
    }
    lua_pushstring(L, event.type);
    lua_pushlstring(L, event.data, event.len);
    err = kc_call_event(call, &event); /* both are on the stack: taken */
    lk_transport_tell(L);
    return err == KC_OK ? 2 : lk_fail(L, err, NULL);
}

static int call_sent(lua_State *L)
{
    const struct kc_exchange *x = check_call(L)->call.exchange;
    lua_pushboolean(L, x && x->sent);
    return 1;
}

static int call_sends(lua_State *L)
{
    const struct kc_exchange *x = check_call(L)->call.exchange;
    lua_pushinteger(L, x ? (lua_Integer)x->sends : 0);
    return 1;
}

static int call_close(lua_State *L)
{
    struct lk_call *box = check_call(L);
    kc_call_deinit(&box->call);
    kc_buf_deinit(&box->text);
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 1);
    lk_transport_tell(L);
    return 0;
}

static const luaL_Reg methods[] = {
    {"id", call_id},
    {"ready", call_ready},
    {"done", call_done},
    {"status", call_status},
    {"headers", call_headers},
    {"header", call_header},
    {"body", call_body},
    {"piece", call_piece},
    {"status_line", call_status_line},
    {"error", call_error},
    {"event", call_event},
    {"is_events", call_is_events},
    {"sent", call_sent},
    {"sends", call_sends},
    {"close", call_close},
    {NULL, NULL},
};

void lk_open_call(lua_State *L)
{
    lk_newclass(L, LK_CALL, methods, call_close);
    lua_pushcfunction(L, core_call);
    lua_setfield(L, -2, "call");
}
