/* SPDX-License-Identifier: MIT
 *
 * The same jobs under each execution model, side by side: what parallelism gains and what
 * the process boundary costs.
 *
 * Every model is opened first, with its workers ready, and warmed with a short batch of
 * `noop`; the jobs themselves are run only when they are timed. With several rounds the
 * models take turns, and the round with the median wall time is reported. Results are
 * compared job by job by their value hash, in every round: models that disagree are an error,
 * not a row. Hashing happens on the caller's thread, as any use of results would.
 */
#ifndef MUSTER_LAB_COMPARE_H
#define MUSTER_LAB_COMPARE_H

#include "client/muster.h"
#include "lab/timeline.h"

#include <stddef.h>

enum {
    COMPARE_MODELS_MAX = 8,
    COMPARE_SENTENCE_BYTES = 1536,
    COMPARE_NAME_BYTES = 32,
    COMPARE_FAILURES_MAX = 5, /* named; more are only counted */
    COMPARE_FAILURE_BYTES = 256,
    COMPARE_ROUNDS_MAX = 1000,
    COMPARE_JOBS_MAX = 1 << 26, /* 8 bytes each are kept: 512 MiB */
};

struct compare_spec {
    struct muster_options options; /* `model` is set for each row in turn; workers 0: cores */
    struct muster_batch batch; /* function, source, chunk, ...; callbacks are replaced, a halt is ignored */
    int (*rewind)(void *context); /* STREAM: start the source over; its context is the source's */
    enum muster_model models[COMPARE_MODELS_MAX]; /* in order; inline is run first in any case */
    size_t model_count;
    unsigned rounds; /* 0: 1 */
    bool timeline;   /* one round more, in which every job is timed, for timelines */
    /* Called before each run, for progress; rounds count from 1, that of the timelines is
     * rounds + 1. May be NULL. */
    void (*on_run)(void *context, enum muster_model model, unsigned round);
    void *context;
};

/* One row; times are of the median round. */
struct compare_row {
    enum muster_model model;
    unsigned workers;
    unsigned concurrency; /* jobs that each worker may have under way at once */
    uint64_t jobs, failed;
    double wall_s, cpu_s;       /* CPU of this process and its workers */
    double speedup;             /* wall of inline / wall */
    double ideal_speedup;       /* what so many workers and cores could reach: min(workers, cores) for
                                   jobs that compute, more where jobs wait and others use the core */
    double efficiency;          /* speedup / ideal_speedup */
    double utilization;         /* cpu_s / (wall_s * cores) */
    double overhead_us_per_job; /* (wall - wall of inline / ideal_speedup) * min(workers, cores) / jobs:
                                   core time that dispatch, serialization and idling took; 0 for inline */
    uint64_t voluntary_switches, involuntary_switches; /* a thread waited; had to make room */
    double stall_s;                                    /* the longest that the caller could do nothing else */
    double delay_s; /* time in which the caller's thread was ready and other programs had its core */
    double spread;  /* (wall of the slowest round - of the fastest) / wall; 0 for one round */
    struct timeline *timeline; /* of another round; owned; NULL when none was wanted */
};

/* A job that failed, under each model alike. */
struct compare_failure {
    uint64_t index;
    char text[COMPARE_FAILURE_BYTES]; /* why, cut */
};

struct compare_report {
    struct compare_row rows[COMPARE_MODELS_MAX]; /* inline's is the first */
    size_t count;
    struct compare_failure failures[COMPARE_FAILURES_MAX]; /* the first of them */
    size_t failure_count;
    unsigned cores;
    double computing; /* part of inline's time in which its jobs computed, the rest being waiting */
    char sentence[COMPARE_SENTENCE_BYTES]; /* what was found, in plain words */
};

/* 0; the error of the model that could not run; MUSTER_ESTATE when two models disagree on a
 * result (the error names the job, the models and both outcomes); MUSTER_ELIMIT when there
 * are more jobs than COMPARE_JOBS_MAX; MUSTER_ECANCELLED. A job that fails alike under each
 * model is no disagreement. */
int compare_run(const struct compare_spec *spec, struct compare_report *ret_report,
                struct muster_error *ret_error);

/* How long the longest timeline is, at least 1: one scale for all. */
uint64_t compare_span_ns(const struct compare_report *report);

/* Frees what a report of compare_run owns. */
void compare_report_fini(struct compare_report *report);

#endif
