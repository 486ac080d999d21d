/* jsonout.c -- see jsonout.h.
 *
 * The place of a fault is found on the way up: each level puts its own step in
 * front of the words, so that a sound value costs nothing for it.
 */
#include "lua/jsonout.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/jsontext.h"
#include "lua/lk.h"
#include "util/ascii.h"
#include "util/utf8.h"

#define NULL_KEY "keycycle.json.null"

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

void lk_json_init(lua_State *L)
{
    luaL_newmetatable(L, LK_JSON_ARRAY);
    lua_pushliteral(L, LK_JSON_ARRAY);
    lua_setfield(L, -2, "__name");
    lua_pop(L, 1);
    if (lua_getfield(L, LUA_REGISTRYINDEX, NULL_KEY) == LUA_TNIL) {
        lua_newuserdatauv(L, 0, 0);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, null_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_setmetatable(L, -2);
        lua_setfield(L, LUA_REGISTRYINDEX, NULL_KEY);
    }
    lua_pop(L, 1);
}

void lk_json_pushnull(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, NULL_KEY);
}

/* [-0, +1, m] */
static int refuse(lua_State *L, const char *why)
{
    lua_pushstring(L, why);
    return KC_EINVALID;
}

/* [-1, +1, m] Put a step in front of the words at the top. */
static int located(lua_State *L, int err, const char *step)
{
    const char *words = lua_tostring(L, -1);
    /* A step meets the next one without ": " between them. */
    const char *sep = words[0] == '.' || words[0] == '[' ? "" : ": ";
    lua_pushfstring(L, "%s%s%s", step, sep, words);
    lua_remove(L, -2);
    return err;
}

/* [-0, +1 or 0, m] Words for a buffer that took no more. */
static int full(lua_State *L, int err)
{
    if (err == KC_ENOMEM)
        lk_nomem(L);
    if (err != KC_OK)
        lua_pushstring(L, kc_err_text(err));
    return err;
}

static int write_escaped(struct kc_buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        return kc_buf_add(b, "\\\"", 2);
    case '\\':
        return kc_buf_add(b, "\\\\", 2);
    case '\n':
        return kc_buf_add(b, "\\n", 2);
    case '\r':
        return kc_buf_add(b, "\\r", 2);
    case '\t':
        return kc_buf_add(b, "\\t", 2);
    default:
        return kc_buf_addf(b, "\\u%04x", c);
    }
}

static int write_string(lua_State *L, struct kc_buf *b, int index)
{
    size_t len;
    const char *s = lua_tolstring(L, index, &len), *end = s + len;
    int err = kc_buf_addch(b, '"');
    while (err == KC_OK && s < end) {
        size_t n = kc_json_plain(s, (size_t)(end - s));
        if (n > 0) {
            err = kc_buf_add(b, s, n);
        } else if ((unsigned char)*s < 0x80) {
            n = 1;
            err = write_escaped(b, (unsigned char)*s);
        } else {
            n = kc_utf8_len(s, (size_t)(end - s));
            if (n == 0)
                return refuse(L, "invalid UTF-8");
            err = kc_buf_add(b, s, n);
        }
        s += n;
    }
    if (err == KC_OK)
        err = kc_buf_addch(b, '"');
    return full(L, err);
}

static int write_number(lua_State *L, struct kc_buf *b, int index)
{
    if (lua_isinteger(L, index))
        return full(L,
                    kc_buf_addf(b, "%lld", (long long)lua_tointeger(L, index)));
    double d = lua_tonumber(L, index);
    if (!isfinite(d))
        return refuse(L, "a number that is not finite");
    char text[40];
    int digits = 14; /* 17 are enough for every double */
    locale_t before = kc_numbers_begin();
    do
        snprintf(text, sizeof text, "%.*g", digits++, d);
    while (digits <= 17 && strtod(text, NULL) != d);
    kc_numbers_end(before);
    return full(L, kc_buf_addstr(b, text));
}

static int write_value(lua_State *L, struct kc_buf *b, int index, int depth,
                       int seen);

/* The length of a list, -1 for an object, -2 for what is neither. */
static lua_Integer list_length(lua_State *L, int index)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, index), count = 0;
    bool text = false, other = false;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) {
            text = true;
        } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1 &&
                   lua_tointeger(L, -1) <= n) {
            count++;
        } else {
            other = true;
        }
    }
    if (other || (text && count > 0) || count != n)
        return text && count == 0 && !other ? -1 : -2;
    if (n == 0) {
        bool array = false;
        if (lua_getmetatable(L, index)) {
            luaL_getmetatable(L, LK_JSON_ARRAY);
            array = lua_rawequal(L, -1, -2);
            lua_pop(L, 2);
        }
        return array && !text ? 0 : -1;
    }
    return n;
}

static int write_list(lua_State *L, struct kc_buf *b, int index, lua_Integer n,
                      int depth, int seen)
{
    int err = full(L, kc_buf_addch(b, '['));
    for (lua_Integer i = 1; err == KC_OK && i <= n; i++) {
        if (i > 1 && (err = full(L, kc_buf_addch(b, ','))) != KC_OK)
            return err;
        lua_rawgeti(L, index, i);
        err = write_value(L, b, lua_gettop(L), depth, seen);
        if (err != KC_OK) {
            char step[32];
            snprintf(step, sizeof step, "[%lld]", (long long)i);
            err = located(L, err, step);
            lua_remove(L, -2);
            return err;
        }
        lua_pop(L, 1);
    }
    return err == KC_OK ? full(L, kc_buf_addch(b, ']')) : err;
}

static int write_member(lua_State *L, struct kc_buf *b, int depth, int seen)
{
    int value = lua_gettop(L), key = value - 1;
    int err = write_string(L, b, key);
    if (err == KC_OK)
        err = full(L, kc_buf_addch(b, ':'));
    if (err == KC_OK)
        err = write_value(L, b, value, depth, seen);
    if (err == KC_OK)
        return KC_OK;
    /* A key is the caller's own text, but may be long or not printable. */
    char step[48];
    snprintf(step, sizeof step, ".%.40s", lua_tostring(L, key));
    for (char *p = step; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
    return located(L, err, step);
}

static int write_object(lua_State *L, struct kc_buf *b, int index, int depth,
                        int seen)
{
    bool first = true;
    int err = full(L, kc_buf_addch(b, '{'));
    if (err != KC_OK)
        return err;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        if (!first && (err = full(L, kc_buf_addch(b, ','))) != KC_OK)
            break;
        first = false;
        err = write_member(L, b, depth, seen);
        if (err != KC_OK)
            break;
        lua_pop(L, 1);
    }
    if (err == KC_OK)
        return full(L, kc_buf_addch(b, '}'));
    lua_replace(L, -3); /* the words over the key; then drop the value */
    lua_pop(L, 1);
    return err;
}

static int write_table(lua_State *L, struct kc_buf *b, int index, int depth,
                       int seen)
{
    if (depth >= KC_JSON_DEPTH) /* what was read can be written */
        return refuse(L, "nested too deep");
    lua_pushvalue(L, index);
    if (lua_rawget(L, seen) != LUA_TNIL) {
        lua_pop(L, 1);
        return refuse(L, "the table contains itself");
    }
    lua_pop(L, 1);
    lua_pushvalue(L, index);
    lua_pushboolean(L, 1);
    lua_rawset(L, seen);
    lua_Integer n = list_length(L, index);
    int err = n == -2   ? refuse(L, "a table is a list or has text keys only")
              : n == -1 ? write_object(L, b, index, depth + 1, seen)
                        : write_list(L, b, index, n, depth + 1, seen);
    lua_pushvalue(L, index);
    lua_pushnil(L);
    lua_rawset(L, seen);
    return err;
}

static int write_value(lua_State *L, struct kc_buf *b, int index, int depth,
                       int seen)
{
    luaL_checkstack(L, 12, "JSON nested too deep");
    switch (lua_type(L, index)) {
    case LUA_TTABLE:
        return write_table(L, b, index, depth, seen);
    case LUA_TSTRING:
        return write_string(L, b, index);
    case LUA_TNUMBER:
        return write_number(L, b, index);
    case LUA_TBOOLEAN:
        return full(
            L, kc_buf_addstr(b, lua_toboolean(L, index) ? "true" : "false"));
    case LUA_TNIL:
        return full(L, kc_buf_addstr(b, "null"));
    default:
        break;
    }
    lk_json_pushnull(L);
    bool null = lua_rawequal(L, -1, index);
    lua_pop(L, 1);
    if (null)
        return full(L, kc_buf_addstr(b, "null"));
    lua_pushfstring(L, "a %s cannot be sent", luaL_typename(L, index));
    return KC_EINVALID;
}

int lk_json_encode(lua_State *L, int index, struct kc_buf *out)
{
    index = lua_absindex(L, index);
    lua_newtable(L);
    int seen = lua_gettop(L);
    int err = write_value(L, out, index, 0, seen);
    if (err == KC_OK) {
        lua_settop(L, seen - 1);
        return err;
    }
    const char *words = lua_tostring(L, -1);
    if (words[0] == '.') { /* the first step needs no dot */
        lua_pushstring(L, words + 1);
        lua_remove(L, -2);
    }
    lua_remove(L, seen);
    return err;
}
