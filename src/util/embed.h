/* embed.h -- texts that the build tool txt2c has turned into C arrays.
 *
 * build/gen/embed.c defines kc_embed (the Lua library, in every product) and
 * build/gen/scripts.c kc_scripts (the host's commands, in the host only). Both
 * are sorted by name and end with a NULL name.
 */
#ifndef KC_UTIL_EMBED_H
#define KC_UTIL_EMBED_H

#include <stddef.h>

struct kc_text {
    const char *name; /* "keycycle/task.lua", "demo.lua" */
    const char *text;
    size_t len;
};

extern const struct kc_text kc_embed[];
extern const struct kc_text kc_scripts[];

#endif
