/* zone.c -- rules of time zones, and the midnights that they make. */
#include "util/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/ascii.h"

#define DAY_S 86400
#define FILES "/usr/share/zoneinfo/"
#define MAX_FILE 65536

/* -- parsing ------------------------------------------------------------- */

/* A name of letters, or of anything within <>. */
static const char *skip_name(const char *p)
{
    if (*p == '<') {
        p = strchr(p, '>');
        return p ? p + 1 : NULL;
    }
    const char *start = p;
    while (kc_is_alpha(*p))
        p++;
    return p - start >= 3 ? p : NULL;
}

static const char *read_number(const char *p, int max, int *out)
{
    int n = 0;
    if (!p || !kc_is_digit(*p))
        return NULL;
    for (; kc_is_digit(*p); p++)
        if ((n = n * 10 + (*p - '0')) > max)
            return NULL;
    *out = n;
    return p;
}

/* [+-]h[:m[:s]], up to a week, as RFC 8536 allows. */
static const char *read_time(const char *p, int32_t *out)
{
    int sign = 1, part[3] = {0};
    if (*p == '-' || *p == '+')
        sign = *p++ == '-' ? -1 : 1;
    for (int i = 0; i < 3; i++) {
        p = read_number(p, i == 0 ? 167 : 59, &part[i]);
        if (!p || *p != ':')
            break;
        p++;
    }
    *out = sign * (part[0] * 3600 + part[1] * 60 + part[2]);
    return p;
}

/* ,Mm.w.d[/time] */
static const char *read_change(const char *p, struct kc_zone_change *c)
{
    if (!p || strncmp(p, ",M", 2) != 0)
        return NULL;
    p = read_number(p + 2, 12, &c->month);
    if (!p || *p != '.')
        return NULL;
    p = read_number(p + 1, 5, &c->week);
    if (!p || *p != '.')
        return NULL;
    p = read_number(p + 1, 6, &c->weekday);
    c->at_s = 2 * 3600;
    if (p && *p == '/')
        p = read_time(p + 1, &c->at_s);
    return c->month >= 1 && c->week >= 1 ? p : NULL;
}

int kc_zone_parse(const char *rule, struct kc_zone *out)
{
    *out = (struct kc_zone){0};
    const char *p = skip_name(rule);
    if (!p)
        return KC_EINVALID;
    p = read_time(p, &out->offset_s);
    if (!p)
        return KC_EINVALID;
    out->offset_s = -out->offset_s; /* TZ counts west of Greenwich */
    if (!*p)
        return KC_OK;
    out->has_summer = true;
    out->summer_offset_s = out->offset_s + 3600;
    p = skip_name(p);
    if (p && *p != ',') {
        p = read_time(p, &out->summer_offset_s);
        out->summer_offset_s = -out->summer_offset_s;
    }
    p = read_change(p, &out->begin);
    p = read_change(p, &out->end);
    return p && !*p ? KC_OK : KC_EINVALID;
}

/* -- the system's files --------------------------------------------------- */

/* The last line of a TZif file is the rule. */
static int read_file(const char *path, struct kc_zone *out)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return KC_ENOTFOUND;
    char *data = malloc(MAX_FILE + 1);
    size_t n = data ? fread(data, 1, MAX_FILE, f) : 0;
    fclose(f);
    int err = KC_ENOTFOUND;
    if (n > 44 && memcmp(data, "TZif", 4) == 0 && data[n - 1] == '\n') {
        data[n - 1] = '\0';
        const char *line = memrchr(data, '\n', n - 1);
        if (line)
            err = kc_zone_parse(line + 1, out);
    }
    free(data);
    return err == KC_EINVALID ? KC_ENOTFOUND : err;
}

static bool is_name(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "abcdefghijklmnopqrstuvwxyz0123456789_+-/");
    return n > 0 && n < 64 && !name[n] && name[0] != '/';
}

int kc_zone_find(const char *name, struct kc_zone *out)
{
    static const char *const known[][2] = {
        {"UTC", "UTC0"},
        {"America/Los_Angeles", "PST8PDT,M3.2.0,M11.1.0"},
        {"America/Denver", "MST7MDT,M3.2.0,M11.1.0"},
        {"America/Chicago", "CST6CDT,M3.2.0,M11.1.0"},
        {"America/New_York", "EST5EDT,M3.2.0,M11.1.0"},
    };
    char path[128];
    if (!is_name(name))
        return KC_ENOTFOUND;
    snprintf(path, sizeof path, FILES "%s", name);
    int err = read_file(path, out);
    for (size_t i = 0; err != KC_OK && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i][0]) == 0)
            err = kc_zone_parse(known[i][1], out);
    return err;
}

static bool same_change(const struct kc_zone_change *a,
                        const struct kc_zone_change *b)
{
    return a->month == b->month && a->week == b->week &&
           a->weekday == b->weekday && a->at_s == b->at_s;
}

bool kc_zone_equal(const struct kc_zone *a, const struct kc_zone *b)
{
    if (a->offset_s != b->offset_s || a->has_summer != b->has_summer)
        return false;
    return !a->has_summer ||
           (a->summer_offset_s == b->summer_offset_s &&
            same_change(&a->begin, &b->begin) && same_change(&a->end, &b->end));
}

/* -- midnights ------------------------------------------------------------ */

/* Days since 1970-01-01 of a date (Howard Hinnant, "chrono-Compatible Low-Level
 * Date Algorithms"). */
static int64_t days_from(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t year_of(int64_t day)
{
    int64_t y = 1970 + day / 366; /* never past it */
    while (days_from(y + 1, 1, 1) <= day)
        y++;
    return y;
}

/* The day of a change in a year. */
static int64_t day_of(const struct kc_zone_change *c, int64_t year)
{
    int64_t first = days_from(year, c->month, 1);
    int weekday = (int)((first + 4) % 7); /* 1970-01-01 was a Thursday */
    int64_t day = first + (c->weekday - weekday + 7) % 7 + 7 * (c->week - 1);
    int64_t next = c->month == 12 ? days_from(year + 1, 1, 1)
                                  : days_from(year, c->month + 1, 1);
    return day < next ? day : day - 7;
}

/* Local minus UTC at a time in seconds. */
static int64_t offset_at(const struct kc_zone *z, int64_t s)
{
    if (!z->has_summer)
        return z->offset_s;
    int64_t year = year_of((s + z->offset_s) / DAY_S);
    int64_t begin =
        day_of(&z->begin, year) * DAY_S + z->begin.at_s - z->offset_s;
    int64_t end =
        day_of(&z->end, year) * DAY_S + z->end.at_s - z->summer_offset_s;
    bool summer = begin < end ? s >= begin && s < end : s >= begin || s < end;
    return summer ? z->summer_offset_s : z->offset_s;
}

/* The instant at which a local day begins. */
static int64_t day_begins(const struct kc_zone *z, int64_t day)
{
    int64_t s = day * DAY_S - offset_at(z, day * DAY_S);
    return day * DAY_S - offset_at(z, s);
}

static int64_t local_day(const struct kc_zone *z, uint64_t ms)
{
    int64_t s = (int64_t)(ms / 1000);
    return (s + offset_at(z, s)) / DAY_S;
}

uint64_t kc_zone_midnight(const struct kc_zone *z, uint64_t ms)
{
    return (uint64_t)day_begins(z, local_day(z, ms) + 1) * 1000;
}

uint64_t kc_zone_last_midnight(const struct kc_zone *z, uint64_t ms)
{
    int64_t s = day_begins(z, local_day(z, ms));
    return s > 0 ? (uint64_t)s * 1000 : 0;
}
