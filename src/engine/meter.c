/* meter.c -- test, hold, stamp and settle on one scope. */
#include "engine/meter.h"

#include <stdlib.h>

#include "util/num.h"

#define SKEW_MS 2000 /* ENGINE.md, section 2 */

int kc_meter_init(struct kc_meter *m)
{
    *m = (struct kc_meter){.in_flight = 0};
    for (int w = 0; w < KC_WINDOWS; w++) {
        uint32_t bound = w == KC_DAY ? 64 : 32;
        int err =
            kc_ring_init(&m->rings[w], kc_window_ms((enum kc_window)w), bound);
        if (err != KC_OK) {
            kc_meter_deinit(m);
            return err;
        }
    }
    return KC_OK;
}

void kc_meter_deinit(struct kc_meter *m)
{
    for (int w = 0; w < KC_WINDOWS; w++)
        kc_ring_deinit(&m->rings[w]);
    free(m->calendar);
    m->calendar = NULL;
}

static void drop_old(struct kc_meter *m, uint64_t now_ms)
{
    m->expiry_ms = KC_NEVER;
    for (int w = 0; w < KC_WINDOWS; w++) {
        kc_ring_drop(&m->rings[w], now_ms);
        m->expiry_ms = kc_least(m->expiry_ms, kc_ring_expiry(&m->rings[w]));
    }
}

/* Most calls come before anything can leave. */
static inline void drop(struct kc_meter *m, uint64_t now_ms)
{
    if (now_ms >= m->expiry_ms)
        drop_old(m, now_ms);
}

/* Books in the windows from `first` on that still reach `stamp_ms`. */
static void add_to_rings(struct kc_meter *m, int first, uint64_t now_ms,
                         uint64_t stamp_ms, uint64_t requests, uint64_t tokens)
{
    for (int w = first; w < KC_WINDOWS; w++)
        if (stamp_ms + m->rings[w].span_ms > now_ms)
            kc_ring_add(&m->rings[w], stamp_ms, requests, tokens);
    m->expiry_ms = kc_least(m->expiry_ms, stamp_ms + m->rings[0].span_ms);
}

/* -- days of the calendar ------------------------------------------------- */

static bool on_calendar(const struct kc_meter *m)
{
    return m->calendar && m->calendar->end_ms != 0;
}

static void add_to_day(struct kc_meter *m, uint64_t stamp_ms, uint64_t requests,
                       uint64_t tokens)
{
    if (!on_calendar(m) || stamp_ms <= m->calendar->start_ms)
        return;
    uint64_t *sum = m->calendar->sum;
    sum[KC_REQUESTS] = kc_add_capped(sum[KC_REQUESTS], requests);
    sum[KC_TOKENS] = kc_add_capped(sum[KC_TOKENS], tokens);
}

/* Begins the day that `now_ms` lies in with what the ring knows of it. */
static void begin_day(struct kc_meter *m, uint64_t now_ms)
{
    struct kc_calendar *c = m->calendar;
    uint64_t then = now_ms > SKEW_MS ? now_ms - SKEW_MS : 0;
    c->start_ms = kc_zone_last_midnight(&c->zone, then);
    c->end_ms = kc_zone_midnight(&c->zone, then) + SKEW_MS;
    c->sum[KC_REQUESTS] = c->sum[KC_TOKENS] = 0;
    kc_ring_since(&m->rings[KC_DAY], c->start_ms, c->sum);
}

/* Has the meter keep the kind of day that the limits want. Without memory for
 * it the day rolls, which is never looser for long: it forgets later. */
static void keep_day(struct kc_meter *m, uint64_t now_ms,
                     const struct kc_limits *limits)
{
    if (!limits->calendar) {
        if (m->calendar)
            m->calendar->end_ms = 0;
        return;
    }
    if (!m->calendar)
        m->calendar = calloc(1, sizeof *m->calendar);
    struct kc_calendar *c = m->calendar;
    if (!c)
        return;
    bool other = !kc_zone_equal(&c->zone, &limits->zone);
    c->zone = limits->zone;
    if (c->end_ms == 0 || other || now_ms >= c->end_ms)
        begin_day(m, now_ms);
}

/* -- counting ------------------------------------------------------------- */

static void add(struct kc_meter *m, uint64_t now_ms, uint64_t requests,
                uint64_t tokens)
{
    if (requests == 0 && tokens == 0)
        return;
    drop(m, now_ms);
    add_to_rings(m, 0, now_ms, now_ms + 1, requests, tokens);
    add_to_day(m, now_ms + 1, requests, tokens);
}

/* What a window counts, without what is held. */
static uint64_t stamped(const struct kc_meter *m, enum kc_window w,
                        enum kc_unit u)
{
    return w == KC_DAY && on_calendar(m) ? m->calendar->sum[u]
                                         : m->rings[w].sum[u];
}

static uint64_t free_at(const struct kc_meter *m, enum kc_window w,
                        enum kc_unit u, uint64_t need)
{
    if (w != KC_DAY || !on_calendar(m))
        return kc_ring_free_at(&m->rings[w], u, need);
    return need <= m->calendar->sum[u] ? m->calendar->end_ms : KC_NEVER;
}

static void check_limit(const struct kc_meter *m, enum kc_window w,
                        enum kc_unit u, uint64_t limit, uint64_t cost,
                        bool idle, struct kc_block *b)
{
    if (limit == KC_UNLIMITED)
        return;
    if (limit == 0 || cost > limit) {
        kc_block_add(b, KC_EIMPOSSIBLE, KC_NEVER, kc_limit_name(w, u), limit);
        return;
    }
    if (!m)
        return;
    uint64_t sum = stamped(m, w, u);
    uint64_t held = idle ? 0 : m->held[u];
    if (idle && u == KC_TOKENS)
        sum -= kc_least(sum, m->open_tokens);
    uint64_t room = limit - cost;
    if (held <= room && sum <= room - held)
        return;
    uint64_t at = KC_NEVER;
    if (held <= room)
        at = free_at(m, w, u, sum - (room - held));
    kc_block_add(b, KC_ELIMITED, at, kc_limit_name(w, u), limit);
}

void kc_meter_check(struct kc_meter *m, uint64_t now_ms,
                    const struct kc_limits *limits, uint64_t tokens, bool idle,
                    struct kc_block *b)
{
    if (m) {
        drop(m, now_ms);
        keep_day(m, now_ms, limits);
    }
    for (int w = 0; w < KC_WINDOWS; w++) {
        for (int u = 0; u < KC_UNITS; u++)
            check_limit(m, (enum kc_window)w, (enum kc_unit)u,
                        limits->max[w][u], u == KC_REQUESTS ? 1 : tokens, idle,
                        b);
    }
    uint64_t most = limits->concurrent;
    if (most == 0)
        kc_block_add(b, KC_EIMPOSSIBLE, KC_NEVER, "concurrent_requests", 0);
    else if (m && !idle && m->in_flight >= most)
        kc_block_add(b, KC_ELIMITED, KC_NEVER, "concurrent_requests", most);
}

static uint64_t counted(const struct kc_meter *m, int w, int u)
{
    if (!m)
        return 0;
    return stamped(m, (enum kc_window)w, (enum kc_unit)u) + m->held[u];
}

uint64_t kc_meter_load(const struct kc_meter *m, const struct kc_limits *limits)
{
    uint64_t most = 0;
    if (!m)
        return 0;
    for (int w = 0; w < KC_WINDOWS; w++) {
        for (int u = 0; u < KC_UNITS; u++) {
            uint64_t limit = limits->max[w][u];
            if (limit == KC_UNLIMITED || limit == 0)
                continue;
            /* Below 2^41 by KC_TOKENS_MAX where it passes; else it is full. */
            uint64_t n = kc_least(counted(m, w, u), limit);
            uint64_t share = limit >> 47 ? n / ((limit >> 16) + 1)
                                         : (n << 16) / limit;
            if (share > most)
                most = share;
        }
    }
    return most << 32 | kc_least(m->in_flight, UINT32_MAX);
}

static uint64_t room_of(const struct kc_meter *m, int w, int u, uint64_t limit)
{
    return limit - kc_least(counted(m, w, u), limit);
}

uint64_t kc_meter_fits(const struct kc_meter *m, const struct kc_limits *limits,
                       uint64_t tokens)
{
    uint64_t fits = UINT64_MAX;
    for (int w = 0; w < KC_WINDOWS; w++) {
        for (int u = 0; u < KC_UNITS; u++) {
            uint64_t limit = limits->max[w][u];
            uint64_t cost = u == KC_REQUESTS ? 1 : tokens;
            if (limit != KC_UNLIMITED && cost > 0)
                fits = kc_least(fits, room_of(m, w, u, limit) / cost);
        }
    }
    uint64_t most = limits->concurrent;
    if (most != KC_UNLIMITED)
        fits = kc_least(fits, most - kc_least(m ? m->in_flight : 0, most));
    return fits;
}

void kc_meter_hold(struct kc_meter *m, uint64_t tokens)
{
    m->held[KC_REQUESTS]++;
    m->held[KC_TOKENS] += tokens;
    m->in_flight++;
}

uint64_t kc_meter_stamp(struct kc_meter *m, uint64_t now_ms, uint64_t tokens)
{
    m->held[KC_REQUESTS]--;
    m->held[KC_TOKENS] -= tokens;
    m->open_tokens += tokens;
    add(m, now_ms, 1, tokens);
    return now_ms + 1;
}

static void refund(struct kc_meter *m, const struct kc_charge *c)
{
    uint64_t requests = 1 - c->requests;
    uint64_t tokens = c->reserved - kc_least(c->reserved, c->tokens);
    if (requests == 0 && tokens == 0)
        return;
    for (int w = 0; w < KC_WINDOWS; w++)
        kc_ring_refund(&m->rings[w], c->stamp_ms, requests, tokens);
    if (on_calendar(m) && c->stamp_ms > m->calendar->start_ms) {
        uint64_t *sum = m->calendar->sum;
        sum[KC_REQUESTS] -= kc_least(sum[KC_REQUESTS], requests);
        sum[KC_TOKENS] -= kc_least(sum[KC_TOKENS], tokens);
    }
}

void kc_meter_settle(struct kc_meter *m, uint64_t now_ms,
                     const struct kc_charge *c)
{
    m->in_flight--;
    if (c->stamp_ms == 0) {
        m->held[KC_REQUESTS]--;
        m->held[KC_TOKENS] -= c->reserved;
        add(m, now_ms, c->requests, c->tokens);
        return;
    }
    m->open_tokens -= c->reserved;
    refund(m, c);
    add(m, now_ms, 0, c->tokens - kc_least(c->tokens, c->reserved));
}

void kc_meter_book(struct kc_meter *m, uint64_t now_ms, uint64_t at_ms,
                   uint64_t requests, uint64_t tokens)
{
    if (at_ms > now_ms + 1)
        at_ms = now_ms + 1;
    if (at_ms == 0)
        at_ms = 1;
    drop(m, now_ms);
    add_to_rings(m, 0, now_ms, at_ms, requests, tokens);
    add_to_day(m, at_ms, requests, tokens);
}

void kc_meter_clamp(struct kc_meter *m, uint64_t now_ms, enum kc_window w,
                    enum kc_unit u, uint64_t total)
{
    drop(m, now_ms);
    uint64_t own = counted(m, (int)w, (int)u);
    if (total <= own)
        return;
    uint64_t lack = total - own;
    uint64_t requests = u == KC_REQUESTS ? lack : 0;
    uint64_t tokens = u == KC_TOKENS ? lack : 0;
    /* The longer windows lack it, too. */
    add_to_rings(m, (int)w, now_ms, now_ms + 1, requests, tokens);
    add_to_day(m, now_ms + 1, requests, tokens);
}

void kc_meter_used(struct kc_meter *m, uint64_t now_ms,
                   uint64_t used[KC_WINDOWS][KC_UNITS])
{
    drop(m, now_ms);
    if (on_calendar(m) && now_ms >= m->calendar->end_ms)
        begin_day(m, now_ms);
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            used[w][u] += counted(m, w, u);
}

void kc_meter_merge(struct kc_meter *m, uint64_t now_ms, struct kc_meter *from)
{
    drop(m, now_ms);
    drop(from, now_ms);
    for (int w = 0; w < KC_WINDOWS; w++)
        kc_ring_merge(&m->rings[w], &from->rings[w]);
    drop_old(m, now_ms); /* it may hold older entries now */
    if (on_calendar(m))
        begin_day(m, now_ms);
}

void kc_meter_carry(struct kc_meter *m, bool stamped, uint64_t tokens)
{
    m->in_flight++;
    if (stamped) {
        m->open_tokens += tokens;
        return;
    }
    m->held[KC_REQUESTS]++;
    m->held[KC_TOKENS] += tokens;
}
