/* folder.h -- a folder for each test that needs files. */
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

#define SECOND_MS UINT64_C(1000)
#define MINUTE_MS UINT64_C(60000)
#define HOUR_MS UINT64_C(3600000)
#define DAY_MS UINT64_C(86400000)
#define START_MS UINT64_C(1767225600000) /* 2026-01-01 00:00 UTC */

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

#endif
