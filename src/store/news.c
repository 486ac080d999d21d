/* news.c -- what pools have to tell, written a batch at a time.
 *
 * A batch is drawn from the pools, written in one transaction, and the pools
 * are told what came of it. A row that the store refuses is set aside by
 * itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/journal_impl.h"

#define FIRST_ROOM 64
#define STRETCH 256 /* pieces that are collected under a pool's lock at once \
                     */
#define RENEWALS 3  /* so often in a row a writer is not taken for dead */
#define MOST_BATCHES 1000 /* before other work has its turn */

/* -- room ------------------------------------------------------------------ */

static int grow(struct kc_pages *p, size_t room)
{
    if (room > KC_BATCH_MAX)
        room = KC_BATCH_MAX;
    if (room <= p->room)
        return KC_OK;
    void *news = realloc(p->news, room * sizeof *p->news);
    if (news)
        p->news = news;
    void *uses = realloc(p->uses, room * sizeof *p->uses);
    if (uses)
        p->uses = uses;
    void *sums = realloc(p->sums, room * sizeof *p->sums);
    if (sums)
        p->sums = sums;
    void *of_use = realloc(p->of_use, room * sizeof *p->of_use);
    if (of_use)
        p->of_use = of_use;
    void *of_sum = realloc(p->of_sum, room * sizeof *p->of_sum);
    if (of_sum)
        p->of_sum = of_sum;
    if (!news || !uses || !sums || !of_use || !of_sum)
        return KC_ENOMEM;
    p->room = room;
    return KC_OK;
}

int kc_pages_init(struct kc_pages *p)
{
    *p = (struct kc_pages){.room = 0};
    p->states = malloc(KC_BATCH_STATES * sizeof *p->states);
    int err = p->states ? grow(p, FIRST_ROOM) : KC_ENOMEM;
    if (err != KC_OK)
        kc_pages_deinit(p);
    return err;
}

void kc_pages_deinit(struct kc_pages *p)
{
    free(p->news);
    free(p->uses);
    free(p->sums);
    free(p->of_use);
    free(p->of_sum);
    free(p->states);
    *p = (struct kc_pages){.room = 0};
}

/* -- drawing --------------------------------------------------------------- */

static uint64_t now_of(struct kc_journal *j, struct kc_keeping *k)
{
    uint64_t now = k->kept.now(k->kept.ctx);
    if (now > j->now_ms)
        j->now_ms = now;
    return now;
}

static void draw_news(struct kc_journal *j, struct kc_keeping *k)
{
    struct kc_pages *p = &j->pages;
    uint64_t now = now_of(j, k);
    k->first = p->len;
    while (p->len < p->room) {
        size_t most = p->room - p->len < STRETCH ? p->room - p->len : STRETCH;
        size_t n = kc_pool_collect(k->kept.pool, now, p->news + p->len, most);
        p->len += n;
        if (n < most)
            break;
    }
    k->len = p->len - k->first;
}

/* Goes on with the walk over the pool's states, or begins one. */
static int draw_states(struct kc_journal *j, struct kc_keeping *k)
{
    struct kc_pages *p = &j->pages;
    uint64_t now = now_of(j, k);
    int err = KC_OK;
    if (!k->walking) {
        k->upto = kc_pool_state_version(k->kept.pool);
        k->walking = k->upto != k->since;
        k->cursor = 0;
    }
    k->next_cursor = k->cursor;
    while (k->walking && p->state_len < KC_BATCH_STATES && err != KC_EEND) {
        struct kc_kept_state *s = &p->states[p->state_len];
        s->provider = k->kept.provider;
        err = kc_pool_next_state(k->kept.pool, now, &k->next_cursor, k->since,
                                 &s->row);
        if (err == KC_OK)
            p->state_len++;
        else if (err != KC_EAGAIN && err != KC_EEND)
            return err;
    }
    k->walked = err == KC_EEND;
    return KC_OK;
}

static int compare_states(const void *a, const void *b)
{
    const struct kc_kept_state *x = a, *y = b;
    int order = strcmp(x->provider, y->provider);
    if (order == 0)
        order = strcmp(x->row.key, y->row.key);
    return order ? order : strcmp(x->row.model, y->row.model);
}

/* States are the rows that several writers have in common: who takes them in
 * the same order waits for the others, and nobody for each other. */
static int draw(struct kc_journal *j)
{
    struct kc_pages *p = &j->pages;
    int err = KC_OK;
    if (p->len == p->room)
        grow(p, 2 * p->room); /* in vain: room for as many as before */
    p->len = p->state_len = 0;
    for (struct kc_keeping *k = j->kept; k; k = k->next) {
        draw_news(j, k);
        if (err == KC_OK)
            err = draw_states(j, k);
    }
    qsort(p->states, p->state_len, sizeof *p->states, compare_states);
    return err;
}

static void tell_pools(struct kc_journal *j, enum kc_news_end end)
{
    for (struct kc_keeping *k = j->kept; k; k = k->next) {
        if (k->len > 0)
            kc_pool_collected(k->kept.pool, j->pages.news + k->first, k->len,
                              end);
        k->len = 0;
    }
}

static void states_written(struct kc_keeping *k)
{
    k->cursor = k->next_cursor;
    if (!k->walking || !k->walked)
        return;
    k->walking = false;
    k->told_at = k->upto;
    k->since = k->told_at;
}

/* -- what is refused ------------------------------------------------------- */

static struct kc_keeping *owner_of(struct kc_journal *j, size_t piece)
{
    struct kc_keeping *k = j->kept;
    while (k && (piece < k->first || piece >= k->first + k->len))
        k = k->next;
    return k;
}

static void note_aside(struct kc_journal *j, const char *provider,
                       const char *model)
{
    const char *words = kc_store_error(j->store);
    pthread_mutex_lock(&j->lock);
    j->set_aside++;
    snprintf(j->aside, sizeof j->aside, "%s, model \"%s\": %s", provider, model,
             words && *words ? words : kc_err_text(KC_EINVALID));
    pthread_mutex_unlock(&j->lock);
}

/* All pieces of one (key, model) are refused with any of them. */
static void drop_pieces(struct kc_journal *j, size_t piece)
{
    struct kc_pages *p = &j->pages;
    struct kc_keeping *k = owner_of(j, piece);
    const struct kc_tally *tally = p->news[piece].tally;
    size_t first = piece, end = piece + 1;
    while (first > k->first && p->news[first - 1].tally == tally)
        first--;
    while (end < k->first + k->len && p->news[end].tally == tally)
        end++;
    size_t n = end - first;
    note_aside(j, k->kept.provider, p->news[piece].model);
    kc_pool_collected(k->kept.pool, &p->news[first], n, KC_NEWS_REFUSED);
    memmove(p->news + first, p->news + end, (p->len - end) * sizeof *p->news);
    p->len -= n;
    k->len -= n;
    for (struct kc_keeping *after = j->kept; after; after = after->next)
        if (after->first > first)
            after->first -= n;
}

/* It is a row again when it changes again. */
static void drop_state(struct kc_journal *j, size_t bad)
{
    struct kc_pages *p = &j->pages;
    note_aside(j, p->states[bad].provider, p->states[bad].row.model);
    memmove(p->states + bad, p->states + bad + 1,
            (p->state_len - bad - 1) * sizeof *p->states);
    p->state_len--;
}

/* False where the store names a row that there is not. */
static bool set_aside(struct kc_journal *j, const struct kc_batch *b)
{
    if (b->bad_kind == KC_ROW_STATE && b->bad < b->state_len)
        drop_state(j, b->bad);
    else if (b->bad_kind == KC_ROW_SUM && b->bad < b->sum_len)
        drop_pieces(j, j->pages.of_sum[b->bad]);
    else if (b->bad_kind == KC_ROW_USE && b->bad < b->use_len)
        drop_pieces(j, j->pages.of_use[b->bad]);
    else
        return false;
    return true;
}

/* -- writing --------------------------------------------------------------- */

static void add_use(struct kc_batch *b, struct kc_pages *p,
                    const char *provider, size_t piece)
{
    const struct kc_use_news *n = &p->news[piece];
    p->of_use[b->use_len] = piece;
    p->uses[b->use_len++] = (struct kc_use_row){.provider = provider,
                                                .key = n->key,
                                                .model = n->model,
                                                .start_ms = n->start_ms,
                                                .span_ms = n->span_ms,
                                                .last_ms = n->last_ms,
                                                .used = n->used};
}

static void add_sum(struct kc_batch *b, struct kc_pages *p,
                    const char *provider, size_t piece)
{
    const struct kc_use_news *n = &p->news[piece];
    p->of_sum[b->sum_len] = piece;
    p->sums[b->sum_len++] = (struct kc_sum_row){.provider = provider,
                                                .key = n->key,
                                                .model = n->model,
                                                .last_ms = n->sum_last_ms,
                                                .used = n->sum,
                                                .held = n->held};
}

/* Several pieces of one (key, model), which lie together, have one sum. */
static void add_rows(struct kc_batch *b, struct kc_pages *p,
                     const struct kc_keeping *k)
{
    size_t end = k->first + k->len;
    for (size_t i = k->first; i < end; i++) {
        if (p->news[i].span_ms > 0)
            add_use(b, p, k->kept.provider, i);
        if (i + 1 == end || p->news[i + 1].tally != p->news[i].tally)
            add_sum(b, p, k->kept.provider, i);
    }
}

static int write_pages(struct kc_journal *j, bool ended, bool *doubtful)
{
    struct kc_pages *p = &j->pages;
    for (;;) {
        struct kc_batch b = {.now_ms = j->now_ms,
                             .ended = ended,
                             .uses = p->uses,
                             .sums = p->sums,
                             .states = p->states,
                             .state_len = p->state_len};
        for (struct kc_keeping *k = j->kept; k; k = k->next)
            add_rows(&b, p, k);
        int err = kc_store_write(j->store, &b);
        *doubtful = b.doubtful;
        if (err != KC_EINVALID || !set_aside(j, &b))
            return err;
    }
}

/* Whether there may be more: the batch is full, a walk has not come to its end,
 * or somebody had several pieces, of which not all may have been given. */
static bool has_more(const struct kc_journal *j)
{
    const struct kc_pages *p = &j->pages;
    bool more = p->len == p->room;
    for (const struct kc_keeping *k = j->kept; k; k = k->next)
        more |= k->walking && !k->walked;
    for (size_t i = 1; i < p->len && !more; i++)
        more = p->news[i].tally == p->news[i - 1].tally;
    return more;
}

/* One transaction. KC_EAGAIN: there is more. */
static int write_batch(struct kc_journal *j, bool ended, bool even_empty,
                       bool *wrote)
{
    bool doubtful = false;
    int err = draw(j);
    bool more = has_more(j);
    bool empty = j->pages.len == 0 && j->pages.state_len == 0;
    *wrote = false;
    bool last = ended && !more && j->wrote_ms > 0;
    if (err == KC_OK && (!empty || even_empty || last)) {
        err = write_pages(j, ended && !more, &doubtful);
        *wrote = err == KC_OK;
    }
    for (struct kc_keeping *k = j->kept; k && err == KC_OK; k = k->next) {
        k->used |= k->len > 0;
        states_written(k);
    }
    tell_pools(j, err == KC_OK ? KC_NEWS_WRITTEN
                  : doubtful   ? KC_NEWS_DOUBTFUL
                               : KC_NEWS_FAILED);
    if (err == KC_ESTALE)
        for (struct kc_keeping *k = j->kept; k; k = k->next)
            kc_pool_renew(k->kept.pool);
    j->ended |= err == KC_OK && ended && !more;
    return err == KC_OK && more ? KC_EAGAIN : err;
}

int kc_news_write(struct kc_journal *j, bool ended, bool even_empty,
                  bool *wrote)
{
    size_t batches = 0, renewals = 0;
    int err;
    bool again;
    *wrote = false;
    do {
        bool any;
        err = write_batch(j, ended, even_empty && !*wrote, &any);
        *wrote |= any;
        renewals += err == KC_ESTALE;
        again = err == KC_EAGAIN && (ended || ++batches < MOST_BATCHES);
        again |= err == KC_ESTALE && renewals <= RENEWALS;
    } while (again && !atomic_load(&j->stop));
    return err == KC_EAGAIN ? KC_OK : err; /* the rest is news still */
}

size_t kc_news_missing(const struct kc_keeping *k)
{
    return kc_pool_unwritten(k->kept.pool) +
           (kc_pool_state_version(k->kept.pool) != k->told_at);
}
