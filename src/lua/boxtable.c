/* boxtable.c -- the table functions of the box. They are raw: no metamethod can
 * lie about a length or lead each access through thousands of tables. What they
 * do is booked as it is done.
 */
#include "lua/box_impl.h"

/* [-0, +0, v] The length of the table at 1. */
static lua_Integer check_length(lua_State *B)
{
    luaL_checktype(B, 1, LUA_TTABLE);
    return (lua_Integer)lua_rawlen(B, 1);
}

/* Moves n elements from `from` in the table at `source` to `to` in that at
 * `dest`; `down`: the last one first. */
static void move(lua_State *B, int source, lua_Integer from, lua_Integer n,
                 int dest, lua_Integer to, bool down)
{
    for (lua_Integer i = 0; i < n; i++) {
        lua_Integer at = down ? n - 1 - i : i;
        lk_box_charge(B, 4);
        lua_rawgeti(B, source, from + at);
        lua_rawseti(B, dest, to + at);
    }
}

static int table_insert(lua_State *B)
{
    lua_Integer n = check_length(B), pos = n + 1;
    switch (lua_gettop(B)) {
    case 2:
        break;
    case 3:
        pos = luaL_checkinteger(B, 2);
        luaL_argcheck(B, pos >= 1 && pos <= n + 1, 2,
                      "position out of bounds");
        move(B, 1, pos, n + 1 - pos, 1, pos + 1, true);
        break;
    default:
        return luaL_error(B, "wrong number of arguments to 'insert'");
    }
    lua_rawseti(B, 1, pos);
    return 0;
}

static int table_remove(lua_State *B)
{
    lua_Integer n = check_length(B);
    lua_Integer pos = luaL_optinteger(B, 2, n);
    if (!lua_isnone(B, 2))
        luaL_argcheck(B, (n == 0 && pos == 0) || (pos >= 1 && pos <= n + 1),
                      2, "position out of bounds");
    lua_rawgeti(B, 1, pos);
    if (pos >= 1 && pos <= n) {
        move(B, 1, pos + 1, n - pos, 1, pos, false);
        lua_pushnil(B);
        lua_rawseti(B, 1, n);
    }
    return 1;
}

static int table_move(lua_State *B)
{
    luaL_checktype(B, 1, LUA_TTABLE);
    lua_Integer from = luaL_checkinteger(B, 2);
    lua_Integer last = luaL_checkinteger(B, 3);
    lua_Integer to = luaL_checkinteger(B, 4);
    int dest = lua_isnoneornil(B, 5) ? 1 : 5;
    luaL_checktype(B, dest, LUA_TTABLE);
    if (lua_rawequal(B, 1, dest))
        dest = 1;
    if (last >= from) {
        luaL_argcheck(B, from > 0 || last < LUA_MAXINTEGER + from, 3,
                      "too many elements to move");
        lua_Integer n = last - from + 1;
        luaL_argcheck(B, to <= LUA_MAXINTEGER - n + 1, 4,
                      "destination wrap around");
        bool down = dest == 1 && to > from && to <= last;
        move(B, 1, from, n, dest, to, down);
    }
    lua_pushvalue(B, dest);
    return 1;
}

static int table_concat(lua_State *B)
{
    lua_Integer n = check_length(B);
    size_t len;
    const char *sep = luaL_optlstring(B, 2, "", &len);
    lua_Integer i = luaL_optinteger(B, 3, 1);
    lua_Integer last = luaL_optinteger(B, 4, n);
    luaL_Buffer b;
    luaL_buffinit(B, &b);
    while (i <= last) {
        lk_box_charge(B, 1);
        int type = lua_rawgeti(B, 1, i);
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            return luaL_error(
                B, "invalid value (%s) at index %I in table for 'concat'",
                luaL_typename(B, -1), (LUAI_UACINT)i);
        luaL_addvalue(&b);
        if (i++ == last)
            break;
        luaL_addlstring(&b, sep, len);
    }
    luaL_pushresult(&b);
    return 1;
}

static int table_pack(lua_State *B)
{
    int n = lua_gettop(B);
    lua_createtable(B, n, 1);
    lua_insert(B, 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(B, 1, i);
    lua_pushinteger(B, n);
    lua_setfield(B, 1, "n");
    return 1;
}

static int table_unpack(lua_State *B)
{
    lua_Integer n = check_length(B);
    lua_Integer i = luaL_optinteger(B, 2, 1);
    lua_Integer last = luaL_optinteger(B, 3, n);
    if (i > last)
        return 0;
    lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)i;
    if (count >= LK_BOX_VALUES || !lua_checkstack(B, (int)count + 4))
        return luaL_error(B, "too many results to unpack");
    for (lua_Unsigned k = 0; k <= count; k++)
        lua_rawgeti(B, 1, (lua_Integer)((lua_Unsigned)i + k));
    lk_box_charge(B, (size_t)count / 4);
    return (int)count + 1;
}

/* -- sort: a heap, which ends whatever the order function says ------------- */

/* [-0, +0, e] Whether t[i] comes before t[j]. */
static bool before(lua_State *B, lua_Integer i, lua_Integer j)
{
    lk_box_charge(B, 4);
    bool given = !lua_isnoneornil(B, 2);
    if (given)
        lua_pushvalue(B, 2);
    lua_rawgeti(B, 1, i);
    lua_rawgeti(B, 1, j);
    if (!given) {
        if (lua_type(B, -1) == LUA_TSTRING)
            lk_box_charge(B, (size_t)lua_rawlen(B, -1) / 16);
        bool less = lua_compare(B, -2, -1, LUA_OPLT);
        lua_pop(B, 2);
        return less;
    }
    lua_call(B, 2, 1);
    bool less = lua_toboolean(B, -1);
    lua_pop(B, 1);
    return less;
}

static void swap(lua_State *B, lua_Integer i, lua_Integer j)
{
    lua_rawgeti(B, 1, i);
    lua_rawgeti(B, 1, j);
    lua_rawseti(B, 1, i);
    lua_rawseti(B, 1, j);
}

static void sift(lua_State *B, lua_Integer at, lua_Integer n)
{
    for (lua_Integer child; (child = 2 * at) <= n; at = child) {
        if (child < n && before(B, child, child + 1))
            child++;
        if (!before(B, at, child))
            return;
        swap(B, at, child);
    }
}

static int table_sort(lua_State *B)
{
    lua_Integer n = check_length(B);
    if (!lua_isnoneornil(B, 2))
        luaL_checktype(B, 2, LUA_TFUNCTION);
    lua_settop(B, 2);
    for (lua_Integer i = n / 2; i >= 1; i--)
        sift(B, i, n);
    for (lua_Integer last = n; last > 1; last--) {
        swap(B, 1, last);
        sift(B, 1, last - 1);
    }
    return 0;
}

static const luaL_Reg functions[] = {
    {"concat", table_concat}, {"insert", table_insert}, {"move", table_move},
    {"pack", table_pack},     {"remove", table_remove}, {"sort", table_sort},
    {"unpack", table_unpack}, {NULL, NULL}};

void lk_box_newtable(lua_State *B)
{
    luaL_newlib(B, functions);
}
