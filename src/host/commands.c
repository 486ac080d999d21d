/* commands.c -- see commands.h. */
#include "host/commands.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lauxlib.h>

#include "host/nearest.h"
#include "host/trouble.h"
#include "lua/core.h"
#include "util/embed.h"

#define SUFFIX ".lua"
#define SUFFIX_LEN (sizeof SUFFIX - 1)

enum { MAX_NAME = 64, MAX_ABOUT = 100, MOST_LISTED = 200 };

struct command {
    char name[MAX_NAME];
    char about[MAX_ABOUT]; /* "" where its first line says nothing */
};

struct list {
    struct command items[MOST_LISTED];
    size_t n;
};

/* -- the folders --------------------------------------------------------- */

/* Calls fn(ctx, folder) for each folder that may hold scripts/, until it
 * returns true. */
static bool each_folder(bool here, bool (*fn)(void *, const char *), void *ctx)
{
    char dir[PATH_MAX];
    const char *path = getenv("KEYCYCLE_PATH");
    while (path && *path) {
        size_t len = strcspn(path, ":");
        int n = snprintf(dir, sizeof dir, "%.*s", (int)len, path);
        if (n > 0 && n < (int)sizeof dir && fn(ctx, dir))
            return true;
        path += len + (path[len] == ':');
    }
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = 0; /* a folder below the current one is anybody's */
    if (xdg && *xdg == '/')
        n = snprintf(dir, sizeof dir, "%s/keycycle", xdg);
    else if (home && *home == '/')
        n = snprintf(dir, sizeof dir, "%s/.config/keycycle", home);
    if (n > 0 && n < (int)sizeof dir && fn(ctx, dir))
        return true;
    return here && fn(ctx, ".keycycle");
}

/* Neither a folder nor a pipe, whose opening waits. */
static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* -- loading ------------------------------------------------------------- */

static int load_built_in(lua_State *L, const char *name)
{
    char file[128], chunk[192];
    if (snprintf(file, sizeof file, "%s" SUFFIX, name) >= (int)sizeof file)
        return -1;
    for (const struct kc_text *t = kc_scripts; t->name; t++) {
        if (strcmp(t->name, file) != 0)
            continue;
        snprintf(chunk, sizeof chunk, "@keycycle/scripts/%s", t->name);
        return lk_load_embedded(L, t, chunk);
    }
    return -1;
}

struct search {
    lua_State *L;
    const char *name;
    int status;
};

static bool load_from(void *ctx, const char *dir)
{
    struct search *s = ctx;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/scripts/%s" SUFFIX, dir, s->name);
    if (n < 0 || n >= (int)sizeof path || !is_file(path))
        return false;
    s->status = luaL_loadfile(s->L, path);
    return true;
}

int kc_command_load(lua_State *L, const char *name, bool here)
{
    struct search s = {.L = L, .name = name, .status = -1};
    if (strchr(name, '/'))
        return -1;
    int status = load_built_in(L, name);
    if (status == -1 && each_folder(here, load_from, &s))
        return s.status;
    return status;
}

/* -- listing ------------------------------------------------------------- */

static struct command *find(struct list *list, const char *name, size_t len)
{
    for (size_t i = 0; i < list->n; i++)
        if (strlen(list->items[i].name) == len &&
            memcmp(list->items[i].name, name, len) == 0)
            return &list->items[i];
    return NULL;
}

/* What a first line says: "--- keycycle demo: this." or "-- this." */
static void set_about(struct command *c, const char *line, size_t len)
{
    size_t from = 0, to = 0;
    if (len < 2 || strncmp(line, "--", 2) != 0)
        return;
    const char *colon = memchr(line, ':', len);
    const char *name = memmem(line, len, c->name, strlen(c->name));
    if (colon && name && name + strlen(c->name) == colon)
        from = (size_t)(colon - line) + 1;
    while (from < len && (line[from] == '-' || line[from] == ' '))
        from++;
    len -= len > 0 && line[len - 1] == '\r';
    while (from < len && to < MAX_ABOUT - 1)
        c->about[to++] = line[from++];
}

static bool is_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("_-", name[i]))
            return false;
    return len > 0 && len < MAX_NAME && name[0] != '-';
}

/* The new command of this file name; NULL: it is none, or known already. */
static struct command *add(struct list *list, const char *file)
{
    size_t len = strlen(file);
    if (len <= SUFFIX_LEN || strcmp(file + len - SUFFIX_LEN, SUFFIX) != 0)
        return NULL;
    len -= SUFFIX_LEN;
    if (!is_name(file, len) || find(list, file, len) || list->n == MOST_LISTED)
        return NULL;
    struct command *c = &list->items[list->n++];
    memset(c, 0, sizeof *c);
    memcpy(c->name, file, len);
    return c;
}

static bool list_from(void *ctx, const char *dir)
{
    struct list *list = ctx;
    char path[PATH_MAX], line[256];
    if (snprintf(path, sizeof path, "%s/scripts", dir) >= (int)sizeof path)
        return false;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        int n = snprintf(path, sizeof path, "%s/scripts/%s", dir, e->d_name);
        if (n >= (int)sizeof path || !is_file(path))
            continue;
        struct command *c = add(list, e->d_name);
        FILE *f = c ? fopen(path, "r") : NULL;
        if (f && fgets(line, sizeof line, f) &&
            (line[0] != '#' || fgets(line, sizeof line, f))) /* "#!" */
            set_about(c, line, strcspn(line, "\n"));
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct command *)a)->name,
                  ((const struct command *)b)->name);
}

/* The built-in ones, then the user's: *own of the list is the first of them.
 * NULL when out of memory; the caller frees it. */
static struct list *list_all(bool here, size_t *own)
{
    struct list *list = malloc(sizeof *list);
    *own = 0;
    if (!list)
        return NULL;
    list->n = 0;
    for (const struct kc_text *t = kc_scripts; t->name; t++) {
        struct command *c = add(list, t->name);
        if (c)
            set_about(c, t->first_line, strlen(t->first_line));
    }
    *own = list->n;
    each_folder(here, list_from, list);
    qsort(list->items + *own, list->n - *own, sizeof *list->items, by_name);
    return list;
}

void kc_command_describe(FILE *out, bool here)
{
    size_t own;
    struct list *list = list_all(here, &own);
    for (size_t i = 0; list && i < list->n; i++) {
        if (i == 0 || i == own)
            fputs(i == 0 ? "commands:\n" : "commands of your own:\n", out);
        const struct command *c = &list->items[i];
        fprintf(out, c->about[0] ? "  %-10s " : "  %s", c->name);
        kc_trouble_put(c->about, out);
        fputs("\n", out);
    }
    free(list);
}

void kc_command_suggest(FILE *out, const char *name, bool here)
{
    size_t own, len = strlen(name);
    struct list *list = list_all(here, &own);
    int limit = kc_nearest_limit(name);
    bool near = false;
    for (size_t i = 0; list && i < list->n; i++) {
        const char *known = list->items[i].name;
        if (kc_nearest_distance(name, known) > limit &&
            (len < 3 || strncmp(name, known, len) != 0))
            continue;
        fprintf(out, "%s %s", near ? "," : "; near it:", known);
        near = true;
    }
    for (size_t i = 0; list && !near && i < list->n; i++)
        fprintf(out, "%s%s", i == 0 ? " (commands: " : " ",
                list->items[i].name);
    fputs(near ? "\n" : ")\n", out);
    free(list);
}
