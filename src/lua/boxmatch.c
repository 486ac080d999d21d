/* boxmatch.c -- see boxmatch.h. The language is that of the Lua manual, section
 * 6.4.1; the structure follows lstrlib.c of Lua 5.4 (Copyright 1994-2022
 * Lua.org, PUC-Rio; MIT licence).
 */
#include "lua/boxmatch.h"

#include <ctype.h>
#include <string.h>

#include "lua/box_impl.h"

#define OPEN (-1)     /* a capture whose end is not known yet */
#define POSITION (-2) /* "()" */
#define MAX_DEPTH 200 /* of calls of match in each other */
#define BOOK_AT 500

static const char *match(struct lk_match *m, const char *s, const char *p);

void lk_match_init(struct lk_match *m, lua_State *B, const char *subject,
                   size_t len, const char *pattern, size_t pattern_len)
{
    m->B = B;
    m->begin = subject;
    m->end = subject + len;
    m->pattern = pattern;
    m->pattern_end = pattern + pattern_len;
    m->steps = 0;
    m->counted = false;
    m->depth = 0;
    m->count = 0;
}

static void step(struct lk_match *m, size_t n)
{
    m->steps += n;
    if (m->steps < BOOK_AT)
        return;
    size_t steps = m->steps;
    m->steps = 0;
    if (!m->counted)
        lk_box_charge(m->B, steps);
    else if (steps >= m->left)
        luaL_error(m->B, "the pattern takes too long");
    else
        m->left -= steps;
}

/* -- one character --------------------------------------------------------- */

/* The end of the single-character class at `p`. */
static const char *class_end(struct lk_match *m, const char *p)
{
    const char *from = p;
    char c = *p++;
    if (c == '%') {
        if (p == m->pattern_end)
            luaL_error(m->B, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (c != '[')
        return p;
    if (p < m->pattern_end && *p == '^')
        p++;
    do { /* a ']' at once stands for itself */
        if (p == m->pattern_end)
            luaL_error(m->B, "malformed pattern (missing ']')");
        if (*p++ == '%' && p < m->pattern_end)
            p++;
    } while (p == m->pattern_end || *p != ']');
    step(m, (size_t)(p - from));
    return p + 1;
}

static bool in_class(int c, int class)
{
    bool yes;
    switch (tolower(class)) {
    case 'a':
        yes = isalpha(c);
        break;
    case 'c':
        yes = iscntrl(c);
        break;
    case 'd':
        yes = isdigit(c);
        break;
    case 'g':
        yes = isgraph(c);
        break;
    case 'l':
        yes = islower(c);
        break;
    case 'p':
        yes = ispunct(c);
        break;
    case 's':
        yes = isspace(c);
        break;
    case 'u':
        yes = isupper(c);
        break;
    case 'w':
        yes = isalnum(c);
        break;
    case 'x':
        yes = isxdigit(c);
        break;
    default:
        return class == c;
    }
    return isupper(class) ? !yes : yes;
}

/* `p` is at the '[', `last` at the ']'. */
static bool in_set(struct lk_match *m, int c, const char *p, const char *last)
{
    bool wanted = true;
    step(m, (size_t)(last - p));
    if (p[1] == '^') {
        wanted = false;
        p++;
    }
    while (++p < last) {
        if (*p == '%') {
            p++;
            if (in_class(c, (unsigned char)*p))
                return wanted;
        } else if (p[1] == '-' && p + 2 < last) {
            p += 2;
            if ((unsigned char)p[-2] <= c && c <= (unsigned char)*p)
                return wanted;
        } else if ((unsigned char)*p == c) {
            return wanted;
        }
    }
    return !wanted;
}

/* Whether the character at `s` is in the class p..end. */
static bool single(struct lk_match *m, const char *s, const char *p,
                   const char *end)
{
    step(m, 1);
    if (s >= m->end)
        return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_class(c, (unsigned char)p[1]);
    case '[':
        return in_set(m, c, p, end - 1);
    default:
        return (unsigned char)*p == c;
    }
}

/* -- items ----------------------------------------------------------------- */

/* %bxy; `p` is at x. */
static const char *balanced(struct lk_match *m, const char *s, const char *p)
{
    if (p + 1 >= m->pattern_end)
        luaL_error(m->B, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->end || *s != p[0])
        return NULL;
    for (int open = 1; ++s < m->end;) {
        step(m, 1);
        if (*s == p[1]) {
            if (--open == 0)
                return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

/* As many as there are, then fewer. */
static const char *longest(struct lk_match *m, const char *s, const char *p,
                           const char *end)
{
    ptrdiff_t n = 0;
    while (single(m, s + n, p, end))
        n++;
    for (; n >= 0; n--) {
        const char *e = match(m, s + n, end + 1);
        if (e)
            return e;
    }
    return NULL;
}

/* As few as will do. */
static const char *shortest(struct lk_match *m, const char *s, const char *p,
                            const char *end)
{
    for (;;) {
        const char *e = match(m, s, end + 1);
        if (e)
            return e;
        if (!single(m, s, p, end))
            return NULL;
        s++;
    }
}

static const char *open_capture(struct lk_match *m, const char *s,
                                const char *p, ptrdiff_t mark)
{
    if (m->count >= LK_MATCH_CAPTURES)
        luaL_error(m->B, "too many captures");
    m->captures[m->count].at = s;
    m->captures[m->count].len = mark;
    m->count++;
    const char *e = match(m, s, p);
    if (!e)
        m->count--;
    return e;
}

static const char *close_capture(struct lk_match *m, const char *s,
                                 const char *p)
{
    int i = m->count - 1;
    while (i >= 0 && m->captures[i].len != OPEN)
        i--;
    if (i < 0)
        luaL_error(m->B, "invalid pattern capture");
    m->captures[i].len = s - m->captures[i].at;
    const char *e = match(m, s, p);
    if (!e)
        m->captures[i].len = OPEN;
    return e;
}

/* %1 to %9: the end of the same text again, or NULL. */
static const char *again(struct lk_match *m, const char *s, int digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->count || m->captures[i].len == OPEN)
        luaL_error(m->B, "invalid capture index %%%d", i + 1);
    size_t len = (size_t)m->captures[i].len; /* of a position: too long */
    step(m, 1);
    if ((size_t)(m->end - s) < len)
        return NULL;
    step(m, len / 16);
    return memcmp(m->captures[i].at, s, len) == 0 ? s + len : NULL;
}

/* %f; `p` is behind it, *end becomes the set's end. */
static bool frontier(struct lk_match *m, const char *s, const char *p,
                     const char **end)
{
    if (p >= m->pattern_end || *p != '[')
        luaL_error(m->B, "missing '[' after '%%f' in pattern");
    *end = class_end(m, p);
    int before = s == m->begin ? 0 : (unsigned char)s[-1];
    int here = s == m->end ? 0 : (unsigned char)*s;
    return !in_set(m, before, p, *end - 1) && in_set(m, here, p, *end - 1);
}

/* A class and what follows it. Goes on at *s and *p, and returns true; or the
 * match is decided: *s is its end, or NULL. */
static bool class_item(struct lk_match *m, const char **s, const char **p)
{
    const char *end = class_end(m, *p), *e;
    char suffix = end < m->pattern_end ? *end : '\0';
    switch (suffix) {
    case '?':
        if (single(m, *s, *p, end) && (e = match(m, *s + 1, end + 1))) {
            *s = e;
            return false;
        }
        *p = end + 1;
        return true;
    case '+':
        *s = single(m, *s, *p, end) ? longest(m, *s + 1, *p, end) : NULL;
        return false;
    case '*':
        *s = longest(m, *s, *p, end);
        return false;
    case '-':
        *s = shortest(m, *s, *p, end);
        return false;
    default:
        if (!single(m, *s, *p, end)) {
            *s = NULL;
            return false;
        }
        *s += 1;
        *p = end;
        return true;
    }
}

/* An item that begins with '%': as class_item. */
static bool percent_item(struct lk_match *m, const char **s, const char **p)
{
    const char *end;
    char c = *p + 1 < m->pattern_end ? (*p)[1] : '\0';
    if (c == 'b') {
        *s = balanced(m, *s, *p + 2);
        *p += 4;
        return *s != NULL;
    }
    if (c == 'f') {
        bool yes = frontier(m, *s, *p + 2, &end);
        *s = yes ? *s : NULL;
        *p = end;
        return yes;
    }
    if (isdigit((unsigned char)c)) {
        *s = again(m, *s, c);
        *p += 2;
        return *s != NULL;
    }
    return class_item(m, s, p);
}

static const char *match_rest(struct lk_match *m, const char *s, const char *p)
{
    bool more = true;
    while (more && p != m->pattern_end) {
        step(m, 1);
        switch (*p) {
        case '(':
            if (p + 1 < m->pattern_end && p[1] == ')')
                return open_capture(m, s, p + 2, POSITION);
            return open_capture(m, s, p + 1, OPEN);
        case ')':
            return close_capture(m, s, p + 1);
        case '$':
            if (p + 1 == m->pattern_end)
                return s == m->end ? s : NULL;
            more = class_item(m, &s, &p);
            break;
        case '%':
            more = percent_item(m, &s, &p);
            break;
        default:
            more = class_item(m, &s, &p);
        }
    }
    return s;
}

static const char *match(struct lk_match *m, const char *s, const char *p)
{
    if (m->depth >= MAX_DEPTH)
        luaL_error(m->B, "pattern too complex");
    m->depth++;
    s = match_rest(m, s, p);
    m->depth--;
    return s;
}

const char *lk_match_at(struct lk_match *m, const char *s)
{
    m->depth = 0;
    m->count = 0;
    return match(m, s, m->pattern);
}

/* -- captures -------------------------------------------------------------- */

void lk_match_push(struct lk_match *m, int i, const char *s, const char *e)
{
    if (i >= m->count) {
        if (i != 0)
            luaL_error(m->B, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->B, s, (size_t)(e - s));
        return;
    }
    ptrdiff_t len = m->captures[i].len;
    if (len == OPEN)
        luaL_error(m->B, "unfinished capture");
    if (len == POSITION)
        lua_pushinteger(m->B, m->captures[i].at - m->begin + 1);
    else
        lua_pushlstring(m->B, m->captures[i].at, (size_t)len);
}

int lk_match_pushall(struct lk_match *m, const char *s, const char *e,
                     int whole)
{
    int n = m->count == 0 && whole ? 1 : m->count;
    luaL_checkstack(m->B, n, "too many captures");
    for (int i = 0; i < n; i++)
        lk_match_push(m, i, s, e);
    return n;
}

int lk_core_match(lua_State *L)
{
    size_t len, pattern_len;
    const char *text = luaL_checklstring(L, 1, &len), *s = text;
    const char *pattern = luaL_checklstring(L, 2, &pattern_len), *e;
    lua_Integer steps = luaL_checkinteger(L, 3);
    bool anchor = pattern_len > 0 && *pattern == '^';
    struct lk_match m;
    lk_match_init(&m, L, text, len, pattern + anchor, pattern_len - anchor);
    m.counted = true;
    m.left = steps > 0 ? (size_t)steps : 0;
    while (!(e = lk_match_at(&m, s)) && s++ < m.end && !anchor)
        ;
    lua_pushboolean(L, e != NULL);
    lua_pushinteger(L, (lua_Integer)(m.left - (m.left < m.steps ? m.left
                                                               : m.steps)));
    return 2;
}
