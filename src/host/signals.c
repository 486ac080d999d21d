/* signals.c -- see signals.h. */
#include "host/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

enum { POKE_S = 1 };

/* What a handler can reach. */
static lua_State *volatile main_thread; /* NULL: no code runs */
static lua_State *volatile running;     /* it, or the innermost coroutine */
static volatile sig_atomic_t came;      /* the signal */
static volatile sig_atomic_t heard; /* its error was raised in main_thread */
static volatile sig_atomic_t told;  /* a second one means what it says */

static const struct {
    int sig;
    const char *name, *error;
} signals[] = {
    {SIGINT, "SIGINT", "interrupted!"},
    {SIGTERM, "SIGTERM", "terminated!"},
    {SIGHUP, "SIGHUP", "hung up!"},
    {SIGPIPE, "SIGPIPE", "nobody reads the output!"},
};
enum { N_SIGNALS = sizeof signals / sizeof signals[0] };

static void arm(lua_State *L);

/* A hook: the one place where code can be stopped. */
static void raise_it(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    if (!came)
        return; /* forgiven before this coroutine went on */
    if (L == main_thread)
        heard = 1;
    lua_pushstring(L, kc_signals_error(came));
    lua_error(L);
}

static void arm(lua_State *L)
{
    int mask = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
    lua_sethook(L, raise_it, mask, 1);
}

/* A socket's broken pipe is told to who writes to it. */
static bool output_is_broken(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP));
}

/* The kernel and a shell both tell of a terminal that is gone, and timeout(1)
 * sends its signal twice: who wants the end at once repeats it later, but for
 * Ctrl-C. */
static void take_again(int sig)
{
    if (!told && sig != SIGINT)
        return;
    signal(sig, SIG_DFL);
    raise(sig);
}

static void take(int sig)
{
    came = sig;
    heard = told = 0;
    if (main_thread) {
        arm(main_thread);
        if (running != main_thread)
            arm(running);
    }
    /* It may have come right before a wait began, which nothing would end. */
    alarm(POKE_S);
}

static void on_signal(int sig)
{
    int before = errno;
    bool news = sig != SIGPIPE || (!came && output_is_broken());
    if (news && came && came != SIGPIPE)
        take_again(sig);
    else if (news)
        take(sig);
    errno = before;
}

static void on_alarm(int sig)
{
    (void)sig;
    told = 1;
    if (came && !heard)
        alarm(POKE_S);
}

void kc_signals_listen(void)
{
    /* No SA_RESTART: a wait must end and let the hook run. */
    struct sigaction act = {.sa_handler = on_signal}, old;
    for (size_t i = 0; i < N_SIGNALS; i++)
        sigaddset(&act.sa_mask, signals[i].sig);
    sigaddset(&act.sa_mask, SIGALRM);
    for (size_t i = 0; i < N_SIGNALS; i++) {
        sigaction(signals[i].sig, &act, &old);
        if (old.sa_handler == SIG_IGN && signals[i].sig != SIGPIPE)
            sigaction(signals[i].sig, &old, NULL);
    }
    act.sa_handler = on_alarm;
    sigaction(SIGALRM, &act, NULL);
}

void kc_signals_run(lua_State *L)
{
    if (!L)
        main_thread = NULL; /* first: what a handler arms must live */
    running = L;
    main_thread = L;
    if (L && came && !heard)
        arm(L); /* it came before the code began */
}

lua_State *kc_signals_enter(lua_State *co)
{
    lua_State *before = running;
    if (before)
        running = co;
    return before;
}

void kc_signals_leave(lua_State *before)
{
    running = before;
    /* What resumed a coroutine that was stopped is stopped, too. */
    if (before && came && !heard)
        arm(before);
}

int kc_signals_came(void)
{
    return came;
}

const char *kc_signals_name(int sig)
{
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (signals[i].sig == sig)
            return signals[i].name;
    return "a signal";
}

const char *kc_signals_error(int sig)
{
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (signals[i].sig == sig)
            return signals[i].error;
    return "stopped!";
}

void kc_signals_forgive(void)
{
    if (came == SIGINT)
        came = 0;
}

void kc_signals_end(void)
{
    if (!came)
        return;
    signal(came, SIG_DFL);
    raise(came);
}
