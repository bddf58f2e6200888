/* SPDX-License-Identifier: MIT
 *
 * CPUs and memory of the host, and of its jobs. See capacity.h. Pure.
 */
#include "coordinator/capacity.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void demand_add(struct demand *taken, const struct demand *job, uint64_t jobs, unsigned places)
{
    taken->cpus = job->cpus > taken->cpus ? job->cpus : taken->cpus;
    taken->memory_bytes = places > 1 ? taken->memory_bytes + jobs * job->memory_bytes
                                     : larger(taken->memory_bytes, job->memory_bytes);
}

bool capacity_covers(const struct capacity *capacity, const struct demand *job)
{
    return job->cpus <= capacity->has.cpus && job->memory_bytes <= capacity->has.memory_bytes;
}

/* Workers that outlived their coordinator may take more than there is now. */
static uint64_t free_of(uint64_t has, uint64_t used)
{
    return has > used ? has - used : 0;
}

/* Whether as much is free beside what is kept, none of it because the worker has it already. */
static bool spares(uint64_t has, uint64_t used, uint64_t kept, uint64_t wanted)
{
    uint64_t left = free_of(has, used);

    return kept == 0 || wanted == 0 || (left >= kept && left - kept >= wanted);
}

uint64_t capacity_room(const struct capacity *capacity, const struct demand *job, const struct demand *taken,
                       unsigned places)
{
    const struct demand *has = &capacity->has, *used = &capacity->used, *kept = &capacity->kept;
    uint64_t others_bytes = used->memory_bytes - taken->memory_bytes;

    if (used->cpus - taken->cpus + larger(taken->cpus, job->cpus) > has->cpus ||
        !spares(has->cpus, used->cpus, kept->cpus, job->cpus) ||
        !spares(has->memory_bytes, used->memory_bytes, kept->memory_bytes, job->memory_bytes))
        return 0;
    if (job->memory_bytes == 0)
        return UINT64_MAX;
    if (places == 1)
        return others_bytes + larger(taken->memory_bytes, job->memory_bytes) <= has->memory_bytes ? UINT64_MAX
                                                                                                  : 0;
    return (free_of(has->memory_bytes, used->memory_bytes) - kept->memory_bytes) / job->memory_bytes;
}
