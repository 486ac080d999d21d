/* store.c -- the journal of a wrapper, for Lua. */
#include <stdlib.h>

#include "lua/lk.h"
#include "runtime/writer.h"

#define DEFAULT_CLOSE_MS 5000

struct lk_journal {
    struct kc_writer *writer;
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

static int core_journal(lua_State *L)
{
    const char *url = luaL_checkstring(L, 1);
    struct lk_journal *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct lk_journal){0};
    luaL_setmetatable(L, LK_JOURNAL);
    int err = kc_writer_open(url, &box->writer, &box->why);
    return err == KC_OK ? 1 : fail(L, box, err);
}

static int journal_attach(lua_State *L)
{
    struct lk_journal *box = check_journal(L);
    int err = kc_ledger_attach(lk_checkledger(L, 2), box->writer, &box->why);
    return err == KC_OK ? lk_result(L, err) : fail(L, box, err);
}

static int journal_flush(lua_State *L)
{
    struct lk_journal *box = check_journal(L);
    struct kc_journal *journal = kc_writer_journal(box->writer);
    if (!journal)
        return lk_fail(L, KC_ECLOSED, NULL);
    int err = kc_journal_flush(journal, lk_optms(L, 2, DEFAULT_CLOSE_MS));
    char text[256] = "";
    if (err != KC_OK)
        kc_journal_error(journal, text, sizeof text);
    return err == KC_OK ? lk_result(L, err) : lk_fail(L, err, text);
}

static int journal_close(lua_State *L)
{
    struct lk_journal *box = check_journal(L);
    size_t lost =
        kc_writer_close(box->writer, lk_optms(L, 2, DEFAULT_CLOSE_MS));
    if (lost == 0)
        return lk_result(L, KC_OK);
    const char *text = lua_pushfstring(
        L, "%d counters could not be written before the end", (int)lost);
    return lk_fail(L, KC_ESTORE, text);
}

static int journal_collect(lua_State *L)
{
    struct lk_journal *box = luaL_checkudata(L, 1, LK_JOURNAL);
    kc_writer_unref(box->writer);
    box->writer = NULL;
    free(box->why);
    box->why = NULL;
    return 0;
}

static const luaL_Reg methods[] = {
    {"attach", journal_attach},
    {"flush", journal_flush},
    {"close", journal_close},
    {NULL, NULL},
};

void lk_open_store(lua_State *L)
{
    lk_newclass(L, LK_JOURNAL, methods, journal_collect);
    lua_pushcfunction(L, core_journal);
    lua_setfield(L, -2, "journal");
}
