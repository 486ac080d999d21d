/* fill.c -- a store as it is after thirty days: for each key and model a row a
 * day, for the last 50 hours a row an hour, for the last two hours some of a
 * minute, as kc_store_tend leaves them. Written directly, without a pool.
 *
 * usage: fill URL KEYS MODELS
 *
 * The keys are "sk-proof-key-000001" and so on, of provider "many"; the models
 * "model-001" and so on; 100 rows each. Prints how many rows and requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"
#include "util/clock.h"
#include "util/secret.h"

#define BATCH 10000
#define MINUTE UINT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define DAYS 28
#define HOURS 48
#define MINUTES 24 /* every fifth */

struct fill {
    struct kc_store *store;
    struct kc_use_row *uses;
    struct kc_sum_row *sums;
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

static void add_use(struct fill *f, const char *key, const char *model,
                    uint64_t start, uint64_t span, uint64_t requests)
{
    f->uses[f->use_len++] =
        (struct kc_use_row){.provider = "many",
                            .key = key,
                            .model = model,
                            .start_ms = start,
                            .span_ms = span,
                            .last_ms = start + span - 1,
                            .used = used_of(requests)};
    f->rows++;
    f->requests += requests;
}

/* Spans do not overlap: days end where hours begin, and those where minutes do.
 */
static void add_pair(struct fill *f, const char *key, const char *model)
{
    uint64_t before = f->requests;
    uint64_t hours_from = (f->now_ms - 50 * HOUR) / DAY * DAY;
    uint64_t minutes_from = (f->now_ms - 2 * HOUR) / HOUR * HOUR;
    for (uint64_t i = DAYS; i > 0; i--)
        add_use(f, key, model, hours_from - i * DAY, DAY, 100 + i);
    for (uint64_t i = HOURS; i > 0; i--)
        if (minutes_from - i * HOUR >= hours_from)
            add_use(f, key, model, minutes_from - i * HOUR, HOUR, 4);
    for (uint64_t i = 0; i < MINUTES; i++)
        add_use(f, key, model, minutes_from + i * 5 * MINUTE, MINUTE, 1);
    f->sums[f->sum_len++] =
        (struct kc_sum_row){.provider = "many",
                            .key = key,
                            .model = model,
                            .last_ms = f->now_ms - 3 * MINUTE,
                            .used = used_of(f->requests - before)};
    if (f->use_len + DAYS + HOURS + MINUTES > BATCH)
        write_out(f);
}

static void fill(struct fill *f, unsigned keys, unsigned models)
{
    for (unsigned k = 1; k <= keys; k++) {
        char text[32], *hash = malloc(33);
        struct kc_secret *secret;
        snprintf(text, sizeof text, "sk-proof-key-%06u", k);
        must(kc_secret_new(text, strlen(text), &secret), NULL);
        kc_secret_hash(secret, hash);
        kc_secret_free(secret);
        for (unsigned m = 1; m <= models; m++) {
            char *model = malloc(16); /* it must live until it is written */
            snprintf(model, 16, "model-%03u", m);
            add_pair(f, hash, model);
        }
    }
    struct kc_batch end = {.now_ms = f->now_ms, .ended = true};
    write_out(f);
    must(kc_store_write(f->store, &end), kc_store_error(f->store));
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    char *why = NULL;
    struct fill f = {.now_ms = kc_wall_ms()};
    f.uses = calloc(BATCH, sizeof *f.uses);
    f.sums = calloc(BATCH, sizeof *f.sums);
    must(kc_store_open(argv[1], 0, &f.store, &why), why);
    fill(&f, (unsigned)strtoul(argv[2], NULL, 10),
         (unsigned)strtoul(argv[3], NULL, 10));
    kc_store_close(f.store);
    printf("%llu %llu\n", (unsigned long long)f.rows,
           (unsigned long long)f.requests);
    return 0;
}
