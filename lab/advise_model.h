/* SPDX-License-Identifier: MIT
 *
 * What an advice follows from: the jobs, the ways they can be run and what each would take. From
 * numbers that were measured to predictions, the choice and the break-even. Pure.
 *
 * A way is a model, its workers and how many jobs each has under way at once. In the long run it
 * takes so much wall time a job: no less than the cores can compute, and no less than the places
 * can wait for. Where a way was tried, what was measured corrects this.
 */
#ifndef MUSTER_LAB_ADVISE_MODEL_H
#define MUSTER_LAB_ADVISE_MODEL_H

#include "client/muster.h"

#include <stddef.h>

enum { ADVISE_WAYS_MAX = 8 };

enum advise_kind { ADVISE_CPU_BOUND, ADVISE_MIXED, ADVISE_IO_BOUND };

/* The jobs, as they run one after another. */
struct advise_job {
    double time_s;              /* of one, the mean */
    double longest_s;           /* of the sample that takes longest, the mean of its runs */
    double computing;           /* the part of its time in which it computes, above 0 to 1 */
    double between;             /* how samples differ: standard deviation / mean; 0 for one sample */
    double within;              /* how runs of the same sample differ; 0 where that is not known */
    double bytes_in, bytes_out; /* of one job, encoded */
    bool unsafe; /* some crashed their worker, or had to be ended: only processes survive that */
};

/* Why a way is out of the question. */
enum advise_fault {
    ADVISE_SOUND,
    ADVISE_CRASHED,   /* jobs crashed the process */
    ADVISE_HUNG,      /* did not come to an end */
    ADVISE_DISAGREED, /* gave other results than inline, which gives the same each time */
    ADVISE_REFUSED,   /* could not be opened or run */
};

struct advise_way {
    enum muster_model model;
    unsigned workers, concurrency; /* concurrency: jobs under way in each worker, at least 1 */
    enum advise_fault fault;
    double start_s; /* until its workers are ready */
    double null_s;  /* wall time of a job that only takes these arguments and returns such results */
    /* The trial: wall time a job, CPU time of all processes a job, at so many jobs under way in each
     * worker. Of the rounds it is the lower quartile, and the least and the median beside it. */
    bool tried, noisy;
    unsigned tried_concurrency;
    double tried_s, tried_low_s, tried_high_s, tried_cpu_s;
    /* Of advise_settle: wall time a job in the long run. */
    double job_s, low_s, high_s;
};

enum advise_reason {
    ADVISE_FASTEST,  /* nothing is faster */
    ADVISE_ISOLATED, /* others are faster by less than isolation is worth */
    ADVISE_SIMPLE,   /* nothing is faster than one after another by enough to be worth it */
    ADVISE_SAFE,     /* whatever else may be faster, only this survives the jobs */
};

struct advise_choice {
    size_t fastest, advised; /* places among the ways */
    enum advise_reason reason;
};

/* From which job length on processes pay. NAN: never. */
struct advise_breaks {
    double beats_inline_s;
    double near_threads_s;  /* within 5% of threads; NAN also where these were not tried */
    double pays_start_jobs; /* jobs like these from which on start-up pays, too; NAN: never */
};

enum advise_kind advise_kind(const struct advise_job *job);

/* "CPU-bound", "mixed", "I/O-bound" */
const char *advise_kind_name(enum advise_kind kind);

/* The ways worth trying: inline is the first, plain processes the second. Returns how many. */
size_t advise_plan(const struct advise_job *job, unsigned workers,
                   struct advise_way ret_ways[ADVISE_WAYS_MAX]);

/* Wall time a job in the long run, from the jobs and way->null_s alone, with so many jobs under
 * way in each worker. */
double advise_predict(const struct advise_job *job, const struct advise_way *way, unsigned concurrency,
                      unsigned cores);

/* Jobs under way in each worker while the way is tried. More are predicted. */
unsigned advise_trial_concurrency(const struct advise_job *job, const struct advise_way *way);

/* Fills job_s, low_s and high_s in, from the trial where there was one. Where that found jobs that
 * wait together to compute for less than one by itself, it raises the concurrency. */
void advise_settle(const struct advise_job *job, struct advise_way *way, unsigned cores);

/* Wall time of so many jobs, with start-up; `jobs` 0: many, then it is that of one. */
double advise_batch_s(const struct advise_job *job, const struct advise_way *way, uint64_t jobs);

/* Among ways that were settled: the second of them, where all are out of the question. */
struct advise_choice advise_choose(const struct advise_job *job, const struct advise_way *ways, size_t count,
                                   uint64_t jobs);

struct advise_breaks advise_breaks(const struct advise_job *job, const struct advise_way *ways, size_t count,
                                   unsigned cores);

#endif
