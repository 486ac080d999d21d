/* json.c -- decoding: the text's values are pushed as they are read. See
 * jsonout.c for the other way.
 *
 * RFC 8259, strictly, but for text that providers cut in odd places: a lone
 * surrogate, and what is not UTF-8, becomes U+FFFD. All memory is Lua's, so a
 * raise leaks nothing.
 */
#include "lua/json.h"

#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/jsonout.h"
#include "lua/jsontext.h"
#include "lua/lk.h"
#include "util/utf8.h"

#define MAX_TEXT (256u * 1024 * 1024)
#define MAX_KEPT (64u * 1024)    /* of the buffer, between two texts */
#define EXACT 9007199254740992.0 /* 2^53 */
#define EXACT_DIGITS 15          /* of an integer that is surely below it */
#define ON_STACK 16 /* values that are read before their table is made */
#define BUF "keycycle.json.buffer"

/* Upvalues of the functions. */
#define ARRAY lua_upvalueindex(1)   /* the metatable of lists */
#define NULLS lua_upvalueindex(2)   /* json.null */
#define WRITTEN lua_upvalueindex(3) /* the buffer that is written to */

struct reader {
    lua_State *L;
    const char *p, *end; /* a NUL stands at `end` */
    const char *why;     /* what is wrong at p; NULL: it is not JSON */
    int depth;
    bool keep_null;
};

static bool refuse(struct reader *r, const char *why)
{
    r->why = why;
    return false;
}

static void skip_blanks(struct reader *r)
{
    while (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')
        r->p++;
}

/* Something that no value begins or ends with. */
static bool refuse_byte(struct reader *r)
{
    unsigned char c = (unsigned char)*r->p;
    return refuse(r, r->p < r->end && c < 0x20 ? "a control character" : NULL);
}

/* -- strings -------------------------------------------------------------- */

/* How many bytes at `s` stand in a string as they are. */
static size_t span(const char *s, size_t len)
{
    size_t n = kc_json_plain(s, len);
    while (n < len) {
        unsigned char c = (unsigned char)s[n];
        size_t more = c > 0x7f    ? kc_utf8_len(s + n, len - n)
                      : c == 0x7f ? 1
                                  : 0;
        if (more == 0)
            break;
        n += more;
        n += kc_json_plain(s + n, len - n);
    }
    return n;
}

/* The value of the four hex digits at p, -1 when they are not there. */
static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i]; /* the NUL, at the end */
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* At \u: its code point, U+FFFD for half a pair; 0 where it is refused. */
static unsigned code_point(struct reader *r)
{
    int v = hex4(r->p + 2), low;
    if (v <= 0) {
        r->why = v < 0 ? "\\u without four hex digits" : "\\u0000 in a string";
        return 0;
    }
    r->p += 6;
    if (v < 0xd800 || v > 0xdfff)
        return (unsigned)v;
    if (v > 0xdbff || r->p[0] != '\\' || r->p[1] != 'u' ||
        (low = hex4(r->p + 2)) < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    r->p += 6;
    return 0x10000u + ((unsigned)(v - 0xd800) << 10) + (unsigned)(low - 0xdc00);
}

static void add_utf8(luaL_Buffer *b, unsigned c)
{
    if (c < 0x80) {
        luaL_addchar(b, (char)c);
        return;
    }
    if (c < 0x800) {
        luaL_addchar(b, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            luaL_addchar(b, (char)(0xe0 | c >> 12));
        } else {
            luaL_addchar(b, (char)(0xf0 | c >> 18));
            luaL_addchar(b, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        luaL_addchar(b, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    luaL_addchar(b, (char)(0x80 | (c & 0x3f)));
}

/* At a backslash. */
static bool add_escape(struct reader *r, luaL_Buffer *b)
{
    static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char c = r->p[1];
    if (c == 'u') {
        unsigned v = code_point(r);
        if (v)
            add_utf8(b, v);
        return v != 0;
    }
    const char *name = c ? strchr(names, c) : NULL;
    if (!name)
        return refuse(r, r->end - r->p < 2 ? "a string does not end" : NULL);
    luaL_addchar(b, means[name - names]);
    r->p += 2;
    return true;
}

/* The rest of a string that cannot be taken as it is, from `begin` on. */
static bool push_mended(struct reader *r, const char *begin)
{
    luaL_Buffer b;
    luaL_buffinit(r->L, &b);
    for (;;) {
        luaL_addlstring(&b, begin, (size_t)(r->p - begin));
        unsigned char c = (unsigned char)*r->p;
        if (c == '"')
            break;
        if (r->p == r->end)
            return refuse(r, "a string does not end");
        if (c == '\\') {
            if (!add_escape(r, &b))
                return false;
        } else if (c < 0x20) {
            return refuse(r, "a control character in a string");
        } else { /* no UTF-8 */
            add_utf8(&b, 0xfffd);
            r->p++;
        }
        begin = r->p;
        r->p += span(r->p, (size_t)(r->end - r->p));
    }
    luaL_pushresult(&b);
    r->p++;
    return true;
}

/* At the opening quote. */
static bool push_string(struct reader *r)
{
    const char *begin = ++r->p;
    r->p += span(begin, (size_t)(r->end - begin));
    if (*r->p != '"')
        return push_mended(r, begin);
    lua_pushlstring(r->L, begin, (size_t)(r->p - begin));
    r->p++;
    return true;
}

/* -- numbers -------------------------------------------------------------- */

/* The double that `n` characters mean, whatever the host's locale has for a
 * decimal point. */
static double to_double(struct reader *r, const char *begin, size_t n)
{
    char few[64];
    char *copy = n < sizeof few ? few : lua_newuserdatauv(r->L, n + 1, 0);
    memcpy(copy, begin, n);
    copy[n] = '\0';
    char *point = memchr(copy, '.', n);
    if (point)
        *point = *localeconv()->decimal_point;
    double d = strtod(copy, NULL);
    if (copy != few)
        lua_pop(r->L, 1);
    return d;
}

static const char *skip_digits(const char *p)
{
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

/* RFC 8259, section 6: behind the number at p; NULL: it is none. */
static const char *end_of_number(const char *p, bool *whole)
{
    const char *digits = p += *p == '-';
    p = skip_digits(p);
    if (p == digits || (*digits == '0' && p > digits + 1))
        return NULL;
    *whole = *p != '.' && *p != 'e' && *p != 'E';
    if (*p == '.') {
        digits = p + 1;
        p = skip_digits(digits);
        if (p == digits)
            return NULL;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        digits = p += *p == '+' || *p == '-';
        p = skip_digits(p);
        if (p == digits)
            return NULL;
    }
    return p;
}

static bool push_number(struct reader *r)
{
    bool whole;
    const char *begin = r->p, *end = end_of_number(begin, &whole);
    if (!end)
        return refuse(r, "a number that JSON does not know");
    if (whole && end - begin <= EXACT_DIGITS) {
        bool minus = *begin == '-';
        lua_Integer n = 0;
        for (const char *p = begin + minus; p < end; p++)
            n = n * 10 + (*p - '0');
        lua_pushinteger(r->L, minus ? -n : n);
    } else {
        double d = to_double(r, begin, (size_t)(end - begin));
        if (isinf(d))
            return refuse(r, "a number too large");
        if (d >= -EXACT && d <= EXACT && d == (double)(lua_Integer)d)
            lua_pushinteger(r->L, (lua_Integer)d);
        else
            lua_pushnumber(r->L, d);
    }
    r->p = end;
    return true;
}

/* -- values --------------------------------------------------------------- */

static bool push_value(struct reader *r);

/* A container's end or what comes before its next value: false where it is
 * neither. */
static bool at_next(struct reader *r, char close, bool first, bool *more)
{
    skip_blanks(r);
    *more = *r->p != close;
    if (!*more || first) {
        r->p += !*more;
        return true;
    }
    if (*r->p != ',')
        return refuse_byte(r);
    r->p++;
    skip_blanks(r);
    return true;
}

/* [-n, +1, m] Make a list of the `n` values on top. */
static void make_list(lua_State *L, int n)
{
    lua_createtable(L, n, 0);
    lua_insert(L, -n - 1);
    for (; n > 0; n--)
        lua_rawseti(L, -n - 1, n);
    lua_pushvalue(L, ARRAY);
    lua_setmetatable(L, -2);
}

static bool push_list(struct reader *r)
{
    int n = 0;
    bool more;
    for (r->p++; at_next(r, ']', n == 0, &more); n++) {
        if (!more) {
            if (n <= ON_STACK)
                make_list(r->L, n);
            return true;
        }
        if (n == INT_MAX || !push_value(r))
            return false;
        if (n == ON_STACK)
            make_list(r->L, n + 1);
        else if (n > ON_STACK)
            lua_rawseti(r->L, -2, n + 1);
    }
    return false;
}

/* [-2n, +1, m] Make an object of the `n` names and values on top. The last of
 * those with one name stays. */
static void make_object(lua_State *L, int n)
{
    lua_createtable(L, 0, n);
    int table = lua_gettop(L);
    for (int at = table - 2 * n; at < table; at += 2) {
        lua_pushvalue(L, at);
        lua_pushvalue(L, at + 1);
        lua_rawset(L, table);
    }
    if (n > 0) {
        lua_replace(L, table - 2 * n);
        lua_settop(L, table - 2 * n);
    }
}

/* [-0, +2, m] A name and its value, which may be a null that is not kept. */
static bool push_member(struct reader *r, bool *drop)
{
    if (*r->p != '"')
        return refuse_byte(r);
    if (!push_string(r))
        return false;
    skip_blanks(r);
    if (*r->p != ':')
        return refuse_byte(r);
    r->p++;
    skip_blanks(r);
    *drop = *r->p == 'n' && !r->keep_null;
    return push_value(r);
}

static bool push_object(struct reader *r)
{
    lua_State *L = r->L;
    int n = 0;
    bool more, drop, made = false, first = true;
    for (r->p++; at_next(r, '}', first, &more); first = false) {
        if (!more) {
            if (!made)
                make_object(L, n);
            return true;
        }
        if (!push_member(r, &drop))
            return false;
        if (drop) {
            lua_pop(L, 2);
        } else if (made) {
            lua_rawset(L, -3);
        } else if (++n == ON_STACK) {
            make_object(L, n);
            made = true;
        }
    }
    return false;
}

static bool push_container(struct reader *r)
{
    if (++r->depth > KC_JSON_DEPTH)
        return refuse(r, "nested too deep");
    if (!(*r->p == '{' ? push_object(r) : push_list(r)))
        return false;
    r->depth--;
    return true;
}

static bool push_word(struct reader *r)
{
    size_t left = (size_t)(r->end - r->p), n = 4;
    if (left >= 4 && memcmp(r->p, "null", 4) == 0)
        lua_pushvalue(r->L, NULLS);
    else if (left >= 4 && memcmp(r->p, "true", 4) == 0)
        lua_pushboolean(r->L, 1);
    else if (left >= (n = 5) && memcmp(r->p, "false", 5) == 0)
        lua_pushboolean(r->L, 0);
    else
        return refuse_byte(r);
    r->p += n;
    return true;
}

/* [-0, +1, m] Push the value at p; where it is refused there may be more. */
static bool push_value(struct reader *r)
{
    luaL_checkstack(r->L, 8, "JSON nested too deep");
    switch (*r->p) {
    case '"':
        return push_string(r);
    case '{':
    case '[':
        return push_container(r);
    default:
        return *r->p == '-' || (*r->p >= '0' && *r->p <= '9') ? push_number(r)
                                                              : push_word(r);
    }
}

static bool push_document(struct reader *r)
{
    if (strncmp(r->p, "\xef\xbb\xbf", 3) == 0)
        r->p += 3; /* a byte order mark */
    skip_blanks(r);
    if (!push_value(r))
        return false;
    skip_blanks(r);
    return r->p == r->end || refuse_byte(r);
}

static int json_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct reader r = {.L = L, .p = text, .end = text + len, .keep_null = true};
    if (lua_istable(L, 2)) {
        lua_getfield(L, 2, "null");
        const char *mode = lua_tostring(L, -1);
        r.keep_null = !mode || strcmp(mode, "absent") != 0;
    }
    if (push_document(&r))
        return 1;
    luaL_checkstack(L, 2, NULL);
    lua_pushnil(L);
    if (r.why)
        lua_pushstring(L, r.why);
    else
        lua_pushfstring(L, "not JSON, near byte %d", (int)(r.p - text) + 1);
    return 2;
}

/* -- the module ----------------------------------------------------------- */

static int buf_free(lua_State *L)
{
    kc_buf_deinit(luaL_checkudata(L, 1, BUF));
    return 0;
}

/* The state has one buffer for all, which a raise cannot leak: no Lua code runs
 * while it is in use. */
static int json_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    struct kc_buf *b = lua_touserdata(L, WRITTEN);
    bool bad = lk_json_encode(L, 1, b) != KC_OK;
    if (bad) {
        lua_pushnil(L);
        lua_insert(L, -2);
    } else {
        lua_pushlstring(L, kc_buf_str(b), b->len);
    }
    if (b->cap > MAX_KEPT)
        kc_buf_deinit(b);
    return bad ? 2 : 1;
}

static int json_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushvalue(L, ARRAY);
    lua_setmetatable(L, 1);
    return 1;
}

int lk_open_json(lua_State *L)
{
    static const luaL_Reg functions[] = {{"encode", json_encode},
                                         {"decode", json_decode},
                                         {"array", json_array},
                                         {NULL, NULL}};
    lk_json_init(L);
    luaL_newmetatable(L, BUF);
    lua_pushcfunction(L, buf_free);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newlibtable(L, functions);
    luaL_getmetatable(L, LK_JSON_ARRAY);
    lk_json_pushnull(L);
    kc_buf_init(lua_newuserdatauv(L, sizeof(struct kc_buf), 0), MAX_TEXT);
    luaL_setmetatable(L, BUF);
    luaL_setfuncs(L, functions, 3);
    lk_json_pushnull(L);
    lua_setfield(L, -2, "null");
    return 1;
}
