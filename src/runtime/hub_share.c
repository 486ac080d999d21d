/* hub_share.c -- hubs by name: the first publishes, the next ones compare. */
#include "runtime/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/hub_impl.h"
#include "runtime/registry.h"

/* The length keeps ("a", "b/c") from ("a/b", "c"). */
static char *full_name(const char *name, const char *provider)
{
    size_t size = strlen(name) + strlen(provider) + 32;
    char *text = malloc(size);
    if (text)
        snprintf(text, size, "%zu/%s/%s", strlen(name), name, provider);
    return text;
}

/* The two below run under the registry's lock. */
static int publish(struct kc_map *map, struct kc_hub *h, const char *name)
{
    h->name = strdup(name);
    if (!h->name)
        return KC_ENOMEM;
    int err = kc_map_set(map, name, h);
    if (err != KC_OK) {
        free(h->name);
        h->name = NULL;
        return err;
    }
    h->threads = true;
    h->members = 1;
    return KC_OK;
}

static int attach(struct kc_hub *there, struct kc_hub **hub)
{
    if (there->claims > 0 || !kc_pool_same(there->pool, (*hub)->pool))
        return KC_EDIFFERS;
    there->members++;
    *hub = kc_hub_ref(there);
    return KC_OK;
}

int kc_hub_share(struct kc_hub **hub, const char *name, const char *provider)
{
    struct kc_hub *mine = *hub;
    if (mine->generation != kc_registry_generation())
        return KC_EFORKED; /* it may be private, but it is the parent's */
    if (mine->name || atomic_load(&mine->writer))
        return KC_EINVALID;
    char *text = full_name(name, provider);
    if (!text)
        return KC_ENOMEM;
    struct kc_map *map = kc_registry_enter();
    struct kc_hub *there = kc_map_get(map, text);
    int err = there ? attach(there, hub) : publish(map, mine, text);
    kc_registry_leave();
    if (*hub != mine)
        kc_hub_unref(mine);
    free(text);
    return err;
}

void kc_hub_leave(struct kc_hub *h)
{
    if (kc_hub_is_forked(h))
        return;
    struct kc_map *map = kc_registry_enter();
    bool last = h->members > 0 && --h->members == 0;
    if (last) {
        kc_map_remove(map, h->name);
        if (map->len == 0)
            kc_map_deinit(map); /* the last one leaves nothing behind */
    }
    kc_registry_leave();
    if (last)
        kc_hub_left(h);
}

bool kc_hub_claim(struct kc_hub *h)
{
    if (!h->threads)
        return true;
    if (kc_hub_is_forked(h))
        return false;
    kc_registry_enter();
    bool alone = h->members <= 1;
    if (alone)
        h->claims++;
    kc_registry_leave();
    return alone;
}

void kc_hub_release(struct kc_hub *h)
{
    if (!h->threads || kc_hub_is_forked(h))
        return;
    kc_registry_enter();
    if (h->claims > 0)
        h->claims--;
    kc_registry_leave();
}

void kc_hub_note_key(struct kc_hub *h)
{
    atomic_fetch_add(&h->keys_noted, 1);
}

unsigned kc_hub_keys_noted(const struct kc_hub *h)
{
    return atomic_load(&h->keys_noted);
}

int kc_hub_peek(const char *name, const char *provider, size_t n,
                struct kc_buf *out)
{
    char *text = full_name(name, provider);
    if (!text)
        return KC_ENOMEM;
    struct kc_hub *there = kc_map_get(kc_registry_enter(), text);
    int err = there ? kc_pool_lined_model(there->pool, n, out) : KC_EEND;
    kc_registry_leave();
    free(text);
    return err;
}
