/* options.c -- see options.h. */
#include "host/options.h"

#include <stddef.h>
#include <string.h>

#include "host/nearest.h"

/* Up to ENV they take a value. */
enum which { CODE, LUA, ENV, PROMPT, HERE, VERSION, HELP, END, UNKNOWN };

static const struct {
    const char *name; /* without its dashes */
    enum which which;
} known[] = {
    {"e", CODE},    {"lua", LUA},   {"env", ENV},
    {"i", PROMPT},  {"here", HERE}, {"version", VERSION},
    {"v", VERSION}, {"help", HELP}, {"h", HELP},
};
enum { N_KNOWN = sizeof known / sizeof known[0] };

static bool takes_value(enum which which)
{
    return which <= ENV;
}

static const char usage[] =
    "usage: keycycle [options] FILE.lua [arguments]     run a script\n"
    "       keycycle [options] COMMAND [arguments]      run a command\n"
    "       keycycle [options] -                        run standard input\n"
    "options:\n"
    "  -e CODE         run CODE first; may be given again\n"
    "  -i              a prompt: reads and runs lines, after CODE and FILE\n"
    "  --env FILE      read keys from FILE instead of .env\n"
    "  --here          trust the folder ./.keycycle, too\n"
    "  --lua DIR       read the Lua library from DIR (trusted)\n"
    "  -v, --version   print the version\n"
    "  -h, --help      print this\n"
    "  --              what follows is no option\n";

#define TRY_HELP "keycycle --help says how it is used\n"

void kc_options_usage(FILE *out)
{
    fputs(usage, out);
}

static void complain(const char *option)
{
    const char *best = NULL, *word = option + 1 + (option[1] == '-');
    int least = kc_nearest_limit(word);
    fprintf(stderr, "keycycle: unknown option %s", option);
    for (size_t i = 0; i < N_KNOWN; i++) {
        int d = kc_nearest_distance(word, known[i].name);
        if (known[i].name[1] && d <= least) {
            best = known[i].name;
            least = d - 1;
        }
    }
    if (best)
        fprintf(stderr, ": is --%s meant?", best);
    fputs("\n" TRY_HELP, stderr);
}

/* What argv[*i] is; moves *i to the last word of it, and sets *value. */
static enum which next(char **argv, int *i, const char **value)
{
    const char *a = argv[*i];
    size_t dashes = a[1] == '-' ? 2 : 1;
    *value = NULL;
    if (strcmp(a, "--") == 0)
        return END;
    for (size_t k = 0; k < N_KNOWN; k++) {
        size_t len = strlen(known[k].name);
        const char *rest = a + dashes + len;
        bool is_long = len > 1;
        if (is_long != (dashes == 2) ||
            strncmp(a + dashes, known[k].name, len) != 0)
            continue;
        if (*rest == '\0') {
            if (takes_value(known[k].which) && argv[*i + 1])
                *value = argv[++*i];
            return known[k].which;
        }
        if (!takes_value(known[k].which) || (is_long && *rest != '='))
            continue;
        *value = rest + is_long; /* --env=FILE, -eCODE */
        return known[k].which;
    }
    return UNKNOWN;
}

static bool take(struct kc_options *o, enum which which, const char *value)
{
    switch (which) {
    case CODE:
        o->code = true;
        break;
    case LUA:
        o->lua_dir = value;
        break;
    case ENV:
        o->env = value;
        break;
    case PROMPT:
        o->prompt = true;
        break;
    case HERE:
        o->here = true;
        break;
    case VERSION:
        o->version = true;
        break;
    case HELP:
        o->help = true;
        break;
    default:
        return false;
    }
    return true;
}

bool kc_options_read(struct kc_options *o, char **argv)
{
    int i = 1;
    for (; argv[i] && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *name = argv[i], *value;
        enum which which = next(argv, &i, &value);
        if (which == END) {
            i++;
            break;
        }
        if (takes_value(which) && !value) {
            fprintf(stderr, "keycycle: %s needs a value\n" TRY_HELP, name);
            return false;
        }
        if (!take(o, which, value)) {
            complain(name);
            return false;
        }
    }
    o->script = argv[i] ? i : 0;
    if (o->script || o->code || o->prompt || o->version || o->help)
        return true;
    kc_options_usage(stderr);
    return false;
}

const char *kc_options_code(const struct kc_options *o, char **argv, int *i)
{
    while (argv[*i] && (o->script == 0 || *i < o->script)) {
        const char *value;
        enum which which = next(argv, i, &value);
        if (which == END)
            return NULL;
        ++*i;
        if (which == CODE)
            return value;
    }
    return NULL;
}
