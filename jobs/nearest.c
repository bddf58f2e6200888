/* SPDX-License-Identifier: MIT
 *
 * The optimal string alignment distance (Damerau-Levenshtein without edits inside a swapped
 * pair), three rows at a time. See nearest.h.
 */
#include "jobs/nearest.h"

#include <string.h>

enum { CONTAINED_MIN = 3 }; /* fewer letters are in too many words */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned alignment(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned rows[3][NEAREST_WORD_MAX + 1], *above2, *above, *row;
    size_t i, j;

    for (j = 0; j <= b_size; j++)
        rows[0][j] = (unsigned)j;
    for (i = 1; i <= a_size; i++) {
        above2 = rows[(i + 1) % 3];
        above = rows[(i - 1) % 3];
        row = rows[i % 3];
        row[0] = (unsigned)i;
        for (j = 1; j <= b_size; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

unsigned nearest_distance(const char *typed, const char *known)
{
    size_t typed_size = strnlen(typed, NEAREST_WORD_MAX + 1),
           known_size = strnlen(known, NEAREST_WORD_MAX + 1);
    unsigned distance;

    if (typed_size > NEAREST_WORD_MAX || known_size > NEAREST_WORD_MAX)
        return NEAREST_FAR;
    distance = alignment(typed, typed_size, known, known_size);
    if (distance > 1 && ((typed_size >= CONTAINED_MIN && strstr(known, typed)) ||
                         (known_size >= CONTAINED_MIN && strstr(typed, known))))
        return 1;
    return distance <= 1 || distance <= typed_size / 3 ? distance : NEAREST_FAR;
}
