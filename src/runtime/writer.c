/* writer.c -- the journal's owner. */
#include "runtime/writer.h"

#include <stdlib.h>

#include "runtime/registry.h"

struct kc_writer {
    size_t refs;
    unsigned generation;
    struct kc_journal *journal;
};

int kc_writer_open(const char *url, struct kc_writer **out, char **why)
{
    *out = NULL;
    *why = NULL;
    struct kc_store *store;
    int err = kc_registry_init();
    if (err != KC_OK)
        return err;
    err = kc_store_open(url, &store, why);
    if (err != KC_OK)
        return err;
    struct kc_writer *w = calloc(1, sizeof *w);
    if (!w) {
        kc_store_close(store);
        return KC_ENOMEM;
    }
    err = kc_journal_open(store, &w->journal);
    if (err != KC_OK) {
        free(w);
        return err;
    }
    w->refs = 1;
    w->generation = kc_registry_generation();
    *out = w;
    return KC_OK;
}

struct kc_writer *kc_writer_ref(struct kc_writer *w)
{
    w->refs++;
    return w;
}

struct kc_journal *kc_writer_journal(struct kc_writer *w)
{
    if (w->generation != kc_registry_generation())
        return NULL;
    return w->journal;
}

size_t kc_writer_close(struct kc_writer *w, uint64_t timeout_ms)
{
    size_t lost = 0;
    if (!w->journal)
        return 0;
    if (kc_writer_journal(w))
        lost = kc_journal_close(w->journal, timeout_ms);
    else
        kc_journal_forget(w->journal);
    w->journal = NULL;
    return lost;
}

void kc_writer_unref(struct kc_writer *w)
{
    if (!w || --w->refs > 0)
        return;
    kc_writer_close(w, 1000);
    free(w);
}
