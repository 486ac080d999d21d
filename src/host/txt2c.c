/* txt2c.c -- build tool: text files to a sorted C table of embed.h's kind.
 *
 * usage: txt2c ARRAY PREFIX FILE… > out.c
 *
 * Names lose PREFIX. Each text is an array of bytes, not a string literal,
 * which C11 bounds at 4,095 characters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int write_bytes(const char *path, int number)
{
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        return 1;
    }
    printf("static const char text%d[] = {", number);
    int c, column = 0;
    while ((c = getc(in)) != EOF)
        printf("%s%d,", column++ % 20 ? "" : "\n", c < 128 ? c : c - 256);
    printf("\n0};\n\n");
    int failed = ferror(in);
    fclose(in);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: txt2c ARRAY PREFIX FILE...\n");
        return 2;
    }
    const char *array = argv[1], *prefix = argv[2];
    char **files = argv + 3;
    int n = argc - 3;
    qsort(files, (size_t)n, sizeof *files, by_name);
    printf("/* made by txt2c */\n#include \"util/embed.h\"\n\n");
    for (int i = 0; i < n; i++)
        if (write_bytes(files[i], i))
            return 1;
    printf("const struct kc_text %s[] = {\n", array);
    for (int i = 0; i < n; i++) {
        const char *name = files[i];
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            name += strlen(prefix);
        printf("    {\"%s\", text%d, sizeof text%d - 1},\n", name, i, i);
    }
    printf("    {0, 0, 0},\n};\n");
    return fflush(stdout) == 0 ? 0 : 1;
}
