/* cpool.h -- the scenario of keycycle.h's pools, which needs no Lua.
 */
#ifndef KC_TESTS_OOM_CPOOL_H
#define KC_TESTS_OOM_CPOOL_H

/* cpool_play plays it with allocations that fail as failing.h was told. Returns
 * NULL when all was right, else what was not; static text. */
const char *cpool_play(void);

#endif
