/* boxmatch.h -- Lua's patterns, with each step booked.
 *
 * Lua's own matcher cannot be stopped: "a*a*a*b" on some hundred bytes takes
 * hours. This one gives the same answers and ends with the box's budget.
 */
#ifndef KC_LUA_BOXMATCH_H
#define KC_LUA_BOXMATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#define LK_MATCH_CAPTURES 32

struct lk_match {
    lua_State *B;
    const char *begin, *end;         /* the subject */
    const char *pattern, *pattern_end;
    size_t steps; /* not booked yet */
    bool counted; /* not in a box: `left` is what it may take */
    size_t left;
    int depth;
    int count; /* of captures */
    struct {
        const char *at;
        ptrdiff_t len; /* or one of the two marks of boxmatch.c */
    } captures[LK_MATCH_CAPTURES];
};

/* lk_match_init prepares for a subject and a pattern, which are kept. */
void lk_match_init(struct lk_match *m, lua_State *B, const char *subject,
                   size_t len, const char *pattern, size_t pattern_len);

/* [-0, +0, v] Match at `s` exactly: the end of the match, or NULL. Raises for a
 * malformed pattern and once the budget is spent. */
const char *lk_match_at(struct lk_match *m, const char *s);

/* [-0, +1, v] Push capture `i`; where there is none, capture 0 is s..e. */
void lk_match_push(struct lk_match *m, int i, const char *s, const char *e);

/* [-0, +n, v] Push all captures; `whole`: s..e where there is none. Returns
 * n. */
int lk_match_pushall(struct lk_match *m, const char *s, const char *e,
                     int whole);

/* core.match(text, pattern, steps) in the host's state -> whether it matches,
 * steps left. Raises for a malformed pattern and once the steps are spent. */
int lk_core_match(lua_State *L);

#endif
