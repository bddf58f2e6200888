/* SPDX-License-Identifier: MIT
 *
 * What jobs take of the host while they run, and whether there is as much. A worker that runs one
 * job at a time takes what the most demanding of the jobs that it holds does, for it begins the next
 * without asking; one that runs several takes the memory of all that it holds, and the CPUs of the
 * most demanding, for it has one thread. Pure.
 */
#ifndef MUSTER_COORDINATOR_CAPACITY_H
#define MUSTER_COORDINATOR_CAPACITY_H

#include <stdbool.h>
#include <stdint.h>

struct demand {
    uint32_t cpus;
    uint64_t memory_bytes;
};

struct capacity {
    struct demand has;  /* the host */
    struct demand used; /* by workers that have jobs */
    /* For a job that goes before those that ask now, and has to wait until as much is free: they get
     * what they would if it ran already. 0, 0: none waits. */
    struct demand kept;
};

/* Whether a job takes no more than a worker stands for. */
static inline bool demand_is_plain(const struct demand *job)
{
    return job->cpus <= 1 && job->memory_bytes == 0;
}

/* What a worker of so many places takes with so many jobs more. */
void demand_add(struct demand *taken, const struct demand *job, uint64_t jobs, unsigned places);

/* Whether the job could run if nothing else did. */
bool capacity_covers(const struct capacity *capacity, const struct demand *job);

/* How many such jobs a worker of so many places, which takes `taken`, may be given more; UINT64_MAX:
 * any number. */
uint64_t capacity_room(const struct capacity *capacity, const struct demand *job, const struct demand *taken,
                       unsigned places);

#endif
