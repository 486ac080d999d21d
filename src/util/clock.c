/* clock.c -- see clock.h. */
#include "util/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#ifdef CLOCK_BOOTTIME
#define STEADY CLOCK_BOOTTIME
#else
#define STEADY CLOCK_MONOTONIC
#endif

struct kc_clock {
    atomic_size_t refs;
    bool manual;
    uint64_t base_wall_ms; /* of a real clock: the wall when it was made */
    uint64_t base_steady_ms;
    atomic_uint_fast64_t now_ms; /* of a manual one */
};

static uint64_t read_us(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0)
        return 0;
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t kc_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t kc_mono_ms(void)
{
    return kc_mono_us() / 1000;
}

uint64_t kc_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

static int make(bool manual, struct kc_clock **out)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return KC_ENOMEM;
    atomic_init(&(*out)->refs, 1);
    (*out)->manual = manual;
    return KC_OK;
}

int kc_clock_new_real(struct kc_clock **out)
{
    int err = make(false, out);
    if (err != KC_OK)
        return err;
    (*out)->base_wall_ms = kc_wall_ms();
    (*out)->base_steady_ms = read_us(STEADY) / 1000;
    return KC_OK;
}

int kc_clock_new_manual(uint64_t start_ms, struct kc_clock **out)
{
    int err = make(true, out);
    if (err == KC_OK)
        atomic_init(&(*out)->now_ms, start_ms);
    return err;
}

struct kc_clock *kc_clock_ref(struct kc_clock *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void kc_clock_unref(struct kc_clock *c)
{
    if (c && atomic_fetch_sub(&c->refs, 1) == 1)
        free(c);
}

uint64_t kc_clock_now_ms(const struct kc_clock *c)
{
    if (c->manual)
        return atomic_load(&c->now_ms);
    return c->base_wall_ms + (read_us(STEADY) / 1000 - c->base_steady_ms);
}

bool kc_clock_is_manual(const struct kc_clock *c)
{
    return c->manual;
}

void kc_clock_advance(struct kc_clock *c, uint64_t ms)
{
    if (c->manual)
        atomic_fetch_add(&c->now_ms, ms);
}
