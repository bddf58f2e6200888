/* SPDX-License-Identifier: MIT
 *
 * A job that was submitted by itself, between the futures (future.c) and a model: the model
 * borrows it from model_ops.submit until it hands it back in the list of model_ops.dispatch.
 */
#ifndef MUSTER_CLIENT_TASK_H
#define MUSTER_CLIENT_TASK_H

#include "client/account.h"
#include "client/muster.h"
#include "jobs/call.h"

/* Where its time went. */
struct task_times {
    uint64_t submitted_ns, began_ns, wall_ns, cpu_ns;
    enum muster_phase last; /* which goes on until the result is handed over */
    struct muster_receipt receipt;
};

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

    struct call_cancel cancel; /* raised: it should end early; starts at 0 */

    bool alone;  /* when it was submitted no other job was under way */
    bool timed;  /* `times` is set, by the model */
    bool valued; /* it failed, and has a value nonetheless, as commands do; the model's to set */
    union {
        uint64_t submitted_ns;    /* 0: it is not to be timed */
        struct task_times *times; /* in its zone */
    };

    /* The model's own. */
    uint64_t index;
    void *place;
};

/* A job that lasts longer is worth its receipt: some six clock readings and 160 bytes from malloc,
 * 0.2 us, are 1% of it. */
extern const uint64_t TASK_TIMED_NS;

/* Whether the task, which took so long, is to have task_note_times called. */
bool task_wants_times(const struct task *task, uint64_t wall_ns);

/* Sets its times, unless there is no memory for them; moments->asked_ns is not looked at, and
 * `delivery` reaches to the beginning of the phase `last`. Once, after it has ended. */
void task_note_times(struct task *task, const struct moments *moments, const struct work *work,
                     const struct delivery *delivery, uint64_t cpu_ns, enum muster_phase last);

#endif
