/* err.c -- the table of err.h, as names and as words. */
#include "util/err.h"

static const char *const names[KC_ERR_COUNT] = {
    "ok",
#define X(name, code, text) code,
    KC_ERRORS(X)
#undef X
};

static const char *const texts[KC_ERR_COUNT] = {
    "no error",
#define X(name, code, text) text,
    KC_ERRORS(X)
#undef X
};

const char *kc_err_name(int err)
{
    return err >= 0 && err < KC_ERR_COUNT ? names[err] : "unknown";
}

const char *kc_err_text(int err)
{
    return err >= 0 && err < KC_ERR_COUNT ? texts[err] : "unknown error";
}
