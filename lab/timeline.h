/* SPDX-License-Identifier: MIT
 *
 * Who computed and who waited, when: the jobs of one run as lanes of time. A lane is a worker,
 * or, where a worker has many jobs under way at once, a place for one job at a time. What the
 * first lanes have no room for is added up in one more, the rest.
 *
 * Memory is bounded however many jobs there are: a lane is a row of buckets, which double in
 * width when time runs beyond them. Only a job's share of computing is known, not when within
 * its time it computed: it is spread evenly. Pure; one thread.
 */
#ifndef MUSTER_LAB_TIMELINE_H
#define MUSTER_LAB_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TIMELINE_LANES = 16,     /* beside the rest: as many as one can look at */
    TIMELINE_BUCKETS = 1024, /* finer than a terminal or a page is wide */
};

struct timeline_bucket {
    uint64_t computing_ns, waiting_ns;
};

struct timeline_lane {
    unsigned worker; /* from 1; 0: of any worker, and for the rest */
    uint64_t jobs;
    uint64_t computing_ns, waiting_ns; /* added over the lane's jobs */
    struct timeline_bucket buckets[TIMELINE_BUCKETS];
};

struct timeline {
    unsigned workers;   /* a lane for each; 0: a lane for each job under way */
    uint64_t origin_ns; /* CLOCK_MONOTONIC */
    uint64_t bucket_ns;
    uint64_t wall_ns;                               /* its length; the caller sets it when the run is over */
    uint64_t jobs, unknown;                         /* jobs on lanes; jobs whose time is not known */
    size_t lane_count;                              /* without the rest */
    struct timeline_lane lanes[TIMELINE_LANES + 1]; /* the rest is lanes[TIMELINE_LANES] */
};

/* Part of a lane: the shares of time in which it computed and waited, 0 to 1 and together not
 * more than 1. Of the rest they are shares of the busiest part's. */
struct timeline_share {
    double computing, waiting;
};

/* `workers` 0: lanes are places for jobs. NULL when out of memory; freed by free(). */
struct timeline *timeline_create(unsigned workers, uint64_t origin_ns);

/* Adds a job. One that began before the origin, or at 0, is only counted as unknown. */
void timeline_add(struct timeline *timeline, unsigned worker, uint64_t began_ns, uint64_t wall_ns,
                  uint64_t cpu_ns);

/* The rest, NULL when there is none. */
const struct timeline_lane *timeline_rest(const struct timeline *timeline);

/* Cuts the time from the origin to span_ns into `count` equal parts. */
void timeline_sample(const struct timeline *timeline, const struct timeline_lane *lane, uint64_t span_ns,
                     size_t count, struct timeline_share *ret_shares);

#endif
