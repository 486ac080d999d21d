/* options.h -- the command line of the program.
 */
#ifndef KC_HOST_OPTIONS_H
#define KC_HOST_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

struct kc_options {
    const char *lua_dir; /* --lua; NULL: none */
    const char *env;     /* --env; NULL: none */
    bool code;           /* there is an -e */
    bool prompt, here, version, help;
    int script; /* where the script's name is in argv; 0: none */
};

/* kc_options_read reads argv up to the name of a script or a command. False
 * where it is wrong: what is, stands on stderr. */
bool kc_options_read(struct kc_options *o, char **argv);

/* kc_options_code returns the code of the next -e and moves *i, which begins at
 * 1, behind it; NULL: there is no more. */
const char *kc_options_code(const struct kc_options *o, char **argv, int *i);

/* kc_options_usage writes how the program is used. */
void kc_options_usage(FILE *out);

#endif
