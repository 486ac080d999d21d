/* json.c -- decoding: cJSON's tree becomes Lua tables. See jsonout.c for the
 * other way.
 */
#include "lua/json.h"

#include <string.h>

#include <cJSON.h>
#include <lauxlib.h>

#include "lua/jsonout.h"
#include "lua/jsontext.h"
#include "lua/lk.h"

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

static struct box *new_box(lua_State *L)
{
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
    b->tree = NULL;
    kc_buf_init(&b->text, MAX_TEXT);
    luaL_setmetatable(L, BOX);
    return b;
}

static void push_number(lua_State *L, double d)
{
    if (d >= -EXACT && d <= EXACT && d == (double)(lua_Integer)d)
        lua_pushinteger(L, (lua_Integer)d);
    else
        lua_pushnumber(L, d);
}

static void push_item(lua_State *L, const cJSON *item, int keep_null);

static void push_object(lua_State *L, const cJSON *item, int keep_null)
{
    const cJSON *child;
    lua_newtable(L);
    cJSON_ArrayForEach(child, item)
    {
        if (cJSON_IsNull(child) && !keep_null)
            continue;
        lua_pushstring(L, child->string);
        push_item(L, child, keep_null);
        lua_rawset(L, -3);
    }
}

static void push_array(lua_State *L, const cJSON *item, int keep_null)
{
    const cJSON *child;
    lua_Integer i = 0;
    lua_newtable(L);
    cJSON_ArrayForEach(child, item)
    {
        push_item(L, child, keep_null);
        lua_rawseti(L, -2, ++i);
    }
    luaL_setmetatable(L, LK_JSON_ARRAY);
}

static void push_item(lua_State *L, const cJSON *item, int keep_null)
{
    luaL_checkstack(L, 4, "JSON nested too deep");
    if (cJSON_IsObject(item))
        push_object(L, item, keep_null);
    else if (cJSON_IsArray(item))
        push_array(L, item, keep_null);
    else if (cJSON_IsString(item))
        lua_pushstring(L, item->valuestring);
    else if (cJSON_IsNumber(item))
        push_number(L, item->valuedouble);
    else if (cJSON_IsBool(item))
        lua_pushboolean(L, cJSON_IsTrue(item));
    else
        lk_json_pushnull(L);
}

int lk_json_decode(lua_State *L, const char *text, size_t len, int keep_null)
{
    struct box *b = new_box(L);
    const char *why, *end = NULL;
    int err = kc_jsontext_clean(text, len, &b->text, &why);
    if (err == KC_ENOMEM)
        lk_nomem(L);
    if (err != KC_OK) {
        lua_pushstring(L, *why ? why : kc_err_text(err));
    } else if (!(b->tree =
                     cJSON_ParseWithOpts(kc_buf_str(&b->text), &end, 1))) {
        err = KC_EINVALID;
        long at = end ? (long)(end - kc_buf_str(&b->text)) : 0;
        lua_pushfstring(L, "not JSON, near byte %d", (int)at + 1);
    } else {
        push_item(L, b->tree, keep_null);
    }
    cJSON_Delete(b->tree);
    b->tree = NULL;
    kc_buf_deinit(&b->text);
    lua_remove(L, -2);
    return err;
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
    if (lk_json_decode(L, text, len, keep_null) == KC_OK)
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
    kc_buf_deinit(&b->text);
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
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lk_json_pushnull(L);
    lua_setfield(L, -2, "null");
    return 1;
}
