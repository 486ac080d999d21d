/* nearest.h -- which known word a misspelt one may be meant for.
 */
#ifndef KC_HOST_NEAREST_H
#define KC_HOST_NEAREST_H

/* kc_nearest_distance counts the letters to put in, take out, change or swap
 * with the next one, that make `b` of `a`. Words of more than 31 letters are
 * far from all others. */
int kc_nearest_distance(const char *a, const char *b);

/* kc_nearest_limit returns the greatest distance at which another word may be
 * meant by `word`. */
int kc_nearest_limit(const char *word);

#endif
