/* editor.c -- see editor.h.
 *
 * The libraries' callback interface is used, not their readline(): it never
 * waits, so a signal needs no jump out of a library.
 */
#include "host/editor.h"

#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/signals.h"

/* What both libraries have under the same names. */
static struct {
    bool tried;
    void (*install)(const char *prompt, void (*on_line)(char *));
    void (*read_char)(void);
    void (*remove)(void);
    void (*add)(const char *line); /* libedit's returns an int */
} library;

/* What on_line was given: a callback without a context. */
static struct {
    bool done;
    char *line;
} typed;

static volatile sig_atomic_t continued; /* after Ctrl-Z the terminal is reset */

bool kc_editor_is_terminal(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

/* -- the library --------------------------------------------------------- */

static bool find(void *from, const char *name, void *function)
{
    void *found = dlsym(from, name);
    memcpy(function, &found, sizeof found); /* as POSIX has it */
    return found != NULL;
}

static void on_continue(int sig)
{
    (void)sig;
    continued = 1;
}

static void set_up(void *from)
{
    int *catches = dlsym(from, "rl_catch_signals");
    int (*bind)(int, int (*)(int, int)), (*insert)(int, int);
    /* First: they look at it when they begin, and drop what it has not. */
    const char *type = setlocale(LC_CTYPE, "");
    if (!type || strcmp(type, "C") == 0 || strcmp(type, "POSIX") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    if (catches)
        *catches = 0; /* signals are ours */
    /* What a tab completes elsewhere are names of files. */
    if (find(from, "rl_bind_key", &bind) && find(from, "rl_insert", &insert))
        bind('\t', insert);
    struct sigaction act = {.sa_handler = on_continue};
    sigaction(SIGCONT, &act, NULL);
}

static bool usable(void)
{
    static const char *const names[] = {"libedit.so.2", "libreadline.so.8"};
    const char *term = getenv("TERM");
    if (library.tried)
        return library.install != NULL;
    library.tried = true;
    if (!term || !*term || strcmp(term, "dumb") == 0)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *from = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (!from)
            continue;
        if (find(from, "rl_callback_read_char", &library.read_char) &&
            find(from, "rl_callback_handler_remove", &library.remove) &&
            find(from, "add_history", &library.add) &&
            find(from, "rl_callback_handler_install", &library.install)) {
            set_up(from);
            return true;
        }
        library.install = NULL;
        dlclose(from);
    }
    return false;
}

void kc_editor_remember(const char *line)
{
    if (usable())
        library.add(line);
}

/* -- reading ------------------------------------------------------------- */

static void on_line(char *line)
{
    typed.done = true;
    typed.line = line;
    library.remove(); /* before the line runs: the terminal is its own then */
}

/* Waits for a key. False: a signal came. */
static bool wait_for_key(void)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&p, 1, -1) == -1) {
        if (kc_signals_came() || continued)
            return false;
        if (errno != EINTR)
            return true; /* the library will find out */
    }
    return !kc_signals_came();
}

static enum kc_editor_end edit(const char *prompt, char **line)
{
    typed.done = false;
    typed.line = NULL;
    library.install(prompt, on_line);
    while (!typed.done) {
        if (wait_for_key()) {
            library.read_char();
            continue;
        }
        library.remove();
        if (kc_signals_came()) {
            fputs("\n", stdout);
            return KC_LINE_DROPPED;
        }
        continued = 0;
        library.install(prompt, on_line);
    }
    *line = typed.line;
    return *line ? KC_LINE : KC_LINE_END;
}

static enum kc_editor_end read_plain(const char *prompt, char **line)
{
    size_t room = 0;
    bool terminal = kc_editor_is_terminal();
    if (terminal)
        fputs(prompt, stdout);
    fflush(stdout);
    errno = 0;
    *line = NULL;
    ssize_t n = getline(line, &room, stdin);
    while (n == -1 && errno == EINTR && !kc_signals_came()) {
        clearerr(stdin);
        errno = 0;
        n = getline(line, &room, stdin);
    }
    if (n >= 0) {
        (*line)[strcspn(*line, "\n")] = '\0';
        return KC_LINE;
    }
    free(*line);
    *line = NULL;
    if (!kc_signals_came())
        return KC_LINE_END;
    clearerr(stdin);
    if (terminal)
        fputs("\n", stdout);
    return KC_LINE_DROPPED;
}

enum kc_editor_end kc_editor_read(const char *prompt, char **line)
{
    *line = NULL;
    if (kc_signals_came())
        return KC_LINE_DROPPED;
    fflush(stdout);
    if (kc_editor_is_terminal() && usable())
        return edit(prompt, line);
    return read_plain(prompt, line);
}
