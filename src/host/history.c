/* history.c -- see history.h. */
#include "host/history.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/secrets.h"

#define MODE 0600

/* Makes the folders of `path`, for their owner alone. */
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* whether it is there, open tells */
        *slash = '/';
    }
}

static bool file_name(char path[PATH_MAX])
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (xdg && xdg[0] == '/')
        n = snprintf(path, PATH_MAX, "%s/keycycle/history", xdg);
    else if (home && home[0] == '/')
        n = snprintf(path, PATH_MAX, "%s/.local/state/keycycle/history", home);
    else
        return false;
    return n < PATH_MAX;
}

static FILE *open_it(const char *path, int flags, const char *mode)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, MODE);
    if (fd == -1)
        return NULL;
    FILE *f = fdopen(fd, mode);
    if (!f)
        close(fd);
    return f;
}

/* Keeps the lines from number `first` on. Another prompt may be adding one,
 * which is lost then: what is read is whole in any case. */
static void shorten(FILE *in, const char *path, size_t first)
{
    char copy[PATH_MAX + 16];
    char *line = NULL;
    size_t room = 0, n = 0;
    snprintf(copy, sizeof copy, "%s.%ld", path, (long)getpid());
    FILE *out = open_it(copy, O_WRONLY | O_CREAT | O_EXCL, "w");
    if (!out)
        return;
    rewind(in);
    for (ssize_t len; (len = getline(&line, &room, in)) != -1;)
        if (n++ >= first)
            fwrite(line, 1, (size_t)len, out);
    free(line);
    bool written = !ferror(out) && fflush(out) == 0;
    if (fclose(out) != 0 || !written || rename(copy, path) != 0)
        unlink(copy);
}

void kc_history_load(void (*fn)(const char *line))
{
    char path[PATH_MAX];
    FILE *f = file_name(path) ? open_it(path, O_RDONLY, "r") : NULL;
    if (!f)
        return;
    char *line = NULL;
    size_t room = 0, lines = 0;
    while (getline(&line, &room, f) != -1)
        lines++;
    size_t first = lines > KC_HISTORY_MOST ? lines - KC_HISTORY_MOST : 0;
    rewind(f);
    for (size_t n = 0; getline(&line, &room, f) != -1; n++) {
        line[strcspn(line, "\n")] = '\0';
        if (n >= first)
            fn(line);
    }
    free(line);
    if (first > 0)
        shorten(f, path, first);
    fclose(f);
}

void kc_history_add(const char *line)
{
    char path[PATH_MAX];
    if (strpbrk(line, "\n\r") || kc_secrets_likely(line) || !file_name(path))
        return;
    make_folders(path);
    FILE *f = open_it(path, O_WRONLY | O_APPEND | O_CREAT, "a");
    if (!f)
        return;
    (void)fchmod(fileno(f), MODE); /* an older one may have been open to all */
    fprintf(f, "%s\n", line);
    fclose(f);
}
