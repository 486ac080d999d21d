/* limit.c -- a host that gives its Lua state so many bytes and no more. With
 * each of many limits, STEP bytes apart, it opens the module, calls, streams
 * and steps; where memory runs out it must be told so, then lifts the limit and
 * does all of it again in the same state, which must work. Prints in which
 * parts memory ran out, and what is left once all states are closed.
 *
 * usage: limit STEP SCRIPT BASE_URL KEY
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "hosts/host.h"
#include "keycycle.h"

/* SCRIPT says which part it enters, by the name; a step is what keycycle_step
 * does for itself. */
enum part { REQUIRE, WRAPPER, CALL, STREAM, TASKS, STEP, NONE };

#define PARTS NONE

static const char *const names[] = {"require", "wrapper", "call", "stream",
                                    "tasks",   "step",    NULL};

struct play {
    size_t used, limit;
    size_t room; /* above what is in use before the first step; SIZE_MAX: any */
    enum part part, first_short; /* where it is; where memory ran out first */
    int short_of[PARTS];         /* how often memory ran out there */
    const char *script;
    const char *args[2]; /* base_url, key */
};

#define COARSE 16 /* steps at once while the module is loaded */
#define ENOUGH 8  /* plays in a row without want of memory */

static void *alloc(void *ud, void *block, size_t old, size_t new)
{
    struct play *p = ud;
    if (!block)
        old = 0; /* it tells a type */
    if (new == 0) {
        free(block);
        p->used -= old;
        return NULL;
    }
    if (new > old && p->used - old + new > p->limit)
        return NULL;
    void *moved = realloc(block, new);
    if (!moved)
        return new <= old ? block : NULL;
    p->used += new - old;
    return moved;
}

static int l_enter(lua_State *L)
{
    struct play *p = lua_touserdata(L, lua_upvalueindex(1));
    p->part = (enum part)luaL_checkoption(L, 1, NULL, names);
    return 0;
}

/* All of it runs in protected mode: even to load a file needs memory. */
static int play_script(lua_State *L)
{
    struct play *p = lua_touserdata(L, 1);
    p->part = REQUIRE;
    luaL_requiref(L, "keycycle", luaopen_keycycle, 1);
    lua_pushlightuserdata(L, p);
    lua_pushcclosure(L, l_enter, 1);
    lua_setglobal(L, "enter");
    if (luaL_loadfile(L, p->script) != LUA_OK)
        return lua_error(L);
    lua_pushstring(L, p->args[0]);
    lua_pushstring(L, p->args[1]);
    lua_call(L, 2, 0);
    return 0;
}

static bool is_shortage(const char *text)
{
    return strstr(text, "not enough memory") != NULL;
}

/* What was raised is on the stack; the limit has been lifted. */
static void must_be_shortage(lua_State *L)
{
    const char *text = luaL_tolstring(L, -1, NULL);
    if (is_shortage(text)) {
        lua_pop(L, 2);
        return;
    }
    fprintf(stderr, "no want of memory, but: %s\n", text);
    exit(1);
}

static void ran_out(struct play *p, enum part part)
{
    p->limit = SIZE_MAX;
    p->short_of[part]++;
    if (p->first_short == NONE)
        p->first_short = part;
}

/* Steps until no task lives; what tasks failed with is checked by the script's
 * `check`, which returns how many did. */
static void step_all(lua_State *L, struct play *p)
{
    int live;
    if (p->room < SIZE_MAX) {
        lua_gc(L, LUA_GCCOLLECT);
        p->limit = p->used + p->room;
    }
    while ((live = keycycle_step(L, 1000, -1)) != 0) {
        if (live > 0)
            continue;
        if (p->limit == SIZE_MAX) {
            fprintf(stderr, "a step failed without a limit\n");
            exit(1);
        }
        ran_out(p, STEP);
    }
    bool limited = p->limit != SIZE_MAX;
    p->limit = SIZE_MAX;
    lua_getglobal(L, "check");
    host_must(L, lua_pcall(L, 0, 1, 0));
    lua_Integer failed = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (failed > 0 && limited)
        ran_out(p, TASKS);
}

static int play_once(lua_State *L, struct play *p)
{
    lua_pushcfunction(L, play_script);
    lua_pushlightuserdata(L, p);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) {
        ran_out(p, p->part);
        must_be_shortage(L);
        return status;
    }
    step_all(L, p);
    return LUA_OK;
}

/* A state with `limit` bytes beyond what Lua's own libraries take, and with
 * `room` for its steps; SIZE_MAX: any. */
static void play_with(struct play *p, size_t limit, size_t room)
{
    p->room = room;
    p->used = 0;
    p->limit = SIZE_MAX;
    p->first_short = NONE;
    lua_State *L = lua_newstate(alloc, p);
    if (!L)
        abort();
    luaL_openlibs(L);
    if (limit < SIZE_MAX)
        p->limit = p->used + limit;
    int status = play_once(L, p);
    p->limit = p->room = SIZE_MAX;
    if (status != LUA_OK && play_once(L, p) != LUA_OK) {
        fprintf(stderr, "no second play after a limit of %zu bytes\n", limit);
        exit(1);
    }
    lua_close(L);
    if (p->used != 0) {
        fprintf(stderr, "%zu bytes were left of a state\n", p->used);
        exit(1);
    }
}

/* The pool that the script shares by its name: nothing may be left in it. */
static struct keycycle_pool *open_pool(const char *key)
{
    struct keycycle_pool_options options = {.name = "limit", .provider = "p"};
    struct keycycle_key one = {.api_key = key};
    struct keycycle_pool *pool;
    unsigned index;
    if (keycycle_pool_open(&options, &pool) != KEYCYCLE_OK ||
        keycycle_pool_add_key(pool, &one, &index) != KEYCYCLE_OK)
        exit(1);
    return pool;
}

static void must_be_settled(struct keycycle_pool *pool, size_t limit)
{
    struct keycycle_stats s;
    int err = keycycle_pool_stats(pool, 0, NULL, &s);
    if (err == KEYCYCLE_OK && s.in_flight == 0 && s.waiting == 0)
        return;
    fprintf(stderr, "after a limit of %zu bytes: %s\n", limit,
            err ? keycycle_error_name(err) : "the pool is in use");
    exit(1);
}

/* Each limit up to one that is enough; that one. */
static size_t play_with_limits(struct play *p, struct keycycle_pool *pool,
                               size_t step)
{
    size_t limit = 0;
    bool fine = false;
    for (int quiet = 0; quiet < ENOUGH;) {
        play_with(p, limit, SIZE_MAX);
        must_be_settled(pool, limit);
        quiet = p->first_short == NONE ? quiet + 1 : 0;
        if (!fine && p->first_short != REQUIRE) { /* to where that began */
            fine = true;
            limit -= limit < COARSE * step ? limit : COARSE * step;
        }
        limit += fine ? step : COARSE * step;
    }
    return limit;
}

/* Each room for steps up to one that is enough; that one. */
static size_t play_with_rooms(struct play *p, struct keycycle_pool *pool,
                              size_t step)
{
    size_t room = 0;
    for (int quiet = 0; quiet < ENOUGH; room += step) {
        play_with(p, SIZE_MAX, room);
        must_be_settled(pool, room);
        quiet = p->first_short == NONE ? quiet + 1 : 0;
    }
    return room;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: limit STEP SCRIPT BASE_URL KEY\n");
        return 2;
    }
    size_t step = (size_t)host_number(argv[1]);
    struct play p = {.script = argv[2], .args = {argv[3], argv[4]}};
    struct keycycle_pool *pool = open_pool(argv[4]);
    must_be_settled(pool, 0); /* it is published */
    size_t limit = play_with_limits(&p, pool, step);
    size_t room = play_with_rooms(&p, pool, step / 4);
    printf("enough %zu B\nenough_for_steps %zu B\n", limit, room);
    for (int i = 0; i < PARTS; i++)
        printf("short_in_%s %d 1\n", names[i], p.short_of[i]);
    keycycle_pool_close(pool);
    return 0;
}
