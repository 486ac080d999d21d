/* ascii.c -- see ascii.h. */
#include "util/ascii.h"

bool kc_same_word(const char *a, const char *b)
{
    while (*a && kc_lower(*a) == kc_lower(*b)) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

bool kc_starts_with(const char *text, const char *head)
{
    while (*head && kc_lower(*text) == kc_lower(*head)) {
        text++;
        head++;
    }
    return *head == '\0';
}

locale_t kc_numbers_begin(void)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* needs no memory */
    return c ? uselocale(c) : (locale_t)0;
}

void kc_numbers_end(locale_t before)
{
    if (before)
        freelocale(uselocale(before));
}
