/* SPDX-License-Identifier: MIT
 *
 * What an execution model implements. muster.c checks options and batches once, for all of
 * them; a model may rely on what is said here.
 */
#ifndef MUSTER_CLIENT_MODEL_H
#define MUSTER_CLIENT_MODEL_H

#include "client/task.h"
#include "jobs/registry.h"
#include "proto/heap.h"

struct model {
    const struct model_ops *ops;
    /* Where large bytes of arguments are put, once: memory that workers read, or, once something
     * is shared, the process's own. Owned by whoever closes the model; NULL: there is none. */
    struct heap *heap;
    unsigned workers;    /* of a coordinator of another process; else 0 */
    unsigned connection; /* another number: it has connected anew, is not lost, and `fd` is another */
    const char *scratch; /* muster_scratch; the model's */
};

struct model_ops {
    /* options->workers is 1..PROTO_WORKERS_MAX, concurrency 1..PROTO_CONCURRENCY_MAX, crash_limit and
     * heartbeat_s are set; the options and the registry outlive the model. */
    int (*open)(const struct muster_options *options, const struct registry *registry,
                struct model **ret_model, struct muster_error *ret_error);
    /* Appends to *ended all tasks that were submitted and not handed back, those that had not
     * ended with MUSTER_ECANCELLED; then frees the model. */
    void (*close)(struct model *model, struct task **ended);
    /* `function` is registered, the batch's fields are in range, on_result and on_tick are
     * not NULL, interrupt_fd is a descriptor or -1. *summary is zeroed but for its workers; the
     * model fills all but wall_ns, and the CPU time and switches of this process. */
    int (*map)(struct model *model, const muster_function *function, const struct muster_batch *batch,
               struct muster_summary *summary, struct muster_error *ret_error);

    /* Single jobs; they go on while `map` runs. None of these waits (but `inline` and `loop`
     * run jobs in dispatch).
     *
     * Takes the task until dispatch hands it back. On failure nothing was taken. */
    int (*submit)(struct model *model, struct task *task, struct muster_error *ret_error);
    /* The task, which was submitted and not handed back, should end soon; it is handed back
     * all the same. */
    void (*cancel)(struct model *model, struct task *task);
    /* Appends tasks that ended to *ended (utlist's DL), about 1000 at most; fd stays readable
     * when there are more. Fails when the model is lost: then every task it had is in *ended,
     * with that error. */
    int (*dispatch)(struct model *model, struct task **ended, struct muster_error *ret_error);
    /* Readable, level-triggered, when dispatch has something to do. Owned by the model. */
    int (*fd)(const struct model *model);
};

/* Closes the model, and lets go of its heap. */
void model_close(struct model *model, struct task **ended);

extern const struct model_ops model_inline;
extern const struct model_ops model_threads;
extern const struct model_ops model_gil;
extern const struct model_ops model_loop;
extern const struct model_ops model_processes;

#endif
