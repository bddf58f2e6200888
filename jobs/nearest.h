/* SPDX-License-Identifier: MIT
 *
 * How far a mistyped word is from a known one.
 */
#ifndef MUSTER_JOBS_NEAREST_H
#define MUSTER_JOBS_NEAREST_H

#include <stddef.h>

enum { NEAREST_WORD_MAX = 64 }; /* bytes; longer words are near to nothing */

/* What NEAREST says of words that have nothing to do with each other. */
#define NEAREST_FAR (~0U)

/* How many letters must be inserted, removed, replaced or swapped with their neighbour to
 * make `known` of `typed`; 1 when one contains the other; NEAREST_FAR when that is more than
 * a third of the letters typed (one is always allowed), which is no typing error. */
unsigned nearest_distance(const char *typed, const char *known);

#endif
