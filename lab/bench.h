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

#include "client/muster.h"
#include "lab/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_NAME_BYTES = 64, BENCH_UNIT_BYTES = 16, BENCH_NOTE_BYTES = 256, BENCH_SENTENCE_BYTES = 1024 };

/* Of fewer rounds nobody can tell how far apart they would be. */
enum { BENCH_ROUNDS_TO_TELL = 3 };

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
    unsigned workers;           /* not 0 */
    unsigned rounds;            /* 0: each measurement's own default; 1: a glance; at most SAMPLE_MAX */
    bool peers;                 /* measure other systems that are installed here, too */
    const char *worker_program; /* NULL: muster_options' default */
    muster *crew; /* of bench_crew_open (lab/bench_crew.h), borrowed; NULL: what needs it is left out, */
    const char *without; /* for this reason */
    int interrupt_fd;    /* readable: end early, with MUSTER_ECANCELLED; -1: none */
    void (*on_step)(void *context, const char *what); /* for progress; may be NULL */
    void *context;
};

/* One measurement: adds to the report, which has its name. 0, MUSTER_ECANCELLED, or an error; the
 * report is whole, if not complete, whatever it returns. */
typedef int bench_run(const struct bench_spec *spec, struct bench_report *report,
                      struct muster_error *ret_error);

bench_run bench_throughput, bench_latency, bench_payload, bench_granularity, bench_scaling;

/* All of them, in the order in which they are told. */
struct bench_subject {
    const char *name;
    bench_run *run;
};

extern const struct bench_subject bench_subjects[];
extern const size_t bench_subject_count;

/* --- for measurements */

/* Opens a model, its workers ready. NULL when that fails: then *ret_error says why, and else its code is
 * 0. The caller closes it. */
muster *bench_open(const struct bench_spec *spec, enum muster_model model, enum muster_transport transport,
                   unsigned workers, struct muster_error *ret_error);

/* Does it `times` times and says how long that took. 0 or an error. */
typedef int bench_block(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error);

/* One of those that take turns. */
struct bench_turn {
    bench_block *block;
    void *context;
    uint64_t times;            /* of a round; 0: as many as fill a round, found in the warm-up */
    struct sample sample;      /* nanoseconds a time; empty when it failed */
    struct muster_error error; /* why it failed; code 0: it did not */
};

/* Of what fills a turn, time or times, as much as spec->rounds asks for: a tenth of it, but not nothing,
 * where one round is a glance. */
uint64_t bench_turn_share(const struct bench_spec *spec, uint64_t full);

/* After a warm-up of each, so many rounds in which each has its turn. One that fails is left out
 * from then on. 0 or MUSTER_ECANCELLED. */
int bench_take_turns(const struct bench_spec *spec, unsigned rounds, struct bench_turn *turns, size_t count,
                     struct muster_error *ret_error);

/* How nanoseconds a time are told: as `factor` of the unit each, or, as a rate, as `factor` of it a
 * second for what is done once a second. */
struct bench_scale {
    const char *unit;
    bool rate;
    double factor;
};

/* Adds a figure of a turn, beside that of another (NULL: none). 0 or MUSTER_ENOMEM. */
int bench_add_turn(struct bench_report *report, const char *name, const struct bench_turn *turn,
                   const char *baseline_name, const struct bench_turn *baseline,
                   const struct bench_scale *scale);

/* Adds a copy of a figure; its ratio is set from its values. 0 or MUSTER_ENOMEM. */
int bench_add(struct bench_report *report, const struct bench_figure *figure);

/* Adds a curve and takes its points (from malloc), whatever it returns. 0 or MUSTER_ENOMEM. */
int bench_add_curve(struct bench_report *report, const struct bench_curve *curve);

void bench_report_fini(struct bench_report *report);

/* Whether the spec's interrupt_fd is readable: between rounds. */
bool bench_interrupted(const struct bench_spec *spec);

#endif
