/* SPDX-License-Identifier: MIT
 *
 * How many jobs a chunk gets, and how many chunks a worker holds, from how long jobs took.
 *
 * A chunk should last so long that its messages cost about 1% of it. Toward the end of a batch
 * chunks shrink with what is left, and the more the less alike the jobs are, so that the workers
 * finish together (factoring: Hummel, Schonberg and Flynn, CACM 35(8), 1992). Pure.
 */
#ifndef MUSTER_COORDINATOR_PACING_H
#define MUSTER_COORDINATOR_PACING_H

#include <stdint.h>

struct pacing {
    uint32_t fixed;       /* jobs of a chunk as the user set them; 0: automatic */
    uint32_t largest;     /* chunk that was reported so far; 0: none was */
    double jobs, took_ns; /* reported, recent ones counting most */
    double computed_ns;   /* of took_ns, CPU time, as pacing_report_waits knows; the rest they waited */
    double scattered;     /* squares of what reports took beyond or below the mean, summed likewise */
    double mean_ns;       /* of one job: took_ns / jobs */
};

void pacing_init(struct pacing *pacing, uint32_t fixed);

/* `jobs` jobs took execute_ns together. */
void pacing_report(struct pacing *pacing, uint32_t jobs, uint64_t execute_ns);

/* As pacing_report; cpu_ns of that they computed. For pacing_fill. */
void pacing_report_waits(struct pacing *pacing, uint32_t jobs, uint64_t execute_ns, uint64_t cpu_ns);

/* Jobs of the next chunk, at least 1, where `queued` (at least 1) wait for `workers`. */
uint32_t pacing_chunk(const struct pacing *pacing, uint64_t queued, unsigned workers);

/* Chunks of so many jobs that a worker should hold, the one it runs included: enough that it never
 * waits for the next, few enough that none lies behind a long job while another worker has
 * nothing. */
unsigned pacing_depth(const struct pacing *pacing, uint32_t jobs, unsigned credit);

/* How many jobs of those that a worker of `concurrency` has, at least 1, make progress at once. */
uint64_t pacing_overlap(const struct pacing *pacing, unsigned concurrency);

/* For a worker that runs up to `concurrency` jobs at once: how many jobs of the batch it should
 * hold, and how many of them are enough to keep it busy; the others are there so that it never
 * waits for more. `queued` and `assigned` are those of the batch. Jobs that wait fill all places;
 * of jobs that compute a worker holds no more than one of a single place does, since only one of
 * them runs. */
struct pacing_fill {
    uint64_t running, jobs;
};
struct pacing_fill pacing_fill(const struct pacing *pacing, unsigned concurrency, uint64_t queued,
                               uint64_t assigned, unsigned workers);

#endif
