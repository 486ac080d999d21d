/* json.c -- decoding: cJSON's tree becomes Lua tables. See jsonout.c for the
 * other way.
 */
#include "lua/json.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <lauxlib.h>

#include "lua/jsonout.h"
#include "lua/jsontext.h"
#include "lua/lk.h"
#include "util/ascii.h"

#define MAX_TEXT (256u * 1024 * 1024)
#define EXACT 9007199254740992.0 /* 2^53 */
#define BOX "keycycle.jsonbox"

struct box { /* what a raise must not leak */
    struct kc_buf text;
    cJSON *tree;
};

static int box_close(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, BOX);
    cJSON_Delete(b->tree);
    b->tree = NULL;
    kc_buf_deinit(&b->text);
    return 0;
}

/* [-0, +1, m] Push a box that is closed with the function that runs, or, where
 * memory has run out in a coroutine that nobody closes, by the collector. */
static struct box *new_box(lua_State *L)
{
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
    b->tree = NULL;
    kc_buf_init(&b->text, MAX_TEXT);
    luaL_setmetatable(L, BOX);
    lua_toclose(L, -1);
    return b;
}

static void push_number(lua_State *L, double d)
{
    if (d >= -EXACT && d <= EXACT && d == (double)(lua_Integer)d)
        lua_pushinteger(L, (lua_Integer)d);
    else
        lua_pushnumber(L, d);
}

struct reader {
    lua_State *L;
    int array; /* index of the metatable of lists */
    bool keep_null;
};

static void push_item(const struct reader *r, const cJSON *item);

/* The room is made at once: a table that grows is laid out anew each time. */
static int count_of(const cJSON *item)
{
    const cJSON *child;
    int n = 0;
    cJSON_ArrayForEach(child, item) n += n < INT_MAX;
    return n;
}

static void push_object(const struct reader *r, const cJSON *item)
{
    const cJSON *child;
    lua_createtable(r->L, 0, count_of(item));
    cJSON_ArrayForEach(child, item)
    {
        if (cJSON_IsNull(child) && !r->keep_null)
            continue;
        lua_pushstring(r->L, child->string);
        push_item(r, child);
        lua_rawset(r->L, -3);
    }
}

static void push_array(const struct reader *r, const cJSON *item)
{
    const cJSON *child;
    lua_Integer i = 0;
    lua_createtable(r->L, count_of(item), 0);
    cJSON_ArrayForEach(child, item)
    {
        push_item(r, child);
        lua_rawseti(r->L, -2, ++i);
    }
    lua_pushvalue(r->L, r->array);
    lua_setmetatable(r->L, -2);
}

static void push_item(const struct reader *r, const cJSON *item)
{
    lua_State *L = r->L;
    luaL_checkstack(L, 4, "JSON nested too deep");
    if (cJSON_IsObject(item))
        push_object(r, item);
    else if (cJSON_IsArray(item))
        push_array(r, item);
    else if (cJSON_IsString(item))
        lua_pushstring(L, item->valuestring);
    else if (cJSON_IsNumber(item))
        push_number(L, item->valuedouble);
    else if (cJSON_IsBool(item))
        lua_pushboolean(L, cJSON_IsTrue(item));
    else
        lk_json_pushnull(L);
}

/* [-0, +1, m] Push the value of `text`, which a NUL follows, and return KC_OK;
 * or push words and return a code. */
static int parse(lua_State *L, const char *text, size_t len, struct box *b,
                 int keep_null)
{
    const char *why, *end = text;
    locale_t before = kc_numbers_begin(); /* nothing raises before its end */
    int err = kc_jsontext_clean(text, len, &b->text, &why);
    if (err == KC_OK && b->text.len > 0) {
        text = kc_buf_str(&b->text);
        len = b->text.len;
    }
    if (err == KC_OK)
        b->tree = cJSON_ParseWithLengthOpts(text, len + 1, &end, 1);
    kc_numbers_end(before);
    if (err == KC_ENOMEM)
        lk_nomem(L);
    if (err != KC_OK) {
        lua_pushstring(L, *why ? why : kc_err_text(err));
        return err;
    }
    if (!b->tree) {
        lua_pushfstring(L, "not JSON, near byte %d", (int)(end - text) + 1);
        return KC_EINVALID;
    }
    luaL_getmetatable(L, LK_JSON_ARRAY);
    struct reader r = {.L = L, .array = lua_gettop(L), .keep_null = keep_null};
    push_item(&r, b->tree);
    lua_remove(L, r.array);
    return KC_OK;
}

static int json_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    int keep_null = 1;
    if (lua_istable(L, 2)) {
        lua_getfield(L, 2, "null");
        const char *mode = lua_tostring(L, -1);
        keep_null = !mode || strcmp(mode, "absent") != 0;
    }
    if (parse(L, text, len, new_box(L), keep_null) == KC_OK)
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int json_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    struct box *b = new_box(L);
    if (lk_json_encode(L, 1, &b->text) != KC_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushlstring(L, kc_buf_str(&b->text), b->text.len);
    return 1;
}

static int json_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_setmetatable(L, LK_JSON_ARRAY);
    return 1;
}

int lk_open_json(lua_State *L)
{
    static const luaL_Reg functions[] = {{"encode", json_encode},
                                         {"decode", json_decode},
                                         {"array", json_array},
                                         {NULL, NULL}};
    lk_json_init(L);
    luaL_newmetatable(L, BOX);
    lua_pushcfunction(L, box_close);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, box_close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lk_json_pushnull(L);
    lua_setfield(L, -2, "null");
    return 1;
}
