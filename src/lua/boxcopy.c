/* boxcopy.c -- values as bytes, between the host's state and the box's.
 *
 * Each side is visited alone: what is read out of one state never runs code of
 * it (raw access only), and an error of either state meets only its own frames.
 * Tables come out as trees, so the number of nodes bounds what shared tables
 * unfold to; a table inside itself is refused.
 */
#include <stdio.h>
#include <string.h>

#include "lua/box_impl.h"
#include "lua/jsonout.h"
#include "lua/lk.h"

enum tag { NIL, NO, YES, INTEGER, FLOAT, STRING, FUNCTION, TABLE, END };

/* -- out ------------------------------------------------------------------- */

static int refuse(struct lk_copy *c, const char *why)
{
    c->why = why;
    return KC_EINVALID;
}

static int put(struct lk_copy *c, enum tag tag, const void *data, size_t n)
{
    int err = kc_buf_addch(c->bytes, (char)tag);
    if (err == KC_OK && n)
        err = kc_buf_add(c->bytes, data, n);
    return err == KC_ETOOLARGE ? refuse(c, "it is larger than 4 MiB") : err;
}

static int put_string(lua_State *L, int index, struct lk_copy *c)
{
    size_t len;
    const char *s = lua_tolstring(L, index, &len);
    int err = put(c, STRING, &len, sizeof len);
    if (err == KC_OK && len)
        err = kc_buf_add(c->bytes, s, len);
    return err == KC_ETOOLARGE ? refuse(c, "it is larger than 4 MiB") : err;
}

static int put_number(lua_State *L, int index, struct lk_copy *c)
{
    if (lua_isinteger(L, index)) {
        lua_Integer i = lua_tointeger(L, index);
        return put(c, INTEGER, &i, sizeof i);
    }
    lua_Number d = lua_tonumber(L, index);
    return put(c, FLOAT, &d, sizeof d);
}

static int put_function(lua_State *L, int index, struct lk_copy *c)
{
    if (!c->box)
        return refuse(c, "a function cannot be copied");
    if (lua_iscfunction(L, index))
        return refuse(c, "a library function cannot be copied");
    lua_Integer id = lk_box_keep(L, c->box, index);
    return put(c, FUNCTION, &id, sizeof id);
}

/* The first key on the way up: the innermost one. */
static void note_key(lua_State *L, struct lk_copy *c)
{
    if (c->key[0] || c->nodes > LK_COPY_NODES)
        return;
    if (lua_type(L, -2) == LUA_TSTRING)
        snprintf(c->key, sizeof c->key, "%s", lua_tostring(L, -2));
    else if (lua_isinteger(L, -2))
        snprintf(c->key, sizeof c->key, "%lld",
                 (long long)lua_tointeger(L, -2));
}

/* The pair on top of the stack. */
static int put_pair(lua_State *L, struct lk_copy *c)
{
    int type = lua_type(L, -2);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
        return refuse(c, "a key must be a string, a number or a boolean");
    if (c->null && lua_rawequal(L, -1, c->null))
        return KC_OK;
    int err = lk_copy_out(L, -2, c);
    if (err == KC_OK)
        err = lk_copy_out(L, -1, c);
    if (err == KC_EINVALID)
        note_key(L, c);
    return err;
}

static int put_table(lua_State *L, int index, struct lk_copy *c)
{
    const void *self = lua_topointer(L, index);
    for (int i = 0; i < c->depth; i++)
        if (c->above[i] == self)
            return refuse(c, "a table contains itself");
    if (c->depth == LK_COPY_DEPTH)
        return refuse(c, "tables are nested more than 64 deep");
    if (!lua_checkstack(L, 6))
        return KC_ENOMEM;
    c->above[c->depth++] = self;
    int err = put(c, TABLE, NULL, 0);
    lua_pushnil(L);
    while (err == KC_OK && lua_next(L, index)) {
        err = put_pair(L, c);
        lua_pop(L, err == KC_OK ? 1 : 2);
    }
    c->depth--;
    return err == KC_OK ? put(c, END, NULL, 0) : err;
}

int lk_copy_out(lua_State *L, int index, struct lk_copy *c)
{
    index = lua_absindex(L, index);
    if (++c->nodes > LK_COPY_NODES)
        return refuse(c, "it has more than 100000 keys and values");
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return put(c, NIL, NULL, 0);
    case LUA_TBOOLEAN:
        return put(c, lua_toboolean(L, index) ? YES : NO, NULL, 0);
    case LUA_TNUMBER:
        return put_number(L, index, c);
    case LUA_TSTRING:
        return put_string(L, index, c);
    case LUA_TTABLE:
        return put_table(L, index, c);
    case LUA_TFUNCTION:
        return put_function(L, index, c);
    default:
        if (c->null && lua_rawequal(L, index, c->null))
            return put(c, NIL, NULL, 0);
        return refuse(c, "a userdata or thread cannot be copied");
    }
}

/* -- in -------------------------------------------------------------------- */

struct reader {
    const char *at, *end;
    int box;
};

static void get(struct reader *r, void *out, size_t n)
{
    memcpy(out, r->at, n);
    r->at += n;
}

static bool push_value(lua_State *L, struct reader *r);

static void push_string(lua_State *L, struct reader *r)
{
    size_t len;
    get(r, &len, sizeof len);
    lua_pushlstring(L, r->at, len);
    r->at += len;
}

static void push_table(lua_State *L, struct reader *r)
{
    luaL_checkstack(L, 6, NULL);
    lua_newtable(L);
    while (push_value(L, r)) {
        push_value(L, r);
        lua_rawset(L, -3);
    }
}

static void push_number(lua_State *L, struct reader *r, enum tag tag)
{
    lua_Integer i;
    lua_Number d;
    if (tag == FLOAT) {
        get(r, &d, sizeof d);
        lua_pushnumber(L, d);
        return;
    }
    get(r, &i, sizeof i);
    if (tag == INTEGER)
        lua_pushinteger(L, i);
    else
        lk_newhook(L, r->box, i);
}

/* [-0, +1 or 0, m] false at the end of a table. */
static bool push_value(lua_State *L, struct reader *r)
{
    enum tag tag = (enum tag)*r->at++;
    switch (tag) {
    case NIL:
        lua_pushnil(L);
        return true;
    case NO:
    case YES:
        lua_pushboolean(L, tag == YES);
        return true;
    case STRING:
        push_string(L, r);
        return true;
    case TABLE:
        push_table(L, r);
        return true;
    case END:
        return false;
    default:
        push_number(L, r, tag);
        return true;
    }
}

int lk_copy_in(lua_State *L, const struct kc_buf *bytes, int box)
{
    struct reader r = {.box = box ? lua_absindex(L, box) : 0};
    int n = 0;
    r.at = kc_buf_str(bytes);
    r.end = r.at + bytes->len;
    for (; r.at < r.end; n++) {
        luaL_checkstack(L, 6, NULL);
        push_value(L, &r);
    }
    return n;
}
