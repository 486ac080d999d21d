/* failing_malloc.h -- an allocator that counts, and fails when it is told to.
 *
 * It takes the place of the whole program's, libraries' included, so one file
 * of a program includes this. A sanitizer does the same: then nothing ever
 * fails here, and REPLACED is 0.
 */
#ifndef KC_TESTS_FAILING_MALLOC_H
#define KC_TESTS_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static long allocations, fail_at, live;
static bool failing;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPLACED 0
#else
#define REPLACED 1

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

#define SEEN __attribute__((visibility("default"))) /* by libc, too */

static bool fails(void)
{
    return failing && ++allocations == fail_at;
}

static void *note(void *p)
{
    if (p)
        live++;
    return p;
}

SEEN void *malloc(size_t n)
{
    return fails() ? NULL : note(__libc_malloc(n));
}

SEEN void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : note(__libc_calloc(n, size));
}

SEEN void *realloc(void *p, size_t n)
{
    if (fails())
        return NULL;
    void *q = __libc_realloc(p, n);
    return p ? q : note(q);
}

SEEN void free(void *p)
{
    if (p)
        live--;
    __libc_free(p);
}
#endif

/* From now on allocations count, and one of them fails. */
static inline void let_fail(bool on)
{
    failing = on;
}

/* The very next allocation fails. */
static inline void fail_next(void)
{
    allocations = 0;
    fail_at = 1;
    failing = true;
}

/* How many blocks have not been freed. */
static inline long blocks(void)
{
    return live;
}

/* The first run counts, in each later one another allocation fails. */
static inline void begin_runs(void)
{
    allocations = fail_at = 0;
}

/* Whether there is another allocation to fail, of `total`. */
static inline bool next_run(long *total)
{
    if (fail_at == 0)
        *total = allocations;
    allocations = 0;
    return ++fail_at <= *total;
}

#endif
