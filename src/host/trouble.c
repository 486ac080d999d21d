/* trouble.c -- see trouble.h. */
#include "host/trouble.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "host/secrets.h"
#include "host/signals.h"
#include "util/buf.h"
#include "util/embed.h"

#define LIBRARY "keycycle/"
#define COMMANDS LIBRARY "scripts/"
#define HEAD "stack traceback:"

/* -- the library's own code ---------------------------------------------- */

static bool is_among(const struct kc_text *t, const char *name, size_t len)
{
    for (; t->name; t++)
        if (strlen(t->name) == len && memcmp(t->name, name, len) == 0)
            return true;
    return false;
}

/* Whether `name` is that of an embedded chunk; a user's folder may be called
 * keycycle, too. */
static bool is_library(const char *name, size_t len)
{
    size_t skip = sizeof COMMANDS - 1, top = sizeof LIBRARY - 1;
    if (len < sizeof LIBRARY || strncmp(name, LIBRARY, sizeof LIBRARY - 1) != 0)
        return false;
    return is_among(kc_embed, name, len) ||
           is_among(kc_modules, name + top, len - top) ||
           (len > skip && strncmp(name, COMMANDS, skip) == 0 &&
            is_among(kc_scripts, name + skip, len - skip));
}

/* The name in front of ":LINE:" in a message or a line of a stack. */
static bool begins_in_library(const char *text)
{
    return is_library(text, strcspn(text, ":\n"));
}

/* [-0, +1, m] Push "file:line: " of the innermost function that is a
 * program's own, or "". */
static void push_place(lua_State *L)
{
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0 && strcmp(ar.source, "=keycycle") != 0 &&
            !begins_in_library(ar.short_src)) {
            lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

/* -- stacks -------------------------------------------------------------- */

static bool is_c(const char *line, size_t len)
{
    return len > 4 && strncmp(line, "\t[C]:", 5) == 0;
}

/* Whether the line of a stack is told: the library's own functions are not, nor
 * what they, or nobody, called in C. */
static bool is_told(const char *line)
{
    size_t len = strcspn(line, "\n");
    while (is_c(line, len)) {
        if (line[len] == '\0')
            return false;
        line += len + 1;
        len = strcspn(line, "\n");
    }
    if (line[0] != '\t')
        return false; /* the next stack */
    return !begins_in_library(line + 1) &&
           strncmp(line, "\tkeycycle:", 10) != 0;
}

/* [-0, +1, m] Push the stacks of `trace` without the library's lines; returns
 * how many lines are left, heads aside. */
static int push_own(lua_State *L, const char *trace)
{
    luaL_Buffer b;
    int told = 0;
    bool last = false;       /* whether the line before was told */
    const char *head = NULL; /* of a stack none of whose lines is told yet */
    luaL_buffinit(L, &b);
    while (*trace) {
        size_t len = strcspn(trace, "\n");
        /* "(...tail calls...)" and "...(skipping 9 levels)" */
        bool note =
            strncmp(trace, "\t(...", 5) == 0 || strncmp(trace, "\t...", 4) == 0;
        if (!note)
            last = trace[0] == '\t' && is_told(trace);
        if (trace[0] != '\t') {
            head = trace;
        } else if (last) {
            if (head)
                luaL_addlstring(&b, head, strcspn(head, "\n") + 1);
            head = NULL;
            told += !note;
            luaL_addlstring(&b, trace, len);
            luaL_addchar(&b, '\n');
        }
        trace += len + (trace[len] == '\n');
    }
    luaL_pushresult(&b);
    return told;
}

/* [-0, +1, e] Push the stacks of the tasks that the error at 1 came from, or
 * nil. */
static void push_task_trace(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "keycycle.task") != LUA_TTABLE) {
        lua_remove(L, -2);
        return;
    }
    lua_getfield(L, -1, "trace_of");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* -- messages ------------------------------------------------------------ */

/* [-0, +1, e] */
static const char *push_message(lua_State *L)
{
    bool told = lua_isstring(L, 1);
    if (!told && luaL_getmetafield(L, 1, "__tostring")) {
        lua_pop(L, 1);
        told = true;
    }
    if (told)
        return luaL_tolstring(L, 1, NULL);
    return lua_pushfstring(L, "(the error is a %s value)", luaL_typename(L, 1));
}

static bool is_of_signal(const char *message)
{
    int sig = kc_signals_came();
    return sig != 0 && strcmp(message, kc_signals_error(sig)) == 0;
}

int kc_trouble_describe(lua_State *L)
{
    lua_settop(L, 1);
    const char *message = push_message(L); /* at 2 */
    bool object = !lua_isstring(L, 1);     /* no place stands in it */
    bool signal = is_of_signal(message);
    push_task_trace(L); /* at 3 */
    bool from_task = lua_isstring(L, 3);
    if (!from_task) {
        luaL_traceback(L, L, NULL, 1);
        lua_replace(L, 3);
    }
    const char *trace = lua_tostring(L, 3);
    bool bug = !object && begins_in_library(message);
    int lines = 2;
    if (bug)
        lua_pushvalue(L, 3);
    else
        lines = push_own(L, trace); /* at 4 */
    /* Who has stopped a command knows where it is; who reads no more of what
     * is printed wants no words. */
    if (signal && (lines == 0 || kc_signals_came() == SIGPIPE))
        return 0;
    if ((object || signal) && !from_task)
        push_place(L);
    else
        lua_pushliteral(L, "");
    lua_pushvalue(L, 2);
    bool placed = lua_rawlen(L, 5) > 0;
    /* The place says all that a stack of one line does. */
    if (lines > (placed ? 1 : 0))
        lua_pushfstring(L, "\n%s", lua_tostring(L, 4));
    else
        lua_pushliteral(L, "");
    lua_concat(L, 3);
    kc_secrets_push_hidden(L);
    return 1;
}

void kc_trouble_put(const char *text, FILE *out)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool c1 = p[0] == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0;
        if (c1)
            fprintf(out, "\\u{%X}", *++p);
        else if ((*p < ' ' && *p != '\n' && *p != '\t') || *p == 127)
            fprintf(out, "\\%d", *p);
        else
            putc(*p, out);
    }
}

static void tell(const char *text)
{
    struct kc_buf hidden;
    if (kc_secrets_hide(text, &hidden) == KC_OK) {
        while (hidden.len > 0 && hidden.data[hidden.len - 1] == '\n')
            hidden.data[--hidden.len] = '\0';
        /* The terminal has shown ^C. */
        bool typed = kc_signals_came() == SIGINT && isatty(STDERR_FILENO);
        fputs(typed ? "\nkeycycle: " : "keycycle: ", stderr);
        kc_trouble_put(kc_buf_str(&hidden), stderr);
        fputs("\n", stderr);
    } else {
        fputs("keycycle: an error that cannot be shown\n", stderr);
    }
    kc_buf_deinit(&hidden);
}

void kc_trouble_report(lua_State *L)
{
    const char *text = lua_tostring(L, -1);
    if (text)
        tell(text);
    fflush(stderr);
    lua_pop(L, 1);
}
