/* json.c -- decoding: one pass over the text, which becomes Lua values as it is
 * read. See jsonout.c for the other way.
 */
#include "lua/json.h"

#include <math.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/jsonout.h"
#include "lua/jsontext.h"
#include "lua/lk.h"

#define MAX_TEXT (256u * 1024 * 1024)
#define EXACT 9007199254740992.0 /* 2^53 */
#define EXACT_DIGITS 15          /* as many are exact in any case */
#define HELD 16 /* fields or items on the stack, before a table is made */
#define ROOM 8  /* on the stack for one of them, and to make the table */
#define BOX "keycycle.jsonbox"

struct box { /* what a raise must not leak */
    struct kc_buf text;
};

static int box_close(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, BOX);
    kc_buf_deinit(&b->text);
    return 0;
}

static struct box *new_box(lua_State *L)
{
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
    kc_buf_init(&b->text, MAX_TEXT);
    luaL_setmetatable(L, BOX);
    return b;
}

struct reader {
    lua_State *L;
    const char *p, *end;
    const char *why; /* static words, or NULL: it is not JSON */
    int keep_null;
    int depth;
};

/* [-0, +1, m] Push the value at `p`, or return false with anything pushed. */
static bool read_value(struct reader *r);

static bool refuse(struct reader *r, const char *why)
{
    r->why = why;
    return false;
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end &&
           (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

/* Whether `c` comes next, after space; then it is passed. */
static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* The end of what stands in a string as it is. */
static const char *plain_run(const char *p, const char *end)
{
    while (p < end) {
        p += kc_json_plain(p, (size_t)(end - p));
        if (p == end || *p == '"' || *p == '\\' || (unsigned char)*p < 0x20)
            break;
        size_t n = kc_utf8_len(p, (size_t)(end - p));
        if (n == 0)
            break;
        p += n;
    }
    return p;
}

/* A string that is not plain, from its second run on. */
static bool read_pieces(struct reader *r, const char *first)
{
    luaL_Buffer b;
    luaL_buffinit(r->L, &b);
    luaL_addlstring(&b, first, (size_t)(r->p - first));
    while (r->p < r->end && *r->p != '"') {
        unsigned char c = (unsigned char)*r->p;
        char text[4];
        size_t n;
        if (c < 0x20)
            return refuse(r, "a control character in a string");
        if (c == '\\') {
            const char *next =
                kc_json_escape(r->p, r->end, text, &n, &r->why);
            if (!next)
                return false;
            luaL_addlstring(&b, text, n);
            r->p = next;
        } else {
            luaL_addlstring(&b, KC_FFFD, 3);
            r->p++;
        }
        const char *stop = plain_run(r->p, r->end);
        luaL_addlstring(&b, r->p, (size_t)(stop - r->p));
        r->p = stop;
    }
    if (r->p == r->end)
        return refuse(r, "a string does not end");
    r->p++;
    luaL_pushresult(&b);
    return true;
}

/* Past the opening quote. */
static bool read_string(struct reader *r)
{
    const char *first = r->p;
    r->p = plain_run(first, r->end);
    if (r->p == r->end || *r->p != '"')
        return read_pieces(r, first);
    lua_pushlstring(r->L, first, (size_t)(r->p - first));
    r->p++;
    return true;
}

static void push_number(lua_State *L, double d)
{
    if (d >= -EXACT && d <= EXACT && d == (double)(lua_Integer)d)
        lua_pushinteger(L, (lua_Integer)d);
    else
        lua_pushnumber(L, d);
}

/* True for a whole number of few digits, which is pushed. */
static bool read_short(lua_State *L, const char *p, const char *end)
{
    lua_Integer n = 0;
    bool negative = *p == '-';
    if (negative)
        p++;
    if (end - p > EXACT_DIGITS)
        return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        n = n * 10 + (*p - '0');
    }
    lua_pushinteger(L, negative ? -n : n);
    return true;
}

static bool read_number(struct reader *r)
{
    lua_State *L = r->L;
    const char *stop = kc_json_number(r->p, r->end);
    if (!stop)
        return refuse(r, "a number that JSON does not know");
    if (!read_short(L, r->p, stop)) {
        lua_pushlstring(L, r->p, (size_t)(stop - r->p));
        if (lua_stringtonumber(L, lua_tostring(L, -1)) == 0)
            return false;
        double d = lua_tonumber(L, -1);
        lua_pop(L, 2);
        if (isinf(d))
            return refuse(r, "a number too large");
        push_number(L, d);
    }
    r->p = stop;
    return true;
}

static bool read_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return false;
    r->p += n;
    return true;
}

/* Puts the pairs above `table` into the table that is made for them. */
static void make_object(lua_State *L, int table)
{
    int top = lua_gettop(L);
    lua_createtable(L, 0, (top - table) / 2);
    lua_replace(L, table);
    for (int i = table + 1; i < top; i += 2) { /* of one name the last holds */
        lua_pushvalue(L, i);
        lua_pushvalue(L, i + 1);
        lua_rawset(L, table);
    }
    lua_settop(L, table);
}

static bool is_absent(const struct reader *r)
{
    return !r->keep_null && r->end - r->p >= 4 && memcmp(r->p, "null", 4) == 0;
}

static bool read_field(struct reader *r)
{
    luaL_checkstack(r->L, ROOM, "JSON");
    if (!take(r, '"') || !read_string(r) || !take(r, ':'))
        return false;
    skip_space(r);
    if (!is_absent(r))
        return read_value(r);
    r->p += 4;
    lua_pop(r->L, 1);
    return true;
}

/* A table is made when it is known how many fields it has, or that they are
 * many. */
static bool read_object(struct reader *r)
{
    lua_State *L = r->L;
    lua_pushnil(L);
    int table = lua_gettop(L);
    bool made = false;
    if (!take(r, '}')) {
        do {
            if (!read_field(r))
                return false;
            if (made && lua_gettop(L) > table)
                lua_rawset(L, table);
            if (!made && lua_gettop(L) - table >= 2 * HELD) {
                make_object(L, table);
                made = true;
            }
        } while (take(r, ','));
        if (!take(r, '}'))
            return false;
    }
    if (!made)
        make_object(L, table);
    return true;
}

/* The same for the items of a list. */
static void make_array(lua_State *L, int table)
{
    int n = lua_gettop(L) - table;
    lua_createtable(L, n, 0);
    lua_replace(L, table);
    for (; n > 0; n--)
        lua_rawseti(L, table, n);
    luaL_setmetatable(L, LK_JSON_ARRAY);
}

static bool read_array(struct reader *r)
{
    lua_State *L = r->L;
    lua_Integer n = 0;
    lua_pushnil(L);
    int table = lua_gettop(L);
    if (!take(r, ']')) {
        do {
            luaL_checkstack(L, ROOM, "JSON");
            skip_space(r);
            if (!read_value(r))
                return false;
            if (++n > HELD)
                lua_rawseti(L, table, n);
            else if (n == HELD)
                make_array(L, table);
        } while (take(r, ','));
        if (!take(r, ']'))
            return false;
    }
    if (n < HELD)
        make_array(L, table);
    return true;
}

static bool read_nested(struct reader *r)
{
    if (++r->depth > KC_JSON_DEPTH)
        return refuse(r, "nested too deep");
    luaL_checkstack(r->L, ROOM, "JSON nested too deep");
    bool ok = *r->p++ == '{' ? read_object(r) : read_array(r);
    r->depth--;
    return ok;
}

static bool read_value(struct reader *r)
{
    char c = '\0';
    if (r->p < r->end)
        c = *r->p;
    switch (c) {
    case '{':
    case '[':
        return read_nested(r);
    case '"':
        r->p++;
        return read_string(r);
    case 't':
        lua_pushboolean(r->L, 1);
        return read_word(r, "true");
    case 'f':
        lua_pushboolean(r->L, 0);
        return read_word(r, "false");
    case 'n':
        lk_json_pushnull(r->L);
        return read_word(r, "null");
    default:
        return (c == '-' || (c >= '0' && c <= '9')) && read_number(r);
    }
}

int lk_json_decode(lua_State *L, const char *text, size_t len, int keep_null)
{
    struct reader r = {
        .L = L, .p = text, .end = text + len, .keep_null = keep_null};
    int top = lua_gettop(L);
    luaL_checkstack(L, ROOM, "JSON");
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.p += 3;
    skip_space(&r);
    bool ok = read_value(&r);
    skip_space(&r);
    if (ok && r.p == r.end)
        return KC_OK;
    lua_settop(L, top);
    if (!r.why && r.p < r.end && (unsigned char)*r.p < 0x20)
        r.why = "a control character";
    if (r.why)
        lua_pushstring(L, r.why);
    else
        lua_pushfstring(L, "not JSON, near byte %d", (int)(r.p - text) + 1);
    return KC_EINVALID;
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
