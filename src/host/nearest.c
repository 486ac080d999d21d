/* nearest.c -- see nearest.h. */
#include "host/nearest.h"

#include <stddef.h>
#include <string.h>

enum { MOST = 31, FAR = 1000 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

int kc_nearest_distance(const char *a, const char *b)
{
    size_t m = strlen(a), n = strlen(b);
    int d[MOST + 1][MOST + 1];
    if (m > MOST || n > MOST)
        return FAR;
    for (size_t i = 0; i <= m; i++)
        d[i][0] = (int)i;
    for (size_t j = 0; j <= n; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        for (size_t j = 1; j <= n; j++) {
            int changed = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = least(changed, 1 + least(d[i - 1][j], d[i][j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[m][n];
}

int kc_nearest_limit(const char *word)
{
    size_t len = strlen(word);
    return len <= 2 ? 0 : len <= 5 ? 1 : 2;
}
