/* tally.c -- see tally.h. */
#include "engine/tally.h"

#include <stdlib.h>

#include "util/num.h"

static void add_used(struct kc_used *to, const struct kc_used *n)
{
    to->requests += n->requests;
    to->input += n->input;
    to->output += n->output;
    to->total += n->total;
    to->counted += n->counted;
    to->counted_tokens += n->counted_tokens;
    to->counted_input += n->counted_input;
}

/* Of what was added before. */
static void take_used(struct kc_used *from, const struct kc_used *n)
{
    from->requests -= n->requests;
    from->input -= n->input;
    from->output -= n->output;
    from->total -= n->total;
    from->counted -= n->counted;
    from->counted_tokens -= n->counted_tokens;
    from->counted_input -= n->counted_input;
}

/* Takes a cell that is not the open one out of the list. */
static void drop_cell(struct kc_tally *t, struct kc_cell **at)
{
    struct kc_cell *c = *at;
    *at = c->next;
    if (t->end == &c->next)
        t->end = at;
    free(c);
    t->waiting--;
}

int kc_tally_new(const char *key, const char *model, struct kc_tally **out)
{
    struct kc_tally *t = calloc(1, sizeof *t);
    *out = t;
    if (!t)
        return KC_ENOMEM;
    t->key = key;
    t->model = model;
    t->oldest = &t->open;
    t->end = &t->oldest;
    return KC_OK;
}

void kc_tally_free(struct kc_tally *t)
{
    if (!t)
        return;
    while (t->oldest != &t->open)
        drop_cell(t, &t->oldest);
    free(t);
}

/* -- cells ----------------------------------------------------------------- */

/* How long the cells shall be that are so old. */
static uint64_t span_at(uint64_t age_ms)
{
    if (age_ms > 50 * KC_HOUR_MS)
        return KC_DAY_MS;
    if (age_ms > 2 * KC_HOUR_MS)
        return KC_HOUR_MS;
    return age_ms > 2 * KC_MINUTE_MS ? KC_MINUTE_MS : KC_SPAN_MS;
}

static bool may_grow(const struct kc_cell *c)
{
    return !c->told && !c->out;
}

/* Whether two neighbours become one. What the store may have lies between none
 * of those that do, so cells never overlap. */
static bool joins(const struct kc_cell *c, const struct kc_cell *next,
                  uint64_t now_ms)
{
    uint64_t span_ms = span_at(now_ms - next->start_ms);
    return may_grow(c) && may_grow(next) &&
           c->start_ms / span_ms == next->start_ms / span_ms;
}

static void sum_up(struct kc_tally *t, uint64_t now_ms)
{
    struct kc_cell *c = t->oldest;
    while (c != &t->open && c->next != &t->open) {
        struct kc_cell *next = c->next;
        if (!joins(c, next, now_ms)) {
            c = next;
            continue;
        }
        add_used(&c->used, &next->used);
        c->span_ms = next->start_ms + next->span_ms - c->start_ms;
        if (next->last_ms > c->last_ms)
            c->last_ms = next->last_ms;
        drop_cell(t, &c->next);
    }
}

static void begin(struct kc_cell *c, uint64_t now_ms)
{
    *c = (struct kc_cell){.start_ms = now_ms - now_ms % KC_SPAN_MS,
                          .span_ms = KC_SPAN_MS};
}

void kc_tally_open_next(struct kc_tally *t, uint64_t now_ms)
{
    bool waits = (t->open.news || t->open.out) && !t->refused;
    if (waits) {
        struct kc_cell *c = malloc(sizeof *c);
        if (!c)
            return; /* the open one takes more */
        *c = t->open;
        c->next = &t->open;
        *t->end = c;
        t->end = &c->next;
        t->waiting++;
    }
    add_used(&t->closed, &t->open.used);
    begin(&t->open, now_ms);
    if (waits && t->waiting > KC_TALLY_CELLS)
        sum_up(t, now_ms);
}

static struct kc_used sum_of(const struct kc_tally *t)
{
    struct kc_used sum = t->closed;
    add_used(&sum, &t->open.used);
    return sum;
}

/* -- what the store is told ------------------------------------------------ */

static size_t cells_unwritten(const struct kc_tally *t)
{
    size_t n = 0;
    for (const struct kc_cell *c = t->oldest; c; c = c->next)
        n += c->news || c->out;
    return n;
}

bool kc_tally_has_news(const struct kc_tally *t)
{
    if (t->refused)
        return false;
    bool has = t->news;
    for (const struct kc_cell *c = t->oldest; c && !has; c = c->next)
        has = c->news;
    return has;
}

size_t kc_tally_unwritten(const struct kc_tally *t)
{
    size_t n = cells_unwritten(t);
    if (t->refused)
        return t->out;
    return n == 0 ? t->news || t->out > 0 : n;
}

size_t kc_tally_collect(struct kc_tally *t, struct kc_use_news *out, size_t max)
{
    struct kc_used sum = sum_of(t);
    uint64_t last_ms = t->held_ms;
    size_t n = 0;
    if (max > KC_TALLY_CELLS)
        max = KC_TALLY_CELLS;
    if (t->out > 0 || t->refused || max == 0)
        return 0;
    if (t->open.last_ms > last_ms)
        last_ms = t->open.last_ms;
    struct kc_use_news base = {.tally = t,
                               .key = t->key,
                               .model = t->model,
                               .sum = sum,
                               .held = {.requests = t->held_requests,
                                        .tokens = t->held_tokens,
                                        .input = t->held_input},
                               .sum_last_ms = last_ms};
    for (struct kc_cell *c = t->oldest; c && n < max; c = c->next) {
        if (!c->news)
            continue;
        out[n] = base;
        out[n].start_ms = c->start_ms;
        out[n].span_ms = c->span_ms;
        out[n].last_ms = c->last_ms;
        out[n++].used = c->used;
        c->news = false;
        c->out = true;
    }
    if (n == 0 && t->news)
        out[n++] = base;
    t->news = false;
    t->out = (uint32_t)n;
    return n;
}

/* Finds where a cell hangs that is out. */
static struct kc_cell **find_out(struct kc_tally *t,
                                 const struct kc_use_news *news)
{
    struct kc_cell **at = &t->oldest;
    while (*at && (!(*at)->out || (*at)->start_ms != news->start_ms))
        at = &(*at)->next;
    return at;
}

static void refuse(struct kc_tally *t)
{
    t->refused = true;
    while (t->oldest != &t->open)
        drop_cell(t, &t->oldest);
    t->open.news = t->open.out = false;
}

void kc_tally_collected(struct kc_tally *t, const struct kc_use_news *news,
                        enum kc_news_end end)
{
    t->out--;
    if (end == KC_NEWS_REFUSED)
        refuse(t);
    if (t->refused)
        return;
    if (end == KC_NEWS_WRITTEN)
        t->written = news->sum;
    else
        t->news = true;
    struct kc_cell **at = find_out(t, news), *c = *at;
    if (news->span_ms == 0 || !c)
        return;
    c->out = false;
    c->told |= end != KC_NEWS_FAILED;
    if (end == KC_NEWS_WRITTEN)
        c->written = news->used;
    else
        c->news = true;
    if (!c->news && c != &t->open)
        drop_cell(t, at);
}

void kc_tally_renew(struct kc_tally *t)
{
    struct kc_used sum = sum_of(t);
    take_used(&sum, &t->written);
    for (struct kc_cell *c = t->oldest; c; c = c->next) {
        take_used(&c->used, &c->written);
        c->written = (struct kc_used){0};
        c->told = false;
    }
    take_used(&sum, &t->open.used);
    t->closed = sum;
    t->written = (struct kc_used){0};
    t->news |= t->held_requests > 0;
}

uint64_t kc_tally_settled_ms(const struct kc_tally *t, uint64_t running_ms)
{
    for (const struct kc_cell *c = t->oldest; c && !t->refused; c = c->next)
        if (c->news || c->out)
            return kc_least(c->start_ms, running_ms);
    return running_ms;
}
