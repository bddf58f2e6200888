/* SPDX-License-Identifier: MIT
 *
 * A RESULT message in the making: the outcome of neighbouring jobs of one chunk, in order. One
 * report is used again for the next one. Its users write the hot path's fields themselves.
 */
#ifndef MUSTER_WORKER_REPORT_H
#define MUSTER_WORKER_REPORT_H

#include "worker/link.h"

/* Jobs outcome.first .. first + count - 1. */
struct report {
    struct proto_outcome outcome;
    msgpack_sbuffer values;
    size_t values_bytes;            /* of the last report: what to reserve for the next */
    struct proto_failure *failures; /* owned, `capacity` of them; their texts live in `texts` */
    uint32_t capacity;
    uint64_t *timings; /* owned; NULL when no batch asked yet */
    msgpack_zone texts;
};

/* 0 or MUSTER_ENOMEM. */
int report_init(struct report *report);
void report_fini(struct report *report);

/* Starts a new report, which begins with the job `first`. 0 or MUSTER_ENOMEM. */
int report_begin(struct report *report, const struct assignment *assignment, uint64_t first,
                 uint64_t began_ns);

/* So does this, in the middle of a chunk: behind the jobs that were posted last. */
void report_go_on(struct report *report, uint64_t began_ns);

/* Notes that a job failed; its text is copied. The caller counts it. 0 or MUSTER_ENOMEM. */
int report_failure(struct report *report, const struct proto_failure *failure);

/* Posts it, with the times that outcome has; the values' memory goes with the message. 0 or
 * MUSTER_ENOMEM. */
int report_post(struct report *report, const struct proto_chunk *chunk, bool final, struct link *link);

#endif
