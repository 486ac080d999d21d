/* template.c -- see template.h. */
#include "runtime/template.h"

#include <string.h>

#include "net/url.h"

#define NAME_MAX_LEN 64

static int value_of(const struct kc_template *t, const char *name,
                    struct kc_buf *value)
{
    if (strcmp(name, "api_key") != 0)
        return kc_pool_key_param(t->pool, t->key, name, value);
    if (!t->secret)
        return KC_ENOTFOUND;
    return kc_pool_key_secret(t->pool, t->key, value);
}

static int add_value(const struct kc_template *t, const char *name,
                     struct kc_buf *out)
{
    struct kc_buf value;
    kc_buf_init(&value, 64 * 1024);
    int err = value_of(t, name, &value);
    if (err == KC_OK)
        err = t->escape ? kc_url_escape(out, kc_buf_str(&value))
                        : kc_buf_add(out, kc_buf_str(&value), value.len);
    kc_buf_wipe(&value);
    return err;
}

int kc_template_fill(const struct kc_template *t, const char *text,
                     struct kc_buf *out)
{
    while (*text) {
        size_t plain = strcspn(text, "{");
        int err = kc_buf_add(out, text, plain);
        text += plain;
        if (err != KC_OK || !*text)
            return err;
        size_t len = strcspn(text + 1, "{}");
        err = KC_ENOTFOUND;
        if (t->pool && text[1 + len] == '}' && len > 0 && len < NAME_MAX_LEN) {
            char name[NAME_MAX_LEN];
            memcpy(name, text + 1, len);
            name[len] = '\0';
            err = add_value(t, name, out);
        }
        if (err == KC_OK) {
            text += len + 2;
        } else if (err == KC_ENOTFOUND) {
            err = kc_buf_addch(out, *text++);
        }
        if (err != KC_OK)
            return err;
    }
    return KC_OK;
}
