/* SPDX-License-Identifier: MIT
 *
 * An open batch of the coordinator for single jobs of one kind: those of one function, time
 * limit and number of retries. It is not sealed while jobs may still come. Tasks wait here
 * until they are sent, many in one message, and results find theirs by index. The caller's
 * thread.
 */
#ifndef MUSTER_CLIENT_STREAM_H
#define MUSTER_CLIENT_STREAM_H

#include "client/mailbox.h"
#include "client/task.h"

/* What the tasks of a stream have in common; zeroed before it is filled, for it is hashed. */
struct stream_kind {
    const muster_function *function;
    uint32_t timeout_ms, retries;
};

/* Where streams put what they are done with: the list of model_ops.dispatch. */
struct stream_outlet {
    struct mailbox *mailbox; /* borrowed */
    struct heap *heap;       /* what arguments may be in already; borrowed; NULL: nothing is shared */
    struct task *ended;      /* in the order in which they did */
    uint64_t ended_count;
    uint32_t crash_limit;
    uint64_t window_bytes; /* results that may be on their way: those here are taken as they come */
};

/* When a block of tasks was sent. */
struct stream_stamp {
    uint64_t last;                 /* index of the last of them; 0: none */
    uint64_t encoding_ns, sent_ns; /* until, and when */
};

/* So many blocks are remembered: of tasks in older ones it is not known when they were encoded. */
enum { STREAM_STAMPS = 64 };

struct stream {
    struct mail_route route; /* first */
    struct stream_kind kind;
    struct stream_outlet *outlet; /* borrowed */

    struct task *queue; /* submitted and not sent */
    uint64_t queued;

    /* Those sent and not ended, by index: job `index` is at index & (capacity - 1), and every job
     * below `low` has ended. A hole is NULL. */
    struct task **sent; /* owned */
    size_t capacity;    /* a power of two; 0: none */
    uint64_t low, last; /* last: the index that was given last */
    uint64_t in_flight;

    struct shared_uses uses;                   /* of the block that is being filled */
    struct stream_stamp stamps[STREAM_STAMPS]; /* of the blocks that were sent last: a ring */
    uint64_t blocks;                           /* that were sent */

    uint64_t granted_cost, sent_cost;    /* of arguments */
    uint64_t consumed_cost, told_cost;   /* of results */
    uint64_t cancel_first, cancel_count; /* jobs whose CANCEL is not sent yet */
    bool sealed;                         /* no more come */
    bool over;                           /* the coordinator knows it no longer */

    struct stream *prev, *next; /* of a list of its owner's */
    UT_hash_handle hh;          /* by kind, in a table of its owner's */
};

/* Opens one. 0; MUSTER_ENOMEM; or the code with which the mailbox is lost. */
int stream_open(struct stream_outlet *outlet, const struct stream_kind *kind, struct stream **ret_stream);

/* It holds no task. Takes NULL. */
void stream_destroy(struct stream *stream);

/* Takes a task, whose `place` is the stream until it is in outlet->ended. */
void stream_add(struct stream *stream, struct task *task);

/* Asks a task of it, whose `place` is not NULL, to end. */
void stream_cancel(struct stream *stream, struct task *task);

/* Whether stream_flush would send something. */
bool stream_wants_flush(const struct stream *stream);

/* Sends what waits, as far as the coordinator has granted. */
void stream_flush(struct stream *stream);

/* Lets it end with its last task. Nothing waits to be sent. */
void stream_seal(struct stream *stream);

/* Whether so few of a wide range of indexes are left that the table of them is a waste. */
bool stream_is_sparse(const struct stream *stream);

/* All its tasks end with this error; `text` is copied. */
void stream_fail(struct stream *stream, int code, const char *text);

#endif
