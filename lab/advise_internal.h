/* SPDX-License-Identifier: MIT
 *
 * What the parts of an advice share while it is worked out: advise.c looks at the jobs, advise_try.c
 * at the ways of running them.
 */
#ifndef MUSTER_LAB_ADVISE_INTERNAL_H
#define MUSTER_LAB_ADVISE_INTERNAL_H

#include "lab/advise.h"

/* The members of the crew are the ways, in their order. */
enum { MEMBER_INLINE, MEMBER_PROCESSES };

struct advise {
    struct advise_spec spec; /* defaults filled in */
    struct crew crew;
    int interrupt_fd;
    uint64_t began_ns;
    uint64_t good; /* the samples that succeeded, a bit each */
    size_t good_count;
    double sample_s[CREW_SAMPLES_MAX];         /* how long each takes */
    struct crew_sample seen[CREW_SAMPLES_MAX]; /* what inline made of each */
    double start_s;                            /* of MEMBER_PROCESSES */
    bool kept;                                 /* results are kept in MEMBER_PROCESSES */
    struct advise_report report;
};

/* crew_ask, with the time since advise_run began in mind: `expected_s` is how long it should take. */
int advise_ask(struct advise *advise, size_t member, const struct crew_order *order, double expected_s,
               struct crew_answer *ret_answer, struct muster_error *ret_error);

/* Opens a way in its member; its time is ret_answer->wall_s. */
int advise_open_way(struct advise *advise, size_t member, const struct advise_way *way,
                    struct crew_answer *ret_answer, struct muster_error *ret_error);

/* How long so many jobs take one after another, by sample_s. */
double advise_sum_s(const struct advise *advise, uint64_t jobs);

/* So many jobs as take about `seconds` at job_s each on average: whole turns of the samples, or as much
 * of one turn as takes so long; at least `least`. */
uint64_t advise_jobs_for(const struct advise *advise, double seconds, double job_s, uint64_t least);

/* Seconds since advise_run began. */
double advise_elapsed_s(const struct advise *advise);

/* Tries the ways of the report by turns, and fills in what was measured of them. 0, MUSTER_ECANCELLED
 * or MUSTER_ESYSTEM; what a way does wrong is a fault of that way. */
int advise_try(struct advise *advise, struct muster_error *ret_error);

#endif
