/* folder.h -- a folder for each test that needs files, and what a read gave. */
#ifndef TESTS_STORE_FOLDER_H
#define TESTS_STORE_FOLDER_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

#define HOUR_MS 3600000u
#define START_MS 1767225600000u /* 2026-01-01 00:00 UTC */

struct folder {
    char path[64];
};

static inline int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    snprintf(f->path, sizeof f->path, "/tmp/keycycle-store-XXXXXX");
    *state = f;
    return mkdtemp(f->path) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    struct folder *f = *state;
    DIR *dir = opendir(f->path);
    char path[400];
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", f->path, d->d_name);
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            remove(path);
    }
    if (dir)
        closedir(dir);
    int err = rmdir(f->path);
    free(f);
    return err;
}

/* "PREFIXfolder/name", until the next call. */
static inline const char *in_folder(const struct folder *f, const char *prefix,
                                    const char *name, char out[160])
{
    snprintf(out, 160, "%s%s/%s", prefix, f->path, name);
    return out;
}

struct sums { /* of the rows that a read gave */
    size_t rows;
    uint64_t requests, input, output, total;
    uint64_t first_ms, last_ms, longest_ms;
    bool disorder;
    char last_model[32];
};

static inline int sum_row(void *ctx, const struct kc_row *row)
{
    struct sums *s = ctx;
    if (s->rows++ == 0)
        s->first_ms = row->start_ms;
    else if (row->start_ms < s->last_ms)
        s->disorder = true;
    s->last_ms = row->start_ms;
    s->requests += row->requests;
    s->input += row->input;
    s->output += row->output;
    s->total += row->total;
    if (row->span_ms > s->longest_ms)
        s->longest_ms = row->span_ms;
    snprintf(s->last_model, sizeof s->last_model, "%s", row->model);
    return KC_OK;
}

static inline struct kc_row a_row(uint64_t start_ms, uint64_t requests)
{
    return (struct kc_row){.provider = "groq",
                           .key = "k1",
                           .model = "m1",
                           .start_ms = start_ms,
                           .span_ms = 2000,
                           .requests = requests,
                           .input = requests * 10,
                           .output = requests * 3,
                           .total = requests * 13};
}

#endif
