/* SPDX-License-Identifier: MIT
 *
 * What `muster bench` measures, and how it is said: a report of figures, each beside a baseline
 * that was measured in the same run, and of curves. The measurements are in the files bench_*.c,
 * one each; a further one is a line in the table of bench.c.
 *
 * A figure is the median of several rounds in which it and its baseline take turns, so that what
 * else the machine does falls on both.
 */
#ifndef MUSTER_LAB_BENCH_H
#define MUSTER_LAB_BENCH_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { BENCH_NAME_BYTES = 64, BENCH_UNIT_BYTES = 16, BENCH_NOTE_BYTES = 256, BENCH_SENTENCE_BYTES = 1024 };

struct bench_figure {
    char figure[BENCH_NAME_BYTES];
    bool measured;               /* else `note` says why not, and the numbers are 0 */
    double value;                /* median */
    double low, high;            /* between them lies the middle half of the rounds */
    char unit[BENCH_UNIT_BYTES]; /* "jobs/s", "us", "GB/s", "%", "" */
    bool less_is_better;
    char baseline[BENCH_NAME_BYTES]; /* what it is held against; "": nothing */
    double baseline_value;           /* in the same unit */
    double ratio;                    /* value / baseline_value; 0 without a baseline */
    bool noisy;                      /* the rounds are too far apart to tell */
    char note[BENCH_NOTE_BYTES];
};

struct bench_point {
    double x, y;
};

/* A line of a plot. */
struct bench_curve {
    char plot[BENCH_NAME_BYTES]; /* curves of one plot have the same axes */
    char name[BENCH_NAME_BYTES];
    char x_axis[BENCH_NAME_BYTES], y_axis[BENCH_NAME_BYTES]; /* with their units */
    bool x_log, y_log;
    bool computed;              /* from a model, not measured: drawn dashed */
    struct bench_point *points; /* owned */
    size_t count;
};

struct bench_report {
    char name[BENCH_NAME_BYTES];  /* "latency" */
    struct bench_figure *figures; /* owned */
    size_t figure_count;
    struct bench_curve *curves; /* owned */
    size_t curve_count;
    char sentence[BENCH_SENTENCE_BYTES]; /* what was found, in plain words */
};

struct bench_spec {
    unsigned workers;           /* 0: as many as cores */
    unsigned rounds;            /* 0: each measurement's own default */
    bool peers;                 /* measure other systems that are installed here, too */
    const char *worker_program; /* NULL: muster_options' default */
    const char *folder;         /* for files; of `memory` */
    int interrupt_fd;           /* readable: end early, with MUSTER_ECANCELLED; -1: none */
    void (*on_step)(void *context, const char *what); /* for progress; may be NULL */
    void *context;
};

/* One measurement: adds to the report, which has its name. 0, MUSTER_ECANCELLED, or an error. */
typedef int bench_run(const struct bench_spec *spec, struct bench_report *report,
                      struct muster_error *ret_error);

bench_run bench_throughput, bench_latency, bench_payload, bench_granularity, bench_scaling;

/* Adds a copy of a figure; its ratio is set from its values. 0 or MUSTER_ENOMEM. */
int bench_add(struct bench_report *report, const struct bench_figure *figure);

/* Adds a curve and takes its points (from malloc), whatever it returns. 0 or MUSTER_ENOMEM. */
int bench_add_curve(struct bench_report *report, const struct bench_curve *curve);

void bench_report_fini(struct bench_report *report);

/* Whether the spec's interrupt_fd is readable: between rounds. */
bool bench_interrupted(const struct bench_spec *spec);

#endif
