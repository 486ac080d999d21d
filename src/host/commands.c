/* commands.c -- see commands.h. */
#include "host/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "lua/core.h"
#include "util/embed.h"

#define MAX_PATH 4096

static int load_built_in(lua_State *L, const char *name)
{
    char file[128], chunk[192];
    if (snprintf(file, sizeof file, "%s.lua", name) >= (int)sizeof file)
        return -1;
    for (const struct kc_text *t = kc_scripts; t->name; t++) {
        if (strcmp(t->name, file) != 0)
            continue;
        snprintf(chunk, sizeof chunk, "@keycycle/scripts/%s", t->name);
        return lk_load_embedded(L, t, chunk);
    }
    return -1;
}

static int load_from(lua_State *L, const char *dir, size_t len,
                     const char *name)
{
    char path[MAX_PATH];
    int n =
        snprintf(path, sizeof path, "%.*s/scripts/%s.lua", (int)len, dir, name);
    if (len == 0 || n < 0 || n >= (int)sizeof path || access(path, R_OK) != 0)
        return -1;
    return luaL_loadfilex(L, path, "t");
}

static int load_from_config(lua_State *L, const char *name)
{
    char dir[MAX_PATH];
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (xdg && *xdg)
        snprintf(dir, sizeof dir, "%s/keycycle", xdg);
    else if (home && *home)
        snprintf(dir, sizeof dir, "%s/.config/keycycle", home);
    else
        return -1;
    return load_from(L, dir, strlen(dir), name);
}

int kc_command_load(lua_State *L, const char *name, bool here)
{
    if (strchr(name, '/'))
        return -1;
    int status = load_built_in(L, name);
    const char *path = getenv("KEYCYCLE_PATH");
    while (status == -1 && path && *path) {
        size_t len = strcspn(path, ":");
        status = load_from(L, path, len, name);
        path += len + (path[len] == ':');
    }
    if (status == -1)
        status = load_from_config(L, name);
    if (status == -1 && here)
        status = load_from(L, ".keycycle", strlen(".keycycle"), name);
    return status;
}

void kc_command_names(lua_State *L)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (const struct kc_text *t = kc_scripts; t->name; t++) {
        if (t != kc_scripts)
            luaL_addstring(&b, " ");
        luaL_addlstring(&b, t->name, strlen(t->name) - strlen(".lua"));
    }
    luaL_pushresult(&b);
}

void kc_command_describe(FILE *out)
{
    fputs("commands:\n", out);
    for (const struct kc_text *t = kc_scripts; t->name; t++) {
        int name = (int)(strlen(t->name) - strlen(".lua"));
        const char *said = strchr(t->first_line, ':');
        if (said)
            fprintf(out, "  %-10.*s %s\n", name, t->name, said + 2);
    }
}
