/* reader.c -- what a store knows, for Lua: without a key, without a change. */
#include <stdlib.h>

#include "lua/lk.h"
#include "store/totals.h"
#include "util/num.h"

#define MAX_DAYS 100000

struct lk_reader {
    struct kc_store *store;
    char *why; /* words of a failure, until they are on the stack */
    struct kc_totals totals;
    uint64_t *days; /* of one total */
};

static void clear(struct lk_reader *r)
{
    kc_totals_deinit(&r->totals);
    kc_totals_init(&r->totals, 0, 0, 1);
    free(r->days);
    r->days = NULL;
}

/* -- as tables ------------------------------------------------------------ */

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* [-0, +0, m] Set the field `name` to a list of counts. */
static void set_counts(lua_State *L, const char *name, const uint64_t *counts,
                       size_t n)
{
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        uint64_t count = kc_least(counts[i], LUA_MAXINTEGER);
        lua_pushinteger(L, (lua_Integer)count);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, name);
}

static void push_total(lua_State *L, const struct lk_reader *r,
                       const struct kc_total *t)
{
    static const char *const kinds[] = {"all", "provider", "key", "model",
                                        "pair"};
    lua_createtable(L, 0, 8);
    set_text(L, "kind", kinds[t->kind]);
    set_text(L, "provider", t->provider);
    set_text(L, "key", t->key);
    set_text(L, "label", t->label);
    set_text(L, "suffix", t->suffix);
    set_text(L, "model", t->model);
    set_counts(L, "counts", t->counts, KC_TOTAL_COUNTS);
    kc_totals_days(&r->totals, t, r->days);
    set_counts(L, "days", r->days, r->totals.days * KC_TOTAL_DAY);
}

/* [-0, +2, m] The totals, but of the pairs of a provider no more than `most`;
 * how many pairs each provider has. */
static void push_totals(lua_State *L, const struct lk_reader *r, uint64_t most)
{
    const struct kc_total *t;
    const char *provider = NULL;
    lua_Integer n = 0, pairs = 0;
    lua_newtable(L);
    lua_newtable(L);
    for (size_t i = 0; (t = kc_totals_get(&r->totals, i)) != NULL; i++) {
        if (t->kind == KC_TOTAL_PAIR) {
            pairs = t->provider == provider ? pairs + 1 : 1;
            provider = t->provider;
            lua_pushinteger(L, pairs);
            lua_setfield(L, -2, provider);
            if ((uint64_t)pairs > most)
                continue;
        }
        push_total(L, r, t);
        lua_rawseti(L, -3, ++n);
    }
}

static void push_state(lua_State *L, const struct kc_kept_state *s)
{
    lua_createtable(L, 0, 10);
    set_text(L, "provider", s->provider);
    set_text(L, "key", s->row.key);
    set_text(L, "label", s->row.label);
    set_text(L, "suffix", s->row.suffix);
    set_text(L, "model", s->row.model);
    set_text(L, "state", kc_state_name(s->row.state));
    set_text(L, "reason", s->row.reason);
    set_text(L, "learned", s->row.learned);
    lua_pushboolean(L, s->row.disabled);
    lua_setfield(L, -2, "disabled");
    if (s->row.until_ms != KC_NEVER && s->row.until_ms != 0) {
        lk_pushms(L, s->row.until_ms);
        lua_setfield(L, -2, "until_at");
    }
}

/* [-0, +1, m] Push { totals =, pair_counts =, states = }. */
static void push_report(lua_State *L, const struct lk_reader *r, uint64_t most)
{
    const struct kc_kept_state *s;
    lua_createtable(L, 0, 3);
    push_totals(L, r, most);
    lua_setfield(L, -3, "pair_counts");
    lua_setfield(L, -2, "totals");
    lua_newtable(L);
    for (size_t i = 0; (s = kc_totals_state(&r->totals, i)) != NULL; i++) {
        push_state(L, s);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "states");
}

/* -- the class ------------------------------------------------------------ */

static int core_store_reader(lua_State *L)
{
    const char *url = luaL_checkstring(L, 1);
    struct lk_reader *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (struct lk_reader){0};
    kc_totals_init(&r->totals, 0, 0, 1);
    luaL_setmetatable(L, LK_READER);
    int err = kc_store_look(url, &r->store, &r->why);
    if (err == KC_OK)
        return 1;
    lk_fail(L, err, r->why);
    free(r->why);
    r->why = NULL;
    return 2;
}

static int reader_report(lua_State *L)
{
    struct lk_reader *r = luaL_checkudata(L, 1, LK_READER);
    luaL_argcheck(L, r->store, 1, "the reader is closed");
    luaL_checknumber(L, 2);
    luaL_checknumber(L, 3);
    uint64_t now_ms = lk_optms(L, 2, 0), first_ms = lk_optms(L, 3, 0);
    uint64_t days = lk_optcount(L, 4, 1), most = lk_optcount(L, 5, UINT64_MAX);
    luaL_argcheck(L, days >= 1 && days <= MAX_DAYS, 4, "how many days");
    clear(r);
    kc_totals_init(&r->totals, now_ms, first_ms, (size_t)days);
    r->days = calloc((size_t)days * KC_TOTAL_DAY, sizeof *r->days);
    int err = r->days ? kc_totals_read(&r->totals, r->store) : KC_ENOMEM;
    if (err == KC_OK)
        push_report(L, r, most); /* should it raise, the box has the rest */
    clear(r);
    if (err == KC_OK)
        return 1;
    return lk_fail(L, err, err == KC_ENOMEM ? NULL : kc_store_error(r->store));
}

static int reader_close(lua_State *L)
{
    struct lk_reader *r = luaL_checkudata(L, 1, LK_READER);
    clear(r);
    kc_store_close(r->store);
    r->store = NULL;
    free(r->why);
    r->why = NULL;
    return 0;
}

static const luaL_Reg methods[] = {
    {"report", reader_report},
    {"close", reader_close},
    {NULL, NULL},
};

void lk_open_reader(lua_State *L)
{
    lk_newclass(L, LK_READER, methods, reader_close);
    lua_pushcfunction(L, core_store_reader);
    lua_setfield(L, -2, "store_reader");
}
