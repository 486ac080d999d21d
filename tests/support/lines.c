/* lines.c -- which lines of the library's Lua were run, for `make coverage`.
 *
 * Preloaded into programs that link liblua: a hook on each state that opens the
 * standard libraries, and on its coroutines. At the end the lines are added to
 * the folder that KEYCYCLE_LINES names, in a file of the process's own. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lua.h>
#include <lualib.h>

/* Other programs that a test starts have it loaded, too, and no Lua. */
#pragma weak lua_getinfo
#pragma weak lua_sethook

#define LIBRARY "@keycycle/"
#define MAX_CHUNKS 1024
#define MAX_LINES 1024
#define SEEN 512 /* a power of two; MariaDB's timer has a stack of 64 KiB */

struct chunk {
    char name[128];
    unsigned char lines[MAX_LINES];
};

static struct chunk *chunks[MAX_CHUNKS]; /* filled from the front, kept */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Sources that were looked up, by address: a text may be freed, and another one
 * come to lie there, so the name is compared, too. */
static __thread struct {
    const char *source;
    struct chunk *chunk;
} seen[SEEN];

static struct chunk *find(const char *name)
{
    struct chunk *found = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAX_CHUNKS && !found; i++) {
        if (!chunks[i]) {
            chunks[i] = calloc(1, sizeof *chunks[i]);
            if (!chunks[i])
                abort();
            snprintf(chunks[i]->name, sizeof chunks[i]->name, "%s", name);
        }
        if (strcmp(chunks[i]->name, name) == 0)
            found = chunks[i];
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void on_line(lua_State *L, lua_Debug *ar)
{
    lua_getinfo(L, "S", ar);
    if (strncmp(ar->source, LIBRARY, sizeof LIBRARY - 1) != 0)
        return;
    const char *name = ar->source + 1;
    size_t at = ((size_t)ar->source >> 4) & (SEEN - 1);
    if (seen[at].source != ar->source || !seen[at].chunk ||
        strcmp(seen[at].chunk->name, name) != 0) {
        seen[at].source = ar->source;
        seen[at].chunk = find(name);
    }
    if (seen[at].chunk && ar->currentline > 0 && ar->currentline < MAX_LINES)
        seen[at].chunk->lines[ar->currentline] = 1;
}

void luaL_openlibs(lua_State *L)
{
    void (*real)(lua_State *);
    *(void **)&real = dlsym(RTLD_NEXT, "luaL_openlibs");
    real(L);
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
}

__attribute__((destructor)) static void write_lines(void)
{
    const char *dir = getenv("KEYCYCLE_LINES");
    char path[4096];
    if (!dir || !chunks[0])
        return;
    snprintf(path, sizeof path, "%s/%ld", dir, (long)getpid());
    FILE *out = fopen(path, "a"); /* a pid may come again */
    for (int i = 0; out && i < MAX_CHUNKS && chunks[i]; i++) {
        for (int line = 1; line < MAX_LINES; line++) {
            if (chunks[i]->lines[line])
                fprintf(out, "%s:%d\n", chunks[i]->name, line);
        }
    }
    if (out)
        fclose(out);
}
