/* boxstr.c -- the string functions of the box. Those that only read are Lua's
 * own; the ones that grow, search or show addresses are here.
 */
#include <stdbool.h>
#include <string.h>

#include <lualib.h>

#include "lua/box_impl.h"
#include "lua/boxmatch.h"

#define MAX_STRING (LK_BOX_BLOCK - 64) /* Lua's own header is in the block */

static int string_rep(lua_State *B)
{
    size_t len, sep_len;
    const char *s = luaL_checklstring(B, 1, &len);
    lua_Integer n = luaL_checkinteger(B, 2);
    const char *sep = luaL_optlstring(B, 3, "", &sep_len);
    if (n <= 0 || len + sep_len == 0) {
        lua_pushliteral(B, "");
        return 1;
    }
    if ((lua_Unsigned)n > MAX_STRING / (len + sep_len))
        return luaL_error(B, "resulting string too large");
    size_t size = (len + sep_len) * (size_t)n - sep_len;
    luaL_Buffer b;
    lk_box_charge(B, 1 + size / 64);
    char *to = luaL_buffinitsize(B, &b, size);
    memcpy(to, s, len);
    if (n > 1)
        memcpy(to + len, sep, sep_len);
    for (size_t done = len + sep_len, more; done < size; done += more) {
        more = size - done < done ? size - done : done;
        memcpy(to + done, to, more); /* doubles what is there */
    }
    luaL_pushresultsize(&b, size);
    return 1;
}

/* -- find and match -------------------------------------------------------- */

static bool is_plain(const char *pattern, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (pattern[i] && strchr("^$*+?.([%-", pattern[i]))
            return false;
    return true;
}

/* [-0, +0, v] Where the search begins, from 0; over the length: nowhere. */
static size_t check_init(lua_State *B, int arg, size_t len)
{
    lua_Integer init = luaL_optinteger(B, arg, 1);
    if (init > 0)
        return (size_t)init - 1;
    if (init == 0 || init < -(lua_Integer)len)
        return 0;
    return len - (size_t)-init;
}

/* The first match at `s` or later; *s becomes its begin. */
static const char *search(struct lk_match *m, const char **s)
{
    bool anchor = m->pattern < m->pattern_end && *m->pattern == '^';
    m->pattern += anchor;
    do {
        const char *e = lk_match_at(m, *s);
        if (e)
            return e;
    } while ((*s)++ < m->end && !anchor);
    return NULL;
}

static int push_found(lua_State *B, const char *subject, const char *s,
                      const char *e)
{
    lua_pushinteger(B, s - subject + 1);
    lua_pushinteger(B, e - subject);
    return 2;
}

static int find(lua_State *B, bool only_find)
{
    size_t len, pattern_len;
    const char *subject = luaL_checklstring(B, 1, &len);
    const char *pattern = luaL_checklstring(B, 2, &pattern_len);
    size_t init = check_init(B, 3, len);
    struct lk_match m;
    if (init > len) {
        lua_pushnil(B);
        return 1;
    }
    lk_box_charge(B, 1 + pattern_len / 16);
    const char *s = subject + init, *e;
    if (only_find && (lua_toboolean(B, 4) || is_plain(pattern, pattern_len))) {
        s = memmem(s, len - init, pattern, pattern_len);
        if (s)
            return push_found(B, subject, s, s + pattern_len);
        lua_pushnil(B);
        return 1;
    }
    lk_match_init(&m, B, subject, len, pattern, pattern_len);
    e = search(&m, &s);
    if (!e) {
        lua_pushnil(B);
        return 1;
    }
    if (!only_find)
        return lk_match_pushall(&m, s, e, 1);
    push_found(B, subject, s, e);
    return 2 + lk_match_pushall(&m, s, e, 0);
}

static int string_find(lua_State *B)
{
    return find(B, true);
}

static int string_match(lua_State *B)
{
    return find(B, false);
}

/* Upvalues: subject, pattern, where to go on, where the last match ended. */
static int gmatch_next(lua_State *B)
{
    size_t len, pattern_len;
    const char *subject = lua_tolstring(B, lua_upvalueindex(1), &len);
    const char *pattern = lua_tolstring(B, lua_upvalueindex(2), &pattern_len);
    size_t from = (size_t)lua_tointeger(B, lua_upvalueindex(3));
    lua_Integer last = lua_tointeger(B, lua_upvalueindex(4));
    struct lk_match m;
    lk_match_init(&m, B, subject, len, pattern, pattern_len);
    lk_box_charge(B, 1);
    for (; from <= len; from++) {
        const char *e = lk_match_at(&m, subject + from);
        if (e && e - subject != last) {
            lua_pushinteger(B, e - subject);
            lua_copy(B, -1, lua_upvalueindex(3));
            lua_replace(B, lua_upvalueindex(4));
            return lk_match_pushall(&m, subject + from, e, 1);
        }
    }
    lua_pushinteger(B, (lua_Integer)len + 1);
    lua_replace(B, lua_upvalueindex(3));
    return 0;
}

static int string_gmatch(lua_State *B)
{
    size_t len;
    luaL_checklstring(B, 1, &len);
    luaL_checkstring(B, 2);
    size_t init = check_init(B, 3, len);
    lua_settop(B, 2);
    lua_pushinteger(B, (lua_Integer)(init > len ? len + 1 : init));
    lua_pushinteger(B, -1);
    lua_pushcclosure(B, gmatch_next, 4);
    return 1;
}

/* -- gsub ------------------------------------------------------------------ */

/* [-0, +0, v] Add the replacement at 3, a text, for the match s..e. */
static void add_text(struct lk_match *m, luaL_Buffer *b, const char *s,
                     const char *e)
{
    size_t len;
    const char *text = lua_tolstring(m->B, 3, &len), *end = text + len;
    for (const char *c; text < end; text = c + 2) {
        c = memchr(text, '%', (size_t)(end - text));
        luaL_addlstring(b, text, (size_t)((c ? c : end) - text));
        if (!c)
            return;
        lk_box_charge(m->B, 1);
        char what = c + 1 < end ? c[1] : '\0';
        if (what == '%') {
            luaL_addchar(b, '%');
        } else if (what == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else if (what >= '1' && what <= '9') {
            lk_match_push(m, what - '1', s, e);
            luaL_tolstring(m->B, -1, NULL);
            lua_remove(m->B, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(m->B, "invalid use of '%%' in replacement string");
        }
    }
}

/* [-0, +0, e] Add what replaces s..e; whether anything did. */
static bool add_value(struct lk_match *m, luaL_Buffer *b, const char *s,
                      const char *e)
{
    lua_State *B = m->B;
    int type = lua_type(B, 3);
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(B, 3);
        lua_call(B, lk_match_pushall(m, s, e, 1), 1);
    } else if (type == LUA_TTABLE) {
        lk_match_push(m, 0, s, e);
        lua_gettable(B, 3);
    } else {
        add_text(m, b, s, e);
        return true;
    }
    if (!lua_toboolean(B, -1)) {
        lua_pop(B, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
        return false;
    }
    if (!lua_isstring(B, -1))
        luaL_error(B, "invalid replacement value (a %s)", luaL_typename(B, -1));
    luaL_addvalue(b);
    return true;
}

static int string_gsub(lua_State *B)
{
    size_t len, pattern_len;
    const char *subject = luaL_checklstring(B, 1, &len), *s = subject;
    const char *pattern = luaL_checklstring(B, 2, &pattern_len);
    int type = lua_type(B, 3);
    lua_Integer most = luaL_optinteger(B, 4, (lua_Integer)len + 1), n = 0;
    luaL_argexpected(B,
                     type == LUA_TNUMBER || type == LUA_TSTRING ||
                         type == LUA_TFUNCTION || type == LUA_TTABLE,
                     3, "string/function/table");
    bool anchor = pattern_len > 0 && *pattern == '^', changed = false;
    struct lk_match m;
    luaL_Buffer b;
    if (type == LUA_TNUMBER)
        luaL_tolstring(B, 3, NULL), lua_replace(B, 3);
    luaL_buffinit(B, &b);
    lk_match_init(&m, B, subject, len, pattern + anchor, pattern_len - anchor);
    for (const char *last = NULL; n < most;) {
        lk_box_charge(B, 1);
        const char *e = lk_match_at(&m, s);
        if (e && e != last) {
            n++;
            changed = add_value(&m, &b, s, e) || changed;
            s = last = e;
        } else if (s < m.end) {
            luaL_addchar(&b, *s++);
        } else {
            break;
        }
        if (anchor)
            break;
    }
    if (changed) {
        luaL_addlstring(&b, s, (size_t)(m.end - s));
        luaL_pushresult(&b);
    } else {
        lua_pushvalue(B, 1);
    }
    lua_pushinteger(B, n);
    return 2;
}

/* -- format ---------------------------------------------------------------- */

/* Upvalue: Lua's own, which has none. What %s takes is made a text before, one
 * without an address. */
static int string_format(lua_State *B)
{
    size_t len;
    const char *f = luaL_checklstring(B, 1, &len), *end = f + len;
    int arg = 1;
    while (f < end) {
        if (*f++ != '%')
            continue;
        while (f < end && strchr("-+ #0123456789.", *f) && *f)
            f++;
        if (f == end || *f++ == '%')
            continue;
        arg++;
        lk_box_charge(B, 20); /* what a long number takes */
        if (f[-1] == 'p')
            return luaL_error(B, "'%%p' is not there in a script");
        if (f[-1] == 's' && arg <= lua_gettop(B)) {
            lk_box_tolstring(B, arg, NULL);
            lua_replace(B, arg);
        }
    }
    lk_box_charge(B, len / 4);
    return lua_tocfunction(B, lua_upvalueindex(1))(B);
}

static const luaL_Reg functions[] = {{"rep", string_rep},
                                     {"find", string_find},
                                     {"match", string_match},
                                     {"gmatch", string_gmatch},
                                     {"gsub", string_gsub},
                                     {NULL, NULL}};

void lk_box_newstring(lua_State *B)
{
    static const char *const kept[] = {"byte",  "char",  "format",  "len",
                                       "lower", "upper", "reverse", "sub"};
    lua_newtable(B);
    lua_pushcfunction(B, luaopen_string);
    lua_call(B, 0, 1);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        lua_getfield(B, -1, kept[i]);
        lua_setfield(B, -3, kept[i]);
    }
    lua_pop(B, 1);
    luaL_setfuncs(B, functions, 0);
    lk_box_limit(B, "byte");
    lua_getfield(B, -1, "format");
    lua_pushcclosure(B, string_format, 1);
    lua_setfield(B, -2, "format");
}
