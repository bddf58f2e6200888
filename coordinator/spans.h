/* SPDX-License-Identifier: MIT
 *
 * A set of jobs as spans of neighbours, in order of index: what is left of a chunk whose jobs
 * are reported in any order, or which jobs of a batch were cancelled. One span, the common
 * case, needs no memory of its own. Pure.
 */
#ifndef MUSTER_COORDINATOR_SPANS_H
#define MUSTER_COORDINATOR_SPANS_H

#include <stdbool.h>
#include <stdint.h>

struct span {
    uint64_t first, count; /* count is never 0 */
};

/* Zeroed it is empty. */
struct spans {
    struct span single;
    struct span *list; /* owned; NULL: `single` is the list */
    uint32_t count, capacity;
};

void spans_fini(struct spans *spans);

/* In order, spans->count of them, never touching each other. Valid until a change. */
static inline const struct span *spans_list(const struct spans *spans)
{
    return spans->list ? spans->list : &spans->single;
}

/* Adds jobs, of which some may be in it; first + count must not overflow. 0 or MUSTER_ENOMEM:
 * then nothing has changed. */
int spans_add(struct spans *spans, uint64_t first, uint64_t count);

/* Takes jobs out. 0; MUSTER_ESTATE when not all of them are in it, MUSTER_ENOMEM: then nothing
 * has changed. */
int spans_take(struct spans *spans, uint64_t first, uint64_t count);

/* Takes out those of the jobs that are in it. 0 or MUSTER_ENOMEM: then nothing has changed. */
int spans_drop(struct spans *spans, uint64_t first, uint64_t count);

/* The place of the first span that ends at or behind `index`; spans->count when there is none. */
uint32_t spans_find(const struct spans *spans, uint64_t index);

bool spans_hold(const struct spans *spans, uint64_t index);

/* How many jobs it holds. */
uint64_t spans_jobs(const struct spans *spans);

#endif
