/* report.c -- what a store knows, for Lua: no key is needed, nothing changes.
 *
 * The rows are gathered in C while the store reads, by key and model, and are
 * made tables once it has: Lua may raise then.
 */
#include <stdlib.h>
#include <string.h>

#include "lua/lk.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/map.h"

#define MAX_BYTES ((size_t)1 << 30)
#define DAY_MS UINT64_C(86400000)

static const uint64_t spans_ms[] = {60000, 3600000, DAY_MS};
#define WINDOWS (sizeof spans_ms / sizeof spans_ms[0])

/* Names are places in `texts`. */
struct entry { /* one key and model of a provider */
    size_t provider, key, label, suffix, model;
    struct kc_used used;
    uint64_t requests[WINDOWS], tokens[WINDOWS]; /* as limits count them */
    size_t days;                                 /* the newest, from 1 */
};

struct day {
    uint64_t start_ms;
    struct kc_used used;
    size_t before; /* the entry's day before it, from 1 */
};

struct state {
    size_t provider, model;
    struct kc_state_row row; /* but `model` */
};

struct lk_reader {
    struct kc_store *store;
    char *why; /* words of a failure, until they are on the stack */
    uint64_t now_ms;
    struct kc_buf texts, entries, days, states; /* arrays of the above */
    struct kc_map places; /* "provider\nkey\nmodel" to an entry, from 1 */
    struct kc_buf name;   /* the one that is looked for */
    size_t last;          /* the entry that was found last, from 1 */
};

static void clear(struct lk_reader *r)
{
    kc_buf_deinit(&r->texts);
    kc_buf_deinit(&r->entries);
    kc_buf_deinit(&r->days);
    kc_buf_deinit(&r->states);
    kc_map_deinit(&r->places);
    kc_map_init(&r->places);
    kc_buf_deinit(&r->name);
    r->last = 0;
}

/* -- gathering ------------------------------------------------------------ */

static int keep(struct lk_reader *r, const char *text, size_t *place)
{
    *place = r->texts.len;
    return kc_buf_add(&r->texts, text ? text : "", text ? strlen(text) + 1 : 1);
}

static size_t entry_count(const struct lk_reader *r)
{
    return r->entries.len / sizeof(struct entry);
}

static struct entry *entry_at(const struct lk_reader *r, size_t i)
{
    return (struct entry *)(void *)r->entries.data + i;
}

static int add_entry(struct lk_reader *r, const char *name,
                     const struct kc_day_row *row)
{
    struct entry e = {0};
    int err = keep(r, row->provider, &e.provider);
    if (err == KC_OK)
        err = keep(r, row->key, &e.key);
    if (err == KC_OK)
        err = keep(r, row->label, &e.label);
    if (err == KC_OK)
        err = keep(r, row->suffix, &e.suffix);
    if (err == KC_OK)
        err = keep(r, row->model, &e.model);
    if (err == KC_OK)
        err = kc_buf_add(&r->entries, &e, sizeof e);
    if (err == KC_OK)
        err = kc_map_set(&r->places, name, (void *)entry_count(r));
    return err;
}

static bool is_of(const struct lk_reader *r, const struct entry *e,
                  const struct kc_day_row *row)
{
    const char *texts = r->texts.data;
    return strcmp(texts + e->model, row->model) == 0 &&
           strcmp(texts + e->key, row->key) == 0 &&
           strcmp(texts + e->provider, row->provider) == 0;
}

/* r->name becomes the row's name in `places`. */
static int name_of(struct lk_reader *r, const struct kc_day_row *row)
{
    kc_buf_clear(&r->name);
    int err = kc_buf_addstr(&r->name, row->provider);
    if (err == KC_OK)
        err = kc_buf_addch(&r->name, '\n');
    if (err == KC_OK)
        err = kc_buf_addstr(&r->name, row->key);
    if (err == KC_OK)
        err = kc_buf_addch(&r->name, '\n');
    if (err == KC_OK)
        err = kc_buf_addstr(&r->name, row->model);
    return err;
}

/* r->last becomes the row's entry, made when it is the first of its name. */
static int look_up(struct lk_reader *r, const struct kc_day_row *row)
{
    r->last = 0;
    int err = name_of(r, row);
    size_t found = 0;
    if (err == KC_OK)
        found = (size_t)kc_map_get(&r->places, kc_buf_str(&r->name));
    if (err == KC_OK && found == 0) {
        err = add_entry(r, kc_buf_str(&r->name), row);
        found = entry_count(r);
    }
    if (err == KC_OK)
        r->last = found;
    return err;
}

/* The entry of a row's key and model. Rows of one often come one after the
 * other. */
static int find(struct lk_reader *r, const struct kc_day_row *row,
                struct entry **out)
{
    int err = KC_OK;
    if (r->last == 0 || !is_of(r, entry_at(r, r->last - 1), row))
        err = look_up(r, row);
    *out = err == KC_OK ? entry_at(r, r->last - 1) : NULL;
    return err;
}

static int on_total(void *ctx, const struct kc_day_row *row)
{
    struct entry *e;
    int err = find(ctx, row, &e);
    if (err == KC_OK)
        e->used = row->used;
    return err;
}

static int on_use(void *ctx, const struct kc_use_row *row)
{
    struct lk_reader *r = ctx;
    struct kc_day_row of = {
        .provider = row->provider, .key = row->key, .model = row->model};
    struct entry *e;
    int err = find(r, &of, &e);
    for (size_t w = 0; err == KC_OK && w < WINDOWS; w++)
        if (row->last_ms + spans_ms[w] > r->now_ms) {
            e->requests[w] += row->used.counted;
            e->tokens[w] += row->used.counted_tokens;
        }
    return err;
}

static int on_day(void *ctx, const struct kc_day_row *row)
{
    struct lk_reader *r = ctx;
    struct entry *e;
    int err = find(r, row, &e);
    if (err != KC_OK)
        return err;
    struct day day = {row->start_ms, row->used, e->days};
    err = kc_buf_add(&r->days, &day, sizeof day);
    if (err == KC_OK)
        e->days = r->days.len / sizeof day;
    return err;
}

static int on_state(void *ctx, const struct kc_kept_state *kept)
{
    struct lk_reader *r = ctx;
    struct state state = {.row = kept->row};
    int err = keep(r, kept->provider, &state.provider);
    if (err == KC_OK)
        err = keep(r, kept->row.model, &state.model);
    return err == KC_OK ? kc_buf_add(&r->states, &state, sizeof state) : err;
}

/* -- as tables ------------------------------------------------------------ */

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void append(lua_State *L, lua_Integer at, uint64_t n)
{
    lua_pushinteger(L, n < LUA_MAXINTEGER ? (lua_Integer)n : LUA_MAXINTEGER);
    lua_rawseti(L, -2, at);
}

/* Counts are told in lists: tables of named fields would take most of a
 * report's time where keys and models are many. */

/* [-0, +1, m] In all requests, input, output and total tokens; then requests of
 * a minute, hour and day, and tokens. */
static void push_counts(lua_State *L, const struct entry *e)
{
    lua_Integer n = 0;
    lua_createtable(L, 4 + 2 * WINDOWS, 0);
    append(L, ++n, e->used.requests);
    append(L, ++n, e->used.input);
    append(L, ++n, e->used.output);
    append(L, ++n, e->used.total);
    for (size_t w = 0; w < WINDOWS; w++)
        append(L, ++n, e->requests[w]);
    for (size_t w = 0; w < WINDOWS; w++)
        append(L, ++n, e->tokens[w]);
}

/* [-0, +1, m] The start of a day in seconds and its four counts, the next
 * day's, and so on. */
static void push_days(lua_State *L, const struct lk_reader *r, size_t newest)
{
    const struct day *days = (const void *)r->days.data;
    lua_Integer n = 0;
    lua_newtable(L);
    for (size_t i = newest; i != 0; i = days[i - 1].before) {
        const struct day *d = &days[i - 1];
        append(L, ++n, d->start_ms / 1000);
        append(L, ++n, d->used.requests);
        append(L, ++n, d->used.input);
        append(L, ++n, d->used.output);
        append(L, ++n, d->used.total);
    }
}

static void push_entry(lua_State *L, const struct lk_reader *r,
                       const struct entry *e)
{
    lua_createtable(L, 0, 8);
    set_text(L, "provider", r->texts.data + e->provider);
    set_text(L, "key", r->texts.data + e->key);
    set_text(L, "label", r->texts.data + e->label);
    set_text(L, "suffix", r->texts.data + e->suffix);
    set_text(L, "model", r->texts.data + e->model);
    push_counts(L, e);
    lua_setfield(L, -2, "counts");
    push_days(L, r, e->days);
    lua_setfield(L, -2, "days");
}

static void push_state(lua_State *L, const struct lk_reader *r,
                       const struct state *s)
{
    lua_createtable(L, 0, 12);
    set_text(L, "provider", r->texts.data + s->provider);
    set_text(L, "key", s->row.key);
    set_text(L, "label", s->row.label);
    set_text(L, "suffix", s->row.suffix);
    set_text(L, "model", r->texts.data + s->model);
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

/* [-0, +1, m] Push { entries =, states = }. */
static void push_report(lua_State *L, const struct lk_reader *r)
{
    const struct state *states = (const void *)r->states.data;
    size_t state_count = r->states.len / sizeof *states;
    lua_createtable(L, 0, 2);
    lua_newtable(L);
    for (size_t i = 0; i < entry_count(r); i++) {
        push_entry(L, r, entry_at(r, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "entries");
    lua_newtable(L);
    for (size_t i = 0; i < state_count; i++) {
        push_state(L, r, &states[i]);
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
    kc_buf_init(&r->texts, MAX_BYTES);
    kc_buf_init(&r->entries, MAX_BYTES);
    kc_buf_init(&r->days, MAX_BYTES);
    kc_buf_init(&r->states, MAX_BYTES);
    kc_buf_init(&r->name, MAX_BYTES);
    kc_map_init(&r->places);
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
    uint64_t days_ms = lk_optms(L, 3, 0);
    const struct kc_reporter reporter = {r, on_total, on_use, on_day, on_state};
    r->now_ms = lk_optms(L, 2, 0);
    clear(r);
    int err =
        kc_store_report(r->store, r->now_ms > DAY_MS ? r->now_ms - DAY_MS : 0,
                        days_ms, &reporter);
    if (err == KC_OK)
        push_report(L, r); /* when it raises, the rows are the box's */
    clear(r);
    return err == KC_OK ? 1 : lk_fail(L, err, kc_store_error(r->store));
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

void lk_open_report(lua_State *L)
{
    lk_newclass(L, LK_READER, methods, reader_close);
    lua_pushcfunction(L, core_store_reader);
    lua_setfield(L, -2, "store_reader");
}
