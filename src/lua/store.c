/* store.c -- the store of a wrapper, for Lua. */
#include <stdlib.h>
#include <string.h>

#include "lua/storedata.h"
#include "runtime/writer.h"

#define DEFAULT_FLUSH_MS 5000

struct lk_journal {
    struct kc_writer *writer;
    struct kc_runtime *rt; /* whose loop it wakes */
    char *why; /* words of the last failure, until they are on the stack */
};

static struct lk_journal *check_journal(lua_State *L)
{
    struct lk_journal *box = luaL_checkudata(L, 1, LK_JOURNAL);
    luaL_argcheck(L, box->writer, 1, "the journal is closed");
    return box;
}

/* [-0, +2, m] As lk_fail, with the store's own words. */
static int fail(lua_State *L, struct lk_journal *box, int err)
{
    lk_fail(L, err, box->why);
    free(box->why);
    box->why = NULL;
    return 2;
}

static int journal_collect(lua_State *L)
{
    struct lk_journal *box = luaL_checkudata(L, 1, LK_JOURNAL);
    if (box->writer)
        kc_writer_watch(box->writer, NULL);
    kc_writer_unref(box->writer);
    box->writer = NULL;
    kc_runtime_unref(box->rt);
    box->rt = NULL;
    free(box->why);
    box->why = NULL;
    return 0;
}

/* -- opening --------------------------------------------------------------- */

struct transfer { /* between rows and a store */
    struct kc_rows *rows;
    char **why;
};

static int end_transfer(struct transfer *t, struct kc_store *s, int err)
{
    if (err != KC_OK && err != KC_ENOMEM)
        *t->why = strdup(kc_store_error(s));
    return err;
}

static int import(void *ctx, struct kc_store *s)
{
    struct transfer *t = ctx;
    struct kc_batch b = {.uses = t->rows->uses,
                         .use_len = t->rows->use_len,
                         .sums = t->rows->sums,
                         .sum_len = t->rows->sum_len,
                         .states = t->rows->states,
                         .state_len = t->rows->state_len};
    return end_transfer(t, s, kc_store_import(s, &b));
}

static uint32_t keep_days(lua_State *L)
{
    lua_getfield(L, 2, "keep_days");
    uint64_t days = lk_optcount(L, -1, 0);
    luaL_argcheck(L, days <= UINT32_MAX, 2, "keep_days is too large");
    lua_pop(L, 1);
    return (uint32_t)days;
}

static int core_journal(lua_State *L)
{
    const char *url = luaL_checkstring(L, 1);
    struct kc_rows *past = NULL;
    uint32_t days = 0;
    bool alone = false;
    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        days = keep_days(L);
        lua_getfield(L, 2, "alone");
        alone = lua_toboolean(L, -1);
        if (lua_getfield(L, 2, "import") != LUA_TNIL) {
            past = lk_newrows(L);
            lk_torows(L, -2, past);
        }
    }
    struct kc_runtime *rt = lk_runtime(L);
    struct lk_journal *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct lk_journal){0};
    luaL_setmetatable(L, LK_JOURNAL);
    int err = kc_writer_open(url, days, &box->writer, &box->why);
    if (err != KC_OK)
        return fail(L, box, err);
    if (alone)
        kc_writer_be_alone(box->writer);
    box->rt = kc_runtime_ref(rt);
    kc_writer_watch(box->writer, kc_runtime_loop(rt));
    if (past) {
        struct transfer t = {past, &box->why};
        err = kc_writer_with_store(box->writer, import, &t);
    }
    return err == KC_OK ? 1 : fail(L, box, err);
}

/* -- methods --------------------------------------------------------------- */

static int journal_attach(lua_State *L)
{
    struct lk_journal *box = check_journal(L);
    int err = kc_ledger_attach(lk_checkledger(L, 2), box->writer, &box->why);
    return err == KC_OK ? lk_result(L, err) : fail(L, box, err);
}

static int journal_flush(lua_State *L)
{
    struct lk_journal *box = check_journal(L);
    int err = kc_writer_sync(box->writer, lk_optms(L, 2, DEFAULT_FLUSH_MS));
    struct kc_journal_status status = {0};
    if (err == KC_ESTORE || err == KC_ETIMEOUT)
        kc_writer_status(box->writer, &status);
    return err == KC_OK ? lk_result(L, err) : lk_fail(L, err, status.error);
}

static int journal_close(lua_State *L)
{
    struct lk_journal *box = check_journal(L);
    uint64_t timeout_ms = lk_optms(L, 2, DEFAULT_FLUSH_MS);
    uint64_t start_ms = kc_mono_ms();
    struct kc_journal_status status;
    /* Tried first for its words: once it is closed it has none. */
    int err = kc_writer_sync(box->writer, timeout_ms);
    kc_writer_status(box->writer, &status);
    uint64_t spent_ms = kc_mono_ms() - start_ms;
    size_t lost = kc_writer_close(
        box->writer, spent_ms < timeout_ms ? timeout_ms - spent_ms : 0);
    if (lost == 0)
        return lk_result(L, KC_OK);
    const char *text = lua_pushfstring(
        L, "%I counts could not be written before the end: %s",
        (lua_Integer)lost, *status.error ? status.error : kc_err_text(err));
    return lk_fail(L, KC_ESTORE, text);
}

static int journal_changes(lua_State *L)
{
    struct lk_journal *box = check_journal(L);
    lua_pushinteger(L, (lua_Integer)kc_writer_changes(box->writer));
    return 1;
}

static int journal_status(lua_State *L)
{
    struct lk_journal *box = check_journal(L);
    struct kc_journal_status status;
    kc_writer_status(box->writer, &status);
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, (lua_Integer)status.waiting);
    lua_setfield(L, -2, "waiting");
    lua_pushinteger(L, (lua_Integer)status.set_aside);
    lua_setfield(L, -2, "set_aside");
    lk_pushms(L, status.failing_ms);
    lua_setfield(L, -2, "failing");
    lua_pushstring(L, status.error);
    lua_setfield(L, -2, "error");
    lua_pushstring(L, status.aside);
    lua_setfield(L, -2, "aside");
    return 1;
}

static int export(void *ctx, struct kc_store *s)
{
    struct transfer *t = ctx;
    struct kc_reader reader = kc_rows_reader(t->rows);
    return end_transfer(t, s, kc_store_export(s, &reader));
}

static int journal_export(lua_State *L)
{
    struct lk_journal *box = check_journal(L);
    bool marked = !lua_isnoneornil(L, 2);
    lua_Integer mark = luaL_optinteger(L, 2, 0);
    struct kc_rows *rows = lk_newrows(L);
    struct transfer t = {rows, &box->why};
    int err = kc_writer_with_store(box->writer, export, &t);
    if (err != KC_OK)
        return fail(L, box, err);
    kc_rows_fold(rows);
    lua_Integer now = (lua_Integer)kc_rows_hash(rows);
    if (marked && mark == now)
        lua_pushboolean(L, 0);
    else
        lk_pushrows(L, rows);
    kc_rows_deinit(rows);
    lua_pushinteger(L, now);
    return 2;
}

static const luaL_Reg methods[] = {
    {"attach", journal_attach},
    {"flush", journal_flush},
    {"close", journal_close},
    {"changes", journal_changes},
    {"status", journal_status},
    {"export", journal_export},
    {NULL, NULL},
};

void lk_open_store(lua_State *L)
{
    lk_open_storedata(L);
    lk_newclass(L, LK_JOURNAL, methods, journal_collect);
    lua_pushcfunction(L, core_journal);
    lua_setfield(L, -2, "journal");
}
