/* oom.c DIR -- every scenario of DIR with its n-th allocation failing, for
 * every n. driver.lua runs a scenario's steps: one that fails must say that
 * memory was short, and works when it is done again. One scenario is in C.
 *
 * KEYCYCLE_OOM_STRIDE=N tries every N-th n only, KEYCYCLE_OOM_ONLY=NAME one
 * scenario, NAME:MODE:N one point of it, with the stack at the failure.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>
#include <sanitizer/common_interface_defs.h>

#include "keycycle.h"
#include "oom/cpool.h"
#include "oom/failing.h"
#include "support/rawserver.h"

#define MOST_FAILURES 10 /* of one scenario in one mode */
#define PATIENCE 20      /* seconds for one point */
#define FIRST 5          /* so many are tried before a stride begins */
#define RENEW 8          /* points that one server serves */

static const char *const names[] = {
    "open",   "keys",   "tiers", "events", "tasks", "simulate",
    "json",   "own",    "store", "stats",  "http",  "models",
    "config", "shared", "cpool", "box",    "agent",  "close",
    "transport"};
static const char *const modes[] = {"once", "from", "collect"};

static struct {
    const char *dir, *name, *mode;
    long n, passed, failed;
    int to_server, from_server;
    unsigned port, served;
    lua_State *L;
    bool hangs;
    bool in_host; /* a function that never raises runs */
    const char *warned;
} run;

static void say(const char *what)
{
    printf("FAILED %s:%s:%ld: %s\n", run.name, run.mode, run.n, what);
    fflush(stdout);
}

/* What runs in the main coroutine, and in C. */
static void on_failure(void)
{
    lua_Debug ar;
    fprintf(stderr, "-- an allocation fails:\n");
    for (int i = 0; lua_getstack(run.L, i, &ar); i++)
        if (lua_getinfo(run.L, "Sl", &ar) && ar.currentline > 0)
            fprintf(stderr, "%s:%d\n", ar.short_src, ar.currentline);
    __sanitizer_print_stack_trace();
}

/* Where it hangs, if that is in the main coroutine and not in C. */
static void on_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    luaL_traceback(L, L, "it hangs", 0);
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
}

static void on_alarm(int sig)
{
    if (run.hangs)
        abort();
    run.hangs = true;
    fprintf(stderr, "FAILED %s:%s:%ld hangs\n", run.name, run.mode, run.n);
    lua_sethook(run.L, on_hook, LUA_MASKCOUNT, 1);
    signal(sig, on_alarm);
    alarm(2);
}

static int on_panic(lua_State *L)
{
    say(lua_tostring(L, -1));
    abort();
}

/* What a finalizer raises: while memory is short it may. */
static void on_warning(void *ud, const char *text, int more)
{
    (void)ud;
    (void)more;
    if (!failing_armed() && strstr(text, "error in"))
        run.warned = "a finalizer failed while memory was there";
}

/* -- the server ---------------------------------------------------------- */

/* In the child: a server anew, with another port, for each byte that comes. */
static void serve(int from, int to)
{
    struct rawserver *s = NULL;
    char one;
    while (read(from, &one, 1) == 1) {
        if (s)
            rawserver_close(s);
        s = rawserver_open();
        unsigned port = s ? rawserver_port(s) : 0;
        if (write(to, &port, sizeof port) != sizeof port)
            break;
    }
    _exit(0);
}

/* Starts a process whose memory is never short. It ends when we do. */
static bool start_server(void)
{
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        close(to[1]);
        serve(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    run.to_server = to[1];
    run.from_server = from[0];
    return pid > 0;
}

/* A server takes so many connections and no more. */
static void renew_server(void)
{
    if (run.served++ % RENEW != 0)
        return;
    if (write(run.to_server, "", 1) != 1 ||
        read(run.from_server, &run.port, sizeof run.port) != sizeof run.port)
        say("there is no server");
}

/* -- what driver.lua is given -------------------------------------------- */

/* try(fn, ...) -> ok, result: with allocations that fail. */
static int oom_try(lua_State *L)
{
    failing_arm(true);
    int status = lua_pcall(L, lua_gettop(L) - 1, 1, 0);
    failing_arm(false);
    if (run.in_host)
        run.warned = "a function for hosts raised";
    run.in_host = false;
    lua_pushboolean(L, status == LUA_OK);
    lua_insert(L, -2);
    return 2;
}

static int oom_hits(lua_State *L)
{
    lua_pushinteger(L, failing_hits());
    return 1;
}

/* host(): what a host in C calls in its loop. It may fail, but not raise. */
static int oom_host(lua_State *L)
{
    run.in_host = true;
    int fd = keycycle_pollfd(L);
    keycycle_timeout(L);
    int left = keycycle_step(L, 0, 1000);
    run.in_host = false;
    lua_pushboolean(L, fd >= 0 && left >= 0);
    return 1;
}

static void on_log(void *ctx, enum keycycle_log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

/* call(name, argument): what else a host calls -> the code's name. */
static int oom_call(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const char *arg = luaL_optstring(L, 2, NULL);
    char why[64];
    int err;
    run.in_host = true;
    if (strcmp(name, "log") == 0)
        err = keycycle_set_log(L, KEYCYCLE_LOG_OFF, on_log, NULL);
    else if (strcmp(name, "load") == 0)
        err = keycycle_load(L, arg, why, sizeof why);
    else
        err = keycycle_close(L);
    run.in_host = false;
    lua_pushstring(L, err ? keycycle_error_name(err) : "ok");
    return 1;
}

static const luaL_Reg functions[] = {{"try", oom_try},
                                     {"hits", oom_hits},
                                     {"host", oom_host},
                                     {"call", oom_call},
                                     {NULL, NULL}};

static void push_oom(lua_State *L)
{
    luaL_newlib(L, functions);
    lua_pushinteger(L, run.port);
    lua_setfield(L, -2, "port");
    lua_pushstring(L, run.dir);
    lua_setfield(L, -2, "dir");
}

/* -- one point ----------------------------------------------------------- */

static int play(lua_State *L)
{
    if (strcmp(run.name, "cpool") == 0) {
        const char *what = cpool_play();
        return what ? luaL_error(L, "%s", what) : 0;
    }
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_keycycle);
    lua_setfield(L, -2, "keycycle");
    lua_pop(L, 1);
    lua_pushfstring(L, "%s/driver.lua", run.dir);
    if (luaL_loadfile(L, lua_tostring(L, -1)) != LUA_OK)
        return lua_error(L);
    push_oom(L);
    lua_pushstring(L, run.name);
    lua_call(L, 2, 0);
    return 0;
}

static int with_words(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static bool balanced(void)
{
    if (failing_live() == 0 && failing_lua_bytes() == 0)
        return true;
    char text[80];
    snprintf(text, sizeof text, "%ld blocks and %ld bytes of Lua are left",
             failing_live(), failing_lua_bytes());
    say(text);
    return false;
}

/* One run: whether all was right. */
static bool play_point(enum failing_mode mode, long n)
{
    run.n = n;
    run.in_host = false;
    run.warned = NULL;
    if (strcmp(run.name, "http") == 0 || strcmp(run.name, "models") == 0)
        renew_server();
    alarm(PATIENCE);
    failing_begin(mode, n);
    lua_State *L = lua_newstate(failing_lua, NULL);
    if (!L)
        return false;
    run.L = L;
    lua_atpanic(L, on_panic);
    lua_setwarnf(L, on_warning, NULL);
    lua_pushcfunction(L, with_words);
    lua_pushcfunction(L, play);
    bool ok = lua_pcall(L, 0, 0, 1) == LUA_OK;
    if (!ok)
        say(lua_tostring(L, -1));
    lua_close(L);
    alarm(0);
    if (run.warned)
        say(run.warned);
    return balanced() && ok && !run.warned;
}

/* -- all points ---------------------------------------------------------- */

static void count(bool ok)
{
    run.passed += ok;
    run.failed += !ok;
}

static void play_mode(enum failing_mode mode, long stride)
{
    long bad = run.failed, before = run.passed;
    bool more = true;
    run.mode = modes[mode];
    for (long n = 1; more; n += n < FIRST ? 1 : stride) {
        bool ok = play_point(mode, n);
        more = failing_hits() > 0 && (mode != FAILING_COLLECT || n < 12) &&
               run.failed - bad < MOST_FAILURES;
        if (failing_hits() > 0 || !ok)
            count(ok);
    }
    printf("%s %s %s (%ld)\n", run.failed == bad ? "ok    " : "FAILED",
           run.name, run.mode, run.passed - before);
    fflush(stdout);
}

/* "NAME:MODE:N": one point, told at length. */
static void play_only(const char *only)
{
    char name[32], mode[32];
    long n;
    if (sscanf(only, "%31[^:]:%31[^:]:%ld", name, mode, &n) != 3)
        return;
    run.name = name;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(mode, modes[i]) != 0)
            continue;
        run.mode = modes[i];
        failing_trace(on_failure);
        count(play_point((enum failing_mode)i, n));
    }
}

static void play_all(const char *only, long stride)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (only && strcmp(only, names[i]) != 0)
            continue;
        run.name = names[i];
        play_mode(FAILING_ONCE, stride);
        play_mode(FAILING_FROM, stride);
        play_mode(FAILING_COLLECT, stride > 1 ? 6 : 1);
    }
}

int main(int argc, char **argv)
{
    const char *only = getenv("KEYCYCLE_OOM_ONLY");
    const char *stride = getenv("KEYCYCLE_OOM_STRIDE");
    long every = stride ? strtol(stride, NULL, 10) : 1;
    run.dir = argc > 1 ? argv[1] : "tests/oom";
    signal(SIGALRM, on_alarm);
    if (!start_server())
        return 2;
    if (only && strchr(only, ':'))
        play_only(only);
    else
        play_all(only, every > 1 ? every : 1);
    printf("%ld passed, %ld failed\n", run.passed, run.failed);
    return run.failed == 0 && run.passed > 0 ? 0 : 1;
}
