/* sse.c -- see sse.h. */
#include "net/sse.h"

#include <string.h>

static const char bom[] = "\xef\xbb\xbf";

void kc_sse_init(struct kc_sse *s, size_t max_bytes)
{
    *s = (struct kc_sse){0};
    kc_buf_init(&s->line, max_bytes);
    kc_buf_init(&s->data, max_bytes);
    kc_buf_init(&s->type, 1024);
}

void kc_sse_deinit(struct kc_sse *s)
{
    kc_buf_deinit(&s->line);
    kc_buf_deinit(&s->data);
    kc_buf_deinit(&s->type);
}

static int dispatch(struct kc_sse *s, kc_sse_fn *fn, void *ctx)
{
    int err = KC_OK;
    if (s->have_data) {
        struct kc_sse_event event = {
            .type = s->type.len ? kc_buf_str(&s->type) : "message",
            .data = kc_buf_str(&s->data),
            .len = s->data.len,
        };
        err = fn(ctx, &event);
    }
    s->have_data = false;
    kc_buf_clear(&s->data);
    kc_buf_clear(&s->type);
    return err;
}

static int field(struct kc_sse *s, const char *name, size_t name_len,
                 const char *value, size_t len)
{
    int err = KC_OK;
    if (name_len == 4 && memcmp(name, "data", 4) == 0) {
        if (s->have_data)
            err = kc_buf_addch(&s->data, '\n');
        s->have_data = true;
        return err == KC_OK ? kc_buf_add(&s->data, value, len) : err;
    }
    if (name_len == 5 && memcmp(name, "event", 5) == 0) {
        kc_buf_clear(&s->type);
        return kc_buf_add(&s->type, value, len);
    }
    return KC_OK; /* id and retry are for browsers that reconnect */
}

static bool is_blank(const char *line, size_t len)
{
    return strspn(line, " \t") == len;
}

/* NDJSON: the line is the event. */
static int whole_line(struct kc_sse *s, kc_sse_fn *fn, void *ctx)
{
    struct kc_sse_event event = {.type = "message",
                                 .data = kc_buf_str(&s->line),
                                 .len = s->line.len};
    int err = KC_OK;
    if (!is_blank(event.data, event.len))
        err = fn(ctx, &event);
    kc_buf_clear(&s->line);
    return err;
}

static int end_line(struct kc_sse *s, kc_sse_fn *fn, void *ctx)
{
    if (s->lines)
        return whole_line(s, fn, ctx);
    const char *line = kc_buf_str(&s->line);
    size_t len = s->line.len;
    int err;
    if (len == 0)
        return dispatch(s, fn, ctx);
    const char *colon = memchr(line, ':', len);
    if (colon == line) {
        err = KC_OK; /* a comment */
    } else if (!colon) {
        err = field(s, line, len, "", 0);
    } else {
        const char *value = colon + 1;
        if (value < line + len && *value == ' ')
            value++;
        err = field(s, line, (size_t)(colon - line), value,
                    (size_t)(line + len - value));
    }
    kc_buf_clear(&s->line);
    return err;
}

/* Bytes of a BOM are held back until they are one, or plain text. */
static int past_bom(struct kc_sse *s, const char **p, const char *end)
{
    while (s->bom < 3 && *p < end) {
        if (**p == bom[s->bom]) {
            s->bom++;
            (*p)++;
            continue;
        }
        int err = kc_buf_add(&s->line, bom, s->bom);
        s->bom = 3;
        return err;
    }
    return KC_OK;
}

int kc_sse_feed(struct kc_sse *s, const void *bytes, size_t n, kc_sse_fn *fn,
                void *ctx)
{
    const char *p = bytes, *end = p + n;
    int err = past_bom(s, &p, end);
    while (err == KC_OK && p < end) {
        if (s->after_cr && *p == '\n') {
            s->after_cr = false;
            p++;
            continue;
        }
        s->after_cr = false;
        size_t run = 0;
        while (p + run < end && p[run] != '\n' && p[run] != '\r')
            run++;
        err = kc_buf_add(&s->line, p, run);
        p += run;
        if (err == KC_OK && p < end) {
            s->after_cr = *p++ == '\r';
            err = end_line(s, fn, ctx);
        }
    }
    return err;
}

int kc_sse_finish(struct kc_sse *s, kc_sse_fn *fn, void *ctx)
{
    int err = KC_OK;
    if (s->line.len > 0)
        err = end_line(s, fn, ctx);
    return err == KC_OK ? dispatch(s, fn, ctx) : err;
}
