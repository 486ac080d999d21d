/* fill.c -- a store as it is after thirty days, up to now: for each key and
 * model rows of days, hours, minutes and 2 s as kc_store_tend leaves them.
 * Written directly, without a pool.
 *
 * usage: fill URL KEYS MODELS
 *
 * The keys are "sk-proof-key-000001" and so on, of provider "many"; the models
 * "model-001" and so on. Each is used in every hour, where minutes are kept in
 * every fifth, in the last two in three spans each. Prints how many rows and
 * requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"
#include "util/clock.h"
#include "util/secret.h"

#define BATCH 10000
#define SPAN UINT64_C(2000)
#define MINUTE UINT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define DAYS 29

struct fill {
    struct kc_store *store;
    char (*keys)[33], (*models)[32];
    size_t key_len, model_len;
    struct kc_use_row uses[BATCH];
    struct kc_sum_row sums[BATCH];
    size_t use_len, sum_len;
    uint64_t now_ms, rows, requests;
};

static void must(int err, const char *why)
{
    if (err != KC_OK) {
        fprintf(stderr, "fill: %s %s\n", kc_err_name(err), why ? why : "");
        exit(1);
    }
}

static void write_out(struct fill *f)
{
    struct kc_batch b = {.now_ms = f->now_ms,
                         .uses = f->uses,
                         .use_len = f->use_len,
                         .sums = f->sums,
                         .sum_len = f->sum_len};
    must(kc_store_write(f->store, &b), kc_store_error(f->store));
    f->use_len = f->sum_len = 0;
}

static struct kc_used used_of(uint64_t requests)
{
    struct kc_used u = {.requests = requests,
                        .input = requests * 700,
                        .output = requests * 200,
                        .total = requests * 900,
                        .counted = requests,
                        .counted_tokens = requests * 900,
                        .counted_input = requests * 700};
    return u;
}

/* A span of each key and model at each `step` from `from` up to `end`, where
 * the last one may not be over yet. Returns what each of them has used. */
static uint64_t add_uses(struct fill *f, uint64_t from, uint64_t end,
                         uint64_t span, uint64_t step, uint64_t requests)
{
    uint64_t used = 0;
    for (uint64_t at = from; at < end; at += step, used += requests) {
        uint64_t over = at + span < end ? at + span : end;
        for (size_t i = 0; i < f->key_len * f->model_len; i++) {
            f->uses[f->use_len++] =
                (struct kc_use_row){.provider = "many",
                                    .key = f->keys[i / f->model_len],
                                    .model = f->models[i % f->model_len],
                                    .start_ms = at,
                                    .span_ms = span,
                                    .last_ms = over - 1,
                                    .used = used_of(requests)};
            f->rows++;
            if (f->use_len == BATCH)
                write_out(f);
        }
    }
    return used;
}

static void add_sums(struct fill *f, uint64_t requests)
{
    for (size_t i = 0; i < f->key_len * f->model_len; i++) {
        f->sums[f->sum_len++] =
            (struct kc_sum_row){.provider = "many",
                                .key = f->keys[i / f->model_len],
                                .model = f->models[i % f->model_len],
                                .last_ms = f->now_ms,
                                .used = used_of(requests)};
        f->requests += requests;
        if (f->sum_len == BATCH)
            write_out(f);
    }
}

/* When what is older than that is kept as longer spans: see tend.c. */
static uint64_t before(const struct fill *f, uint64_t age, uint64_t step)
{
    return (f->now_ms - age) / step * step;
}

/* Spans do not overlap: what a day still lacks is there as hours, and so on. */
static void fill(struct fill *f)
{
    uint64_t hours = before(f, 26 * HOUR, HOUR);
    uint64_t minutes = before(f, 65 * MINUTE, 5 * MINUTE);
    uint64_t spans = before(f, 2 * MINUTE, MINUTE);
    uint64_t days = before(f, 26 * HOUR, DAY) - (DAYS - 1) * DAY;
    uint64_t used = add_uses(f, days, hours, DAY, DAY, 100);
    used += add_uses(f, hours, minutes, HOUR, HOUR, 4);
    used += add_uses(f, minutes, spans, MINUTE, 5 * MINUTE, 1);
    used += add_uses(f, spans, f->now_ms, SPAN, 20 * SPAN, 1);
    add_sums(f, used);
    struct kc_batch end = {.now_ms = f->now_ms, .ended = true};
    write_out(f);
    must(kc_store_write(f->store, &end), kc_store_error(f->store));
}

static void name_all(struct fill *f, size_t keys, size_t models)
{
    f->keys = calloc(keys, sizeof *f->keys);
    f->models = calloc(models, sizeof *f->models);
    f->key_len = keys;
    f->model_len = models;
    for (size_t i = 0; i < keys; i++) {
        char text[48];
        struct kc_secret *secret;
        snprintf(text, sizeof text, "sk-proof-key-%06zu", i + 1);
        must(kc_secret_new(text, strlen(text), &secret), NULL);
        kc_secret_hash(secret, f->keys[i]);
        kc_secret_free(secret);
    }
    for (size_t i = 0; i < models; i++)
        snprintf(f->models[i], sizeof f->models[i], "model-%03zu", i + 1);
}

int main(int argc, char **argv)
{
    static struct fill f;
    char *why = NULL;
    if (argc != 4)
        return 2;
    f.now_ms = kc_wall_ms();
    name_all(&f, strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    must(kc_store_open(argv[1], 0, &f.store, &why), why);
    fill(&f);
    kc_store_close(f.store);
    printf("%llu %llu\n", (unsigned long long)f.rows,
           (unsigned long long)f.requests);
    free(f.keys);
    free(f.models);
    return 0;
}
