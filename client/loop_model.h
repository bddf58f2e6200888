/* SPDX-License-Identifier: MIT
 *
 * The model loop, between its two sides: single jobs (loop_model.c) and batches (loop_map.c).
 * Both run jobs as fibers of one event loop on the caller's thread.
 */
#ifndef MUSTER_CLIENT_LOOP_MODEL_H
#define MUSTER_CLIENT_LOOP_MODEL_H

#include "client/local.h"
#include "client/model.h"
#include "jobs/loop.h"

/* What one fiber runs. Embedded, as the first member, in what a batch or a single job is. */
struct strand {
    struct strand *prev, *next; /* of whoever holds it in a list */
    /* Its fiber waits, or has ended; called outside of it. */
    void (*left)(struct strand *strand);
    bool ended;

    /* For the message when it overflows its stack. */
    const muster_function *function;
    uint64_t (*index)(const struct strand *strand); /* of the job that runs; NULL: a single one */
};

struct loop_model {
    struct model model;
    struct loop *loop;    /* owned */
    unsigned concurrency; /* fibers of a batch, and of single jobs, at most */

    /* single jobs */
    struct task *queued, *ended; /* not begun; ended and not handed back */
    unsigned ended_count;
    struct strand *running; /* owned; of those that were begun */
    unsigned running_count;
    bool starved;     /* there was no stack for one more: wait until one of them ends */
    bool dispatching; /* who ends need not wake the caller */
};

/* Begins the next single job, where there is one and it may run. Returns whether it did. */
bool loop_model_begin(struct loop_model *self);

/* Makes the model's descriptor readable when dispatch has something to do: turns of the loop
 * outside of dispatch take note of what was told before. */
void loop_model_tell(struct loop_model *self);

/* From now on an overflow of a fiber's stack on this thread is named. 0 or MUSTER_ESYSTEM. */
int loop_model_watch(struct muster_error *ret_error);

/* The model's map. */
int loop_model_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
                   struct muster_summary *summary, struct muster_error *ret_error);

#endif
