/* export.h -- what a program that has the library can call: nothing else is
 * seen outside of it.
 */
#ifndef KC_UTIL_EXPORT_H
#define KC_UTIL_EXPORT_H

#define KC_EXPORT __attribute__((visibility("default")))

#endif
