/* boxstate.c -- the box's state: its allocator, its hook, the way in.
 *
 * What no instruction counts is bounded by the size of what it works on: no
 * block is over LK_BOX_BLOCK, and the larger the largest one is, the fewer
 * instructions pass between two looks at the clock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lua/box_impl.h"
#include "util/clock.h"

#define MAX_BYTES (64u << 20) /* allocated in one entry, all added up */
#define MAX_STEP 500
#define NODE 24u        /* bytes of one pair in the hash part of a table */
#define MAX_NODES 4096u /* of one table */

static const char spent_mark; /* its address alone counts */

/* -- what is spent --------------------------------------------------------- */

static uint64_t thread_us(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return kc_mono_us();
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct lk_box *lk_box_of(lua_State *B)
{
    return *(struct lk_box **)lua_getextraspace(B);
}

static void on_count(lua_State *B, lua_Debug *ar);

/* As asynchronous as lua_sethook: the allocator does it, too. */
static void arm(struct lk_box *b)
{
    int step = MAX_STEP;
    for (int i = LK_BOX_CLASSES - 1; i >= 0; i--) {
        if (b->blocks[i]) {
            step = MAX_STEP >> i;
            break;
        }
    }
    if (b->end != LK_BOX_ALIVE || step == 0)
        step = 1;
    if (step == b->step)
        return;
    b->step = step;
    if (b->state)
        lua_sethook(b->state, on_count, LUA_MASKCOUNT, step);
}

void lk_box_spend(struct lk_box *b, enum lk_box_end end)
{
    if (b->end == LK_BOX_ALIVE)
        b->end = end;
    arm(b);
}

/* Thread time never runs faster than the clock that is cheap to read. */
void lk_box_look(struct lk_box *b)
{
    b->unchecked = 0;
    if (kc_mono_us() - b->mono_us >= b->max_us &&
        thread_us() - b->cpu_us >= b->max_us)
        lk_box_spend(b, LK_BOX_TIME);
}

static void book(struct lk_box *b, uint64_t work)
{
    b->work += work;
    b->unchecked += work;
    if (b->work > b->max_work)
        lk_box_spend(b, LK_BOX_WORK);
    if (b->unchecked >= (uint64_t)b->step)
        lk_box_look(b);
}

/* [-0, +0, v] Raise without asking for memory: what cannot be caught anew at
 * every instruction ends the entry. */
static void end_entry(lua_State *B, struct lk_box *b, lua_Debug *ar)
{
    if (!b->place[0] && lua_getinfo(B, "Sl", ar) && ar->currentline > 0)
        snprintf(b->place, sizeof b->place, "%s:%d", ar->short_src,
                 ar->currentline);
    lua_pushlightuserdata(B, (void *)(uintptr_t)&spent_mark);
    lua_error(B);
}

static void on_count(lua_State *B, lua_Debug *ar)
{
    struct lk_box *b = lk_box_of(B);
    book(b, (uint64_t)b->step);
    if (b->end != LK_BOX_ALIVE)
        end_entry(B, b, ar);
    arm(b); /* a large block may be gone */
}

void lk_box_charge(lua_State *B, size_t work)
{
    struct lk_box *b = lk_box_of(B);
    lua_Debug ar;
    book(b, work);
    if (b->end == LK_BOX_ALIVE)
        return;
    if (!lua_getstack(B, 1, &ar))
        lua_getstack(B, 0, &ar);
    end_entry(B, b, &ar);
}

/* -- memory ---------------------------------------------------------------- */

static void note_block(struct lk_box *b, size_t size, int change)
{
    if (size < 1024)
        return;
    int class = 0;
    while (class < LK_BOX_CLASSES - 1 && size > (size_t)1024 << class)
        class++;
    b->blocks[class] += (unsigned)change;
}

/* A refusal makes Lua collect everything and ask once more: that takes time. */
static void *refuse(struct lk_box *b)
{
    if (b->refused)
        lk_box_spend(b, LK_BOX_MEMORY);
    b->refused = true;
    lk_box_look(b);
    return NULL;
}

/* Numbers are hashed in a way that is known to all: a table whose keys collide
 * is laid out anew in the square of their number, within one instruction. Only
 * the buffer of a text is asked for in the same way, right after its userdata.
 */
static bool is_large_hash(struct lk_box *b, size_t tag, size_t size)
{
    size_t before = b->last_tag;
    if (tag == LUA_NUMTYPES)
        return false; /* an upvalue, which some 5.4 make in between */
    b->last_tag = tag;
    if (tag != 0 || before == LUA_TUSERDATA || size <= NODE * MAX_NODES)
        return false;
    size_t nodes = size / NODE;
    return size % NODE == 0 && (nodes & (nodes - 1)) == 0;
}

static void *box_alloc(void *ud, void *block, size_t tag, size_t size)
{
    struct lk_box *b = ud;
    size_t old = block ? tag : 0;
    if (!block && size && is_large_hash(b, tag, size))
        return refuse(b);
    if (size == 0) {
        note_block(b, old, -1);
        b->used -= old;
        free(block);
        return NULL;
    }
    if (size > old &&
        (size > LK_BOX_BLOCK || size - old > b->max_memory - b->used ||
         (b->refused && b->end != LK_BOX_ALIVE)))
        return refuse(b); /* each refusal of an ended box costs as much again */
    void *p = realloc(block, size);
    if (!p && size > old)
        return refuse(b);
    note_block(b, old, -1);
    note_block(b, size, 1);
    b->used = b->used - old + size;
    if (size <= old)
        return p ? p : block; /* Lua relies on that a block can shrink */
    b->refused = false;
    b->bytes += size;
    if (b->bytes > MAX_BYTES)
        lk_box_spend(b, LK_BOX_BYTES);
    if (size > 1024)
        arm(b);
    return p;
}

/* -- one entry ------------------------------------------------------------- */

static void begin(struct lk_box *b)
{
    b->work = b->unchecked = b->bytes = 0;
    b->refused = b->bad_value = false;
    b->place[0] = b->message[0] = '\0';
    b->mono_us = kc_mono_us();
    b->cpu_us = thread_us();
    b->step = 0;
    arm(b);
}

/* Words of the error on top of the stack, without a control character. */
static void note_error(struct lk_box *b)
{
    lua_State *B = b->state;
    size_t n = sizeof b->message;
    if (lua_type(B, -1) == LUA_TSTRING) {
        snprintf(b->message, n, "%s", lua_tostring(B, -1));
    } else if (lua_isinteger(B, -1)) {
        snprintf(b->message, n, "%lld", (long long)lua_tointeger(B, -1));
    } else if (lua_type(B, -1) == LUA_TNUMBER) {
        snprintf(b->message, n, "%.14g", lua_tonumber(B, -1));
    } else {
        snprintf(b->message, n, "the error is a %s", luaL_typename(B, -1));
    }
    for (char *c = b->message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

/* Between entries most of the memory must be free for whoever comes next. That
 * more is used before all is collected keeps collections rare. */
static void check_kept(struct lk_box *b)
{
    if (b->used <= b->max_memory / 2)
        return;
    lua_gc(b->state, LUA_GCCOLLECT);
    if (b->used > b->max_memory / 4)
        lk_box_spend(b, LK_BOX_KEEPS);
}

bool lk_box_enter(struct lk_box *b, lua_CFunction f, void *job)
{
    lua_State *B = b->state;
    if (!B) /* a finalizer of the host has closed it meanwhile */
        return false;
    locale_t before = uselocale(b->locale);
    begin(b);
    lua_settop(B, 0);
    lua_pushcfunction(B, f);
    lua_pushlightuserdata(B, job);
    int status = lua_pcall(B, 1, 0, 0);
    if (status == LUA_ERRMEM)
        lk_box_spend(b, LK_BOX_MEMORY);
    else if (status != LUA_OK && status != LUA_ERRRUN)
        lk_box_spend(b, LK_BOX_BROKEN);
    else if (status == LUA_ERRRUN && b->end == LK_BOX_ALIVE)
        note_error(b);
    lua_settop(B, 0);
    if (b->end == LK_BOX_ALIVE)
        check_kept(b);
    uselocale(before);
    if (b->end != LK_BOX_ALIVE)
        lk_box_shut(b);
    return status == LUA_OK && b->end == LK_BOX_ALIVE;
}

/* -- opening and closing --------------------------------------------------- */

bool lk_box_open(struct lk_box *b, lua_CFunction set_up)
{
    b->max_work = b->max_us = UINT64_MAX;
    b->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    lua_State *B = b->locale ? lua_newstate(box_alloc, b) : NULL;
    if (!B)
        return false;
    *(struct lk_box **)lua_getextraspace(B) = b;
    b->state = B;
    return lk_box_enter(b, set_up, NULL);
}

void lk_box_shut(struct lk_box *b)
{
    if (b->state)
        lua_close(b->state);
    b->state = NULL;
    if (b->locale)
        freelocale(b->locale);
    b->locale = (locale_t)0;
}
