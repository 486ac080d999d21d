/* cpool.c -- see cpool.h: two handles on one pool. A step that fails says that
 * memory was short, leaves nothing in flight, and works when it is done again.
 */
#include "oom/cpool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "keycycle.h"
#include "oom/failing.h"

#define KEYS 9 /* more than tables have room for at first */

struct world {
    struct keycycle_pool *a, *b;
    unsigned committed;
};

/* -- steps ----------------------------------------------------------------- */

static int open_one(struct keycycle_pool **p)
{
    const struct keycycle_pool_options options = {.name = "oom",
                                                  .provider = "local"};
    return *p ? KEYCYCLE_OK : keycycle_pool_open(&options, p);
}

static int open_a(struct world *w)
{
    return open_one(&w->a);
}

static int open_b(struct world *w)
{
    return open_one(&w->b);
}

static int add_keys(struct keycycle_pool *p)
{
    static const char *const models[] = {"m", "n"};
    static const struct keycycle_param params[] = {{"region", "eu"},
                                                   {"project", "x"}};
    int err = KEYCYCLE_OK;
    for (unsigned i = 1; err == KEYCYCLE_OK && i <= KEYS; i++) {
        char text[32];
        unsigned index;
        snprintf(text, sizeof text, "sk-oom-%08u-%02u", i * 7919, i);
        struct keycycle_key key = {.api_key = text};
        if (i == 1) {
            key.label = "first";
            key.params = params;
            key.param_count = 2;
        }
        if (i > KEYS - 2) {
            key.group = "org";
            key.models = models;
            key.model_count = 2;
        }
        err = keycycle_pool_add_key(p, &key, &index);
        if (err == KEYCYCLE_OK && index != i)
            err = KEYCYCLE_EINVALID;
    }
    return err;
}

static int keys_of_a(struct world *w)
{
    return add_keys(w->a);
}

static int keys_of_b(struct world *w)
{
    return add_keys(w->b);
}

static int set_limits(struct keycycle_pool *p)
{
    struct keycycle_limits limits;
    struct keycycle_window window = {10000, 500, KEYCYCLE_UNLIMITED, 9000, 9000};
    keycycle_limits_init(&limits);
    limits.concurrent_requests = 1;
    int err = keycycle_pool_set_limits(p, 0, NULL, &limits);
    limits.windows = &window;
    limits.window_count = 1;
    limits.day_resets_at = "UTC";
    if (err == KEYCYCLE_OK)
        err = keycycle_pool_set_limits(p, 0, "n", &limits);
    limits.tokens_per_day = 100;
    if (err == KEYCYCLE_OK)
        err = keycycle_pool_set_limits(p, 2, NULL, &limits);
    if (err == KEYCYCLE_OK)
        err = keycycle_pool_set_limits(p, 3, "m", &limits);
    return err;
}

static int limits_of_a(struct world *w)
{
    return set_limits(w->a);
}

static int limits_of_b(struct world *w)
{
    return set_limits(w->b);
}

static int use(struct world *w, struct keycycle_pool *p, const char *model,
               unsigned key)
{
    struct keycycle_request r = {.model = model,
                                 .tokens = 9,
                                 .input_tokens = 4,
                                 .key = key,
                                 .pin = key != 0,
                                 .affinity = "somebody"};
    struct keycycle_lease lease;
    struct keycycle_refusal why;
    char text[64];
    int err = keycycle_pool_acquire(p, &r, &lease, &why);
    if (err != KEYCYCLE_OK)
        return err;
    err = keycycle_lease_key(&lease, text, sizeof text);
    if (err == KEYCYCLE_OK)
        err = keycycle_lease_headers(&lease);
    if (err != KEYCYCLE_OK) {
        int end = keycycle_lease_cancel(&lease, 0);
        return end == KEYCYCLE_OK ? err : end;
    }
    w->committed++;
    return keycycle_lease_commit(&lease, 3, 4, 0);
}

static int use_a(struct world *w)
{
    return use(w, w->a, "m", 0);
}

static int use_b(struct world *w)
{
    return use(w, w->b, "n", KEYS);
}

/* Holds a key, and waits in vain for it. */
static int wait_in_vain(struct world *w)
{
    struct keycycle_request r = {.model = "o", .key = 1, .pin = 1};
    struct keycycle_lease lease, none;
    int err = keycycle_pool_wait(w->a, &r, 0, &lease, NULL);
    if (err != KEYCYCLE_OK)
        return err;
    err = keycycle_pool_wait(w->b, &r, 2, &none, NULL);
    int end = keycycle_lease_cancel(&lease, 0);
    if (end != KEYCYCLE_OK)
        return end;
    return err == KEYCYCLE_ELIMITED ? KEYCYCLE_OK : err;
}

struct caller {
    struct keycycle_pool *pool;
    int err;
    atomic_bool ended;
};

static void *wait_for_key(void *arg)
{
    struct caller *c = arg;
    struct keycycle_request r = {.model = "p", .key = 2, .pin = 1};
    struct keycycle_lease lease;
    c->err = keycycle_pool_wait(c->pool, &r, KEYCYCLE_NEVER, &lease, NULL);
    if (c->err == KEYCYCLE_OK)
        c->err = keycycle_lease_cancel(&lease, 0);
    atomic_store(&c->ended, true);
    return NULL;
}

/* What one gives back serves a thread that waits at the other. */
static int serve_a_thread(struct world *w)
{
    struct keycycle_request r = {.model = "p", .key = 2, .pin = 1};
    struct keycycle_lease lease;
    struct keycycle_stats s = {.waiting = 0};
    struct caller c = {.pool = w->b};
    pthread_t thread;
    int err = keycycle_pool_acquire(w->a, &r, &lease, NULL);
    if (err != KEYCYCLE_OK)
        return err;
    if (pthread_create(&thread, NULL, wait_for_key, &c) != 0)
        return KEYCYCLE_ESYSTEM;
    while (err == KEYCYCLE_OK && s.waiting == 0 && !atomic_load(&c.ended)) {
        sched_yield();
        err = keycycle_pool_stats(w->a, 0, NULL, &s);
    }
    int end = keycycle_lease_cancel(&lease, 0);
    pthread_join(thread, NULL);
    if (end != KEYCYCLE_OK)
        return end;
    return err == KEYCYCLE_OK ? c.err : err;
}

static int refuse(struct world *w)
{
    struct keycycle_request r = {.model = "q", .key = 4, .pin = 1};
    struct keycycle_key_state s;
    struct keycycle_lease lease;
    int err = keycycle_pool_enable(w->b, 4);
    if (err == KEYCYCLE_OK)
        err = keycycle_pool_acquire(w->a, &r, &lease, NULL);
    if (err != KEYCYCLE_OK)
        return err;
    err = keycycle_lease_cooldown(&lease, 1000);
    if (err == KEYCYCLE_OK)
        err = keycycle_lease_suspend(&lease);
    if (err == KEYCYCLE_OK)
        err = keycycle_lease_unpaid(&lease);
    int end = keycycle_lease_cancel(&lease, 0);
    if (end != KEYCYCLE_OK || err != KEYCYCLE_OK)
        return end != KEYCYCLE_OK ? end : err;
    err = keycycle_pool_key_state(w->b, 4, NULL, &s);
    if (err == KEYCYCLE_OK && s.state != KEYCYCLE_EXHAUSTED)
        err = KEYCYCLE_EINVALID;
    if (err == KEYCYCLE_OK)
        err = keycycle_pool_disable(w->a, 4);
    return err;
}

static int others_differ(struct world *w)
{
    struct keycycle_pool *c = NULL;
    struct keycycle_stats s;
    (void)w;
    int err = open_one(&c);
    if (err == KEYCYCLE_OK) {
        err = keycycle_pool_stats(c, 0, NULL, &s);
        if (err == KEYCYCLE_EDIFFERS)
            err = KEYCYCLE_OK;
    }
    keycycle_pool_close(c);
    return err;
}

static int read_acquire(struct keycycle_listener *l)
{
    struct keycycle_event e;
    int err = keycycle_listener_next(l, 0, &e);
    if (err == KEYCYCLE_OK &&
        (e.type != KEYCYCLE_EVENT_ACQUIRE || e.key != 5 || e.lost > 0))
        err = KEYCYCLE_EINVALID;
    return err;
}

/* What one does is told at the other. */
static int listen_to(struct world *w)
{
    struct keycycle_request r = {.model = "r", .key = 5, .pin = 1};
    struct keycycle_listener *l;
    struct keycycle_lease lease;
    int err = keycycle_pool_listen(w->a, &l);
    if (err == KEYCYCLE_OK)
        err = keycycle_pool_acquire(w->b, &r, &lease, NULL);
    if (err == KEYCYCLE_OK) {
        err = read_acquire(l);
        int end = keycycle_lease_cancel(&lease, 0);
        err = err != KEYCYCLE_OK ? err : end;
    }
    keycycle_listener_close(l);
    return err;
}

static int use_kept(struct keycycle_pool *p)
{
    const struct keycycle_request r = {.model = "m", .tokens = 5};
    struct keycycle_store_state s;
    struct keycycle_lease lease;
    int err = keycycle_pool_start(p);
    if (err == KEYCYCLE_OK)
        err = keycycle_pool_acquire(p, &r, &lease, NULL);
    if (err != KEYCYCLE_OK)
        return err;
    err = keycycle_lease_observe(&lease, KEYCYCLE_INPUT_TOKENS, 60000, 9, 4);
    int end = keycycle_lease_commit(&lease, 3, 4, 0);
    if (end == KEYCYCLE_OK)
        end = keycycle_pool_save(p, KEYCYCLE_NEVER); /* tries until it works */
    if (end == KEYCYCLE_OK)
        end = keycycle_pool_store_state(p, &s);
    if (end == KEYCYCLE_OK && (s.waiting > 0 || s.set_aside > 0))
        end = KEYCYCLE_EINVALID;
    return end != KEYCYCLE_OK ? end : err;
}

static int keep(struct world *w)
{
    const struct keycycle_pool_options options = {
        .name = "kept", .provider = "local", .db_url = "memory:"};
    const struct keycycle_key key = {.api_key = "sk-oom-of-a-kept-key"};
    struct keycycle_pool *p;
    unsigned index;
    (void)w;
    int err = keycycle_pool_open(&options, &p);
    if (err == KEYCYCLE_OK)
        err = keycycle_pool_add_key(p, &key, &index);
    if (err == KEYCYCLE_OK)
        err = use_kept(p);
    keycycle_pool_close(p);
    return err;
}

static int leave_alone(struct world *w)
{
    struct keycycle_key key = {.api_key = "sk-oom-of-the-last-key"};
    unsigned index;
    keycycle_pool_close(w->b);
    w->b = NULL;
    int err = keycycle_pool_add_key(w->a, &key, &index);
    return err == KEYCYCLE_OK ? keycycle_pool_remove_key(w->a, index) : err;
}

static const struct {
    const char *name;
    int (*fn)(struct world *w);
} steps[] = {
    {"open a", open_a},
    {"open b", open_b},
    {"keys of a", keys_of_a},
    {"keys of b", keys_of_b},
    {"limits of a", limits_of_a},
    {"limits of b", limits_of_b},
    {"use a", use_a},
    {"use b", use_b},
    {"wait in vain", wait_in_vain},
    {"serve a thread", serve_a_thread},
    {"refuse", refuse},
    {"others differ", others_differ},
    {"listen", listen_to},
    {"keep", keep},
    {"leave alone", leave_alone},
};

/* -- all of them ----------------------------------------------------------- */

/* With memory there: what is in flight, and what was counted. */
static bool is_sound(const struct world *w)
{
    struct keycycle_stats s;
    if (w->committed == 0)
        return true; /* the name must not take effect before */
    if (keycycle_pool_stats(w->a, 0, NULL, &s) != KEYCYCLE_OK)
        return false;
    return s.in_flight == 0 && s.waiting == 0 && s.rpd == w->committed &&
           s.tpd == 7 * w->committed;
}

static const char *play_step(size_t i, struct world *w)
{
    static char words[120];
    failing_arm(true);
    int err = steps[i].fn(w);
    failing_arm(false);
    const char *what = NULL;
    if (err != KEYCYCLE_OK && (err != KEYCYCLE_ENOMEM || failing_hits() == 0))
        what = keycycle_error_name(err);
    else if (!is_sound(w))
        what = "the counts are wrong";
    else if (err != KEYCYCLE_OK && (err = steps[i].fn(w)) != KEYCYCLE_OK)
        what = keycycle_error_name(err);
    else if (!is_sound(w))
        what = "the counts are wrong when it is done again";
    if (!what)
        return NULL;
    snprintf(words, sizeof words, "%s: %s", steps[i].name, what);
    return words;
}

const char *cpool_play(void)
{
    struct world w = {.a = NULL};
    const char *what = NULL;
    for (size_t i = 0; !what && i < sizeof steps / sizeof steps[0]; i++)
        what = play_step(i, &w);
    keycycle_pool_close(w.b);
    keycycle_pool_close(w.a);
    return what;
}
