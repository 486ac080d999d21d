/* ascii.h -- letters and numbers as C has them, whatever locale the program has
 * set: in a Turkish one tolower('I') is no 'i', in a German one strtod reads no
 * "0.5". Pure.
 */
#ifndef KC_UTIL_ASCII_H
#define KC_UTIL_ASCII_H

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>

static inline bool kc_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline char kc_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline bool kc_is_alpha(char c)
{
    return kc_lower(c) >= 'a' && kc_lower(c) <= 'z';
}

static inline bool kc_is_alnum(char c)
{
    return kc_is_alpha(c) || kc_is_digit(c);
}

static inline bool kc_is_hex(char c)
{
    return kc_is_digit(c) || (kc_lower(c) >= 'a' && kc_lower(c) <= 'f');
}

static inline bool kc_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* kc_same_word: equal but for case. kc_starts_with: so begins `text`. */
bool kc_same_word(const char *a, const char *b);
bool kc_starts_with(const char *text, const char *head);

/* kc_numbers_begin has this thread read and write numbers with a point, until
 * kc_numbers_end is given what it returned. */
locale_t kc_numbers_begin(void);
void kc_numbers_end(locale_t before);

#endif
