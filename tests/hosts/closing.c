/* closing.c -- a host that lives on while its Lua states come and go: each of
 * ROUNDS states is closed in the middle of something, which SCRIPT begins. What
 * the process holds of memory, descriptors and threads must not grow; prints by
 * how much it did from the middle round to the end.
 *
 * Every look-up of slow-name.test hangs in this program until the host lets it
 * go on, as where a name server is down.
 *
 * usage: closing ROUNDS SCRIPT [ARGUMENT...]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>

#include <lauxlib.h>

#include "hosts/host.h"
#include "keycycle.h"

#define BATCH 16 /* states whose look-ups hang at once */

/* -- slow names ---------------------------------------------------------- */

static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned begun; /* look-ups of the name */
static bool hanging = true;

typedef int look_up(const char *, const char *, const struct addrinfo *,
                    struct addrinfo **);

/* It stands before libc's for all who are in this program. */
__attribute__((visibility("default"))) int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **res)
{
    if (node && strcmp(node, "slow-name.test") == 0) {
        pthread_mutex_lock(&names);
        begun++;
        while (hanging)
            pthread_cond_wait(&changed, &names);
        pthread_mutex_unlock(&names);
        return EAI_AGAIN;
    }
    look_up *real = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real ? real(node, service, hints, res) : EAI_FAIL;
}

/* For scripts: how many look-ups began so far. */
static int l_look_ups(lua_State *L)
{
    pthread_mutex_lock(&names);
    lua_pushinteger(L, (lua_Integer)begun);
    pthread_mutex_unlock(&names);
    return 1;
}

static void let_names_hang(bool hang)
{
    pthread_mutex_lock(&names);
    hanging = hang;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&names);
}

/* Lets all look-ups go on, and waits until no thread is left of them. */
static void release_names(void)
{
    struct timespec pause = {.tv_nsec = 1000000};
    let_names_hang(false);
    while (host_count("task") > 1)
        nanosleep(&pause, NULL);
    let_names_hang(true);
}

/* -- states -------------------------------------------------------------- */

/* SCRIPT returns a function that says whether it is in the middle of what it
 * began; it is stepped until then, and each other state is closed before. */
static void open_and_close(int round, int argc, char **argv)
{
    lua_State *L = host_open_state();
    lua_register(L, "look_ups", l_look_ups);
    host_run_file(L, argv[0], argc - 1, argv + 1);
    int steps = round % 2 ? round / 2 % 6 : -1;
    for (int i = 0; i != steps; i++) {
        lua_pushvalue(L, -1);
        host_must(L, lua_pcall(L, 0, 1, 0));
        int there = lua_toboolean(L, -1);
        lua_pop(L, 1);
        if (there)
            break;
        if (keycycle_step(L, 1, -1) < 0)
            exit(1);
    }
    lua_close(L);
}

int main(int argc, char **argv)
{
    size_t heap = 0;
    int fds = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: closing ROUNDS SCRIPT [ARGUMENT...]\n");
        return 2;
    }
    int rounds = host_number(argv[1]);
    for (int i = 1; i <= rounds; i++) {
        open_and_close(i, argc - 2, argv + 2);
        if (i % BATCH == 0 || i == rounds)
            release_names();
        if (i == rounds / 2) {
            release_names();
            heap = host_heap();
            fds = host_count("fd");
        }
    }
    ptrdiff_t grown = (ptrdiff_t)(host_heap() - heap); /* printf allocates */
    printf("rounds %d 1\nlook_ups %u 1\nheap_grown %td B\n", rounds, begun,
           grown);
    printf("descriptors_grown %d 1\n", host_count("fd") - fds);
    printf("threads %d 1\n", host_count("task"));
    return 0;
}
