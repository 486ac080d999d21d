/* frame.c -- a host like a game: so many frames in a second, each of which
 * steps its Lua state, and draws. What a step takes of the frame is measured:
 * CPU time of this thread, and time on the wall.
 *
 * SCRIPT gets the arguments, spawns its tasks and returns a function or
 * nothing; the function is called in each frame, with its number from 1. It
 * ends after FRAMES frames (0: once no task lives), closes the state, and does
 * the same again ROUNDS times in all. Prints `name value unit` lines of the
 * last round.
 *
 * FRAME_BUDGET_US in the environment: what a step is given, instead of 1000.
 *
 * usage: frame ROUNDS FPS FRAMES SCRIPT [ARGUMENT...]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>

#include "hosts/host.h"
#include "keycycle.h"

#define BUDGET_US 1000
#define WIDTH 320
#define HEIGHT 200

struct figures {
    uint32_t *cpu_ns, *wall_ns; /* of each step */
    size_t frames, room;
    int live; /* tasks, after the last one */
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void add(struct figures *f, uint64_t cpu_ns, uint64_t wall_ns)
{
    if (f->frames == f->room) {
        f->room = f->room ? 2 * f->room : 1024;
        f->cpu_ns = realloc(f->cpu_ns, f->room * sizeof *f->cpu_ns);
        f->wall_ns = realloc(f->wall_ns, f->room * sizeof *f->wall_ns);
        if (!f->cpu_ns || !f->wall_ns)
            abort();
    }
    f->cpu_ns[f->frames] = (uint32_t)cpu_ns;
    f->wall_ns[f->frames++] = (uint32_t)wall_ns;
}

/* Something that walks over more memory than the first caches hold. */
static void draw(size_t frame)
{
    static uint32_t screen[WIDTH * HEIGHT];
    for (size_t i = 0; i < WIDTH * HEIGHT; i++)
        screen[i] = screen[i] * 3 + (uint32_t)(i ^ frame);
}

static void wait_until(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000),
                         .tv_nsec = (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        ;
}

static void think(lua_State *L, size_t frame)
{
    if (lua_isnil(L, -1))
        return;
    lua_pushvalue(L, -1);
    lua_pushinteger(L, (lua_Integer)frame);
    host_must(L, lua_pcall(L, 1, 0, 0));
}

static void step(lua_State *L, struct figures *f)
{
    const char *budget = getenv("FRAME_BUDGET_US");
    uint64_t wall = now_ns(CLOCK_MONOTONIC);
    uint64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
    f->live = keycycle_step(L, 0, budget ? host_number(budget) : BUDGET_US);
    cpu = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    wall = now_ns(CLOCK_MONOTONIC) - wall;
    if (f->live < 0)
        exit(1); /* the reason was logged */
    add(f, cpu, wall);
}

static void play(lua_State *L, uint64_t frame_ns, size_t frames,
                 struct figures *f)
{
    uint64_t next = now_ns(CLOCK_MONOTONIC);
    f->frames = 0;
    do {
        think(L, f->frames + 1);
        step(L, f);
        draw(f->frames);
        next += frame_ns;
        wait_until(next);
    } while (frames ? f->frames < frames : f->live > 0);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print(const char *name, uint32_t *ns, size_t n)
{
    qsort(ns, n, sizeof *ns, compare);
    printf("%s_p50 %.1f us\n", name, ns[(n - 1) / 2] / 1e3);
    printf("%s_p99 %.1f us\n", name, ns[(n * 99 + 99) / 100 - 1] / 1e3);
    printf("%s_worst %.1f us\n", name, ns[n - 1] / 1e3);
}

int main(int argc, char **argv)
{
    struct figures f = {.frames = 0};
    size_t heap = 0;
    int fds = 0;
    if (argc < 5) {
        fprintf(stderr,
                "usage: frame ROUNDS FPS FRAMES SCRIPT [ARGUMENT...]\n");
        return 2;
    }
    int rounds = host_number(argv[1]), fps = host_number(argv[2]);
    size_t frames = (size_t)host_number(argv[3]);
    for (int i = 0; i < rounds; i++) {
        lua_State *L = host_open_state();
        host_run_file(L, argv[4], argc - 5, argv + 5);
        play(L, 1000000000 / (uint64_t)(fps ? fps : 1), frames, &f);
        lua_close(L);
        if (i + 1 == rounds / 2) { /* what is kept for good is there by now */
            heap = host_heap();
            fds = host_count("fd");
        }
    }
    ptrdiff_t grown = (ptrdiff_t)(host_heap() - heap); /* printf allocates */
    printf("frames %zu 1\nlive %d 1\n", f.frames, f.live);
    print("step_cpu", f.cpu_ns, f.frames);
    print("step_wall", f.wall_ns, f.frames);
    if (rounds > 1) { /* since the middle one */
        printf("heap_grown %td B\n", grown);
        printf("descriptors_grown %d 1\n", host_count("fd") - fds);
    }
    free(f.cpu_ns);
    free(f.wall_ns);
    return 0;
}
