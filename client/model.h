/* SPDX-License-Identifier: MIT
 *
 * What an execution model implements. muster.c checks options and batches once, for all of
 * them; a model may rely on what is said here.
 */
#ifndef MUSTER_CLIENT_MODEL_H
#define MUSTER_CLIENT_MODEL_H

#include "client/muster.h"
#include "jobs/registry.h"

struct model {
    const struct model_ops *ops;
};

struct model_ops {
    /* options->workers is 1..PROTO_WORKERS_MAX, crash_limit and heartbeat_s are set; the
     * options and the registry outlive the model. */
    int (*open)(const struct muster_options *options, const struct registry *registry,
                struct model **ret_model, struct muster_error *ret_error);
    void (*close)(struct model *model);
    /* `function` is registered, the batch's fields are in range, on_result and on_tick are
     * not NULL, interrupt_fd is a descriptor or -1. *summary is zeroed; the model fills all but
     * wall_ns, workers and the CPU time of this process. */
    int (*map)(struct model *model, const muster_function *function, const struct muster_batch *batch,
               struct muster_summary *summary, struct muster_error *ret_error);
};

extern const struct model_ops model_inline;
extern const struct model_ops model_threads;
extern const struct model_ops model_processes;

#endif
