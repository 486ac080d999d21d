/* history.h -- the lines that were typed at the prompt, kept in a file.
 *
 * $XDG_STATE_HOME/keycycle/history (or ~/.local/state/keycycle/history), a line
 * each, readable by its owner alone. Several prompts may add to it at once. A
 * line that may hold a key is not kept.
 */
#ifndef KC_HOST_HISTORY_H
#define KC_HOST_HISTORY_H

#define KC_HISTORY_MOST \
    1000 /* lines; of more the oldest go at the next start */

/* kc_history_load calls fn(line) for each kept line, the oldest first. A
 * missing or unreadable file has none. */
void kc_history_load(void (*fn)(const char *line));

/* kc_history_add keeps a line. What cannot be kept is not: nothing is said. */
void kc_history_add(const char *line);

#endif
