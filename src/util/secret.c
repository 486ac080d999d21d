/* secret.c -- a key's text, its printer and its black pen. */
#include "util/secret.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/sha256.h"

#define PIECE 8 /* a piece of a key this long is as good as a leak */
#define STARS "***"

struct kc_secret {
    size_t len;
    char text[];
};

int kc_secret_new(const char *text, size_t len, struct kc_secret **out)
{
    *out = NULL;
    if (len == 0 || len > 64 * 1024)
        return KC_EINVALID;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return KC_EINVALID;
    struct kc_secret *s = malloc(sizeof *s + len + 1);
    if (!s)
        return KC_ENOMEM;
    s->len = len;
    memcpy(s->text, text, len);
    s->text[len] = '\0';
    *out = s;
    return KC_OK;
}

void kc_secret_free(struct kc_secret *s)
{
    if (!s)
        return;
    explicit_bzero(s->text, s->len);
    free(s);
}

const char *kc_secret_get(const struct kc_secret *s)
{
    return s->text;
}

size_t kc_secret_len(const struct kc_secret *s)
{
    return s->len;
}

void kc_secret_suffix(const struct kc_secret *s, char out[KC_SUFFIX_MAX])
{
    size_t n = s->len >= 20 ? 6 : s->len >= 12 ? 4 : s->len >= 8 ? 2 : 0;
    memcpy(out, s->text + s->len - n, n);
    out[n] = '\0';
}

void kc_secret_hash(const struct kc_secret *s, char out[33])
{
    static const char prefix[] = "keycycle:";
    uint8_t digest[32];
    struct kc_buf text;
    kc_buf_init(&text, s->len + sizeof prefix);
    memset(out, '0', 32);
    out[32] = '\0';
    if (kc_buf_addstr(&text, prefix) == KC_OK &&
        kc_buf_add(&text, s->text, s->len) == KC_OK) {
        kc_sha256(text.data, text.len, digest);
        for (int i = 0; i < 16; i++) {
            out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
            out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
        }
    }
    kc_buf_wipe(&text);
}

/* -- redaction ----------------------------------------------------------- */

/* How much of a mask starts here: stars, three dots, an ellipsis. */
static size_t mask_at(const char *p, const char *end)
{
    size_t left = (size_t)(end - p);
    if (left >= 1 && *p == '*')
        return 1;
    if (left >= 3 && memcmp(p, "...", 3) == 0)
        return 3;
    if (left >= 3 && memcmp(p, "\xe2\x80\xa6", 3) == 0)
        return 3;
    return 0;
}

static size_t common(const char *a, const char *a_end, const char *b,
                     const char *b_end)
{
    size_t n = 0;
    while (a + n < a_end && b + n < b_end && a[n] == b[n])
        n++;
    return n;
}

/* The longest piece of the key that `p` starts with, if it must go. `starts`
 * tells which bytes the key holds. */
static size_t piece_at(const struct kc_secret *s, const char *p,
                       const char *end, const bool *starts)
{
    const char *key_end = s->text + s->len;
    size_t best = 0;
    if (!starts[(unsigned char)*p])
        return 0;
    size_t head = common(p, end, s->text, key_end);
    if (head >= 3 && mask_at(p + head, end) > 0)
        best = head;
    if ((size_t)(end - p) < PIECE)
        return best;
    for (const char *q = s->text; q + PIECE <= key_end; q++) {
        if (*q != *p)
            continue;
        size_t n = common(p, end, q, key_end);
        if (n >= PIECE && n > best)
            best = n;
    }
    return best;
}

static bool word(const char *p, const char *start, const char *end)
{
    return p >= start && p < end && isalnum((unsigned char)*p);
}

/* A key too short to have pieces goes only where it stands alone. */
static size_t whole_at(const struct kc_secret *s, const char *p,
                       const char *start, const char *end)
{
    if (s->len < 3 || (size_t)(end - p) < s->len ||
        memcmp(p, s->text, s->len) != 0 || word(p - 1, start, end) ||
        word(p + s->len, start, end))
        return 0;
    return s->len;
}

int kc_secret_redact(const struct kc_secret *s, struct kc_buf *text)
{
    bool starts[256] = {false};
    for (size_t i = 0; i < s->len; i++)
        starts[(unsigned char)s->text[i]] = true;
    struct kc_buf out;
    kc_buf_init(&out, text->max);
    const char *start = kc_buf_str(text), *end = start + text->len;
    const char *kept = start;
    int err = KC_OK;
    for (const char *p = start; err == KC_OK && p < end;) {
        size_t n = s->len < PIECE ? whole_at(s, p, start, end)
                                  : piece_at(s, p, end, starts);
        if (n == 0) {
            p++;
            continue;
        }
        err = kc_buf_add(&out, kept, (size_t)(p - kept));
        if (err == KC_OK)
            err = kc_buf_addstr(&out, STARS);
        kept = p += n;
    }
    if (err == KC_OK && kept != start)
        err = kc_buf_add(&out, kept, (size_t)(end - kept));
    if (err == KC_OK && kept != start) {
        struct kc_buf old = *text;
        *text = out;
        out = old;
    }
    kc_buf_wipe(&out);
    return err;
}
