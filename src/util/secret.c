/* secret.c -- a key's text, its printer and its black pen. */
#include "util/secret.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/ascii.h"
#include "util/sha256.h"

#define PIECE 8 /* a piece of a key this long is as good as a leak */
#define STARS "***"
#define STARS_LEN 3

static const char prefix[] = "keycycle:"; /* of what is hashed */
#define PREFIX (sizeof prefix - 1)

struct kc_secret {
    size_t len;
    const char *text; /* past the prefix */
    char hashed[];    /* prefix and key: to hash them needs no memory */
};

int kc_secret_new(const char *text, size_t len, struct kc_secret **out)
{
    *out = NULL;
    if (len == 0 || len > 64 * 1024)
        return KC_EINVALID;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return KC_EINVALID;
    struct kc_secret *s = malloc(sizeof *s + PREFIX + len + 1);
    if (!s)
        return KC_ENOMEM;
    s->len = len;
    s->text = s->hashed + PREFIX;
    memcpy(s->hashed, prefix, PREFIX);
    memcpy(s->hashed + PREFIX, text, len);
    s->hashed[PREFIX + len] = '\0';
    *out = s;
    return KC_OK;
}

void kc_secret_free(struct kc_secret *s)
{
    if (!s)
        return;
    explicit_bzero(s->hashed, PREFIX + s->len);
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
    uint8_t digest[32];
    kc_sha256(s->hashed, PREFIX + s->len, digest);
    for (int i = 0; i < 16; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[32] = '\0';
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

/* The pairs of neighbouring bytes in a key, one bit each, some of them the same
 * one: nearly every place of a text is passed by on a look at this. */
struct pairs {
    uint64_t bits[128];
};

/* Of letters and digits the low five bits tell most. */
static unsigned pair_at(const char *p)
{
    return ((unsigned)(unsigned char)p[0] << 5 ^ (unsigned char)p[1]) % 8192;
}

static void note_pairs(struct pairs *pairs, const struct kc_secret *s)
{
    memset(pairs, 0, sizeof *pairs);
    for (size_t i = 0; i + 1 < s->len; i++) {
        unsigned pair = pair_at(s->text + i);
        pairs->bits[pair / 64] |= (uint64_t)1 << pair % 64;
    }
}

static bool has_pair(const struct pairs *pairs, const char *p)
{
    unsigned pair = pair_at(p);
    return pairs->bits[pair / 64] >> pair % 64 & 1;
}

/* The longest piece of the key that `p` starts with, if it must go. */
static size_t piece_at(const struct kc_secret *s, const char *p,
                       const char *end, const struct pairs *pairs)
{
    const char *key_end = s->text + s->len;
    size_t best = 0;
    if (end - p < 2 || !has_pair(pairs, p))
        return 0;
    size_t head = common(p, end, s->text, key_end);
    if (head >= 3 && mask_at(p + head, end) > 0)
        best = head;
    if (end - p < PIECE || !has_pair(pairs, p + 2) || !has_pair(pairs, p + 4) ||
        !has_pair(pairs, p + PIECE - 2))
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

/* A key too short to have pieces goes only where it stands alone. */
static size_t whole_at(const struct kc_secret *s, const char *p,
                       const char *end, char before)
{
    if (s->len < 3 || (size_t)(end - p) < s->len ||
        memcmp(p, s->text, s->len) != 0 || kc_is_alnum(before))
        return 0;
    const char *next = p + s->len;
    return next < end && kc_is_alnum(*next) ? 0 : s->len;
}

/* In place: what is replaced is never shorter than the stars, so that this
 * needs no memory and cannot fail half-way. */
int kc_secret_redact(const struct kc_secret *s, struct kc_buf *text)
{
    if (text->len == 0)
        return KC_OK;
    struct pairs pairs;
    note_pairs(&pairs, s);
    const char *p = text->data, *end = p + text->len;
    char *to = text->data, before = '\0';
    while (p < end) {
        size_t n = s->len < PIECE ? whole_at(s, p, end, before)
                                  : piece_at(s, p, end, &pairs);
        before = p[n ? n - 1 : 0];
        if (n == 0) {
            *to++ = *p++;
            continue;
        }
        memcpy(to, STARS, STARS_LEN);
        to += STARS_LEN;
        p += n;
    }
    if (to < end)
        explicit_bzero(to, (size_t)(end - to));
    text->len = (size_t)(to - text->data);
    return KC_OK;
}
