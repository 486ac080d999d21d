/* storedata.c -- see storedata.h. What a program gives was checked by the Lua
 * library, with words for people; here a wrong value is misuse.
 */
#include "lua/storedata.h"

#include <limits.h>
#include <string.h>

#define ROWS "keycycle.rows"
#define VERSION 1

static int rows_close(lua_State *L)
{
    kc_rows_deinit(luaL_checkudata(L, 1, ROWS));
    return 0;
}

struct kc_rows *lk_newrows(lua_State *L)
{
    struct kc_rows *rows = lua_newuserdatauv(L, sizeof *rows, 0);
    kc_rows_init(rows);
    luaL_setmetatable(L, ROWS);
    return rows;
}

void lk_open_storedata(lua_State *L)
{
    static const luaL_Reg none[] = {{NULL, NULL}};
    lk_newclass(L, ROWS, none, rows_close);
}

/* -- from Lua: of the row at the top --------------------------------------- */

static uint64_t number(lua_State *L, const char *name, uint64_t def)
{
    uint64_t value = def;
    if (lua_getfield(L, -1, name) != LUA_TNIL) {
        int isnum;
        lua_Integer n = lua_tointegerx(L, -1, &isnum);
        if (!isnum || n < 0)
            luaL_error(L, "%s must be a whole number", name);
        value = (uint64_t)n;
    }
    lua_pop(L, 1);
    return value;
}

static bool flag(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* Borrowed: the row holds it. */
static const char *text(lua_State *L, const char *name)
{
    if (lua_getfield(L, -1, name) != LUA_TSTRING)
        luaL_error(L, "%s must be a string", name);
    const char *value = lua_tostring(L, -1);
    lua_pop(L, 1);
    return value;
}

static void copy_text(lua_State *L, const char *name, char *out, size_t size)
{
    const char *value = text(L, name);
    if (strlen(value) >= size)
        luaL_error(L, "%s is too long", name);
    memcpy(out, value, strlen(value) + 1);
}

static struct kc_used used(lua_State *L)
{
    struct kc_used u = {.requests = number(L, "requests", 0),
                        .input = number(L, "input", 0),
                        .output = number(L, "output", 0),
                        .total = number(L, "total", 0)};
    u.counted = number(L, "counted", u.requests);
    u.counted_tokens = number(L, "counted_tokens", u.total);
    u.counted_input = number(L, "counted_input", u.input);
    return u;
}

static int read_use(lua_State *L, struct kc_rows *rows)
{
    struct kc_use_row row = {.provider = text(L, "provider"),
                             .key = text(L, "key"),
                             .model = text(L, "model"),
                             .start_ms = number(L, "start_ms", 0),
                             .span_ms = number(L, "span_ms", 0),
                             .last_ms = number(L, "last_ms", 0),
                             .used = used(L)};
    return kc_rows_add_use(rows, &row);
}

static int read_sum(lua_State *L, struct kc_rows *rows)
{
    struct kc_sum_row row = {.provider = text(L, "provider"),
                             .key = text(L, "key"),
                             .model = text(L, "model"),
                             .last_ms = number(L, "last_ms", 0),
                             .used = used(L)};
    return kc_rows_add_sum(rows, &row);
}

static enum kc_state state(lua_State *L)
{
    const char *name = text(L, "state");
    for (enum kc_state s = KC_READY; s < KC_STATES; s++)
        if (strcmp(name, kc_state_name(s)) == 0)
            return s;
    luaL_error(L, "there is no state %s", name);
    return KC_READY;
}

static int read_state(lua_State *L, struct kc_rows *rows)
{
    struct kc_kept_state kept = {.provider = text(L, "provider")};
    struct kc_state_row *row = &kept.row;
    row->model = text(L, "model");
    copy_text(L, "key", row->key, sizeof row->key);
    copy_text(L, "label", row->label, sizeof row->label);
    copy_text(L, "suffix", row->suffix, sizeof row->suffix);
    copy_text(L, "reason", row->reason, sizeof row->reason);
    copy_text(L, "learned", row->learned, sizeof row->learned);
    row->state = state(L);
    row->disabled = flag(L, "disabled");
    row->guessed = flag(L, "guessed");
    row->auth = flag(L, "auth");
    row->tries = (uint32_t)number(L, "tries", 0);
    row->until_ms = number(L, "until_ms", KC_NEVER);
    row->changed_ms = number(L, "changed_ms", 0);
    return kc_rows_add_state(rows, &kept);
}

static void read_list(lua_State *L, int arg, const char *name,
                      int (*read)(lua_State *, struct kc_rows *),
                      struct kc_rows *rows)
{
    if (lua_getfield(L, arg, name) != LUA_TTABLE)
        luaL_error(L, "%s must be a list", name);
    lua_Integer n = luaL_len(L, -1);
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_geti(L, -1, i) != LUA_TTABLE)
            luaL_error(L, "%s must be a list of tables", name);
        if (read(L, rows) != KC_OK)
            lk_nomem(L);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void lk_torows(lua_State *L, int arg, struct kc_rows *rows)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    read_list(L, arg, "usage", read_use, rows);
    read_list(L, arg, "sums", read_sum, rows);
    read_list(L, arg, "states", read_state, rows);
}

/* -- to Lua: into the table at the top ------------------------------------ */

/* Left out where it is what a reader takes it to be. */
static void set_number(lua_State *L, const char *name, uint64_t value,
                       uint64_t def)
{
    if (value == def)
        return;
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool value)
{
    if (!value)
        return;
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, name);
}

static void set_used(lua_State *L, const struct kc_used *u)
{
    set_number(L, "requests", u->requests, 0);
    set_number(L, "input", u->input, 0);
    set_number(L, "output", u->output, 0);
    set_number(L, "total", u->total, 0);
    set_number(L, "counted", u->counted, u->requests);
    set_number(L, "counted_tokens", u->counted_tokens, u->total);
    set_number(L, "counted_input", u->counted_input, u->input);
}

static void set_names(lua_State *L, const char *provider, const char *key,
                      const char *model)
{
    set_text(L, "provider", provider);
    set_text(L, "key", key);
    set_text(L, "model", model);
}

static void push_use(lua_State *L, const struct kc_use_row *row)
{
    lua_createtable(L, 0, 10);
    set_names(L, row->provider, row->key, row->model);
    set_number(L, "start_ms", row->start_ms, 0);
    set_number(L, "span_ms", row->span_ms, 0);
    set_number(L, "last_ms", row->last_ms, 0);
    set_used(L, &row->used);
}

static void push_sum(lua_State *L, const struct kc_sum_row *row)
{
    lua_createtable(L, 0, 8);
    set_names(L, row->provider, row->key, row->model);
    set_number(L, "last_ms", row->last_ms, 0);
    set_used(L, &row->used);
}

static void push_state(lua_State *L, const struct kc_kept_state *kept)
{
    const struct kc_state_row *row = &kept->row;
    lua_createtable(L, 0, 12);
    set_names(L, kept->provider, row->key, row->model);
    set_text(L, "label", row->label);
    set_text(L, "suffix", row->suffix);
    set_text(L, "reason", row->reason);
    set_text(L, "learned", row->learned);
    set_text(L, "state", kc_state_name(row->state));
    set_flag(L, "disabled", row->disabled);
    set_flag(L, "guessed", row->guessed);
    set_flag(L, "auth", row->auth);
    set_number(L, "tries", row->tries, 0);
    set_number(L, "until_ms", row->until_ms, KC_NEVER);
    set_number(L, "changed_ms", row->changed_ms, 0);
}

static void push_list(lua_State *L, size_t n)
{
    lua_createtable(L, n < INT_MAX ? (int)n : INT_MAX, 0);
}

void lk_pushrows(lua_State *L, const struct kc_rows *rows)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, VERSION);
    lua_setfield(L, -2, "version");
    push_list(L, rows->use_len);
    for (size_t i = 0; i < rows->use_len; i++) {
        push_use(L, &rows->uses[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "usage");
    push_list(L, rows->sum_len);
    for (size_t i = 0; i < rows->sum_len; i++) {
        push_sum(L, &rows->sums[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "sums");
    push_list(L, rows->state_len);
    for (size_t i = 0; i < rows->state_len; i++) {
        push_state(L, &rows->states[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "states");
}
