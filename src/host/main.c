/* main.c -- the program `keycycle`: options, then a script or a command. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "host/commands.h"
#include "host/options.h"
#include "host/prompt.h"
#include "host/signals.h"
#include "host/state.h"
#include "host/trouble.h"
#include "keycycle.h"

enum { DONE = 0, FAILED = 1, USAGE = 2, MAX_CODE = 255 };

static const char after_usage[] =
    "keycycle COMMAND --help says how a command is used.\n";

/* -- before the script --------------------------------------------------- */

/* A file that is opened must not become what is printed to. */
static void open_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", O_RDWR) == -1)
            return;
}

static bool is_readable_file(const char *path)
{
    struct stat st; /* it is not read: a pipe gives its bytes once */
    return access(path, R_OK) == 0 && stat(path, &st) == 0 &&
           !S_ISDIR(st.st_mode);
}

static bool check_files(const struct kc_options *o)
{
    char path[PATH_MAX];
    if (o->env && !is_readable_file(o->env)) {
        fprintf(stderr, "keycycle: the file %s cannot be read\n", o->env);
        return false;
    }
    if (!o->lua_dir)
        return true;
    snprintf(path, sizeof path, "%s/keycycle/init.lua", o->lua_dir);
    if (is_readable_file(path))
        return true;
    fprintf(stderr,
            "keycycle: the folder %s holds no library: %s cannot be read\n",
            o->lua_dir, path);
    return false;
}

/* [-0, +1, m] Load a chunk of the program's own. */
static int load_own(lua_State *L, const char *code)
{
    return luaL_loadbuffer(L, code, strlen(code), "=keycycle");
}

/* The keys' file and the scripts of the search path, before the program that
 * uses them. */
static bool prepare(lua_State *L, const struct kc_options *o)
{
    if (load_own(L, "local env, here = ...\n"
                    "require 'keycycle'\n"
                    "if env then require('keycycle.config')"
                    ".set_default_env_file(env) end\n"
                    "local loader = require 'keycycle.loader'\n"
                    "if here then loader.trust_here() end\n"
                    "loader.search()") != LUA_OK) {
        kc_trouble_report(L);
        return false;
    }
    lua_pushstring(L, o->env);
    lua_pushboolean(L, o->here);
    return kc_state_call(L, 2, 0) == LUA_OK;
}

/* -- running it ---------------------------------------------------------- */

static int run_code(lua_State *L, const char *code)
{
    if (luaL_loadbuffer(L, code, strlen(code), "=(command line)") != LUA_OK) {
        kc_trouble_report(L);
        return FAILED;
    }
    return kc_state_call(L, 0, 0) == LUA_OK ? DONE : FAILED;
}

/* [-0, +1 or +0, m] Push the chunk of a file, or of a command. */
static int load_script(lua_State *L, const char *name, bool here)
{
    if (strcmp(name, "-") == 0)
        return luaL_loadfile(L, NULL);
    /* A word without a dot or slash names a command; a file has one. */
    int status = strpbrk(name, "./") ? -1 : kc_command_load(L, name, here);
    if (status != -1 || access(name, R_OK) != 0)
        return status;
    return luaL_loadfile(L, name);
}

/* [-1, +0] A script says how it went by the number that it returns. */
static int pop_code(lua_State *L)
{
    lua_Integer code = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : DONE;
    lua_pop(L, 1);
    return code >= 0 && code <= MAX_CODE ? (int)code : FAILED;
}

static int run_script(lua_State *L, const struct kc_options *o, char **argv,
                      int argc)
{
    const char *name = argv[o->script];
    int status = load_script(L, name, o->here);
    if (status == -1 && access(name, F_OK) == 0) {
        fprintf(stderr, "keycycle: the file %s cannot be read\n", name);
        return USAGE;
    }
    if (status == -1) {
        fprintf(stderr, "keycycle: no file and no command %s", name);
        kc_command_suggest(stderr, name, o->here);
        return USAGE;
    }
    if (status != LUA_OK) {
        kc_trouble_report(L);
        return FAILED;
    }
    luaL_checkstack(L, argc, "too many arguments");
    for (int i = o->script + 1; i < argc; i++)
        lua_pushstring(L, argv[i]);
    status = kc_state_call(L, argc - o->script - 1, 1);
    return status == LUA_OK ? pop_code(L) : FAILED;
}

static int run(lua_State *L, const struct kc_options *o, char **argv, int argc)
{
    int code = DONE, at = 1;
    kc_state_set_arg(L, argv, argc, o->script);
    if (!prepare(L, o))
        return FAILED;
    const char *text = kc_options_code(o, argv, &at);
    for (; text && code == DONE; text = kc_options_code(o, argv, &at))
        code = run_code(L, text);
    if (code == DONE && o->script)
        code = run_script(L, o, argv, argc);
    if (o->prompt && !kc_signals_came())
        kc_prompt_run(L);
    return code;
}

struct program {
    const struct kc_options *options;
    char **argv;
    int argc, code;
};

static int run_all(lua_State *L)
{
    struct program *p = lua_touserdata(L, 1);
    lua_settop(L, 0);
    p->code = run(L, p->options, p->argv, p->argc);
    return 0;
}

/* What raises between the calls of scripts, as where memory runs out, is told
 * as what they raise is. */
static int run_protected(lua_State *L, const struct kc_options *o, char **argv,
                         int argc)
{
    struct program p = {o, argv, argc, FAILED};
    lua_pushcfunction(L, run_all);
    lua_pushlightuserdata(L, &p);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        kc_trouble_report(L);
    return p.code;
}

/* -- the end ------------------------------------------------------------- */

/* What was written must have arrived: a full disk is a failure, after os.exit
 * as well. A reader who has gone away needs no words. */
static void check_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return;
    if (kc_signals_came() == SIGPIPE)
        kc_signals_end();
    fputs("keycycle: not all of the output could be written\n", stderr);
    _exit(FAILED);
}

static int help(bool here)
{
    kc_options_usage(stdout);
    kc_command_describe(stdout, here);
    fputs(after_usage, stdout);
    return DONE;
}

int main(int argc, char **argv)
{
    struct kc_options o = {0};
    open_standard_files();
    atexit(check_output);
    if (!kc_options_read(&o, argv))
        return USAGE;
    if (o.version)
        puts("keycycle " KEYCYCLE_VERSION " (" LUA_RELEASE ")");
    if (o.version && !o.help)
        return DONE;
    bool asked = o.script && strcmp(argv[o.script], "help") == 0;
    if (o.help || (asked && o.script + 1 == argc))
        return help(o.here);
    if (asked) { /* help COMMAND */
        static char option[] = "--help";
        argv[o.script] = argv[o.script + 1];
        argv[o.script + 1] = option;
        argc = o.script + 2;
        argv[argc] = NULL;
    }
    if (!check_files(&o))
        return FAILED;
    kc_signals_listen();
    lua_State *L = kc_state_new(o.lua_dir);
    if (!L) {
        fputs("keycycle: out of memory\n", stderr);
        return FAILED;
    }
    int code = run_protected(L, &o, argv, argc);
    if (kc_signals_came())
        kc_state_end_tasks(L);
    lua_close(L);
    fflush(stdout);
    kc_signals_end();
    return code;
}
