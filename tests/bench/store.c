/* store.c -- a million rows in a file: what it weighs, and how long a restore
 * and a report take. Each is begun in a new store, as by a new process.
 *
 * 200 keys and 40 models, 30 days of which no minute was without use: days,
 * hours, minutes and spans of 2 s as kc_store_tend leaves them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "util/clock.h"

#define KEYS 200
#define MODELS 40
#define SCOPES (KEYS * MODELS)
#define HOUR_MS UINT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define START_MS UINT64_C(1767225600000)
#define END_MS (START_MS + 30 * DAY_MS)
#define DAYS 28
#define HOURS 25
#define MINUTES 63
#define SPANS 9 /* of the last two minutes */
#define ROWS (SCOPES * (DAYS + HOURS + MINUTES + SPANS))

static void must(int err, const char *what)
{
    if (err == KC_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, kc_err_text(err));
    exit(1);
}

static char keys[KEYS][80], models[MODELS][32];

static struct kc_used some(uint64_t n)
{
    return (struct kc_used){.requests = 1 + n % 50,
                            .input = 1000 + n % 100000,
                            .output = 500 + n % 10000,
                            .total = 1500 + n % 110000,
                            .counted = 1 + n % 50,
                            .counted_tokens = 1500 + n % 110000,
                            .counted_input = 1000 + n % 100000};
}

/* The rows of all scopes in one span, in one transaction. */
static void fill_span(struct kc_store *s, uint64_t start_ms, uint64_t span_ms)
{
    static struct kc_use_row rows[SCOPES];
    for (size_t i = 0; i < SCOPES; i++)
        rows[i] = (struct kc_use_row){.provider = "openai",
                                      .key = keys[i / MODELS],
                                      .model = models[i % MODELS],
                                      .start_ms = start_ms,
                                      .span_ms = span_ms,
                                      .last_ms = start_ms + span_ms - 1 - i,
                                      .used = some(start_ms / 1000 + i * 37)};
    struct kc_batch b = {.now_ms = start_ms, .uses = rows, .use_len = SCOPES};
    must(kc_store_write(s, &b), "write");
}

static void fill_sums(struct kc_store *s)
{
    static struct kc_sum_row rows[SCOPES];
    for (size_t i = 0; i < SCOPES; i++)
        rows[i] = (struct kc_sum_row){.provider = "openai",
                                      .key = keys[i / MODELS],
                                      .model = models[i % MODELS],
                                      .last_ms = END_MS,
                                      .used = some(i)};
    struct kc_batch b = {.now_ms = END_MS, .sums = rows, .sum_len = SCOPES};
    must(kc_store_write(s, &b), "write");
}

static void fill(const char *url)
{
    struct kc_store *s;
    char *why;
    must(kc_store_open(url, 0, &s, &why), "open");
    for (size_t i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "%064zx", i * 7919);
    for (size_t i = 0; i < MODELS; i++)
        snprintf(models[i], sizeof models[i], "gpt-model-%zu-2026-01-01", i);
    for (size_t i = 0; i < DAYS; i++)
        fill_span(s, START_MS + i * DAY_MS, DAY_MS);
    for (size_t i = HOURS; i > 0; i--)
        fill_span(s, END_MS - (i + 1) * HOUR_MS, HOUR_MS);
    for (size_t i = MINUTES; i > 0; i--)
        fill_span(s, END_MS - (i + 2) * 60000, 60000);
    for (size_t i = SPANS; i > 0; i--)
        fill_span(s, END_MS - i * 12000, 2000);
    fill_sums(s);
    kc_store_close(s);
}

static int count_sum(void *ctx, const struct kc_writer_row *w,
                     const struct kc_sum_row *row)
{
    (void)w;
    (void)row;
    ++*(size_t *)ctx;
    return KC_OK;
}

static int count_use(void *ctx, const struct kc_use_row *row)
{
    (void)row;
    ++*(size_t *)ctx;
    return KC_OK;
}

static int count_window(void *ctx, const struct kc_window_row *row)
{
    (void)row;
    ++*(size_t *)ctx;
    return KC_OK;
}

static int count_day(void *ctx, const struct kc_day_row *row)
{
    (void)row;
    ++*(size_t *)ctx;
    return KC_OK;
}

static void restore(const char *url)
{
    struct kc_store *s;
    char *why;
    size_t rows = 0;
    const struct kc_reader r = {
        .ctx = &rows, .sum = count_sum, .use = count_use, .counted = true};
    uint64_t begun = kc_mono_us();
    must(kc_store_open(url, 0, &s, &why), "open");
    must(kc_store_restore(s, "openai", END_MS - DAY_MS, &r), "restore");
    printf("store_restore %.3f s\n", (double)(kc_mono_us() - begun) / 1e6);
    printf("store_restore_rows %zu rows\n", rows);
    kc_store_close(s);
}

static void report(const char *url)
{
    struct kc_store *s;
    char *why;
    size_t rows = 0;
    const struct kc_reporter r = {.ctx = &rows,
                                  .total = count_day,
                                  .day = count_day,
                                  .window = count_window};
    uint64_t begun = kc_mono_us();
    must(kc_store_look(url, &s, &why), "look");
    must(kc_store_report(s, END_MS, END_MS - 7 * DAY_MS, &r), "report");
    printf("store_report_7_days %.3f s\n",
           (double)(kc_mono_us() - begun) / 1e6);
    printf("store_report_rows %zu rows\n", rows);
    kc_store_close(s);
}

int main(void)
{
    char folder[] = "/tmp/keycycle-bench-XXXXXX", path[100], url[120];
    struct stat st = {0};
    struct rusage usage;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/usage.db", folder);
    snprintf(url, sizeof url, "sqlite:%s", path);
    uint64_t begun = kc_mono_us();
    fill(url);
    printf("store_write %.2f us/row\n", (double)(kc_mono_us() - begun) / ROWS);
    stat(path, &st);
    printf("store_file %.1f B/row\n", (double)st.st_size / ROWS);
    restore(url);
    report(url);
    getrusage(RUSAGE_SELF, &usage); /* the filling is in it, too */
    printf("store_memory %ld KiB\n", usage.ru_maxrss);
    remove(path);
    rmdir(folder);
    return 0;
}
