/* txt2c.c -- build tool: Lua files to a sorted C table of embed.h's kind.
 *
 * usage: txt2c [-l] ARRAY PREFIX FILE... > out.c
 *        txt2c -s FILE > stripped.lua
 *
 * Names lose PREFIX. A text is what Lua sees of the file: comments and
 * indentation are gone, line ends stay, so that every line keeps its number
 * (-s shows it). It is packed as a block of the LZ4 format. With -l the
 * first line stands in the table as it is.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *path, const char *why)
{
    fprintf(stderr, "txt2c: %s: %s\n", path, why);
    exit(1);
}

static void *allocate(size_t size)
{
    void *p = calloc(size ? size : 1, 1);
    if (!p)
        fail("memory", "there is none left");
    return p;
}

/* The whole file with a NUL behind it. */
static char *read_file(const char *path, size_t *len)
{
    FILE *in = fopen(path, "rb");
    long size = -1;
    if (in && fseek(in, 0, SEEK_END) == 0)
        size = ftell(in);
    if (size < 0) {
        perror(path);
        exit(1);
    }
    rewind(in);
    char *text = allocate((size_t)size + 1);
    *len = fread(text, 1, (size_t)size, in);
    if (*len != (size_t)size)
        fail(path, "it cannot be read whole");
    fclose(in);
    /* Lua ends lines at them, too; and a NUL would end our walk. */
    if (strlen(text) != *len || strchr(text, '\r'))
        fail(path, "it has a NUL or a carriage return");
    return text;
}

/* -- what Lua does not need ---------------------------------------------- */

/* The end of a long bracket that begins at `s`; NULL where none begins. */
static const char *long_end(const char *s, const char *path)
{
    const char *p = s + 1;
    if (*s != '[')
        return NULL;
    size_t level = strspn(p, "=");
    if (p[level] != '[')
        return NULL;
    for (p = strchr(p, ']'); p; p = strchr(p + 1, ']')) {
        if (strspn(p + 1, "=") == level && p[1 + level] == ']')
            return p + level + 2;
    }
    fail(path, "a long bracket does not end");
    return NULL;
}

static const char *quoted_end(const char *s, const char *path)
{
    const char *p = s + 1;
    while (*p && *p != *s)
        p += *p == '\\' && p[1] ? 2 : 1;
    if (!*p)
        fail(path, "a string does not end");
    return p + 1;
}

/* The end of the comment that begins at `s`: a short one's line end is not
 * part of it. */
static const char *comment_end(const char *s, const char *path)
{
    const char *end = long_end(s + 2, path);
    return end ? end : s + strcspn(s, "\n");
}

/* Strips `text` in place: outside of strings a run of blanks and comments is
 * one blank, or as many line ends as it had. */
static size_t strip(char *text, const char *path)
{
    const char *in = text;
    char *out = text;
    bool blank = false; /* one is due, unless a line ends here */
    while (*in) {
        const char *end = in + 1;
        if (in[0] == '-' && in[1] == '-') {
            end = comment_end(in, path);
            blank = true;
            for (; in < end; in++) {
                if (*in == '\n')
                    *out++ = '\n';
            }
            continue;
        }
        if (*in == ' ' || *in == '\t') {
            blank = true;
            in++;
            continue;
        }
        if (*in == '"' || *in == '\'')
            end = quoted_end(in, path);
        else if (*in == '[' && long_end(in, path))
            end = long_end(in, path);
        if (blank && *in != '\n' && out > text && out[-1] != '\n')
            *out++ = ' ';
        blank = false;
        memmove(out, in, (size_t)(end - in));
        out += end - in;
        in = end;
    }
    *out = '\0';
    return (size_t)(out - text);
}

/* -- LZ4's block format: lz4_Block_format.md of its authors ---------------- */

enum {
    SHORTEST = 4,     /* match */
    FARTHEST = 65535, /* it may lie back */
    LAST_MATCH = 12,  /* none begins nearer to the end than this, */
    LAST_PLAIN = 5,   /* or covers the last bytes */
    SLOTS = 1 << 12
};

struct packer {
    const unsigned char *text;
    size_t len;
    long first[SLOTS]; /* the last place with that hash; -1: none */
    long *before;      /* for each place, the one before with its hash */
    unsigned char *out;
    size_t size;
};

static unsigned slot(const unsigned char *p)
{
    unsigned four = p[0] | (unsigned)p[1] << 8 | (unsigned)p[2] << 16 |
                    (unsigned)p[3] << 24;
    return four * 2654435761u >> 20;
}

static void note(struct packer *p, size_t at)
{
    if (at + SHORTEST > p->len)
        return;
    unsigned s = slot(p->text + at);
    p->before[at] = p->first[s];
    p->first[s] = (long)at;
}

/* The longest match of what stands at `at`, which is not noted yet; its length,
 * 0 for none. */
static size_t find(const struct packer *p, size_t at, size_t *offset)
{
    size_t best = SHORTEST - 1;
    if (at + LAST_MATCH > p->len)
        return 0;
    size_t most = p->len - LAST_PLAIN - at;
    for (long from = p->first[slot(p->text + at)]; from >= 0;
         from = p->before[from]) {
        if (at - (size_t)from > FARTHEST)
            break;
        size_t n = 0;
        while (n < most && p->text[(size_t)from + n] == p->text[at + n])
            n++;
        if (n > best) {
            best = n;
            *offset = at - (size_t)from;
        }
    }
    return best >= SHORTEST ? best : 0;
}

static void put(struct packer *p, size_t byte)
{
    p->out[p->size++] = (unsigned char)byte;
}

/* What of a length its four bits in the token do not hold. */
static void put_rest(struct packer *p, size_t n)
{
    if (n < 15)
        return;
    for (n -= 15; n >= 255; n -= 255)
        put(p, 255);
    put(p, n);
}

/* `plain` bytes from `from`, then a match; the block's last has no match. */
static void put_sequence(struct packer *p, size_t from, size_t plain,
                         size_t match, size_t offset)
{
    size_t more = match ? match - SHORTEST : 0;
    put(p, (plain < 15 ? plain : 15) << 4 | (more < 15 ? more : 15));
    put_rest(p, plain);
    memcpy(p->out + p->size, p->text + from, plain);
    p->size += plain;
    if (!match)
        return;
    put(p, offset & 255);
    put(p, offset >> 8);
    put_rest(p, more);
}

/* Packs p->text. A match waits for the next one if that is longer. */
static void pack(struct packer *p)
{
    size_t plain = 0, at = 0, offset = 0, next = 0;
    while (at < p->len) {
        size_t match = find(p, at, &offset);
        note(p, at);
        if (!match || (at + 1 < p->len && find(p, at + 1, &next) > match)) {
            at++;
            continue;
        }
        put_sequence(p, plain, at - plain, match, offset);
        for (size_t i = 1; i < match; i++)
            note(p, at + i);
        at += match;
        plain = at;
    }
    put_sequence(p, plain, p->len - plain, 0, 0);
}

/* -- the table ----------------------------------------------------------- */

/* A copy of the first line. */
static char *take_first_line(const char *text)
{
    size_t len = strcspn(text, "\n");
    char *line = allocate(len + 1);
    memcpy(line, text, len);
    return line;
}

static void write_string(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\' || *s == '?')
            putchar('\\');
        putchar(*s);
    }
    putchar('"');
}

struct entry {
    const char *path;
    char *first_line; /* or NULL */
    size_t len, size;
};

/* The packed text as an array, not a string literal, which C11 bounds at 4,095
 * characters. */
static void write_text(struct entry *e, int number, bool keep_line)
{
    char *text = read_file(e->path, &e->len);
    e->first_line = keep_line ? take_first_line(text) : NULL;
    e->len = strip(text, e->path);
    struct packer p = {.text = (unsigned char *)text, .len = e->len};
    memset(p.first, -1, sizeof p.first);
    p.before = allocate(e->len * sizeof *p.before);
    p.out = allocate(e->len + e->len / 255 + 16);
    pack(&p);
    e->size = p.size;
    printf("static const unsigned char text%d[] = {", number);
    for (size_t i = 0; i < p.size; i++)
        printf("%s%d,", i % 20 ? "" : "\n", p.out[i]);
    printf("\n};\n\n");
    free(p.out);
    free(p.before);
    free(text);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->path,
                  ((const struct entry *)b)->path);
}

static void write_table(char **argv, int n, bool keep_line)
{
    const char *array = argv[0], *prefix = argv[1];
    struct entry *entries = allocate((size_t)n * sizeof *entries);
    for (int i = 0; i < n; i++)
        entries[i].path = argv[2 + i];
    qsort(entries, (size_t)n, sizeof *entries, by_path);
    printf("/* made by txt2c */\n#include \"util/embed.h\"\n\n");
    for (int i = 0; i < n; i++)
        write_text(&entries[i], i, keep_line);
    printf("const struct kc_text %s[] = {\n", array);
    for (int i = 0; i < n; i++) {
        const struct entry *e = &entries[i];
        const char *name = e->path;
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            name += strlen(prefix);
        printf("    {\"%s\", ", name);
        if (e->first_line)
            write_string(e->first_line);
        else
            printf("0");
        printf(", text%d, %zu, %zu},\n", i, e->size, e->len);
        free(e->first_line);
    }
    printf("    {0, 0, 0, 0, 0},\n};\n");
    free(entries);
}

int main(int argc, char **argv)
{
    const char *option = argc > 1 && argv[1][0] == '-' ? argv[1] : "";
    int first = *option ? 2 : 1;
    if (strcmp(option, "-s") == 0 && argc == 3) {
        size_t len;
        char *text = read_file(argv[2], &len);
        strip(text, argv[2]);
        fputs(text, stdout);
        free(text);
    } else if ((!*option || strcmp(option, "-l") == 0) && argc >= first + 2) {
        write_table(argv + first, argc - first - 2, option[0] == '-');
    } else {
        fprintf(stderr, "usage: txt2c [-l] ARRAY PREFIX FILE...\n"
                        "       txt2c -s FILE\n");
        return 2;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
