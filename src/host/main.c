/* main.c -- the program `keycycle`: options, then a script or a command. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "host/commands.h"
#include "host/prompt.h"
#include "host/state.h"
#include "keycycle.h"

enum { DONE = 0, FAILED = 1, USAGE = 2 };

struct options {
    const char *code;    /* -e */
    const char *lua_dir; /* --lua */
    const char *env;     /* --env */
    bool prompt, here, version, help;
    int script; /* where the script's name is in argv; 0: none */
};

static const char usage[] =
    "usage: keycycle [options] FILE.lua [arguments]\n"
    "       keycycle [options] COMMAND [arguments]\n"
    "options:\n"
    "  -e CODE     run CODE\n"
    "  -i          read and run lines (after CODE, FILE or COMMAND)\n"
    "  --lua DIR   read the Lua library from DIR (trusted)\n"
    "  --env FILE  read keys from FILE instead of .env\n"
    "  --here      trust the folder ./.keycycle, too\n"
    "  --version   print the version\n"
    "  --help      print this\n";

static const char after_usage[] =
    "keycycle COMMAND --help says how a command is used.\n";

/* The value of the option at argv[*i], or NULL with a word on stderr. */
static const char *value(char **argv, int *i)
{
    const char *name = argv[*i];
    if (!argv[*i + 1]) {
        fprintf(stderr, "keycycle: %s needs a value\n", name);
        return NULL;
    }
    return argv[++*i];
}

static bool parse(struct options *o, char **argv)
{
    int i = 1;
    for (; argv[i] && argv[i][0] == '-'; i++) {
        const char *a = argv[i];
        const char **text = strcmp(a, "-e") == 0      ? &o->code
                            : strcmp(a, "--lua") == 0 ? &o->lua_dir
                            : strcmp(a, "--env") == 0 ? &o->env
                                                      : NULL;
        if (text) {
            *text = value(argv, &i);
            if (!*text)
                return false;
        } else if (strcmp(a, "-i") == 0) {
            o->prompt = true;
        } else if (strcmp(a, "--here") == 0) {
            o->here = true;
        } else if (strcmp(a, "--version") == 0) {
            o->version = true;
        } else if (strcmp(a, "--help") == 0) {
            o->help = true;
        } else {
            fprintf(stderr, "keycycle: unknown option %s\n", a);
            return false;
        }
    }
    o->script = argv[i] ? i : 0;
    return o->script || o->code || o->prompt || o->version || o->help;
}

/* [-0, +1, m] Load a chunk of the program's own. */
static int load_own(lua_State *L, const char *code)
{
    return luaL_loadbuffer(L, code, strlen(code), "=keycycle");
}

static bool set_env_file(lua_State *L, const char *file)
{
    if (load_own(L, "require 'keycycle'\n"
                    "require('keycycle.config')"
                    ".set_default_env_file(...)") != LUA_OK) {
        kc_state_report(L);
        return false;
    }
    lua_pushstring(L, file);
    return kc_state_call(L, 1, 0) == LUA_OK;
}

/* The scripts of the search path, before the program that uses them. */
static bool load_scripts(lua_State *L, bool here)
{
    if (load_own(L, "require 'keycycle'\n"
                    "local loader = require 'keycycle.loader'\n"
                    "if ... then loader.trust_here() end\n"
                    "loader.search()") != LUA_OK) {
        kc_state_report(L);
        return false;
    }
    lua_pushboolean(L, here);
    return kc_state_call(L, 1, 0) == LUA_OK;
}

static int run_code(lua_State *L, const char *code)
{
    if (luaL_loadbuffer(L, code, strlen(code), "=(command line)") != LUA_OK) {
        kc_state_report(L);
        return FAILED;
    }
    return kc_state_call(L, 0, 0) == LUA_OK ? DONE : FAILED;
}

static int run_script(lua_State *L, const struct options *o, char **argv,
                      int argc)
{
    const char *name = argv[o->script];
    /* A word without a dot or slash names a command; a file has one. */
    int status = strpbrk(name, "./") ? -1 : kc_command_load(L, name, o->here);
    if (status == -1 && access(name, R_OK) != 0) {
        kc_command_names(L);
        fprintf(stderr, "keycycle: no file and no command %s (commands: %s)\n",
                name, lua_tostring(L, -1));
        return USAGE;
    }
    if (status == -1)
        status = luaL_loadfile(L, name);
    if (status != LUA_OK) {
        kc_state_report(L);
        return FAILED;
    }
    luaL_checkstack(L, argc, "too many arguments");
    for (int i = o->script + 1; i < argc; i++)
        lua_pushstring(L, argv[i]);
    status = kc_state_call(L, argc - o->script - 1, 1);
    if (status != LUA_OK)
        return FAILED;
    /* A command says how it went by what it returns. */
    int code = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : DONE;
    lua_pop(L, 1);
    return code;
}

static int run(lua_State *L, const struct options *o, char **argv, int argc)
{
    int code = DONE;
    kc_state_set_arg(L, argv, argc, o->script);
    if (o->env && access(o->env, R_OK) != 0) {
        fprintf(stderr, "keycycle: the file %s cannot be read\n", o->env);
        return FAILED;
    }
    if (o->env && !set_env_file(L, o->env))
        return FAILED;
    if (!load_scripts(L, o->here))
        return FAILED;
    if (o->code)
        code = run_code(L, o->code);
    if (code == DONE && o->script)
        code = run_script(L, o, argv, argc);
    if (o->prompt)
        kc_prompt_run(L);
    return code;
}

/* What was written must have arrived: a full disk is a failure, too. */
static int flush(int code)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    return failed && code == DONE ? FAILED : code;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    if (!parse(&o, argv)) {
        fputs(usage, stderr);
        return USAGE;
    }
    if (o.version)
        puts("keycycle " KEYCYCLE_VERSION " (" LUA_RELEASE ")");
    if (o.help) {
        fputs(usage, stdout);
        kc_command_describe(stdout);
        fputs(after_usage, stdout);
    }
    if (o.version || o.help)
        return flush(DONE);
    lua_State *L = kc_state_new(o.lua_dir);
    if (!L) {
        fputs("keycycle: out of memory\n", stderr);
        return FAILED;
    }
    int code = run(L, &o, argv, argc);
    lua_close(L);
    return flush(code);
}
