/* cooldown.c -- the states between a refusal and the next success. */
#include "engine/cooldown.h"

#include "util/num.h"

#include <string.h>

#define SHORT_MS 60000 /* a longer one is EXHAUSTED; also the longest guess */
#define LONGEST_MS (31ULL * KC_DAY_MS) /* a quota of a month, to its end */
#define FIRST_MS 1000

void kc_copy_cut(char *to, size_t size, const char *text)
{
    size_t n = text ? strnlen(text, size) : 0;
    if (n == size) {
        n--;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
            n--;
    }
    if (n > 0)
        memcpy(to, text, n);
    to[n] = '\0';
}

enum kc_state kc_cooldown_state(const struct kc_cooldown *c, uint64_t now_ms)
{
    if (c->state == KC_READY || c->until_ms == KC_NEVER || now_ms < c->until_ms)
        return c->state;
    return KC_PROBING;
}

void kc_cooldown_check(const struct kc_cooldown *c, uint64_t now_ms, bool idle,
                       struct kc_block *b)
{
    if (c->state == KC_READY)
        return;
    enum kc_state state = kc_cooldown_state(c, now_ms);
    const char *name = kc_state_name(state);
    if (state == KC_PROBING) {
        if (c->probe != 0 && !idle)
            kc_block_add(b, KC_ELIMITED, KC_NEVER, name, 0);
    } else if (c->until_ms == KC_NEVER || state == KC_SUSPENDED) {
        kc_block_add(b, KC_ENOKEY, c->until_ms, name, 0);
    } else {
        kc_block_add(b, KC_ELIMITED, c->until_ms, name, 0);
    }
}

static bool is_away(const struct kc_cooldown *c, uint64_t now_ms)
{
    enum kc_state state = kc_cooldown_state(c, now_ms);
    return state != KC_READY && state != KC_PROBING;
}

static void put_away(struct kc_cooldown *c, enum kc_state state,
                     uint64_t until_ms, uint64_t grants, const char *reason)
{
    c->state = state;
    c->until_ms = until_ms;
    c->since = grants;
    c->probe = 0;
    kc_copy_cut(c->reason, sizeof c->reason, reason);
}

/* Full jitter: keys that failed together must not come back together. Several
 * refusals of one burst are one step, not many. */
static uint64_t guess_ms(struct kc_cooldown *c, bool away, struct kc_rng *rng)
{
    uint64_t most = c->tries < 6 ? (uint64_t)FIRST_MS << c->tries : SHORT_MS;
    if (away && c->guessed && c->tries > 0)
        most = c->tries < 7 ? (uint64_t)FIRST_MS << (c->tries - 1) : SHORT_MS;
    else
        c->tries++;
    return 1 + kc_rng_below(rng, most);
}

uint64_t kc_cooldown_cool(struct kc_cooldown *c, uint64_t now_ms,
                          uint64_t delay_ms, uint64_t grants,
                          struct kc_rng *rng, const char *reason)
{
    bool away = is_away(c, now_ms);
    bool guessed = delay_ms == KC_NEVER;
    if (away && c->until_ms == KC_NEVER)
        return KC_NEVER;
    if (guessed)
        delay_ms = guess_ms(c, away, rng);
    if (delay_ms > LONGEST_MS)
        delay_ms = LONGEST_MS;
    uint64_t until_ms = now_ms + delay_ms;
    if (away && c->state == KC_SUSPENDED) {
        if (until_ms > c->until_ms)
            c->until_ms = until_ms;
        return c->until_ms;
    }
    /* Only what the provider states may shorten, and only a guess. */
    if (away && until_ms <= c->until_ms && (guessed || !c->guessed))
        return c->until_ms;
    c->guessed = guessed;
    put_away(c, delay_ms > SHORT_MS ? KC_EXHAUSTED : KC_COOLING, until_ms,
             grants, reason);
    return until_ms;
}

void kc_cooldown_suspend(struct kc_cooldown *c, uint64_t now_ms,
                         uint64_t confirm_ms, uint64_t grants,
                         const char *reason)
{
    enum kc_state state = kc_cooldown_state(c, now_ms);
    if (state == KC_SUSPENDED || (c->until_ms == KC_NEVER && state != KC_READY))
        return;
    if (state == KC_PROBING && c->auth) {
        put_away(c, KC_INVALID, KC_NEVER, grants, reason);
        return;
    }
    if (confirm_ms > KC_DAY_MS)
        confirm_ms = KC_DAY_MS;
    c->auth = true;
    c->guessed = false;
    put_away(c, KC_SUSPENDED, now_ms + confirm_ms, grants, reason);
}

void kc_cooldown_unpaid(struct kc_cooldown *c, uint64_t grants,
                        const char *reason)
{
    if (c->state == KC_INVALID)
        return;
    put_away(c, KC_EXHAUSTED, KC_NEVER, grants, reason);
}

void kc_cooldown_granted(struct kc_cooldown *c, uint64_t now_ms, uint64_t lease)
{
    if (c->state != KC_READY && kc_cooldown_state(c, now_ms) == KC_PROBING)
        c->probe = lease;
}

void kc_cooldown_settled(struct kc_cooldown *c, uint64_t lease)
{
    if (c->probe == lease)
        c->probe = 0;
}

bool kc_cooldown_success(struct kc_cooldown *c, uint64_t now_ms,
                         uint64_t serial)
{
    if (c->state == KC_READY || serial <= c->since || is_away(c, now_ms))
        return false;
    kc_cooldown_clear(c);
    return true;
}

void kc_cooldown_clear(struct kc_cooldown *c)
{
    *c = (struct kc_cooldown){.state = KC_READY};
}
