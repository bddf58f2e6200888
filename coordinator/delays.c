/* SPDX-License-Identifier: MIT
 *
 * Queues of jobs that wait before they are run again. See delays.h. Pure.
 */
#include "coordinator/delays.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <utlist.h>

_Static_assert(1 << (DELAY_QUEUES - 1) > DELAY_MS_MAX, "the last queue holds those that wait longest");

void delays_fini(struct delays *delays)
{
    for (unsigned i = 0; i < DELAY_QUEUES; i++) {
        struct delayed *node, *next;

        DL_FOREACH_SAFE(delays->queues[i], node, next)
            free(node);
    }
    *delays = (struct delays){.jobs = 0};
}

static unsigned queue_of(uint32_t attempts)
{
    return attempts < DELAY_QUEUES ? attempts - 1 : DELAY_QUEUES - 1;
}

uint64_t delays_backoff_ns(uint32_t backoff_ms, uint32_t attempts)
{
    uint64_t delay_ms = (uint64_t)backoff_ms << queue_of(attempts);

    return (delay_ms < DELAY_MS_MAX ? delay_ms : DELAY_MS_MAX) * CLOCK_NS_PER_MS;
}

int delays_add(struct delays *delays, const struct job_run *run)
{
    struct delayed **queue = &delays->queues[queue_of(run->attempts)], *node;

    if (*queue && job_run_continues(&(*queue)->prev->run, run)) {
        (*queue)->prev->run.count += run->count;
    } else {
        node = malloc(sizeof *node);
        if (!node)
            return MUSTER_ENOMEM;
        node->run = *run;
        DL_APPEND(*queue, node);
    }
    delays->jobs += run->count;
    return 0;
}

uint64_t delays_due_ns(const struct delays *delays)
{
    uint64_t due_ns = CLOCK_NEVER;

    if (delays->jobs == 0)
        return due_ns;
    for (unsigned i = 0; i < DELAY_QUEUES; i++)
        if (delays->queues[i] && delays->queues[i]->run.due_ns < due_ns)
            due_ns = delays->queues[i]->run.due_ns;
    return due_ns;
}

static void drop(struct delays *delays, unsigned queue, struct delayed *node)
{
    DL_DELETE(delays->queues[queue], node);
    free(node);
}

bool delays_take_due(struct delays *delays, uint64_t now_ns, struct job_run *ret_run)
{
    for (unsigned i = 0; i < DELAY_QUEUES && delays->jobs > 0; i++) {
        struct delayed *node = delays->queues[i];

        if (!node || node->run.due_ns > now_ns)
            continue;
        *ret_run = node->run;
        delays->jobs -= node->run.count;
        drop(delays, i, node);
        return true;
    }
    return false;
}

/* Cuts jobs from run->first on out of the node, which holds them all. */
static int cut(struct delays *delays, unsigned queue, struct delayed *node, const struct job_run *run)
{
    uint64_t before = run->first - node->run.first, behind = node->run.count - before - run->count;

    if (before > 0 && behind > 0) {
        struct delayed *rest = malloc(sizeof *rest);

        if (!rest)
            return MUSTER_ENOMEM;
        rest->run = node->run;
        job_run_take(&rest->run, before + run->count);
        DL_APPEND_ELEM(delays->queues[queue], node, rest);
    }
    if (before > 0)
        node->run.count = before;
    else if (behind > 0)
        job_run_take(&node->run, run->count);
    else
        drop(delays, queue, node);
    delays->jobs -= run->count;
    return 0;
}

int delays_take(struct delays *delays, uint64_t first, uint64_t end, struct job_run *ret_run)
{
    ret_run->count = 0;
    for (unsigned i = 0; i < DELAY_QUEUES && delays->jobs > 0; i++) {
        struct delayed *node;

        DL_FOREACH(delays->queues[i], node) {
            struct job_run run = node->run;
            uint64_t node_end = run.first + run.count;
            int result;

            if (node_end <= first || run.first >= end)
                continue;
            run.first = run.first < first ? first : run.first;
            run.count = (node_end < end ? node_end : end) - run.first;
            result = cut(delays, i, node, &run);
            if (result == 0)
                *ret_run = run;
            return result;
        }
    }
    return 0;
}
