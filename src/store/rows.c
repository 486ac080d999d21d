/* rows.c -- see rows.h. Equal texts are one pointer, so names compare fast. */
#include "store/rows.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"

void kc_rows_init(struct kc_rows *r)
{
    *r = (struct kc_rows){0};
    kc_map_init(&r->texts);
}

void kc_rows_deinit(struct kc_rows *r)
{
    size_t at = 0;
    const char *name;
    void *copy;
    while (kc_map_next(&r->texts, &at, &name, &copy))
        free(copy);
    kc_map_deinit(&r->texts);
    free(r->uses);
    free(r->sums);
    free(r->states);
    *r = (struct kc_rows){0};
}

static int keep_text(struct kc_rows *r, const char **text)
{
    char *copy = kc_map_get(&r->texts, *text);
    if (!copy) {
        copy = strdup(*text);
        if (!copy)
            return KC_ENOMEM;
        if (kc_map_set(&r->texts, *text, copy) != KC_OK) {
            free(copy);
            return KC_ENOMEM;
        }
    }
    *text = copy;
    return KC_OK;
}

static int keep_names(struct kc_rows *r, const char **provider,
                      const char **key, const char **model)
{
    int err = keep_text(r, provider);
    if (err == KC_OK && key)
        err = keep_text(r, key);
    return err == KC_OK ? keep_text(r, model) : err;
}

/* Room for one more; the new place, or NULL. */
static void *grow(void *list, size_t size, size_t len, size_t *room)
{
    if (len < *room)
        return list;
    size_t more = *room ? *room * 2 : 64;
    void *bigger = more > SIZE_MAX / size ? NULL : realloc(list, more * size);
    if (bigger)
        *room = more;
    return bigger;
}

int kc_rows_add_use(struct kc_rows *r, const struct kc_use_row *row)
{
    struct kc_use_row copy = *row;
    int err = keep_names(r, &copy.provider, &copy.key, &copy.model);
    if (err != KC_OK)
        return err;
    void *list = grow(r->uses, sizeof copy, r->use_len, &r->use_room);
    if (!list)
        return KC_ENOMEM;
    r->uses = list;
    r->uses[r->use_len++] = copy;
    return KC_OK;
}

int kc_rows_add_sum(struct kc_rows *r, const struct kc_sum_row *row)
{
    struct kc_sum_row copy = *row;
    int err = keep_names(r, &copy.provider, &copy.key, &copy.model);
    if (err != KC_OK)
        return err;
    void *list = grow(r->sums, sizeof copy, r->sum_len, &r->sum_room);
    if (!list)
        return KC_ENOMEM;
    r->sums = list;
    r->sums[r->sum_len++] = copy;
    return KC_OK;
}

int kc_rows_add_state(struct kc_rows *r, const struct kc_kept_state *row)
{
    struct kc_kept_state copy = *row;
    int err = keep_names(r, &copy.provider, NULL, &copy.row.model);
    if (err != KC_OK)
        return err;
    void *list = grow(r->states, sizeof copy, r->state_len, &r->state_room);
    if (!list)
        return KC_ENOMEM;
    r->states = list;
    r->states[r->state_len++] = copy;
    return KC_OK;
}

/* -- reading a store ------------------------------------------------------ */

static void add_used(struct kc_used *to, const struct kc_used *more)
{
    to->requests = kc_add_capped(to->requests, more->requests);
    to->input = kc_add_capped(to->input, more->input);
    to->output = kc_add_capped(to->output, more->output);
    to->total = kc_add_capped(to->total, more->total);
    to->counted = kc_add_capped(to->counted, more->counted);
    to->counted_tokens =
        kc_add_capped(to->counted_tokens, more->counted_tokens);
    to->counted_input = kc_add_capped(to->counted_input, more->counted_input);
}

static int read_sum(void *ctx, const struct kc_writer_row *w,
                    const struct kc_sum_row *row)
{
    struct kc_rows *r = ctx;
    struct kc_sum_row sum = *row;
    struct kc_used held = {.requests = row->held.requests,
                           .total = row->held.tokens,
                           .counted = row->held.requests,
                           .counted_tokens = row->held.tokens,
                           .counted_input = row->held.input};
    sum.held = (struct kc_held){0};
    if (row->held.requests == 0 && row->held.tokens == 0)
        return kc_rows_add_sum(r, &sum);
    uint64_t seen_ms = w->seen_ms > row->last_ms ? w->seen_ms : row->last_ms;
    sum.last_ms = kc_add_capped(seen_ms, KC_GUARD_MS);
    add_used(&sum.used, &held);
    struct kc_use_row use = {.provider = row->provider,
                             .key = row->key,
                             .model = row->model,
                             .start_ms = sum.last_ms / KC_SPAN_MS * KC_SPAN_MS,
                             .span_ms = KC_SPAN_MS,
                             .last_ms = sum.last_ms,
                             .used = held};
    int err = kc_rows_add_use(r, &use);
    return err == KC_OK ? kc_rows_add_sum(r, &sum) : err;
}

static int read_use(void *ctx, const struct kc_use_row *row)
{
    return kc_rows_add_use(ctx, row);
}

static int read_state(void *ctx, const struct kc_kept_state *state)
{
    return kc_rows_add_state(ctx, state);
}

struct kc_reader kc_rows_reader(struct kc_rows *r)
{
    return (struct kc_reader){
        .ctx = r, .sum = read_sum, .use = read_use, .state = read_state};
}

/* -- adding up ------------------------------------------------------------ */

static int by_text(const char *a, const char *b)
{
    return a == b ? 0 : strcmp(a, b);
}

static int by_names(const char *const a[3], const char *const b[3])
{
    int order = 0;
    for (int i = 0; i < 3 && order == 0; i++)
        order = by_text(a[i], b[i]);
    return order;
}

static int by_number(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_use(const void *left, const void *right)
{
    const struct kc_use_row *a = left, *b = right;
    const char *const names_a[] = {a->provider, a->key, a->model};
    const char *const names_b[] = {b->provider, b->key, b->model};
    int order = by_names(names_a, names_b);
    if (order == 0)
        order = by_number(a->start_ms, b->start_ms);
    return order ? order : by_number(a->span_ms, b->span_ms);
}

static int by_sum(const void *left, const void *right)
{
    const struct kc_sum_row *a = left, *b = right;
    const char *const names_a[] = {a->provider, a->key, a->model};
    const char *const names_b[] = {b->provider, b->key, b->model};
    return by_names(names_a, names_b);
}

void kc_rows_fold(struct kc_rows *r)
{
    size_t n = 0;
    if (r->use_len > 1)
        qsort(r->uses, r->use_len, sizeof *r->uses, by_use);
    for (size_t i = 0; i < r->use_len; i++) {
        struct kc_use_row *row = &r->uses[i];
        if (n > 0 && by_use(&r->uses[n - 1], row) == 0) {
            struct kc_use_row *sum = &r->uses[n - 1];
            add_used(&sum->used, &row->used);
            if (row->last_ms > sum->last_ms)
                sum->last_ms = row->last_ms;
        } else {
            r->uses[n++] = *row;
        }
    }
    r->use_len = n;
    n = 0;
    if (r->sum_len > 1)
        qsort(r->sums, r->sum_len, sizeof *r->sums, by_sum);
    for (size_t i = 0; i < r->sum_len; i++) {
        struct kc_sum_row *row = &r->sums[i];
        if (n > 0 && by_sum(&r->sums[n - 1], row) == 0) {
            struct kc_sum_row *sum = &r->sums[n - 1];
            add_used(&sum->used, &row->used);
            if (row->last_ms > sum->last_ms)
                sum->last_ms = row->last_ms;
        } else {
            r->sums[n++] = *row;
        }
    }
    r->sum_len = n;
}

/* -- telling them apart --------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t value)
{
    for (int i = 0; i < 64; i += 8)
        h = (h ^ (value >> i & 255)) * 1099511628211u;
    return h;
}

static uint64_t mix_names(uint64_t h, const char *provider, const char *key,
                          const char *model)
{
    h = mix(h, kc_hash(provider));
    h = mix(h, kc_hash(key));
    return mix(h, kc_hash(model));
}

static uint64_t mix_used(uint64_t h, const struct kc_used *u)
{
    h = mix(mix(h, u->requests), u->input);
    h = mix(mix(h, u->output), u->total);
    h = mix(mix(h, u->counted), u->counted_tokens);
    return mix(h, u->counted_input);
}

static uint64_t mix_state(uint64_t h, const struct kc_state_row *row)
{
    h = mix(mix(h, row->state), row->tries);
    h = mix(h, (uint64_t)row->disabled | (uint64_t)row->guessed << 1 |
                   (uint64_t)row->auth << 2);
    h = mix(mix(h, row->until_ms), row->changed_ms);
    h = mix(mix(h, kc_hash(row->label)), kc_hash(row->suffix));
    return mix(mix(h, kc_hash(row->reason)), kc_hash(row->learned));
}

uint64_t kc_rows_hash(const struct kc_rows *r)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < r->use_len; i++) {
        const struct kc_use_row *row = &r->uses[i];
        h = mix_names(h, row->provider, row->key, row->model);
        h = mix(mix(mix(h, row->start_ms), row->span_ms), row->last_ms);
        h = mix_used(h, &row->used);
    }
    for (size_t i = 0; i < r->sum_len; i++) {
        const struct kc_sum_row *row = &r->sums[i];
        h = mix_names(h, row->provider, row->key, row->model);
        h = mix_used(mix(h, row->last_ms), &row->used);
    }
    for (size_t i = 0; i < r->state_len; i++) {
        const struct kc_kept_state *kept = &r->states[i];
        h = mix_names(h, kept->provider, kept->row.key, kept->row.model);
        h = mix_state(h, &kept->row);
    }
    return h;
}
