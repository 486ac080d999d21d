/* cooldown.h -- a key, or a key for one model, that was refused.
 *
 * Put away until a time, then PROBING: one request at a time until one works.
 * A success counts as proof only when its request was granted after the
 * refusal; the serial numbers of grants tell.
 */
#ifndef KC_ENGINE_COOLDOWN_H
#define KC_ENGINE_COOLDOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/block.h"
#include "engine/pool.h"
#include "util/rng.h"

#define KC_REASON_MAX 64

struct kc_cooldown {     /* all zero: ready */
    enum kc_state state; /* as it was put away; PROBING follows from the time */
    bool guessed;        /* the end is ours, not the provider's */
    bool auth;           /* a probe that is refused again makes it INVALID */
    uint32_t tries;      /* guesses without a success between them */
    uint64_t until_ms;   /* KC_NEVER: until the user revives it */
    uint64_t since;      /* grants before the refusal */
    uint64_t probe;      /* the lease that is out while PROBING, or 0 */
    char reason[KC_REASON_MAX];
};

/* kc_cooldown_state returns what it is at `now_ms`. */
enum kc_state kc_cooldown_state(const struct kc_cooldown *c, uint64_t now_ms);

/* kc_cooldown_check adds to `b` what keeps a request from passing. With `idle`
 * a probe that is out does not. */
void kc_cooldown_check(const struct kc_cooldown *c, uint64_t now_ms, bool idle,
                       struct kc_block *b);

/* kc_cooldown_cool: see kc_pool_cool. `grants` is the serial number of the last
 * grant. Returns the end, KC_NEVER where there is none. */
uint64_t kc_cooldown_cool(struct kc_cooldown *c, uint64_t now_ms,
                          uint64_t delay_ms, uint64_t grants,
                          struct kc_rng *rng, const char *reason);

/* kc_cooldown_suspend, kc_cooldown_unpaid: see kc_pool_suspend and _unpaid. */
void kc_cooldown_suspend(struct kc_cooldown *c, uint64_t now_ms,
                         uint64_t confirm_ms, uint64_t grants,
                         const char *reason);
void kc_cooldown_unpaid(struct kc_cooldown *c, uint64_t grants,
                        const char *reason);

/* kc_cooldown_granted notes that `lease` was given out: while PROBING it is the
 * probe. kc_cooldown_settled notes its end. */
void kc_cooldown_granted(struct kc_cooldown *c, uint64_t now_ms,
                         uint64_t lease);
void kc_cooldown_settled(struct kc_cooldown *c, uint64_t lease);

/* kc_cooldown_success: the request of grant number `serial` worked. True when
 * that proves that the key is back. */
bool kc_cooldown_success(struct kc_cooldown *c, uint64_t now_ms,
                         uint64_t serial);

/* kc_cooldown_clear forgets everything. */
void kc_cooldown_clear(struct kc_cooldown *c);

/* kc_copy_cut copies text (NULL: "") into `size` bytes; what is too long is cut
 * between two characters. */
void kc_copy_cut(char *to, size_t size, const char *text);

#endif
