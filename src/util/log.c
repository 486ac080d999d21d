/* log.c -- see log.h. */
#include "util/log.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_LINE 1000

void kc_log_line(const struct kc_log *log, enum kc_level level, const char *fmt,
                 ...)
{
    char line[MAX_LINE + 1];
    va_list ap;
    if (!log || !log->fn || level > log->level)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    log->fn(log->ctx, level, line);
}
