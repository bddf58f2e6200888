/* SPDX-License-Identifier: MIT
 *
 * A way of running jobs, measured at lengths of job that double, and METG (lab/metg.h) of it. Ways
 * that are held against each other take turns at each length.
 *
 * How long a job takes at a length is the median of the rounds. METG is that of the curve through
 * these, its bounds those of the curves through the quartiles: a single turn in which something else
 * had the cores bends none of them.
 */
#ifndef MUSTER_LAB_GRAIN_H
#define MUSTER_LAB_GRAIN_H

#include "lab/bench.h"

enum { GRAIN_LENGTHS = 15 };

struct grain {
    const char *name;
    bench_block *block; /* runs so many jobs */
    void *context;
    void (*set_length)(void *context, unsigned length); /* jobs have 2^length times the shortest's work now */
    double first_ns;                                    /* work of the shortest, alone on a core */
    const struct grain
        *peak; /* the work alone, measured in the same turns; NULL: work is what first_ns says */
    unsigned workers;
    struct muster_error error; /* why it cannot be measured; code 0: it can */

    unsigned count;                               /* lengths that were measured */
    struct sample_summary lengths[GRAIN_LENGTHS]; /* nanoseconds of a worker for a job */
    bool few;                                     /* rounds, to tell how far apart they are */
};

/* Measures all of them at the next length, which is the same for all. One that fails has its error
 * from then on. 0 or MUSTER_ECANCELLED. */
int grain_measure(const struct bench_spec *spec, unsigned rounds, struct grain *const *grains, size_t count,
                  struct muster_error *ret_error);

/* METG in microseconds. False when the longest jobs do not reach the share, or nothing was measured. */
bool grain_metg(const struct grain *grain, double share, struct sample_summary *ret_summary);

/* Adds METG beside that of another (NULL: none), which is called `baseline_name`. 0 or MUSTER_ENOMEM. */
int grain_add_figure(struct bench_report *report, const struct grain *grain, double share,
                     const char *baseline_name, const struct grain *baseline);

/* Adds the curve of efficiency, if there is one. 0 or MUSTER_ENOMEM. */
int grain_add_curve(struct bench_report *report, const struct grain *grain);

#endif
