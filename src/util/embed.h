/* embed.h -- texts that the build tool txt2c has turned into C arrays.
 *
 * build/gen/embed.c defines kc_embed (the Lua library, in every product),
 * build/gen/scripts.c kc_scripts (the host's commands) and build/gen/modules.c
 * kc_modules (what these are made of), both in the host only. All are sorted by
 * name and end with a NULL name. A text is Lua's source without
 * comments and indentation, line by line, packed as an LZ4 block.
 */
#ifndef KC_UTIL_EMBED_H
#define KC_UTIL_EMBED_H

#include <stddef.h>

#include "util/err.h"

struct kc_text {
    const char *name;       /* "keycycle/task.lua", "demo.lua" */
    const char *first_line; /* of kc_scripts: what it is for; else NULL */
    const unsigned char *packed;
    size_t packed_len;
    size_t len; /* of the text itself */
};

extern const struct kc_text kc_embed[];
extern const struct kc_text kc_scripts[];
extern const struct kc_text kc_modules[];

/* kc_text_find returns the text whose name is the `len` bytes at `name`, of one
 * of the tables above; NULL: there is none. */
const struct kc_text *kc_text_find(const struct kc_text *table,
                                   const char *name, size_t len);

/* kc_text_unpack sets `*text` to the t->len bytes of the text, with a NUL
 * behind them: the caller frees them with free(). KC_ENOMEM, KC_ECORRUPT; then
 * `*text` is NULL. Any thread. */
KC_CHECKED int kc_text_unpack(const struct kc_text *t, char **text);

#endif
