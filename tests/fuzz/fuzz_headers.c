/* Whatever is added, no name or value that is kept can end a header line. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "net/headers.h"

static void check(const struct kc_headers *h)
{
    for (size_t i = 0; i < h->len; i++) {
        const struct kc_header *f = &h->list[i];
        if (!*f->name || strpbrk(f->name, " \t\r\n:ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
            abort();
        if (strpbrk(f->value, "\r\n"))
            abort();
        if (!kc_headers_get(h, f->name))
            abort();
    }
}

/* Lines of "name: value". */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);
    if (!text)
        return 0;
    struct kc_headers h;
    kc_headers_init(&h);
    char *rest = text;
    for (int i = 0; rest; i++) {
        char *name = strsep(&rest, "\n");
        char *value = strchr(name, ':');
        if (value)
            *value++ = '\0';
        size_t before = h.len;
        int err = i % 2 ? kc_headers_set(&h, name, value ? value : "")
                        : kc_headers_add(&h, name, value ? value : "");
        if (err && h.len != before)
            abort();
    }
    check(&h);
    kc_headers_deinit(&h);
    free(text);
    return 0;
}
