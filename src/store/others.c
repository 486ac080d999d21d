/* others.c -- see others.h.
 *
 * Writers lie in a map by their id, sums in a map of each view by
 * "id/key/model". What may fail is remembered step by step, so that a merge
 * that broke off is taken up again without anything being counted twice. (Of a
 * past that broke off the windows may have some spans twice: never too few.)
 */
#include "store/others.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN (64 * 1024)
#define GAP_MS 5000 /* a longer one between two merges was our own silence */

struct other {
    uint64_t id, seq, seen_ms;
    uint64_t quiet_ms; /* for so long it has not written while we looked */
    bool ended, silent;
    bool done;   /* ended, and all of it was taken in */
    bool listed; /* by the merge that runs */
};

struct known { /* of one (writer, key, model) */
    uint64_t writer;
    char key[KC_STATE_KEY_MAX];
    struct kc_used used;       /* that windows have */
    uint64_t requests, tokens; /* that totals have */
    struct kc_held held;
    bool over; /* the writer had ended, and what it held was booked */
};

void kc_others_init(struct kc_others *o)
{
    *o = (struct kc_others){.silent_ms = KC_SILENT_MS};
    kc_map_init(&o->writers);
    kc_buf_init(&o->text, NAME_MAX_LEN);
}

static void free_values(struct kc_map *map)
{
    size_t at = 0;
    const char *name;
    void *value;
    while (kc_map_next(map, &at, &name, &value))
        free(value);
    kc_map_deinit(map);
}

void kc_others_deinit(struct kc_others *o)
{
    free_values(&o->writers);
    kc_buf_deinit(&o->text);
}

void kc_view_init(struct kc_view *v, struct kc_pool *pool, const char *provider)
{
    *v = (struct kc_view){.pool = pool, .provider = provider};
    kc_map_init(&v->sums);
}

void kc_view_deinit(struct kc_view *v)
{
    free_values(&v->sums);
}

void kc_others_add(struct kc_others *o, struct kc_view *v)
{
    v->next = o->views;
    o->views = v;
}

void kc_others_remove(struct kc_others *o, struct kc_view *v)
{
    for (struct kc_view **at = &o->views; *at; at = &(*at)->next)
        if (*at == v) {
            *at = v->next;
            return;
        }
}

/* -- what they used, and hold ---------------------------------------------- */

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static struct kc_used growth(const struct kc_used *now,
                             const struct kc_used *before)
{
    return (struct kc_used){
        .requests = minus(now->requests, before->requests),
        .input = minus(now->input, before->input),
        .output = minus(now->output, before->output),
        .total = minus(now->total, before->total),
        .counted = minus(now->counted, before->counted),
        .counted_tokens = minus(now->counted_tokens, before->counted_tokens),
        .counted_input = minus(now->counted_input, before->counted_input),
    };
}

static bool is_held(const struct kc_held *h)
{
    return h->requests > 0 || h->tokens > 0;
}

static int take_use(struct kc_view *v, enum kc_origin origin, struct known *k,
                    const char *model, uint64_t at_ms,
                    const struct kc_used *used)
{
    struct kc_used grown = growth(used, &k->used);
    uint64_t at = at_ms < v->now_ms ? at_ms : v->now_ms;
    int err = KC_OK;
    if (grown.requests || grown.total || grown.counted || grown.counted_tokens)
        err = kc_pool_take_use(v->pool, v->now_ms, origin, k->key, model, at,
                               &grown);
    if (err == KC_OK)
        k->used = *used;
    return err;
}

static int take_total(struct kc_view *v, enum kc_origin origin, struct known *k,
                      const char *model, const struct kc_used *used)
{
    uint64_t requests = minus(used->requests, k->requests);
    uint64_t tokens = minus(used->total, k->tokens);
    int err = KC_OK;
    if (requests || tokens)
        err = kc_pool_take_total(v->pool, v->now_ms, origin, k->key, model,
                                 requests, tokens);
    if (err == KC_OK) {
        k->requests = used->requests;
        k->tokens = used->total;
    }
    return err;
}

static int take_held(struct kc_view *v, enum kc_origin origin, struct known *k,
                     const char *model, const struct kc_held *held)
{
    struct kc_held *h = &k->held;
    if (memcmp(h, held, sizeof *h) == 0)
        return KC_OK;
    int err =
        kc_pool_take_held(v->pool, v->now_ms, origin, k->key, model, h, held);
    if (err != KC_OK)
        return err;
    if (held->requests < h->requests || held->tokens < h->tokens ||
        held->input < h->input)
        v->eased = true;
    *h = *held;
    return KC_OK;
}

/* What was held will not be settled by anybody: it counts as used, at the last
 * instant at which it can have been sent. */
static int stamp(struct kc_view *v, enum kc_origin origin, const char *key,
                 const char *model, const struct kc_held *h, uint64_t seen_ms)
{
    uint64_t at = seen_ms + KC_GUARD_MS;
    struct kc_used used = {
        .requests = h->requests,
        .input = h->input,
        .output = minus(h->tokens, h->input),
        .total = h->tokens,
        .counted = h->requests,
        .counted_tokens = h->tokens,
        .counted_input = h->input,
    };
    int err = kc_pool_take_use(v->pool, v->now_ms, origin, key, model,
                               at < v->now_ms ? at : v->now_ms, &used);
    if (err == KC_OK)
        err = kc_pool_take_total(v->pool, v->now_ms, origin, key, model,
                                 h->requests, h->tokens);
    return err;
}

/* With `drop` the writer's sums of this view are forgotten, too. */
static int let_go_here(struct kc_view *v, const struct other *w, bool drop)
{
    size_t at = 0;
    const char *name;
    void *value;
    while (kc_map_next(&v->sums, &at, &name, &value)) {
        struct known *k = value;
        if (k->writer != w->id)
            continue;
        if (is_held(&k->held)) {
            struct kc_held held = k->held, none = {0};
            const char *model = strchr(strchr(name, '/') + 1, '/') + 1;
            int err = stamp(v, KC_OTHERS, k->key, model, &held, w->seen_ms);
            if (err == KC_OK)
                err = take_held(v, KC_OTHERS, k, model, &none);
            if (err != KC_OK && err != KC_ENOTFOUND)
                return err;
            k->held = none;
        }
        if (drop) {
            kc_map_remove(&v->sums, name);
            free(k);
        }
    }
    return KC_OK;
}

static int let_go(struct kc_others *o, const struct other *w, bool drop)
{
    int err = KC_OK;
    for (struct kc_view *v = o->views; v && err == KC_OK; v = v->next)
        err = let_go_here(v, w, drop);
    return err;
}

/* -- rows ------------------------------------------------------------------ */

static int id_text(struct kc_others *o, uint64_t id)
{
    kc_buf_clear(&o->text);
    return kc_buf_addf(&o->text, "%llx", (unsigned long long)id);
}

static int find_writer(struct kc_others *o, uint64_t id, struct other **out)
{
    *out = NULL;
    int err = id_text(o, id);
    if (err == KC_OK)
        *out = kc_map_get(&o->writers, kc_buf_str(&o->text));
    return err;
}

static int note_writer(struct kc_others *o, const struct kc_writer_row *row,
                       uint64_t now_ms)
{
    struct other *w;
    int err = find_writer(o, row->id, &w);
    if (err != KC_OK || row->id == 0)
        return err;
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w)
            return KC_ENOMEM;
        err = kc_map_set(&o->writers, kc_buf_str(&o->text), w);
        if (err != KC_OK) {
            free(w);
            return err;
        }
        *w = (struct other){.id = row->id, .seq = row->seq};
        w->silent = row->seen_ms + o->silent_ms < now_ms;
    }
    if (row->seq != w->seq) {
        w->seq = row->seq;
        w->quiet_ms = 0;
        w->silent = false;
    }
    w->seen_ms = row->seen_ms;
    w->ended = row->ended;
    w->listed = true;
    return KC_OK;
}

/* What is known of the row's (writer, key, model), all zero where that is new;
 * KC_ENOTFOUND: the pool has no such key of that origin. */
static int find_known(struct kc_others *o, struct kc_view *v,
                      enum kc_origin origin, uint64_t writer,
                      const struct kc_sum_row *row, struct known **out)
{
    *out = NULL;
    if (strlen(row->key) >= KC_STATE_KEY_MAX)
        return KC_ENOTFOUND;
    int err = id_text(o, writer);
    if (err == KC_OK)
        err = kc_buf_addf(&o->text, "/%s/%s", row->key, row->model);
    if (err != KC_OK)
        return err == KC_ETOOLARGE ? KC_ENOTFOUND : err;
    *out = kc_map_get(&v->sums, kc_buf_str(&o->text));
    if (*out)
        return KC_OK;
    err = kc_pool_take_total(v->pool, v->now_ms, origin, row->key, row->model,
                             0, 0);
    if (err != KC_OK)
        return err;
    struct known *k = calloc(1, sizeof *k);
    if (!k)
        return KC_ENOMEM;
    k->writer = writer;
    snprintf(k->key, sizeof k->key, "%s", row->key);
    err = kc_map_set(&v->sums, kc_buf_str(&o->text), k);
    if (err != KC_OK) {
        free(k);
        return err;
    }
    *out = k;
    return KC_OK;
}

/* -- the past -------------------------------------------------------------- */

struct restoring {
    struct kc_others *o;
    struct kc_view *v;
};

static int past_writer(void *ctx, const struct kc_writer_row *row)
{
    struct restoring *r = ctx;
    return note_writer(r->o, row, r->v->now_ms);
}

static int take_past(struct restoring *r, const struct kc_writer_row *w,
                     const struct kc_sum_row *row)
{
    struct kc_view *v = r->v;
    struct other *other;
    struct known *k;
    if (w->id == 0)
        return kc_pool_take_total(v->pool, v->now_ms, KC_PAST, row->key,
                                  row->model, row->used.requests,
                                  row->used.total);
    int err = find_writer(r->o, w->id, &other);
    if (err == KC_OK)
        err = find_known(r->o, v, KC_PAST, w->id, row, &k);
    if (err == KC_OK)
        err = take_total(v, KC_PAST, k, row->model, &row->used);
    if (err != KC_OK)
        return err;
    k->used = row->used; /* what windows need of it comes as spans */
    k->over = other && other->ended;
    if (other && !other->ended && !other->silent)
        return take_held(v, KC_PAST, k, row->model, &row->held);
    if (is_held(&row->held))
        err = stamp(v, KC_PAST, row->key, row->model, &row->held, w->seen_ms);
    return err;
}

static int past_sum(void *ctx, const struct kc_writer_row *w,
                    const struct kc_sum_row *row)
{
    int err = take_past(ctx, w, row);
    return err == KC_ENOTFOUND ? KC_OK : err; /* none of the keys in question */
}

static int past_use(void *ctx, const struct kc_use_row *row)
{
    struct kc_view *v = ((struct restoring *)ctx)->v;
    uint64_t at = row->last_ms < v->now_ms ? row->last_ms : v->now_ms;
    int err = kc_pool_take_use(v->pool, v->now_ms, KC_PAST, row->key,
                               row->model, at, &row->used);
    return err == KC_ENOTFOUND ? KC_OK : err;
}

static int take_state(struct kc_view *v, const struct kc_kept_state *state)
{
    int err = kc_pool_take_state(v->pool, v->now_ms, &state->row);
    if (err == KC_OK)
        v->eased = true;
    return err == KC_ENOTFOUND ? KC_OK : err;
}

static int past_state(void *ctx, const struct kc_kept_state *state)
{
    return take_state(((struct restoring *)ctx)->v, state);
}

int kc_others_restore(struct kc_others *o, struct kc_view *v,
                      struct kc_store *s)
{
    if (kc_pool_begin_restore(v->pool) == 0) {
        kc_pool_end_restore(v->pool, true);
        return KC_OK;
    }
    struct restoring r = {.o = o, .v = v};
    struct kc_reader reader = {.ctx = &r,
                               .writer = past_writer,
                               .sum = past_sum,
                               .use = past_use,
                               .state = past_state,
                               .counted = true};
    uint64_t since = minus(v->now_ms, kc_pool_longest_ms(v->pool));
    int err = kc_store_restore(s, v->provider, since, &reader);
    kc_pool_end_restore(v->pool, err == KC_OK);
    return err;
}

/* -- what is new ----------------------------------------------------------- */

static struct kc_view *view_of(struct kc_others *o, const char *provider)
{
    struct kc_view *v = o->views;
    while (v && strcmp(v->provider, provider) != 0)
        v = v->next;
    return v;
}

static int new_writer(void *ctx, const struct kc_writer_row *row)
{
    return note_writer(ctx, row, 0);
}

static int new_sum(void *ctx, const struct kc_writer_row *w,
                   const struct kc_sum_row *row)
{
    struct kc_others *o = ctx;
    struct kc_view *v = view_of(o, row->provider);
    struct other *other;
    struct known *k;
    /* What the archive has was some writer's before. */
    if (!v || w->id == 0)
        return KC_OK;
    int err = find_writer(o, w->id, &other);
    if (err != KC_OK || !other || other->done)
        return err;
    err = find_known(o, v, KC_OTHERS, w->id, row, &k);
    /* What was not there at the last look was settled since, whatever that
     * machine's clock says. */
    uint64_t at_ms = row->last_ms > v->seen_ms ? row->last_ms : v->seen_ms;
    if (err == KC_OK)
        err = take_use(v, KC_OTHERS, k, row->model, at_ms, &row->used);
    if (err == KC_OK)
        err = take_total(v, KC_OTHERS, k, row->model, &row->used);
    /* What a dead one holds was booked when that was noticed. */
    if (err == KC_OK && !other->silent && !k->over)
        err = take_held(v, KC_OTHERS, k, row->model, &row->held);
    return err == KC_ENOTFOUND ? KC_OK : err;
}

static int new_state(void *ctx, const struct kc_kept_state *state)
{
    struct kc_view *v = view_of(ctx, state->provider);
    return v ? take_state(v, state) : KC_OK;
}

static int look_after(struct kc_others *o, struct other *w, bool gone,
                      uint64_t passed_ms)
{
    int err = KC_OK;
    if (w->done)
        return KC_OK;
    if (w->ended || gone) {
        err = let_go(o, w, true);
        w->done = err == KC_OK;
    } else if (!w->silent) {
        w->quiet_ms += passed_ms;
        if (w->quiet_ms >= o->silent_ms) {
            err = let_go(o, w, false);
            w->silent = err == KC_OK;
        }
    }
    return err;
}

/* Those that a merge did not list are in the archive, or away. */
static int look_after_all(struct kc_others *o, bool quiet, uint64_t passed_ms)
{
    size_t at = 0;
    const char *name;
    void *value;
    int err = KC_OK;
    while (err == KC_OK && kc_map_next(&o->writers, &at, &name, &value)) {
        struct other *w = value;
        err = look_after(o, w, !quiet && !w->listed, passed_ms);
    }
    if (err != KC_OK || quiet)
        return err;
    at = 0;
    while (kc_map_next(&o->writers, &at, &name, &value))
        if (!((struct other *)value)->listed) {
            kc_map_remove(&o->writers, name);
            free(value);
        }
    return KC_OK;
}

static void begin_look(struct kc_others *o)
{
    size_t at = 0;
    const char *name;
    void *value;
    while (kc_map_next(&o->writers, &at, &name, &value))
        ((struct other *)value)->listed = false;
}

int kc_others_merge(struct kc_others *o, struct kc_store *s, uint64_t mono_ms)
{
    struct kc_reader reader = {
        .ctx = o, .writer = new_writer, .sum = new_sum, .state = new_state};
    bool quiet = false;
    begin_look(o);
    int err = kc_store_merge(s, &reader, &quiet);
    if (err != KC_OK)
        return err;
    /* Who could not look does not know that nobody wrote. */
    uint64_t passed = o->looked_ms ? minus(mono_ms, o->looked_ms) : 0;
    o->looked_ms = mono_ms;
    for (struct kc_view *v = o->views; v; v = v->next)
        v->seen_ms = v->now_ms;
    return look_after_all(o, quiet, passed < GAP_MS ? passed : GAP_MS);
}
