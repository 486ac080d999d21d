/* store_fixture.h -- rows to write, and what a read told. Include cmocka
 * before. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "unit/store/folder.h"

#ifdef OVER_MYSQL
#include "unit/store/over_mysql.h"
#else
#include "unit/store/over_sqlite.h"
#endif

struct told { /* by a restore or a merge */
    size_t writers, sums, uses, states;
    size_t ended;                /* of the writers */
    struct kc_writer_row writer; /* the last one */
    struct kc_used sum, use;     /* added up */
    struct kc_held held;
    uint64_t first_ms, last_ms, last_start_ms, longest_ms; /* of the spans */
    bool disorder;
    char model[300]; /* of the last row */
    struct kc_kept_state state;
    char provider[32], state_model[32]; /* of that state */
};

static inline void add_used(struct kc_used *sum, const struct kc_used *u)
{
    sum->requests += u->requests;
    sum->input += u->input;
    sum->output += u->output;
    sum->total += u->total;
    sum->counted += u->counted;
    sum->counted_tokens += u->counted_tokens;
    sum->counted_input += u->counted_input;
}

static inline int tell_writer(void *ctx, const struct kc_writer_row *w)
{
    struct told *t = ctx;
    t->writers++;
    t->ended += w->ended;
    t->writer = *w;
    return KC_OK;
}

static inline int tell_sum(void *ctx, const struct kc_writer_row *w,
                           const struct kc_sum_row *row)
{
    struct told *t = ctx;
    t->sums++;
    t->writer = *w;
    add_used(&t->sum, &row->used);
    t->held.requests += row->held.requests;
    t->held.tokens += row->held.tokens;
    t->held.input += row->held.input;
    snprintf(t->model, sizeof t->model, "%s", row->model);
    return KC_OK;
}

static inline int tell_use(void *ctx, const struct kc_use_row *row)
{
    struct told *t = ctx;
    if (t->uses++ == 0)
        t->first_ms = row->start_ms;
    else if (row->start_ms < t->last_start_ms)
        t->disorder = true;
    t->last_start_ms = row->start_ms;
    if (row->last_ms > t->last_ms)
        t->last_ms = row->last_ms;
    if (row->span_ms > t->longest_ms)
        t->longest_ms = row->span_ms;
    add_used(&t->use, &row->used);
    snprintf(t->model, sizeof t->model, "%s", row->model);
    return KC_OK;
}

static inline int tell_state(void *ctx, const struct kc_kept_state *state)
{
    struct told *t = ctx;
    t->states++;
    t->state = *state;
    snprintf(t->provider, sizeof t->provider, "%s", state->provider);
    snprintf(t->state_model, sizeof t->state_model, "%s", state->row.model);
    return KC_OK;
}

static inline struct kc_reader reader_of(struct told *t)
{
    memset(t, 0, sizeof *t);
    return (struct kc_reader){.ctx = t,
                              .writer = tell_writer,
                              .sum = tell_sum,
                              .use = tell_use,
                              .state = tell_state};
}

static inline struct kc_used so_much(uint64_t requests)
{
    return (struct kc_used){.requests = requests,
                            .input = requests * 10,
                            .output = requests * 3,
                            .total = requests * 13,
                            .counted = requests * 2,
                            .counted_tokens = requests * 14,
                            .counted_input = requests * 11};
}

static inline struct kc_use_row a_use(uint64_t start_ms, uint64_t requests)
{
    return (struct kc_use_row){.provider = "groq",
                               .key = "k1",
                               .model = "m1",
                               .start_ms = start_ms,
                               .span_ms = 2000,
                               .last_ms = start_ms + 1500,
                               .used = so_much(requests)};
}

static inline struct kc_sum_row a_sum(uint64_t last_ms, uint64_t requests)
{
    return (struct kc_sum_row){.provider = "groq",
                               .key = "k1",
                               .model = "m1",
                               .last_ms = last_ms,
                               .used = so_much(requests)};
}

static inline struct kc_kept_state
a_state(const char *model, enum kc_state state, uint64_t changed_ms)
{
    return (struct kc_kept_state){.provider = "groq",
                                  .row = {.key = "k1",
                                          .model = model,
                                          .label = "first",
                                          .suffix = "abcd",
                                          .state = state,
                                          .until_ms = changed_ms + 1000,
                                          .reason = "429",
                                          .changed_ms = changed_ms}};
}

/* -- calls that must succeed ----------------------------------------------- */

static inline struct kc_store *open_store(const char *path)
{
    char url[200];
    struct kc_store *s;
    char *why;
    int err = kc_store_open(url_of(path, url), 0, &s, &why);
    if (why)
        assert_string_equal(why, "");
    assert_int_equal(err, KC_OK);
    return s;
}

static inline void write_ok(struct kc_store *s, struct kc_batch *b)
{
    int err = kc_store_write(s, b);
    if (err != KC_OK)
        assert_string_equal(kc_store_error(s), "");
    assert_int_equal(err, KC_OK);
}

static inline void write_use(struct kc_store *s, struct kc_use_row use)
{
    struct kc_batch b = {
        .now_ms = use.start_ms + 1999, .uses = &use, .use_len = 1};
    write_ok(s, &b);
}

static inline void write_sum(struct kc_store *s, struct kc_sum_row sum)
{
    struct kc_batch b = {.now_ms = sum.last_ms, .sums = &sum, .sum_len = 1};
    write_ok(s, &b);
}

static inline void write_state(struct kc_store *s, struct kc_kept_state state)
{
    struct kc_batch b = {
        .now_ms = state.row.changed_ms, .states = &state, .state_len = 1};
    write_ok(s, &b);
}

static inline void write_ended(struct kc_store *s, uint64_t now_ms)
{
    struct kc_batch b = {.now_ms = now_ms, .ended = true};
    write_ok(s, &b);
}

static inline struct told restore_since(struct kc_store *s, uint64_t since_ms)
{
    struct told t;
    struct kc_reader r = reader_of(&t);
    assert_int_equal(kc_store_restore(s, NULL, since_ms, &r), KC_OK);
    assert_false(t.disorder);
    return t;
}

static inline struct told restore(struct kc_store *s)
{
    return restore_since(s, 0);
}

/* All that is in the file, as somebody new sees it. */
static inline struct told read_file(const char *path)
{
    struct kc_store *s = open_store(path);
    struct told t = restore(s);
    kc_store_close(s);
    return t;
}

static inline struct told merge(struct kc_store *s, bool quiet)
{
    struct told t;
    struct kc_reader r = reader_of(&t);
    bool was = false;
    assert_int_equal(kc_store_merge(s, &r, &was), KC_OK);
    assert_int_equal(was, quiet && CAN_BE_QUIET);
    return t;
}

#endif
