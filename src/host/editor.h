/* editor.h -- lines that a person types, with editing where there is a library
 * for it: libedit, else readline, loaded when the first line is asked for. With
 * neither, and where no terminal is, lines are read as they are.
 *
 * One program has one terminal, so this is the process's one state.
 */
#ifndef KC_HOST_EDITOR_H
#define KC_HOST_EDITOR_H

#include <stdbool.h>

enum kc_editor_end { KC_LINE, KC_LINE_END, KC_LINE_DROPPED };

/* kc_editor_is_terminal returns whether a person is asked: standard input and
 * output are a terminal. */
bool kc_editor_is_terminal(void);

/* kc_editor_read asks for a line of any length; the prompt is shown on a
 * terminal only. KC_LINE: *line is it, without its end, and the caller frees
 * it. KC_LINE_END: there is none any more, or memory. KC_LINE_DROPPED: a signal
 * came, see signals.h. */
enum kc_editor_end kc_editor_read(const char *prompt, char **line);

/* kc_editor_remember adds a line to what the arrow keys bring back; for a
 * terminal. */
void kc_editor_remember(const char *line);

#endif
