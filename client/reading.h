/* SPDX-License-Identifier: MIT
 *
 * The results of one batch that a coordinator keeps: attaches to it, decodes what comes, and hands over job
 * after job, in their order, each with its argument where that is wanted. The coordinator sends no more than
 * what was not handed over yet. One thread, that of the remote.
 */
#ifndef MUSTER_CLIENT_READING_H
#define MUSTER_CLIENT_READING_H

#include "client/muster.h"
#include "client/remote.h"

struct reading {
    uint64_t batch;
    bool follow;    /* until the batch is over; else only what is recorded by now */
    bool arguments; /* fill result.argument in for a list, too; for a range it always is */
    /* All return 0, or an error with which the reading ends. The batch, before anything else: what the
     * message borrows is valid during the call. */
    int (*on_batch)(void *context, const struct proto_attached *batch, struct muster_error *ret_error);
    /* A job that ended; times are 0 unless they were measured, and there is no receipt. */
    int (*on_result)(void *context, const struct muster_result *result, struct muster_error *ret_error);
    /* Ahead of a wait. */
    int (*on_wait)(void *context, struct muster_error *ret_error);
    /* The connection broke, as *error says. 0: remote_return was done, and the reading goes on where it was.
     * NULL: it ends. */
    int (*on_lost)(void *context, struct muster_error *error);
    void *context;
};

/* How it ended: code and counts of ENDED, whose text is in *ret_error where its code is not 0. */
struct reading_end {
    int code;
    uint64_t succeeded, failed, cancelled;
};

/* Reads all of it. 0: it came to its end, and *ret_end is set; the code is MUSTER_EAGAIN then where the batch
 * is not over. MUSTER_ENOTFOUND: there is no such batch. */
int reading_run(const struct reading *reading, struct remote *remote, struct reading_end *ret_end,
                struct muster_error *ret_error);

#endif
