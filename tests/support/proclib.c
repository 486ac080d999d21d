/* proclib.c -- processes for specs and proofs, which Lua does not have: started
 * with pipes, or forked, watched, limited and killed by their pid; and SQLite
 * files, looked at and locked from outside.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <sqlite3.h>

#define MOST_WORDS 64
#define PIECE 65536
#define LOCK "keycycle.proof.lock"

int luaopen_proclib(lua_State *L);

static int failed(lua_State *L, const char *what)
{
    return luaL_error(L, "%s: %s", what, strerror(errno));
}

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* In the child: it dies with its parent, is stopped by signals that nohup or a
 * shell made us ignore, and a write beyond RLIMIT_FSIZE is an error of that
 * write alone. */
static void become(char *const argv[], const int in[2], const int out[2])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN);
    dup2(in[0], 0);
    dup2(out[1], 1);
    execvp(argv[0], argv);
    _exit(127);
}

static void check_words(lua_State *L, char *argv[MOST_WORDS + 1])
{
    int n = lua_gettop(L);
    luaL_argcheck(L, n >= 1 && n <= MOST_WORDS, n, "a few words are needed");
    for (int i = 0; i < n; i++)
        argv[i] = (char *)(size_t)luaL_checkstring(L, i + 1);
}

/* In the child: a terminal of its own, for all three. */
static void become_on_terminal(char *const argv[], const char *name)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    int fd = open(name, O_RDWR); /* the session's, from now on */
    for (int i = 0; fd >= 0 && i <= 2; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    execvp(argv[0], argv);
    _exit(127);
}

/* terminal(word, ...) -> pid, descriptor of the terminal's other side */
static int l_terminal(lua_State *L)
{
    char *argv[MOST_WORDS + 1] = {NULL};
    check_words(L, argv);
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char *name =
        fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0 ? ptsname(fd) : NULL;
    if (!name)
        return failed(L, "terminal");
    pid_t pid = fork();
    if (pid == 0)
        become_on_terminal(argv, name);
    if (pid < 0)
        return failed(L, "fork");
    lua_pushinteger(L, pid);
    lua_pushinteger(L, fd);
    return 2;
}

/* spawn(word, ...) -> pid, descriptor to read from, descriptor to write to */
static int l_spawn(lua_State *L)
{
    char *argv[MOST_WORDS + 1] = {NULL};
    check_words(L, argv);
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        return failed(L, "pipe");
    pid_t pid = fork();
    if (pid == 0)
        become(argv, in, out);
    if (pid < 0)
        return failed(L, "fork");
    close(in[0]);
    close(out[1]);
    lua_pushinteger(L, pid);
    lua_pushinteger(L, out[0]);
    lua_pushinteger(L, in[1]);
    return 3;
}

/* fork() -> the child's pid; 0 in the child */
static int l_fork(lua_State *L)
{
    pid_t pid = fork();
    if (pid < 0)
        return failed(L, "fork");
    lua_pushinteger(L, pid);
    return 1;
}

/* read(descriptor, seconds) -> text, "" when nothing came in time, nil at the
 * end */
static int l_read(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ready = poll(&p, 1, (int)(luaL_checknumber(L, 2) * 1000));
    if (ready <= 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    luaL_Buffer b;
    ssize_t got = read(fd, luaL_buffinitsize(L, &b, PIECE), PIECE);
    if (got <= 0)
        return 0;
    luaL_pushresultsize(&b, (size_t)got);
    return 1;
}

static int l_write(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    ssize_t put = write((int)luaL_checkinteger(L, 1), text, len);
    lua_pushboolean(L, put == (ssize_t)len);
    return 1;
}

static int l_close(lua_State *L)
{
    close((int)luaL_checkinteger(L, 1));
    return 0;
}

/* kill(pid, number of the signal) */
static int l_kill(lua_State *L)
{
    pid_t pid = (pid_t)luaL_checkinteger(L, 1);
    luaL_argcheck(L, pid > 1, 1, "no process of ours");
    lua_pushboolean(L, kill(pid, (int)luaL_checkinteger(L, 2)) == 0);
    return 1;
}

static double seconds_in(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* wait(pid) -> "exit" or "signal", its number; the seconds of CPU time and the
 * KiB that it took */
static int l_wait(lua_State *L)
{
    int status = 0;
    struct rusage took;
    if (wait4((pid_t)luaL_checkinteger(L, 1), &status, 0, &took) < 0)
        return failed(L, "wait4");
    bool exited = WIFEXITED(status);
    lua_pushstring(L, exited ? "exit" : "signal");
    lua_pushinteger(L, exited ? WEXITSTATUS(status) : WTERMSIG(status));
    lua_pushnumber(L, seconds_in(took.ru_utime) + seconds_in(took.ru_stime));
    lua_pushinteger(L, took.ru_maxrss);
    return 4;
}

static int l_sleep(lua_State *L)
{
    double s = luaL_checknumber(L, 1);
    struct timespec t = {.tv_sec = (time_t)s};
    t.tv_nsec = (long)((s - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
    return 0;
}

/* wall(), mono(), thread_cpu(): seconds */
static int l_wall(lua_State *L)
{
    lua_pushnumber(L, seconds_of(CLOCK_REALTIME));
    return 1;
}

static int l_mono(lua_State *L)
{
    lua_pushnumber(L, seconds_of(CLOCK_MONOTONIC));
    return 1;
}

static int l_thread_cpu(lua_State *L)
{
    lua_pushnumber(L, seconds_of(CLOCK_THREAD_CPUTIME_ID));
    return 1;
}

/* limit_files(pid, bytes): the largest file that a process may write; nil: any
 */
static int l_limit_files(lua_State *L)
{
    struct rlimit now;
    pid_t pid = (pid_t)luaL_checkinteger(L, 1);
    if (prlimit(pid, RLIMIT_FSIZE, NULL, &now))
        return failed(L, "prlimit");
    now.rlim_cur =
        lua_isnoneornil(L, 2) ? now.rlim_max : (rlim_t)luaL_checkinteger(L, 2);
    if (prlimit(pid, RLIMIT_FSIZE, &now, NULL))
        return failed(L, "prlimit");
    return 0;
}

/* descriptors(): how many this process has open. Told from outside, by a child,
 * it may be one more: the end of the pipe to that child that is about to be
 * closed. */
static int l_descriptors(lua_State *L)
{
    lua_Integer n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return failed(L, "/proc/self/fd");
    while (readdir(dir))
        n++;
    closedir(dir);
    lua_pushinteger(L, n - 3); /* ".", ".." and the folder's own */
    return 1;
}

/* -- SQLite files -------------------------------------------------------- */

static int first_word(void *ctx, int n, char **values, char **names)
{
    luaL_Buffer *b = ctx;
    (void)names;
    luaL_addstring(b, n > 0 && values[0] ? values[0] : "nothing");
    luaL_addchar(b, '\n');
    return 0;
}

/* integrity(path) -> "ok\n", or what is wrong */
static int l_integrity(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(db, 5000);
        rc = sqlite3_exec(db, "PRAGMA integrity_check", first_word, &b, NULL);
    }
    if (rc != SQLITE_OK)
        luaL_addstring(&b, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    sqlite3_close(db);
    luaL_pushresult(&b);
    return 1;
}

static int unlock(lua_State *L)
{
    sqlite3 **box = luaL_checkudata(L, 1, LOCK);
    sqlite3_close(*box);
    *box = NULL;
    return 0;
}

/* lock(path) -> what keeps all writers out until it is closed */
static int l_lock(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    sqlite3 **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, LOCK);
    int rc = sqlite3_open_v2(path, box, SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(*box, 5000);
        rc = sqlite3_exec(*box, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? 1 : luaL_error(L, "lock: %s", sqlite3_errstr(rc));
}

static void ignore(int sig)
{
    (void)sig;
}

__attribute__((visibility("default"))) int luaopen_proclib(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"spawn", l_spawn},
        {"terminal", l_terminal},
        {"fork", l_fork},
        {"read", l_read},
        {"write", l_write},
        {"close", l_close},
        {"kill", l_kill},
        {"wait", l_wait},
        {"sleep", l_sleep},
        {"wall", l_wall},
        {"mono", l_mono},
        {"thread_cpu", l_thread_cpu},
        {"limit_files", l_limit_files},
        {"descriptors", l_descriptors},
        {"integrity", l_integrity},
        {"lock", l_lock},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"close", unlock}, {"__close", unlock}, {"__gc", unlock}, {NULL, NULL}};
    luaL_newmetatable(L, LOCK);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    signal(SIGPIPE, ignore); /* not SIG_IGN, which programs inherit */
    luaL_newlib(L, functions);
    return 1;
}
