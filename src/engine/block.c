/* block.c -- the order of reasons. */
#include "engine/block.h"

static int rank(int err)
{
    switch (err) {
    case KC_OK:
        return 0;
    case KC_ELIMITED:
        return 1;
    case KC_EIMPOSSIBLE:
        return 2;
    default:
        return 3;
    }
}

void kc_block_clear(struct kc_block *b, uint32_t key)
{
    *b = (struct kc_block){.err = KC_OK, .limit = "", .key = key};
}

bool kc_block_add(struct kc_block *b, int err, uint64_t at_ms,
                  const char *limit, uint64_t max)
{
    int had = rank(b->err);
    int got = rank(err);
    if (got < had)
        return false;
    if (got == had && err == KC_ELIMITED && at_ms <= b->at_ms)
        return false;
    if (got == had && err == KC_EIMPOSSIBLE && max >= b->max)
        return false;
    b->err = err;
    b->at_ms = at_ms;
    b->limit = limit;
    b->max = max;
    b->span_ms = 0;
    return true;
}

bool kc_block_better(const struct kc_block *a, const struct kc_block *b)
{
    int ra = rank(a->err);
    int rb = rank(b->err);
    if (ra != rb)
        return ra < rb;
    if (a->err == KC_EIMPOSSIBLE)
        return a->max > b->max;
    return a->at_ms < b->at_ms;
}
