/* SPDX-License-Identifier: MIT
 *
 * The parts of the model `processes`: opening it (processes.c), running a batch as a client of
 * its coordinator (processes_map.c), and single jobs (processes_tasks.c).
 */
#ifndef MUSTER_CLIENT_PROCESSES_H
#define MUSTER_CLIENT_PROCESSES_H

#include "client/mailbox.h"
#include "client/model.h"
#include "client/stream.h"
#include "coordinator/coordinator.h"

/* Single jobs: streams of them, by kind. */
struct tasks {
    struct stream_outlet outlet;
    struct stream *open;   /* those that take tasks, by kind */
    struct stream *all;    /* with those that are sealed, and not over; owned */
    struct stream *recent; /* of `open`, used last; NULL: none */
    bool ready;            /* what the wire's descriptor was last told */
};

struct processes {
    struct model model;              /* first */
    struct wire_context *context;    /* owned */
    struct coordinator *coordinator; /* owned; NULL when it is another process's */
    struct forkserver *forkserver;   /* owned; NULL where workers are spawned */
    struct mappings *mappings;       /* of the workers' heaps; owned; NULL: nothing is in shared memory */
    struct mailbox mailbox;          /* to the coordinator; the caller's thread's */
    struct wire_parcel *farewell;    /* STOP, packed ahead: to end must not need memory. Owned; NULL: sent */
    struct tasks tasks;
    uint32_t crash_limit;
    uint32_t workers; /* of the coordinator */
    bool welcome;     /* it said so */
    enum proto_keeps keeps;
    uint32_t epoch;
    uint64_t away_ns; /* how long a batch waits for its return; 0: not at all */
};

enum {
    /* Of one attempt to return, which may meet a coordinator that only begins: nothing else is looked at
     * meanwhile. */
    PROCESSES_RETURN_MS = 1000,

    /* Descriptors of one worker: pidfd, flight recorder, heap, connection; one more while it is
     * replaced. And of all else: sockets, wake-ups, the lock, epoll. */
    PROCESSES_WORKER_DESCRIPTORS = 5,
    PROCESSES_OTHER_DESCRIPTORS = 32,

    /* Results that may wait for their turn, and arguments that may be remembered. */
    PROCESSES_WINDOW_BYTES = 64 << 20,

    /* Arguments that are remembered of a batch that begins when all of them are there, and so cannot wait for
     * room: four times what others have. */
    PROCESSES_WHOLE_BYTES = 256 << 20,

    /* Results on their way from a coordinator that keeps the others meanwhile, and has many clients: two
     * milliseconds of a socket at 1 GB/s, within which this side answers. */
    PROCESSES_KEPT_WINDOW_BYTES = 2 << 20,
};

/* What a coordinator is started with, from options with their defaults. Borrows from them. */
struct coordinator_options processes_settings(const struct muster_options *options);

/* Results that may be on their way to this client, of each batch. */
static inline uint64_t processes_window(const struct processes *p)
{
    return p->keeps ? PROCESSES_KEPT_WINDOW_BYTES : PROCESSES_WINDOW_BYTES;
}

/* The `map` of the model; see model.h. */
int processes_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
                  struct muster_summary *summary, struct muster_error *ret_error);

/* Connects to the coordinator that has come back, to one that knows what it kept; single jobs are lost with
 * their connection. MUSTER_ELOST: it is not there yet. */
int processes_return(struct processes *p, struct muster_error *ret_error);

/* Those for single jobs. */
int processes_submit(struct model *model, struct task *task, struct muster_error *ret_error);
void processes_cancel(struct model *model, struct task *task);
int processes_dispatch(struct model *model, struct task **ended, struct muster_error *ret_error);
int processes_fd(const struct model *model);

/* Ends all tasks with `code` and its text, and appends them to *ended. */
void processes_end_tasks(struct processes *p, int code, const char *text, struct task **ended);

/* Ends them, and leaves them to processes_dispatch. */
void processes_fail_tasks(struct processes *p, int code, const char *text);

/* Sends what waits to be sent, and lets the descriptor say what there is to do: before and after
 * somebody else uses the mailbox. */
void processes_flush(struct processes *p);
void processes_settle(struct processes *p);

#endif
