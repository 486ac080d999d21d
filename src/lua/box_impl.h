/* box_impl.h -- what the files of the box share. See box.c.
 *
 * A lua_State named B is the box's own: what is raised there ends at the
 * lua_pcall with which the box is entered.
 */
#ifndef KC_LUA_BOX_IMPL_H
#define KC_LUA_BOX_IMPL_H

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

#include "util/buf.h"

#define LK_BOX "keycycle.box"
#define LK_HOOK "keycycle.hook"

#define LK_BOX_BLOCK (1u << 20)  /* most bytes of one string, table or stack */
#define LK_BOX_CLASSES 11        /* of blocks: from 1 KiB to LK_BOX_BLOCK */
#define LK_BOX_VALUES 4000       /* most values that one call may push */
#define LK_COPY_DEPTH 64
#define LK_COPY_NODES 100000
#define LK_COPY_BYTES (4u << 20)

enum lk_box_end { /* what ended a box */
    LK_BOX_ALIVE,
    LK_BOX_WORK,   /* its instructions are spent */
    LK_BOX_TIME,   /* its thread time is */
    LK_BOX_BYTES,  /* it allocated too much in one entry, all added up */
    LK_BOX_MEMORY, /* it was refused memory */
    LK_BOX_KEEPS,  /* it holds on to too much between entries */
    LK_BOX_BROKEN, /* an error while an error was handled */
    LK_BOX_CLOSED
};

/* The userdata in the host's state, and the allocator's argument. */
struct lk_box {
    lua_State *state; /* NULL once it ended */
    locale_t locale;  /* "C": strcoll of another one is slow without bound */
    size_t max_memory;
    uint64_t max_work, max_us;
    size_t used;
    unsigned blocks[LK_BOX_CLASSES]; /* how many are alive, by size */
    bool refused;                    /* the last block asked for was */
    size_t last_tag;                 /* what the last new block was for */
    /* of the entry under way, or of the last one */
    uint64_t work, unchecked, bytes, mono_us, cpu_us;
    int step; /* instructions between two looks at the clock */
    enum lk_box_end end;
    bool bad_value;       /* the error is of a value that cannot be copied */
    lua_Integer last_id;  /* of the functions that hooks stand for */
    char place[80];       /* where it ended, "file:line", or "" */
    char message[400];
};

/* [-0, +0, -] The box of a state. */
struct lk_box *lk_box_of(lua_State *B);

/* [-0, +0, v] Book `work`, in instructions, for what C does on a script's
 * behalf. Raises once the budget is spent. */
void lk_box_charge(lua_State *B, size_t work);

/* lk_box_open makes the state and calls `set_up` in it. false when memory ran
 * out; lk_box_shut is called in either case, and may be called again. */
bool lk_box_open(struct lk_box *b, lua_CFunction set_up);
void lk_box_shut(struct lk_box *b);

/* lk_box_enter calls `f`, which gets `job`, in the box: whether it went well.
 * Otherwise `end`, `place` and `message` say what happened, and a box that
 * ended is closed. It raises nothing. */
bool lk_box_enter(struct lk_box *b, lua_CFunction f, void *job);

/* lk_box_spend ends the box: from now on every instruction raises. */
void lk_box_spend(struct lk_box *b, enum lk_box_end end);

/* lk_box_look ends the box when its time is over. */
void lk_box_look(struct lk_box *b);

/* [-0, +0, m] Make the library's masters and the strings' metatable. */
void lk_box_openlib(lua_State *B);

/* [-0, +1, m] Push a fresh environment, which shares no table with others. */
void lk_box_newenv(lua_State *B);

/* [-0, +0, m] Forget which tables the chunk declared before. */
void lk_box_newkinds(lua_State *B);

/* [-0, +0, m] What the table at `index` was declared as: "provider", "policy",
 * "limits", or NULL. Static text. */
const char *lk_box_kind(lua_State *B, int index);

/* [-0, +1, e] Push the value at `index` as text, without an address. */
const char *lk_box_tolstring(lua_State *B, int index, size_t *len);

/* [-0, +0, m] Bound the values that the function `name` of the table at the top
 * pushes: it takes (string, i, j). */
void lk_box_limit(lua_State *B, const char *name);

/* [-0, +1, m] Push a new table with the string functions; boxstr.c. */
void lk_box_newstring(lua_State *B);

/* [-0, +1, m] The same with the table functions, which are raw; boxtable.c. */
void lk_box_newtable(lua_State *B);

/* A value written as bytes, on its way out of one state and into another. */
struct lk_copy {
    struct kc_buf *bytes;
    size_t nodes;
    int null;             /* index of what means null, or 0 */
    struct lk_box *box;   /* functions become ids of this one; NULL: refused */
    bool booked;          /* it leaves the box, which is charged for it */
    int depth;
    const void *above[LK_COPY_DEPTH];
    const char *why;      /* static text, once it failed */
    char key[48];         /* the key it failed at, or "" */
};

/* [-0, +0, - or m] Append the value at `index`. KC_OK; KC_ENOMEM; or
 * KC_EINVALID with `why`. Raises only in the box (`booked`). */
KC_CHECKED int lk_copy_out(lua_State *L, int index, struct lk_copy *c);

/* [-0, +n, m] Push all values of `bytes`, and return how many. `box`: index of
 * the box whose functions the ids are, or 0 where there are none. */
int lk_copy_in(lua_State *L, const struct kc_buf *bytes, int box);

/* [-0, +1, m] Push a hook for the function `id` of the box at index `box`. */
void lk_newhook(lua_State *L, int box, lua_Integer id);

/* [-0, +0, m] Keep the function at `index` of the box's state, and return its
 * id. */
lua_Integer lk_box_keep(lua_State *B, struct lk_box *box, int index);

#endif
