/* secrets.c -- see secrets.h. */
#include "host/secrets.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "util/secret.h"

enum {
    LONG_PIECE =
        16,       /* letters and digits in one go: no word, no model's name */
    LONG_KEY = 16 /* with a prefix that only keys have */
};

/* -- what is known ------------------------------------------------------- */

static int hide_value(const char *variable, struct kc_buf *out)
{
    const char *value = strchr(variable, '=');
    const char *name = strstr(variable, "_API_KEY");
    struct kc_secret *s;
    if (!value || !name || name > value)
        return KC_OK;
    int err = kc_secret_new(value + 1, strlen(value + 1), &s);
    if (err != KC_OK)
        return err == KC_ENOMEM ? err : KC_OK; /* it is no key */
    err = kc_secret_redact(s, out);
    kc_secret_free(s);
    return err;
}

int kc_secrets_hide(const char *text, struct kc_buf *out)
{
    kc_buf_init(out, strlen(text)); /* what stands for a key is no longer */
    int err = kc_buf_addstr(out, text);
    for (char **v = environ; v && *v && err == KC_OK; v++)
        err = hide_value(*v, out);
    return err;
}

void kc_secrets_push_hidden(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "keycycle.entry") != LUA_TTABLE) {
        lua_pop(L, 2);
        return; /* the library is not used */
    }
    lua_getfield(L, -1, "hide_keys");
    lua_pushvalue(L, -4);
    lua_call(L, 1, 1);
    lua_replace(L, -4);
    lua_pop(L, 2);
}

/* -- what looks like one ------------------------------------------------- */

static bool has_word(const char *line, const char *word)
{
    return strcasestr(line, word) != NULL;
}

static bool has_prefixed(const char *line)
{
    static const char *const prefixes[] = {"sk-",  "gsk_", "csk-",  "xai-",
                                           "AIza", "pplx", "nvapi", "hf_",
                                           "tgp_", "r8_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const char *at = line;
        while ((at = strstr(at, prefixes[i])) != NULL) {
            size_t n = 0;
            while (isalnum((unsigned char)at[n]) || at[n] == '-' ||
                   at[n] == '_')
                n++;
            if (n >= LONG_KEY)
                return true;
            at++;
        }
    }
    return false;
}

/* A long run of letters and digits, both; or one in the form of a UUID. */
static bool has_random(const char *line)
{
    size_t n = 0;
    bool letter = false, digit = false;
    for (const char *p = line;; p++) {
        if (isalnum((unsigned char)*p)) {
            n++;
            letter = letter || isalpha((unsigned char)*p);
            digit = digit || isdigit((unsigned char)*p);
            continue;
        }
        if (n >= LONG_PIECE && letter && digit)
            return true;
        if (n == 8 && strlen(p) >= 28 && p[0] == '-' && p[5] == '-' &&
            p[10] == '-' && p[15] == '-')
            return true;
        n = 0;
        letter = digit = false;
        if (*p == '\0')
            return false;
    }
}

static bool has_known(const char *line)
{
    struct kc_buf hidden;
    bool known = kc_secrets_hide(line, &hidden) != KC_OK ||
                 strcmp(kc_buf_str(&hidden), line) != 0;
    kc_buf_deinit(&hidden);
    return known;
}

bool kc_secrets_likely(const char *line)
{
    static const char *const words[] = {"api_key", "apikey",   "api-key",
                                        "secret",  "password", "bearer "};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (has_word(line, words[i]) && strpbrk(line, "'\"["))
            return true;
    return has_prefixed(line) || has_random(line) || has_known(line);
}
