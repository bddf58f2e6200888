/* SPDX-License-Identifier: MIT
 *
 * Processes that try ways of running the samples, one each: what a function does to the process
 * that runs it, be it a crash or a job that never ends, is found out and reported, and harms
 * nobody else.
 *
 * They are forked at once, before there is any thread, with the samples in their memory, and wait
 * for orders. Orders and answers are structs through a socket pair: both ends are one program.
 */
#ifndef MUSTER_LAB_ADVISE_CREW_H
#define MUSTER_LAB_ADVISE_CREW_H

#include "lab/advise_model.h"

#include <sys/types.h>

enum {
    CREW_MEMBERS = ADVISE_WAYS_MAX,
    CREW_SAMPLES_MAX = 64, /* a bit each */
    CREW_ERROR_BYTES = 256,
};

/* What goes on around jobs on the caller's thread, which is a part of what they cost: arguments are
 * read, results are written. Called in the members of the crew, for the function's own jobs. */
struct crew_surroundings {
    /* Makes the argument of a sample once more, in the zone. 0, or an error. NULL: it is there. */
    int (*produce)(void *context, size_t sample, msgpack_zone *zone, msgpack_object *ret_argument);
    void (*consume)(void *context, const struct muster_result *result); /* may be NULL */
    void *context;
};

struct crew_spec {
    const char *function;
    const msgpack_object *samples; /* borrowed */
    size_t sample_count;           /* 1 to CREW_SAMPLES_MAX */
    struct crew_surroundings around;
    struct muster_options options; /* model, workers and concurrency are set by orders; strings borrowed */
};

enum crew_function { CREW_SELF, CREW_NOOP, CREW_ECHO };

struct crew_order {
    bool open; /* opens the model; else runs jobs */
    enum muster_model model;
    unsigned workers, concurrency;

    enum crew_function function;
    bool on_results; /* over the results that were kept, not over the samples */
    bool keep;  /* the first run of the samples, of which results are kept: `jobs` is at most one of each */
    bool timed; /* time each job, and check that a sample's results are all the same */
    uint64_t mask; /* the samples that take part, by turns; not 0 */
    uint64_t jobs;
    double timeout_s; /* of one job; 0: none; processes only */
    uint64_t batch;   /* jobs that are begun together; 0: all */
    double limit_s;   /* after which no further batch is begun; 0: none */
};

/* What became of a sample in a run that was timed. */
struct crew_sample {
    uint64_t jobs; /* that ended */
    int code;      /* of the first that failed; 0 */
    double sum_s, square_s2, cpu_s;
    uint64_t outcome; /* of the first job, lab/ledger.h; 0: none */
    bool differs;     /* jobs of this sample had different outcomes */
};

struct crew_answer {
    int code; /* of the run; 0 also when jobs failed; MUSTER_EFAILED: one that had succeeded before crashed
               * its worker, which ended the run */
    double wall_s, cpu_s, delay_s;
    uint64_t jobs, failed, voluntary_switches;
    double bytes_in, bytes_out; /* of a job, encoded */
    bool kept;                  /* all results that were to be kept */
    struct crew_sample samples[CREW_SAMPLES_MAX];
    char error[CREW_ERROR_BYTES]; /* of the run, else of the first job that failed; "" */
    size_t error_sample;          /* of that job */
};

struct crew_member {
    pid_t pid; /* 0: has ended */
    int fd;    /* owned; -1 once it is of no more use */
};

struct crew {
    struct crew_member members[CREW_MEMBERS];
};

/* Forks the crew. MUSTER_ESTATE where the process has threads; MUSTER_ESYSTEM. */
int crew_open(struct crew *crew, const struct crew_spec *spec, struct muster_error *ret_error);

/* Ends all of it, and whatever jobs run. Takes a crew that was zeroed and never opened, too. */
void crew_close(struct crew *crew);

/* Has one member do something. 0, whatever answer->code is; MUSTER_ECRASHED when the member died
 * of it, MUSTER_ETIMEOUT when it took longer than limit_s, both with the reason, the member then
 * being of no more use; MUSTER_ECANCELLED when interrupt_fd became readable. */
int crew_ask(struct crew *crew, size_t place, const struct crew_order *order, double limit_s,
             int interrupt_fd, struct crew_answer *ret_answer, struct muster_error *ret_error);

#endif
