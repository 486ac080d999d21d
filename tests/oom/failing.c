/* failing.c -- see failing.h. */
#include "oom/failing.h"

#include <stdatomic.h>
#include <lauxlib.h>

#define EVERY 13  /* of FAILING_COLLECT */
#define PARSER 64 /* one in so many of the parser's counts: they are Lua's */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
char *__real_strdup(const char *text);
int __real_luaL_loadbufferx(lua_State *L, const char *text, size_t size,
                            const char *name, const char *mode);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);
char *__wrap_strdup(const char *text);
int __wrap_luaL_loadbufferx(lua_State *L, const char *text, size_t size,
                            const char *name, const char *mode);

static enum failing_mode mode;
static long fail_at, lua_bytes, in_parser;
static atomic_long count, hits, live;
static atomic_bool armed;
static bool parsing;
static void (*on_failure)(void);
static _Thread_local bool is_main;

/* What Lua asks for again after it has collected. */
static struct {
    void *p;
    size_t size;
    bool due;
} again;

void failing_begin(enum failing_mode m, long n)
{
    mode = m;
    fail_at = n;
    is_main = true;
    parsing = again.due = armed = false;
    in_parser = 0;
    count = hits = live = 0;
    lua_bytes = 0;
}

void failing_arm(bool on)
{
    armed = on;
    again.due = false;
}

bool failing_armed(void)
{
    return armed;
}

void failing_trace(void (*fn)(void))
{
    on_failure = fn;
}

long failing_hits(void)
{
    return hits;
}

long failing_live(void)
{
    return live;
}

long failing_lua_bytes(void)
{
    return lua_bytes;
}

static bool fail(void)
{
    hits++;
    if (on_failure)
        on_failure();
    return true;
}

static bool fails(void)
{
    if (!armed || mode == FAILING_COLLECT || (mode == FAILING_FROM && !is_main))
        return false;
    long i = atomic_fetch_add(&count, 1) + 1;
    return (mode == FAILING_ONCE ? i == fail_at : fail_at && i >= fail_at) &&
           fail();
}

static bool lua_fails(void *p, size_t size)
{
    if (!armed || (parsing && ++in_parser % PARSER != 0))
        return false;
    if (mode == FAILING_COLLECT) {
        bool second = again.due && again.p == p && again.size == size;
        again.due = !second && ++count % EVERY == fail_at;
        again.p = p;
        again.size = size;
        return again.due && fail();
    }
    if (again.due && again.p == p && again.size == size) {
        again.due = false;
        return fail();
    }
    again.due = fails();
    again.p = p;
    again.size = size;
    return again.due;
}

void *failing_lua(void *ud, void *p, size_t old, size_t size)
{
    (void)ud;
    if (!p)
        old = 0; /* it is a kind of object then */
    if (size > old && lua_fails(p, size))
        return NULL;
    void *q = NULL;
    if (size == 0)
        __real_free(p);
    else if (!(q = __real_realloc(p, size)))
        return NULL;
    lua_bytes += (long)size - (long)old;
    return q;
}

/* A second try is not a try of the parser's: it may come at any count. */
int __wrap_luaL_loadbufferx(lua_State *L, const char *text, size_t size,
                            const char *name, const char *kind)
{
    bool before = parsing;
    parsing = true;
    int status = __real_luaL_loadbufferx(L, text, size, name, kind);
    parsing = before;
    return status;
}

static void *note(void *p)
{
    if (p)
        live++;
    return p;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : note(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : note(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
    if (fails())
        return NULL;
    void *q = __real_realloc(p, size);
    return p ? q : note(q);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : note(__real_strdup(text));
}

void __wrap_free(void *p)
{
    if (p)
        live--;
    __real_free(p);
}
