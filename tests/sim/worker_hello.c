/* SPDX-License-Identifier: MIT
 *
 * What a worker says to a coordinator: who it is and, to one that came back, which chunks it stands by and
 * what it had reported that is not on disk. See sim.h.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>

/* What of the jobs is not on disk, chunk by chunk; jobs between those of one chunk are meant, too. */
static unsigned add_standing(struct proto_standing *list, unsigned count, const struct proto_standing *jobs)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t end = list[i].first + list[i].count, jobs_end = jobs->first + jobs->count;

        if (list[i].chunk != jobs->chunk)
            continue;
        list[i].first = jobs->first < list[i].first ? jobs->first : list[i].first;
        list[i].count = (uint32_t)((jobs_end > end ? jobs_end : end) - list[i].first);
        return count;
    }
    list[count] = *jobs;
    return count + 1;
}

static int compare(const void *left, const void *right)
{
    const struct proto_standing *a = left, *b = right;

    return (a->chunk > b->chunk) - (a->chunk < b->chunk);
}

enum { STANDING_MAX = 1024 };

static unsigned list_standing(const struct sim_worker *worker, struct proto_standing *list)
{
    const struct sim_task *task;
    const struct sim_kept *kept;
    unsigned count = 0;

    DL_FOREACH(worker->tasks, task) {
        struct proto_standing jobs = {.batch = task->chunk.batch,
                                      .chunk = task->chunk.chunk,
                                      .first = task->chunk.first,
                                      .attempt = task->chunk.attempt};

        for (uint32_t i = 0; i < task->chunk.count; i++)
            jobs.count += task->jobs[i].stage != SIM_RETURNED;
        count = add_standing(list, count, &jobs);
    }
    DL_FOREACH(worker->kept, kept) {
        if (kept->jobs.count > 0)
            count = add_standing(list, count, &kept->jobs);
        SIM_CHECK(count < STANDING_MAX, "worker %u keeps too much", worker->slot);
    }
    qsort(list, count, sizeof *list, compare);
    return count;
}

void sim_worker_hello(struct sim_worker *worker)
{
    static struct proto_standing list[STANDING_MAX];
    unsigned standing = list_standing(worker, list);
    const struct sim_kept *kept;

    worker->connected = true;
    worker->connect_ns = worker->orphan_ns = CLOCK_NEVER;
    sim_post(&worker->from, &(struct proto_message){.type = PROTO_HELLO,
                                                    .hello = {.version = PROTO_VERSION,
                                                              .role = PROTO_WORKER,
                                                              .pid = 1,
                                                              .credit = worker->credit,
                                                              .concurrency = worker->concurrency,
                                                              .standing = standing}});
    for (unsigned i = 0; i < standing; i++)
        sim_post(&worker->from, &(struct proto_message){.type = PROTO_STANDING, .standing = list[i]});
    DL_FOREACH(worker->kept, kept)
        sim_post_again(&worker->from, kept->letter.letters);
    sim_trace("%s says HELLO, %u standing", worker->name, standing);
}
