/* box.c -- the box: a Lua state of its own, in which users' scripts run.
 *
 * An entry is one call from the host into the box. It may spend so many
 * instructions, so much of the thread's time and so many bytes; whoever spends
 * more, or is refused memory, ends the box: from then on every instruction
 * raises, and the state is closed as soon as it is left (boxstate.c). boxlib.c
 * is what a script sees, boxcopy.c how values cross.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/box_impl.h"
#include "lua/boxmatch.h"
#include "lua/jsonout.h"
#include "lua/lk.h"
#include "lua/pool.h"

#define MAX_TEXT (256u * 1024)
#define READ_STEP 64 /* bytes that the parser gets at once */
#define DEFAULT_MEMORY (16u << 20)
#define MIN_MEMORY (256u * 1024)
#define DEFAULT_WORK 2000000
#define DEFAULT_MS 50

static const char functions_key; /* its address alone counts */

/* -- failures -------------------------------------------------------------- */

/* "file:12: words" -> `place`, when there is none yet. */
static void find_place(struct lk_box *b)
{
    for (const char *c = b->message; (c = strchr(c, ':')) != NULL; c++) {
        size_t digits = strspn(c + 1, "0123456789");
        size_t n = (size_t)(c - b->message) + 1 + digits;
        if (digits && c[1 + digits] == ':' && n < sizeof b->place) {
            memcpy(b->place, b->message, n);
            b->place[n] = '\0';
            return;
        }
    }
}

static const char *end_words(const struct lk_box *b, const char **code)
{
    *code = "budget";
    switch (b->end) {
    case LK_BOX_WORK:
        return "the script ran for too many instructions";
    case LK_BOX_TIME:
        return "the script ran for too long";
    case LK_BOX_BYTES:
        return "the script allocated too much in one call";
    default:
        break;
    }
    *code = "memory";
    if (b->end == LK_BOX_MEMORY)
        return "not enough memory for the script";
    if (b->end == LK_BOX_KEEPS)
        return "the script keeps more than a quarter of the memory";
    *code = b->end == LK_BOX_CLOSED ? "closed" : "script";
    return b->end == LK_BOX_CLOSED ? "the box is closed" : "errors in errors";
}

/* [-0, +2, m] false and { code, message, file, line }. Returns 2. */
static int fail(lua_State *L, const char *code, const char *message,
                const char *place)
{
    const char *line = strrchr(place, ':');
    lua_pushboolean(L, 0);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    if (line) {
        lua_pushlstring(L, place, (size_t)(line - place));
        lua_setfield(L, -2, "file");
        lua_pushinteger(L, strtol(line + 1, NULL, 10));
        lua_setfield(L, -2, "line");
    }
    return 2;
}

/* [-0, +2, m] What enter was not content with. */
static int fail_entry(lua_State *L, struct lk_box *b)
{
    const char *code = b->bad_value ? "value" : "script";
    if (b->end == LK_BOX_ALIVE) {
        find_place(b);
        return fail(L, code, b->message, b->place);
    }
    const char *words = end_words(b, &code);
    snprintf(b->message, sizeof b->message, "%s%s%s", b->place,
             b->place[0] ? ": " : "", words);
    b->end = LK_BOX_CLOSED;
    return fail(L, code, b->message, b->place);
}

/* [-0, +2, m] A value of the host that cannot be copied, or memory ran out. */
static int fail_copy(lua_State *L, int err, const struct lk_copy *c)
{
    if (err == KC_ENOMEM)
        return lk_nomem(L);
    lua_pushfstring(L, c->key[0] ? "%s: %s" : "%s%s", c->key, c->why);
    return fail(L, "value", lua_tostring(L, -1), "");
}

/* -- what runs in the box -------------------------------------------------- */

lua_Integer lk_box_keep(lua_State *B, struct lk_box *b, int index)
{
    index = lua_absindex(B, index);
    lua_rawgetp(B, LUA_REGISTRYINDEX, &functions_key);
    lua_pushvalue(B, index);
    lua_rawseti(B, -2, b->last_id + 1);
    lua_pop(B, 1);
    return ++b->last_id;
}

/* Any time, in no protected call: it asks for no memory. */
static void forget(struct lk_box *b, lua_Integer id)
{
    if (!b->state || !id)
        return;
    lua_rawgetp(b->state, LUA_REGISTRYINDEX, &functions_key);
    if (lua_rawgeti(b->state, -1, id) != LUA_TNIL) {
        lua_pushnil(b->state);
        lua_rawseti(b->state, -3, id);
    }
    lua_pop(b->state, 2);
}

static int set_up(lua_State *B)
{
    luaL_Buffer text; /* the first large one makes a metatable: now */
    luaL_buffinitsize(B, &text, 2 * LUAL_BUFFERSIZE);
    luaL_pushresultsize(&text, 0);
    lua_newtable(B);
    lua_rawsetp(B, LUA_REGISTRYINDEX, &functions_key);
    lk_box_openlib(B);
    return 0;
}

struct run_job {
    const char *text, *chunkname;
    size_t len;
    struct kc_buf *in, *out;
    const char *kind;
};

/* In small pieces, for the parser has no hook. */
static const char *read_text(lua_State *B, void *ud, size_t *n)
{
    struct run_job *job = ud;
    struct lk_box *b = lk_box_of(B);
    const char *piece = job->text;
    *n = job->len < READ_STEP ? job->len : READ_STEP;
    job->text += *n;
    job->len -= *n;
    b->work += READ_STEP;
    lk_box_look(b);
    if (b->end != LK_BOX_ALIVE)
        *n = 0; /* the text ends here, and so does the entry */
    return piece;
}

/* [-0, +0, v] Write the value at `index` to `out`. */
static void write_out(lua_State *B, int index, struct lk_copy *c)
{
    struct lk_box *b = lk_box_of(B);
    int err = lk_copy_out(B, index, c);
    if (err == KC_OK)
        return;
    if (err == KC_ENOMEM) {
        lk_box_spend(b, LK_BOX_MEMORY);
        luaL_error(B, "not enough memory");
    }
    b->bad_value = true;
    if (c->key[0])
        luaL_error(B, "%s: %s", c->key, c->why);
    luaL_error(B, "%s", c->why);
}

static int run_chunk(lua_State *B)
{
    struct run_job *job = lua_touserdata(B, 1);
    struct lk_copy c = {.bytes = job->out, .booked = true};
    c.box = lk_box_of(B);
    lk_box_newkinds(B);
    if (lua_load(B, read_text, job, job->chunkname, "t") != LUA_OK)
        return lua_error(B);
    if (lk_box_of(B)->end != LK_BOX_ALIVE)
        return luaL_error(B, "the text takes too long to read");
    lk_box_newenv(B);
    for (int n = lk_copy_in(B, job->in, 0); n > 1; n -= 2)
        lua_rawset(B, -1 - n);
    lua_setupvalue(B, 2, 1);
    lua_call(B, 0, 1);
    write_out(B, -1, &c);
    job->kind = lk_box_kind(B, -1);
    return 0;
}

struct call_job {
    lua_Integer id;
    struct kc_buf *in, *out;
    bool keeps; /* what became of the last argument is the first result */
};

static int call_function(lua_State *B)
{
    struct call_job *job = lua_touserdata(B, 1);
    struct lk_copy c = {.bytes = job->out, .booked = true};
    lua_rawgetp(B, LUA_REGISTRYINDEX, &functions_key);
    lua_rawgeti(B, -1, job->id);
    lua_replace(B, 2);
    int first = job->keeps ? 1 : 2;
    int n = lk_copy_in(B, job->in, 0);
    if (job->keeps)
        lua_copy(B, -1, 1);
    lua_call(B, n, LUA_MULTRET);
    for (int i = first; i <= lua_gettop(B); i++)
        write_out(B, i, &c);
    return 0;
}

/* -- the host's side ------------------------------------------------------- */

static int box_close(lua_State *L)
{
    struct lk_box *b = luaL_checkudata(L, 1, LK_BOX);
    lk_box_shut(b);
    b->end = LK_BOX_CLOSED;
    return 0;
}

static uint64_t bound(lua_State *L, const char *name, uint64_t def)
{
    if (lua_isnoneornil(L, 1))
        return def;
    lua_getfield(L, 1, name);
    uint64_t n = lk_optcount(L, -1, def);
    lua_pop(L, 1);
    return n;
}

static int core_box(lua_State *L)
{
    if (!lua_isnoneornil(L, 1))
        luaL_checktype(L, 1, LUA_TTABLE);
    uint64_t memory = bound(L, "memory", DEFAULT_MEMORY);
    uint64_t work = bound(L, "budget", DEFAULT_WORK);
    uint64_t ms = DEFAULT_MS;
    if (lua_istable(L, 1))
        ms = lk_fieldms(L, 1, "seconds", DEFAULT_MS);
    luaL_argcheck(L, memory >= MIN_MEMORY && memory <= SIZE_MAX / 2, 1,
                  "memory must be 256 KiB at least");
    struct lk_box *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (struct lk_box){.max_memory = (size_t)memory};
    luaL_setmetatable(L, LK_BOX);
    if (!lk_box_open(b, set_up)) {
        lk_box_shut(b);
        return lk_fail(L, KC_ENOMEM, NULL);
    }
    b->max_work = work;
    b->max_us = ms * 1000;
    return 1;
}

/* [-0, +1, m] A buffer of one copy's size. */
static struct kc_buf *new_bytes(lua_State *L)
{
    struct kc_buf *bytes = lk_newtext(L);
    bytes->max = LK_COPY_BYTES;
    return bytes;
}

/* Runs in protected mode: (buffer, box) -> values. */
static int copy_back(lua_State *L)
{
    return lk_copy_in(L, lua_touserdata(L, 1), 2);
}

/* [-0, +n, m] Push what `out` holds, of the box at index `box`; its functions
 * after `first` become hooks, or, where the host has no memory for that, are
 * forgotten. */
static void take_values(lua_State *L, int box, struct kc_buf *out,
                        lua_Integer first)
{
    struct lk_box *b = lua_touserdata(L, box);
    lua_pushcfunction(L, copy_back);
    lua_pushlightuserdata(L, out);
    lua_pushvalue(L, box);
    int status = lua_pcall(L, 2, LUA_MULTRET, 0);
    kc_buf_deinit(out);
    if (status == LUA_OK)
        return;
    for (lua_Integer id = first + 1; id <= b->last_id; id++)
        forget(b, id);
    lua_error(L);
}

/* Pairs of the table at 4, for the environment. */
static int write_globals(lua_State *L, struct lk_copy *c)
{
    int err = KC_OK;
    lua_pushnil(L);
    while (err == KC_OK && lua_next(L, 4)) {
        err = lk_copy_out(L, -2, c);
        if (err == KC_OK)
            err = lk_copy_out(L, -1, c);
        lua_pop(L, err == KC_OK ? 1 : 2);
    }
    return err;
}

static int box_run(lua_State *L)
{
    struct lk_box *b = luaL_checkudata(L, 1, LK_BOX);
    struct run_job job = {.text = luaL_checklstring(L, 2, &job.len)};
    job.chunkname = luaL_optstring(L, 3, "=script");
    if (!lua_isnoneornil(L, 4))
        luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    if (!b->state)
        return fail(L, "closed", "the box is closed", "");
    if (job.len > MAX_TEXT)
        return fail(L, "script", "the text is larger than 256 KiB", "");
    /* Some 5.4 compile an _ENV of the script's own to wrong code. */
    if (memmem(job.text, job.len, "_ENV", 4))
        return fail(L, "script", "a script must not name _ENV", "");
    lk_json_pushnull(L);
    job.in = new_bytes(L);
    job.out = new_bytes(L);
    struct lk_copy c = {.bytes = job.in, .null = 5};
    int err = lua_isnil(L, 4) ? KC_OK : write_globals(L, &c);
    if (err != KC_OK)
        return fail_copy(L, err, &c);
    lua_Integer first = b->last_id;
    bool ok = lk_box_enter(b, run_chunk, &job);
    kc_buf_deinit(job.in);
    if (!ok) {
        for (lua_Integer id = first + 1; id <= b->last_id; id++)
            forget(b, id);
        return fail_entry(L, b);
    }
    lua_pushboolean(L, 1);
    take_values(L, 1, job.out, first);
    lua_pushstring(L, job.kind);
    return 3;
}

/* Whether scripts can run in it still. */
static int box_is_open(lua_State *L)
{
    struct lk_box *b = luaL_checkudata(L, 1, LK_BOX);
    lua_pushboolean(L, b->state != NULL);
    return 1;
}

/* What the last entry took, and what the box holds now. */
static int box_spent(lua_State *L)
{
    struct lk_box *b = luaL_checkudata(L, 1, LK_BOX);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, (lua_Integer)b->work);
    lua_setfield(L, -2, "instructions");
    lua_pushinteger(L, (lua_Integer)b->bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushinteger(L, (lua_Integer)b->used);
    lua_setfield(L, -2, "memory");
    return 1;
}

struct lk_hook {
    lua_Integer id;
};

void lk_newhook(lua_State *L, int box, lua_Integer id)
{
    struct lk_hook *h = lua_newuserdatauv(L, sizeof *h, 1);
    h->id = id;
    lua_pushvalue(L, box);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, LK_HOOK);
}

static int call_hook(lua_State *L, bool keeps)
{
    struct lk_hook *h = luaL_checkudata(L, 1, LK_HOOK);
    int n = lua_gettop(L);
    luaL_argcheck(L, n > 1 || !keeps, 2, "a value is missing");
    luaL_checkstack(L, 20, NULL);
    lua_getiuservalue(L, 1, 1);
    struct lk_box *b = lua_touserdata(L, n + 1);
    if (!b->state || !h->id)
        return fail(L, "closed", "the box is closed", "");
    lk_json_pushnull(L);
    struct call_job job = {.id = h->id, .keeps = keeps};
    job.in = new_bytes(L);
    job.out = new_bytes(L);
    struct lk_copy c = {.bytes = job.in, .null = n + 2};
    for (int i = 2; i <= n; i++) {
        int err = lk_copy_out(L, i, &c);
        if (err != KC_OK)
            return fail_copy(L, err, &c);
    }
    bool ok = lk_box_enter(b, call_function, &job);
    kc_buf_deinit(job.in);
    if (!ok)
        return fail_entry(L, b);
    int top = lua_gettop(L);
    lua_pushboolean(L, 1);
    take_values(L, n + 1, job.out, b->last_id);
    return lua_gettop(L) - top;
}

static int hook_call(lua_State *L)
{
    return call_hook(L, false);
}

/* The same, but what the function made of its last argument, of which it gets
 * a copy, comes back before its results. */
static int hook_call_keep(lua_State *L)
{
    return call_hook(L, true);
}

static int hook_close(lua_State *L)
{
    struct lk_hook *h = luaL_checkudata(L, 1, LK_HOOK);
    lua_getiuservalue(L, 1, 1);
    forget(lua_touserdata(L, -1), h->id);
    h->id = 0;
    return 0;
}

void lk_open_box(lua_State *L)
{
    static const luaL_Reg methods[] = {{"run", box_run},
                                       {"is_open", box_is_open},
                                       {"spent", box_spent},
                                       {"close", box_close},
                                       {NULL, NULL}};
    static const luaL_Reg hook_methods[] = {{"call", hook_call},
                                            {"call_keep", hook_call_keep},
                                            {NULL, NULL}};
    lk_newclass(L, LK_BOX, methods, box_close);
    lk_newclass(L, LK_HOOK, hook_methods, hook_close);
    lua_pushcfunction(L, core_box);
    lua_setfield(L, -2, "box");
    lua_pushcfunction(L, lk_core_match);
    lua_setfield(L, -2, "match");
}
