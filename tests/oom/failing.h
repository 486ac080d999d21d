/* failing.h -- allocators that fail when told to: Lua's and the library's.
 *
 * The program is linked with --wrap for malloc, calloc, realloc, strdup, free
 * and luaL_loadbufferx: so this stands between our objects and the sanitizer's
 * allocator, and libcurl, sqlite and cJSON keep theirs.
 */
#ifndef KC_TESTS_FAILING_H
#define KC_TESTS_FAILING_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

enum failing_mode {
    FAILING_ONCE,   /* the n-th one, and of Lua's the second try too */
    FAILING_FROM,   /* the n-th and all after it, in the main thread */
    FAILING_COLLECT /* Lua's n-th of every few: it collects and goes on */
};

/* failing_begin forgets what was counted and disarms. Main thread. */
void failing_begin(enum failing_mode mode, long n);

/* failing_arm switches counting and failing on or off. */
void failing_arm(bool on);
bool failing_armed(void);

/* failing_trace has `fn` called at each failure that is to come. */
void failing_trace(void (*fn)(void));

/* failing_hits returns how many allocations failed since failing_begin. */
long failing_hits(void);

/* failing_live returns how many blocks of the library's are not freed, and
 * failing_lua_bytes what Lua holds. */
long failing_live(void);
long failing_lua_bytes(void);

/* A lua_Alloc. */
void *failing_lua(void *ud, void *p, size_t old, size_t size);

#endif
