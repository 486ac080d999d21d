/* meter.c -- test, hold, stamp and settle on one scope. */
#include "engine/meter.h"

#include <stdlib.h>

#include "util/num.h"

/* Larger rooms than this are remembered as this: sums cannot wrap. */
#define ROOM_MAX (INT64_C(1) << 62)
#define ROOM_REQUESTS_MAX (INT32_C(1) << 30)

int kc_meter_init(struct kc_meter *m)
{
    *m = (struct kc_meter){.expiry_ms = KC_NEVER};
    int err = KC_OK;
    for (int w = 0; err == KC_OK && w < KC_WINDOWS; w++) {
        uint64_t span_ms = kc_window_ms((enum kc_window)w);
        err = kc_ring_init(&m->rings[w], span_ms, kc_ring_bound(span_ms));
    }
    if (err != KC_OK)
        kc_meter_deinit(m);
    return err;
}

void kc_meter_deinit(struct kc_meter *m)
{
    for (int w = 0; w < KC_WINDOWS; w++)
        kc_ring_deinit(&m->rings[w]);
    free(m->calendar);
    m->calendar = NULL;
    while (m->sides) {
        struct kc_side *next = m->sides->next;
        kc_side_free(m->sides);
        m->sides = next;
    }
}

static uint32_t running(const struct kc_meter *m)
{
    return m->in_flight - m->ended;
}

/* -- the open entry and the rings ----------------------------------------- */

static uint64_t open_last(const struct kc_meter *m)
{
    return m->open_ms + m->open_span;
}

/* Books in the windows from `first` on that still reach `last_ms` what was
 * stamped from `first_ms` on. Nobody knows what room is left then. */
static void add_to_rings(struct kc_meter *m, int first, uint64_t now_ms,
                         uint64_t first_ms, uint64_t last_ms, uint64_t requests,
                         uint64_t tokens)
{
    for (int w = first; w < KC_WINDOWS; w++) {
        uint64_t until_ms = last_ms + m->rings[w].span_ms;
        if (until_ms <= now_ms)
            continue;
        kc_ring_add_run(&m->rings[w], first_ms, last_ms, requests, tokens);
        m->expiry_ms = kc_least(m->expiry_ms, until_ms);
    }
    m->epoch = 0;
}

/* The rings take over what is open; the room shrinks by as much. */
static void close_open(struct kc_meter *m, uint64_t now_ms)
{
    uint32_t epoch = m->epoch;
    if (m->open_ms == 0)
        return;
    add_to_rings(m, 0, now_ms, m->open_ms, open_last(m), m->open_requests,
                 m->open_tokens);
    m->room_tokens -= (int64_t)m->open_tokens;
    m->room_requests -= (int32_t)m->open_requests;
    m->epoch = epoch;
    m->open_ms = m->open_tokens = 0;
    m->open_requests = m->open_span = 0;
}

static void drop_old(struct kc_meter *m, uint64_t now_ms)
{
    if (m->open_ms != 0 && open_last(m) + m->rings[0].span_ms <= now_ms)
        close_open(m, now_ms);
    m->expiry_ms = m->open_ms ? open_last(m) + m->rings[0].span_ms : KC_NEVER;
    for (int w = 0; w < KC_WINDOWS; w++) {
        kc_ring_drop(&m->rings[w], now_ms);
        m->expiry_ms = kc_least(m->expiry_ms, kc_ring_expiry(&m->rings[w]));
    }
    if (kc_calendar_on(m->calendar))
        m->expiry_ms = kc_least(m->expiry_ms, m->calendar->end_ms);
}

/* Most calls come before anything can leave. */
static inline void drop(struct kc_meter *m, uint64_t now_ms)
{
    if (now_ms >= m->expiry_ms)
        drop_old(m, now_ms);
}

/* Stamps never go back: whoever enters the pool has first stamped what is due.
 * As long as the ring of the minute has places every stamp gets one; a full one
 * would fuse what comes within a granule. */
static bool joins_open(const struct kc_meter *m, uint64_t stamp_ms)
{
    const struct kc_ring *r = &m->rings[KC_MINUTE];
    return stamp_ms == open_last(m) ||
           (r->len == r->bound &&
            stamp_ms - m->open_ms <= kc_ring_granule_ms(r));
}

static void add_to_open(struct kc_meter *m, uint64_t now_ms, uint64_t stamp_ms,
                        uint32_t requests, uint64_t tokens)
{
    if (m->open_ms != 0 && !joins_open(m, stamp_ms)) {
        close_open(m, now_ms);
        drop(m, now_ms);
    }
    if (m->open_ms == 0) {
        if (stamp_ms <= kc_ring_newest(&m->rings[KC_DAY])) {
            /* Just closed: a stamp names one entry and no other. */
            add_to_rings(m, 0, now_ms, stamp_ms, stamp_ms, requests, tokens);
            return;
        }
        m->open_ms = stamp_ms;
        m->expiry_ms =
            kc_least(m->expiry_ms, stamp_ms + m->rings[KC_MINUTE].span_ms);
    }
    m->open_span = (uint32_t)(stamp_ms - m->open_ms);
    m->open_requests += requests;
    m->open_tokens += tokens;
}

static void begin_day(struct kc_meter *m, uint64_t now_ms)
{
    close_open(m, now_ms);
    kc_calendar_begin(m->calendar, now_ms, &m->rings[KC_DAY]);
    drop_old(m, now_ms);
    m->epoch = 0;
}

/* Forgets what is over, a day of the calendar too. */
static void move_on(struct kc_meter *m, uint64_t now_ms)
{
    drop(m, now_ms);
    if (kc_calendar_over(m->calendar, now_ms))
        begin_day(m, now_ms);
}

static void add(struct kc_meter *m, uint64_t now_ms, uint32_t requests,
                uint64_t tokens)
{
    if (requests == 0 && tokens == 0)
        return;
    if (m->calendar)
        move_on(m, now_ms);
    add_to_open(m, now_ms, now_ms + 1, requests, tokens);
    if (m->calendar)
        kc_calendar_add(m->calendar, now_ms + 1, requests, tokens);
}

/* -- counting ------------------------------------------------------------- */

static bool by_calendar(const struct kc_meter *m, int w)
{
    return w == KC_DAY && kc_calendar_on(m->calendar);
}

static uint64_t open_units(const struct kc_meter *m, int u)
{
    return u == KC_REQUESTS ? m->open_requests : m->open_tokens;
}

static uint64_t held_units(const struct kc_meter *m, int u)
{
    return u == KC_REQUESTS ? m->held_requests : m->held_tokens;
}

/* What a window counts, without what is held. */
static uint64_t stamped(const struct kc_meter *m, int w, int u)
{
    if (by_calendar(m, w))
        return m->calendar->sum[u];
    return kc_add_capped(m->rings[w].sum[u], open_units(m, u));
}

static uint64_t counted(const struct kc_meter *m, int w, int u)
{
    return m ? kc_add_capped(stamped(m, w, u), held_units(m, u)) : 0;
}

struct ask { /* what is asked of a meter */
    uint64_t now_ms;
    const struct kc_limits *limits;
    struct kc_cost cost;
    bool idle;
};

/* When `need` units have left. Windows longer than a minute take over what is
 * open first: they will within a minute, and where that joins an entry of a
 * full ring the time that is told here must not change. The minute's own will
 * have a place by then. */
static uint64_t free_at(struct kc_meter *m, const struct ask *a, int w,
                        enum kc_unit u, uint64_t need)
{
    const struct kc_ring *r = &m->rings[w];
    if (w != KC_MINUTE)
        close_open(m, a->now_ms);
    if (by_calendar(m, w))
        return kc_calendar_free_at(m->calendar, u, need);
    if (need <= r->sum[u])
        return kc_ring_free_at(r, u, need);
    return need <= stamped(m, w, (int)u) ? open_last(m) + r->span_ms : KC_NEVER;
}

static void check_limit(struct kc_meter *m, const struct ask *a,
                        enum kc_window w, enum kc_unit u, struct kc_block *b)
{
    uint64_t limit = a->limits->max[w][u];
    uint64_t cost = u == KC_REQUESTS ? 1 : a->cost.tokens;
    if (limit == KC_UNLIMITED)
        return;
    if (limit == 0 || cost > limit) {
        kc_block_add(b, KC_EIMPOSSIBLE, KC_NEVER, kc_limit_name(w, u), limit);
        return;
    }
    if (!m)
        return;
    uint64_t sum = stamped(m, (int)w, (int)u);
    uint64_t held = a->idle ? 0 : held_units(m, (int)u);
    if (a->idle && u == KC_TOKENS)
        sum -= kc_least(sum, m->unsettled_tokens);
    uint64_t room = limit - cost;
    if (held <= room && sum <= room - held)
        return;
    uint64_t at = KC_NEVER;
    if (held <= room)
        at = free_at(m, a, (int)w, u, sum - (room - held));
    kc_block_add(b, KC_ELIMITED, at, kc_limit_name(w, u), limit);
}

static void check_sides(struct kc_meter *m, const struct ask *a,
                        struct kc_block *b)
{
    struct kc_side *sides = m ? m->sides : NULL;
    for (uint32_t i = 0; i < a->limits->side_count; i++) {
        const struct kc_side_limit *l = &a->limits->sides[i];
        struct kc_side *s = kc_side_find(sides, l->span_ms, l->parts);
        kc_side_check(s, a->now_ms, l, a->cost, a->idle, b);
    }
}

/* Moves on with the kind of day that the limits want. */
static void move_on_by(struct kc_meter *m, uint64_t now_ms,
                       const struct kc_limits *limits)
{
    drop(m, now_ms);
    if (kc_calendar_keep(&m->calendar, now_ms, limits))
        begin_day(m, now_ms);
}

void kc_meter_check(struct kc_meter *m, uint64_t now_ms,
                    const struct kc_limits *limits, struct kc_cost cost,
                    bool idle, struct kc_block *b)
{
    if (m)
        move_on_by(m, now_ms, limits);
    struct ask a = {now_ms, limits, cost, idle};
    /* The longest first, see free_at. */
    for (int w = KC_WINDOWS - 1; w >= 0; w--)
        for (int u = 0; u < KC_UNITS; u++)
            check_limit(m, &a, (enum kc_window)w, (enum kc_unit)u, b);
    check_sides(m, &a, b);
    uint64_t most = limits->concurrent;
    if (most == 0)
        kc_block_add(b, KC_EIMPOSSIBLE, KC_NEVER, "concurrent_requests", 0);
    else if (m && !idle && running(m) >= most)
        kc_block_add(b, KC_ELIMITED, KC_NEVER, "concurrent_requests", most);
}

/* What a limit leaves to the open entry and to what is held; less than nothing
 * where it was lowered. */
static int64_t room_of(const struct kc_meter *m, int w, int u, uint64_t limit)
{
    uint64_t closed = stamped(m, w, u);
    closed -= kc_least(closed, open_units(m, u));
    if (limit >= (uint64_t)ROOM_MAX)
        return ROOM_MAX;
    if (limit == 0 || closed >= (uint64_t)ROOM_MAX)
        return -1; /* a limit of 0 blocks even what costs nothing */
    return (int64_t)limit - (int64_t)closed;
}

void kc_meter_remember(struct kc_meter *m, const struct kc_limits *limits,
                       uint32_t epoch)
{
    int64_t room[KC_UNITS] = {ROOM_REQUESTS_MAX, ROOM_MAX};
    if (limits->concurrent != KC_UNLIMITED || limits->side_count > 0)
        return;
    for (int w = 0; w < KC_WINDOWS; w++) {
        for (int u = 0; u < KC_UNITS; u++) {
            int64_t r = room_of(m, w, u, limits->max[w][u]);
            if (r < room[u])
                room[u] = r;
        }
    }
    if (room[KC_REQUESTS] < 0)
        room[KC_REQUESTS] = 0; /* every request takes at least one */
    m->room_requests = (int32_t)room[KC_REQUESTS];
    m->room_tokens = room[KC_TOKENS];
    m->epoch = epoch;
}

/* What a window counts of its limit. */
struct share {
    uint64_t n, limit; /* below 2^32: products fit */
};

static struct share share_of(uint64_t n, uint64_t limit)
{
    int shift = limit >> 32 ? 32 : 0; /* of so large ones little is lost */
    return (struct share){kc_least(n, limit) >> shift, limit >> shift};
}

uint64_t kc_meter_load(const struct kc_meter *m, const struct kc_limits *limits)
{
    struct share most = {0, 1};
    if (!m)
        return 0;
    for (int w = 0; w < KC_WINDOWS; w++) {
        for (int u = 0; u < KC_UNITS; u++) {
            uint64_t limit = limits->max[w][u];
            if (limit == KC_UNLIMITED || limit == 0)
                continue;
            struct share s = share_of(counted(m, w, u), limit);
            if (s.n * most.limit > most.n * s.limit)
                most = s;
        }
    }
    return (most.n << 16) / most.limit << 32 | running(m);
}

static uint64_t left_of(const struct kc_meter *m, int w, int u, uint64_t limit)
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
                fits = kc_least(fits, left_of(m, w, u, limit) / cost);
        }
    }
    uint64_t most = limits->concurrent;
    if (most != KC_UNLIMITED)
        fits = kc_least(fits, most - kc_least(m ? running(m) : 0, most));
    return fits;
}

/* -- the life of a request ------------------------------------------------- */

void kc_meter_carry(struct kc_meter *m, bool stamped_already,
                    struct kc_cost cost)
{
    m->in_flight++;
    for (struct kc_side *s = m->sides; s; s = s->next)
        kc_side_carry(s, stamped_already, cost);
    if (stamped_already) {
        m->unsettled_tokens += cost.tokens;
        return;
    }
    m->held_requests++;
    m->held_tokens += cost.tokens;
}

void kc_meter_hold(struct kc_meter *m, struct kc_cost cost)
{
    kc_meter_carry(m, false, cost);
}

void kc_meter_end(struct kc_meter *m, bool undo)
{
    m->ended += undo ? UINT32_MAX : 1; /* wraps as meant */
}

uint64_t kc_meter_stamp(struct kc_meter *m, uint64_t now_ms,
                        struct kc_cost cost)
{
    m->held_requests--;
    m->held_tokens -= cost.tokens;
    m->unsettled_tokens += cost.tokens;
    add(m, now_ms, 1, cost.tokens);
    for (struct kc_side *s = m->sides; s; s = s->next)
        kc_side_stamp(s, now_ms, cost);
    return now_ms + 1;
}

/* What a window no longer reaches is not looked for: of a request that came
 * with its key the rings hold nothing then, but what lies near its stamp. */
static void refund(struct kc_meter *m, uint64_t now_ms,
                   const struct kc_charge *c)
{
    uint32_t requests = (uint32_t)(1 - c->requests);
    uint64_t had = c->reserved.tokens;
    uint64_t tokens = had - kc_least(had, c->used.tokens);
    if (requests == 0 && tokens == 0)
        return;
    if (m->open_ms != 0 && c->stamp_ms >= m->open_ms) {
        m->open_requests -= requests;
        m->open_tokens -= tokens;
    } else {
        for (int w = 0; w < KC_WINDOWS; w++)
            if (c->stamp_ms + m->rings[w].span_ms > now_ms)
                kc_ring_refund(&m->rings[w], c->stamp_ms, requests, tokens);
    }
    if (m->calendar)
        kc_calendar_refund(m->calendar, c->stamp_ms, requests, tokens);
}

void kc_meter_settle(struct kc_meter *m, uint64_t now_ms,
                     const struct kc_charge *c)
{
    uint64_t reserved = c->reserved.tokens, used = c->used.tokens;
    m->in_flight--;
    m->ended -= c->ended;
    for (struct kc_side *s = m->sides; s; s = s->next)
        kc_side_settle(s, now_ms, c->stamp_ms, c->reserved, c->requests,
                       c->used);
    if (c->stamp_ms == 0) {
        m->held_requests--;
        m->held_tokens -= reserved;
        add(m, now_ms, (uint32_t)c->requests, used);
        return;
    }
    m->unsettled_tokens -= reserved;
    refund(m, now_ms, c);
    add(m, now_ms, 0, used - kc_least(used, reserved));
}

/* -- what others tell ------------------------------------------------------ */

/* The ring that knows best what a window of that length would know. */
static const struct kc_ring *next_longer(const struct kc_meter *m,
                                         uint64_t span_ms)
{
    int w = KC_MINUTE;
    while (w < KC_DAY && m->rings[w].span_ms < span_ms)
        w++;
    return &m->rings[w];
}

int kc_meter_need_side(struct kc_meter *m, uint64_t now_ms,
                       const struct kc_side_limit *limit, struct kc_side **made)
{
    *made = NULL;
    if (kc_side_find(m->sides, limit->span_ms, limit->parts))
        return KC_OK;
    int err = kc_side_new(limit->span_ms, limit->parts, made);
    if (err != KC_OK)
        return err;
    close_open(m, now_ms);
    kc_side_book(*made, now_ms, next_longer(m, limit->span_ms));
    (*made)->next = m->sides;
    m->sides = *made;
    return KC_OK;
}

void kc_meter_hold_others(struct kc_meter *m, bool back,
                          const struct kc_held *held)
{
    uint64_t sign = back ? UINT64_MAX : 1; /* wraps as meant */
    m->in_flight += (uint32_t)(sign * held->requests);
    m->held_requests += (uint32_t)(sign * held->requests);
    m->held_tokens += sign * held->tokens;
    for (struct kc_side *s = m->sides; s; s = s->next)
        kc_side_carry_others(s, back, held);
}

void kc_meter_keep_day(struct kc_meter *m, uint64_t now_ms,
                       const struct kc_limits *limits)
{
    move_on_by(m, now_ms, limits);
}

void kc_meter_book(struct kc_meter *m, uint64_t now_ms, uint64_t at_ms,
                   uint64_t requests, struct kc_cost cost)
{
    if (at_ms > now_ms + 1)
        at_ms = now_ms + 1;
    if (at_ms == 0)
        at_ms = 1;
    close_open(m, now_ms);
    drop(m, now_ms);
    add_to_rings(m, 0, now_ms, at_ms, at_ms, requests, cost.tokens);
    if (m->calendar)
        kc_calendar_add(m->calendar, at_ms, requests, cost.tokens);
    for (struct kc_side *s = m->sides; s; s = s->next)
        kc_side_book_at(s, now_ms, at_ms, requests, cost);
}

void kc_meter_clamp(struct kc_meter *m, uint64_t now_ms,
                    const struct kc_limits *limits, enum kc_window w,
                    enum kc_unit u, uint64_t total)
{
    move_on_by(m, now_ms, limits);
    uint64_t own = counted(m, (int)w, (int)u);
    if (total <= own)
        return;
    uint64_t lack = total - own;
    uint64_t requests = u == KC_REQUESTS ? lack : 0;
    uint64_t tokens = u == KC_TOKENS ? lack : 0;
    /* The longer windows lack it, too. */
    close_open(m, now_ms);
    add_to_rings(m, (int)w, now_ms, now_ms + 1, now_ms + 1, requests, tokens);
    if (m->calendar)
        kc_calendar_add(m->calendar, now_ms + 1, requests, tokens);
}

void kc_meter_used(struct kc_meter *m, uint64_t now_ms,
                   uint64_t used[KC_WINDOWS][KC_UNITS])
{
    move_on(m, now_ms);
    for (int w = 0; w < KC_WINDOWS; w++)
        for (int u = 0; u < KC_UNITS; u++)
            used[w][u] += counted(m, w, u);
}

void kc_meter_merge(struct kc_meter *m, uint64_t now_ms, struct kc_meter *from)
{
    move_on(m, now_ms);
    close_open(m, now_ms);
    close_open(from, now_ms);
    for (int w = 0; w < KC_WINDOWS; w++) {
        kc_ring_drop(&from->rings[w], now_ms);
        kc_ring_merge(&m->rings[w], &from->rings[w], false);
    }
    for (struct kc_side *s = m->sides; s; s = s->next) {
        uint64_t span_ms = s->ring.span_ms;
        const struct kc_side *o = kc_side_find(from->sides, span_ms, s->parts);
        if (o)
            kc_ring_merge(&s->ring, &o->ring, false);
        else
            kc_side_book(s, now_ms, next_longer(from, span_ms));
    }
    if (kc_calendar_on(m->calendar))
        kc_calendar_merge(m->calendar, &from->rings[KC_DAY]);
    drop_old(m, now_ms); /* it may hold older entries now */
    m->epoch = 0;
}
