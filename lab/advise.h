/* SPDX-License-Identifier: MIT
 *
 * Which model, how many workers and what chunk a function's jobs should be run with, found by
 * running samples of them: what takes how long, what fails and how, in a few seconds.
 *
 * All samples are run in worker processes first, each once. The others are tried with the ones that
 * succeeded there, by turns, each way in a process of its own (lab/advise_crew.h): whatever the
 * function does, the caller lives. Then follows the arithmetic (lab/advise_model.h).
 */
#ifndef MUSTER_LAB_ADVISE_H
#define MUSTER_LAB_ADVISE_H

#include "lab/advise_crew.h"
#include "lab/advise_model.h"

enum {
    ADVISE_SENTENCE_BYTES = 2048,
    ADVISE_FAULT_BYTES = 192,
    ADVISE_COMMAND_BYTES = 96,
};

#define ADVISE_TIME_S    4.0  /* measuring, by default */
#define ADVISE_TIMEOUT_S 10.0 /* of a sample, by default */

struct advise_spec {
    const char *function;
    const msgpack_object *samples;   /* borrowed, as are all strings; until advise_close */
    size_t sample_count;             /* 1 to CREW_SAMPLES_MAX */
    struct crew_surroundings around; /* zeroed: arguments are there, results are let go */
    struct muster_options options;   /* workers: at most so many that compute; plug-ins; worker_program */
    uint64_t jobs;                   /* that are to be run; 0: many */
    double time_s;                   /* to measure for, about; 0: ADVISE_TIME_S */
    double timeout_s;                /* of a sample; 0: ADVISE_TIMEOUT_S */
    void (*on_step)(void *context, const char *what); /* for progress; may be NULL */
    void *context;
};

struct advise_report {
    unsigned cores, workers;
    uint64_t jobs; /* as in the spec */

    size_t samples, failed, crashed, timed_out, unfinished; /* of the samples; the last is a lack of time */
    size_t first_failed;                                    /* from 1, of those that ended; 0: none */
    char failure[ADVISE_FAULT_BYTES];                       /* why */
    char relapse[ADVISE_FAULT_BYTES]; /* why a sample that had succeeded crashed its worker
                                         when it was run again; "": none did */
    double timeout_s; /* that map is to have: the spec's, or the default where samples had to be ended; 0:
                         none */

    struct advise_job job;
    bool in_process;  /* job was measured inline, else in a worker */
    bool repeatable;  /* a sample gives the same result each time */
    double disturbed; /* the part of the time in which inline was ready and others had the core */
    uint64_t runs;    /* of the samples, all together */

    struct advise_way ways[ADVISE_WAYS_MAX]; /* inline is the first */
    char faults[ADVISE_WAYS_MAX][ADVISE_FAULT_BYTES];
    size_t way_count;
    double round_trip_s; /* of a single job, processes; 0: not measured */

    struct advise_choice choice;
    struct advise_breaks breaks;
    double speedup, speedup_low, speedup_high; /* of the advised way over inline */
    uint64_t chunk_jobs;                       /* that a chunk of the advised way will have, about */
    bool uncertain;                            /* the sentence says why */
    char options[ADVISE_COMMAND_BYTES];        /* "--model processes -j2 --timeout 10", for muster map */
    char sentence[ADVISE_SENTENCE_BYTES];      /* what was found and what to do, in plain words */
};

struct advise;

/* Prepares the processes for it; the caller has no threads yet (MUSTER_ESTATE). *ret_advise is owned
 * by the caller and ended with advise_close. */
int advise_open(const struct advise_spec *spec, struct advise **ret_advise, struct muster_error *ret_error);

/* 0; MUSTER_EFAILED when none of the samples succeeds; MUSTER_ECANCELLED when interrupt_fd (-1: none)
 * becomes readable; the error of a model that cannot be opened. */
int advise_run(struct advise *advise, int interrupt_fd, struct advise_report *ret_report,
               struct muster_error *ret_error);

/* Ends the processes. Takes NULL. */
void advise_close(struct advise *advise);

/* Writes report->sentence and ->options from the rest of the report. Pure. */
void advise_explain(struct advise_report *report);

#endif
