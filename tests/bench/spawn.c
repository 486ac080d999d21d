/* spawn.c -- what it costs to start programs, in turn, so that what disturbs
 * the machine disturbs all of them. Prints a line for each: medians of its CPU
 * time and of the time until it has ended, in milliseconds.
 *
 * usage: spawn ROUNDS PROGRAM [ARGUMENT...] [-- PROGRAM [ARGUMENT...]]...
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define MOST_PROGRAMS 16
#define MOST_ROUNDS 10000

extern char **environ;

static double cpu[MOST_PROGRAMS][MOST_ROUNDS], wall[MOST_PROGRAMS][MOST_ROUNDS];

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static double ms(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static void fail(const char *program)
{
    fprintf(stderr, "spawn: %s failed\n", program);
    exit(1);
}

static void run(char **argv, const posix_spawn_file_actions_t *quiet,
                double *its_cpu, double *its_wall)
{
    pid_t pid;
    int status;
    struct rusage used;
    double before = now();
    if (posix_spawnp(&pid, argv[0], quiet, NULL, argv, environ) != 0 ||
        wait4(pid, &status, 0, &used) != pid || status != 0)
        fail(argv[0]);
    *its_wall = now() - before;
    *its_cpu = ms(used.ru_utime) + ms(used.ru_stime);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *list, int n)
{
    qsort(list, (size_t)n, sizeof *list, by_size);
    return list[n / 2];
}

int main(int argc, char **argv)
{
    char **programs[MOST_PROGRAMS];
    int rounds = argc > 2 ? atoi(argv[1]) : 0, n = 0;
    if (rounds < 1 || rounds > MOST_ROUNDS)
        return 2;
    for (int i = 2; i < argc && n < MOST_PROGRAMS; i++) {
        programs[n++] = argv + i;
        while (i < argc && strcmp(argv[i], "--") != 0)
            i++;
        argv[i] = NULL; /* argv[argc] is NULL already */
    }
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < n; i++)
            run(programs[i], &quiet, &cpu[i][round], &wall[i][round]);
    for (int i = 0; i < n; i++)
        printf("%.3f %.3f\n", median(cpu[i], rounds), median(wall[i], rounds));
    posix_spawn_file_actions_destroy(&quiet);
    return 0;
}
