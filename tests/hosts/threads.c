/* threads.c -- a host with THREADS threads, each of which opens and closes
 * ROUNDS Lua states, one after the other. All states share one pool by its
 * name, and so does the host in C, which looks at the totals once all have
 * ended. SCRIPT spawns its tasks; each other state is closed after so many
 * steps, whatever is under way, and the rest go on until no task lives.
 *
 * usage: threads THREADS ROUNDS SCRIPT BASE_URL KEY
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <pthread.h>

#include <lauxlib.h>

#include "hosts/host.h"
#include "keycycle.h"

#define MAX_THREADS 64

/* What scripts count: `count(name)`. */
enum sum { BEGUN, ENDED, WHOLE, SUMS };

static const char *const names[] = {"begun", "ended", "whole", NULL};

struct crew {
    int rounds;
    char **script; /* and its arguments */
    atomic_llong sums[SUMS];
};

struct member {
    struct crew *crew;
    pthread_t thread;
    unsigned dice;
};

static int l_count(lua_State *L)
{
    struct crew *c = lua_touserdata(L, lua_upvalueindex(1));
    atomic_fetch_add(&c->sums[luaL_checkoption(L, 1, NULL, names)], 1);
    return 0;
}

static unsigned roll(struct member *m, unsigned sides)
{
    m->dice = m->dice * 1103515245 + 12345;
    return m->dice / 65536 % sides;
}

static void *live(void *arg)
{
    struct member *m = arg;
    for (int i = 0; i < m->crew->rounds; i++) {
        int steps = i % 2 ? (int)roll(m, 12) : -1;
        lua_State *L = host_open_state();
        lua_pushlightuserdata(L, m->crew);
        lua_pushcclosure(L, l_count, 1);
        lua_setglobal(L, "count");
        lua_pushboolean(L, steps < 0);
        lua_setglobal(L, "to_the_end");
        host_run_file(L, m->crew->script[0], 2, m->crew->script + 1);
        int n = 1;
        for (int k = 0; n > 0 && k != steps; k++)
            n = keycycle_step(L, 10, -1);
        if (n < 0)
            exit(1);
        lua_close(L);
    }
    return NULL;
}

static struct keycycle_pool *open_pool(const char *api_key)
{
    struct keycycle_pool_options options = {.name = "crew", .provider = "p"};
    struct keycycle_key key = {.api_key = api_key};
    struct keycycle_pool *pool;
    struct keycycle_stats s;
    struct keycycle_limits limits;
    unsigned index;
    keycycle_limits_init(&limits);
    limits.concurrent_requests = 4; /* as in the script: many wait */
    if (keycycle_pool_open(&options, &pool) != KEYCYCLE_OK ||
        keycycle_pool_add_key(pool, &key, &index) != KEYCYCLE_OK ||
        keycycle_pool_set_limits(pool, 0, NULL, &limits) != KEYCYCLE_OK ||
        keycycle_pool_stats(pool, 0, NULL, &s) != KEYCYCLE_OK)
        exit(1);
    return pool;
}

int main(int argc, char **argv)
{
    static struct member members[MAX_THREADS];
    struct crew c = {.rounds = 0};
    struct keycycle_stats s;
    if (argc != 6) {
        fprintf(stderr, "usage: threads THREADS ROUNDS SCRIPT BASE_URL KEY\n");
        return 2;
    }
    int threads = host_number(argv[1]);
    if (threads > MAX_THREADS)
        return 2;
    c.rounds = host_number(argv[2]);
    c.script = argv + 3;
    struct keycycle_pool *pool = open_pool(argv[5]);
    for (int i = 0; i < threads; i++) {
        members[i].crew = &c;
        members[i].dice = (unsigned)i;
        if (pthread_create(&members[i].thread, NULL, live, &members[i]) != 0)
            return 1;
    }
    for (int i = 0; i < threads; i++)
        pthread_join(members[i].thread, NULL);
    if (keycycle_pool_stats(pool, 0, NULL, &s) != KEYCYCLE_OK)
        return 1;
    keycycle_pool_close(pool);
    for (int i = 0; i < SUMS; i++)
        printf("%s %lld 1\n", names[i], atomic_load(&c.sums[i]));
    printf("total_requests %ju 1\ntotal_tokens %ju 1\n",
           (uintmax_t)s.total_requests, (uintmax_t)s.total_tokens);
    printf("in_flight %ju 1\nwaiting %ju 1\n", (uintmax_t)s.in_flight,
           (uintmax_t)s.waiting);
    return 0;
}
