/* clock.c -- the clocks and the pause, for Lua. */
#include <math.h>

#include "lua/lk.h"

struct lk_timer {
    struct kc_pause pause;
};

struct kc_clock *lk_optclock(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return NULL;
    struct lk_clock *box = luaL_checkudata(L, arg, LK_CLOCK);
    luaL_argcheck(L, box->clock, arg, "the clock is closed");
    return box->clock;
}

static int core_now(lua_State *L)
{
    struct kc_clock *clock = lk_optclock(L, 1);
    lk_pushms(L, clock ? kc_clock_now_ms(clock) : kc_wall_ms());
    return 1;
}

static int core_mono(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)kc_mono_us() / 1e6);
    return 1;
}

static int core_manual_clock(lua_State *L)
{
    uint64_t start = lk_optms(L, 1, kc_wall_ms());
    struct lk_clock *box = lua_newuserdatauv(L, sizeof *box, 0);
    box->clock = NULL;
    luaL_setmetatable(L, LK_CLOCK);
    if (kc_clock_new_manual(start, &box->clock) != KC_OK)
        return lk_nomem(L);
    return 1;
}

static int clock_advance(lua_State *L)
{
    luaL_checkudata(L, 1, LK_CLOCK);
    luaL_checknumber(L, 2);
    uint64_t ms = lk_optms(L, 2, 0);
    kc_runtime_advance(lk_runtime(L), lk_optclock(L, 1), ms);
    return 0;
}

static int clock_now(lua_State *L)
{
    luaL_checkudata(L, 1, LK_CLOCK);
    lk_pushms(L, kc_clock_now_ms(lk_optclock(L, 1)));
    return 1;
}

static int clock_close(lua_State *L)
{
    struct lk_clock *box = luaL_checkudata(L, 1, LK_CLOCK);
    kc_clock_unref(box->clock);
    box->clock = NULL;
    return 0;
}

static const luaL_Reg clock_methods[] = {
    {"advance", clock_advance},
    {"now", clock_now},
    {NULL, NULL},
};

/* -- timers -------------------------------------------------------------- */

static int core_timer(lua_State *L)
{
    luaL_checknumber(L, 1);
    uint64_t ms = lk_optms(L, 1, 0);
    struct kc_clock *clock = lk_optclock(L, 2);
    struct kc_runtime *rt = lk_runtime(L);
    struct lk_timer *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct lk_timer){0};
    luaL_setmetatable(L, LK_TIMER);
    kc_pause_init(&box->pause, rt, clock, ms);
    return 1;
}

static int timer_id(lua_State *L)
{
    struct lk_timer *box = luaL_checkudata(L, 1, LK_TIMER);
    lua_pushinteger(L, (lua_Integer)box->pause.ready.id);
    return 1;
}

static int timer_ready(lua_State *L)
{
    struct lk_timer *box = luaL_checkudata(L, 1, LK_TIMER);
    lua_pushboolean(L, box->pause.done || !box->pause.ready.rt);
    return 1;
}

static int timer_finish(lua_State *L)
{
    struct lk_timer *box = luaL_checkudata(L, 1, LK_TIMER);
    kc_pause_end(&box->pause);
    return 0;
}

static int timer_close(lua_State *L)
{
    struct lk_timer *box = luaL_checkudata(L, 1, LK_TIMER);
    kc_pause_deinit(&box->pause);
    return 0;
}

static const luaL_Reg timer_methods[] = {
    {"id", timer_id},
    {"ready", timer_ready},
    {"finish", timer_finish},
    {"close", timer_close},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"now", core_now},
    {"mono", core_mono},
    {"manual_clock", core_manual_clock},
    {"timer", core_timer},
    {NULL, NULL},
};

void lk_open_clock(lua_State *L)
{
    lk_newclass(L, LK_CLOCK, clock_methods, clock_close);
    lk_newclass(L, LK_TIMER, timer_methods, timer_close);
    luaL_setfuncs(L, functions, 0);
}
