/* secrets.h -- keys in texts that are shown or kept: none stays readable.
 */
#ifndef KC_HOST_SECRETS_H
#define KC_HOST_SECRETS_H

#include <lua.h>
#include <stdbool.h>

#include "util/buf.h"

/* kc_secrets_hide makes `out` of `text`, in which the values of environment
 * variables named *_API_KEY* are blacked out; the caller frees it with
 * kc_buf_deinit, even on failure: KC_ENOMEM. */
KC_CHECKED int kc_secrets_hide(const char *text, struct kc_buf *out);

/* kc_secrets_push_hidden replaces the text at the top by one in which the keys
 * of all pools of the state are blacked out. [-1, +1, e] */
void kc_secrets_push_hidden(lua_State *L);

/* kc_secrets_likely says whether a line of code holds a key of the environment,
 * what looks like a key, or assigns one. It errs to the safe side. */
bool kc_secrets_likely(const char *line);

#endif
