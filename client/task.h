/* SPDX-License-Identifier: MIT
 *
 * A job that was submitted by itself, between the futures (future.c) and a model: the model
 * borrows it from model_ops.submit until it hands it back in the list of model_ops.dispatch.
 */
#ifndef MUSTER_CLIENT_TASK_H
#define MUSTER_CLIENT_TASK_H

#include "client/muster.h"
#include "jobs/call.h"

struct task {
    struct task *prev, *next; /* of whichever list holds it */

    /* What to run; set before it is submitted and not changed until it is handed back. */
    const muster_function *function;
    msgpack_object argument; /* in `zone`, or static */
    double timeout_s;        /* 0: none; only `processes` is given one */
    unsigned retries;

    /* How it ended; the model's to set. */
    int code; /* 0, or why it failed; MUSTER_ECANCELLED */
    msgpack_object value;
    const char *text; /* of `code`, in `zone` or static; NULL when 0 */
    unsigned attempts, worker;
    /* Owned by the future, never NULL: the argument, and what the model puts there. It takes
     * no memory until something is allocated from it, and must not be cleared. */
    msgpack_zone *zone;

    /* The model's own. */
    struct call_cancel cancel; /* raised: it should end early; starts at 0 */
    uint64_t index;
    void *place;
};

#endif
