/* SPDX-License-Identifier: MIT
 *
 * Repeated measurements of one thing: the median, the half of them around it, and whether they
 * lie close enough together to say anything. Pure.
 */
#ifndef MUSTER_LAB_SAMPLE_H
#define MUSTER_LAB_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

enum { SAMPLE_MAX = 32 };

struct sample {
    double values[SAMPLE_MAX];
    size_t count;
};

struct sample_summary {
    double median, low, high; /* between low and high lies the middle half */
    bool noisy;               /* these are further apart than a quarter of the median */
};

/* Past SAMPLE_MAX nothing is added. */
void sample_add(struct sample *sample, double value);

/* Sorts the values, of which there is one at least. */
struct sample_summary sample_summarize(struct sample *sample);

#endif
