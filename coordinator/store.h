/* SPDX-License-Identifier: MIT
 *
 * The durable record of batches and results: an SQLite database with a thread of its own. Requests
 * are submitted from one thread and done in their order; all that wait are done in one transaction,
 * and complete when it is on disk (or in memory, for a store without a path). Completions come in the
 * order of requests. docs/STORE.md describes the file to those who read it with other programs.
 *
 * When the disk cannot be written (full, read-only, broken), each request fares as
 * STORE_OPERATION_MAP says: a submission fails at once with MUSTER_ESYSTEM and a text, what must not be lost
 * is kept in memory in its order and tried again every second, and refusals and reads overtake it. The log
 * says once that it began and once that it is over.
 */
#ifndef MUSTER_COORDINATOR_STORE_H
#define MUSTER_COORDINATOR_STORE_H

#include "base/error.h"
#include "coordinator/store_request.h"

enum {
    STORE_FAILURES_MAX = 1000,        /* rows of failures of a batch, for people */
    STORE_PAGE_MAX = 1000,            /* entries of an answer, */
    STORE_PAGE_BYTES_MAX = 16 << 20,  /* and bytes: one more entry may pass them */
    STORE_SCAN_MAX = 10000,           /* batches that one LIST looks at: about 10 ms */
    STORE_INLINE_BYTES_MAX = 1 << 10, /* of first arguments in the row of their batch */
};

struct store;

/* Opens or makes the file; path NULL: in memory. A file that another process has open, that is
 * damaged, of a newer muster or another program's is refused, unchanged. */
int store_create(const char *path, struct store **ret_store, struct muster_error *ret_error);

/* From now on so many bytes may be kept: while there are more, what would add to the queue is refused with
 * MUSTER_ELIMIT. Results and ends are recorded all the same: who produces them heeds `full`. 0: no limit.
 * Before anything is submitted. */
void store_limit(struct store *store, uint64_t bytes);

/* Does all that was submitted (what cannot be written is tried once more, then lost, and the log
 * says so), and closes. Completions not taken are freed. Takes NULL. */
void store_destroy(struct store *store);

/* Never blocks. 0 or MUSTER_ENOMEM: then nothing was submitted. What each operation does:
 *
 * ADD        A new batch. When it is `sealed` it is whole and accepted, and the completion says what it
 *            is now: QUEUED, BLOCKED, DELAYED, or CANCELLED since a condition has failed already. Without,
 *            it is OPENING. STATE: the number is taken; NOTFOUND: it waits for an unknown batch.
 * ARGUMENTS  More of an unsealed list, behind what it has. STATE when they do not follow it.
 * COPY       As ARGUMENTS, with those of some jobs of another batch, as `count` says. STATE: that has not
 *            ended; PROTOCOL: it is damaged. `more`: go on at `next`.
 * SEAL       There are no more: as sealed ADD. A RUNNING batch goes on. STATE: it was sealed;
 *            INVALID: it has another number of arguments.
 * STATE      To RUNNING (when its turn comes) or back to QUEUED. CANCELLED: it runs on, and RESET ends it so
 *            if END does not come first. STATE: it is not in one that allows it.
 * RESULT     A record. STATE: it overlaps one, or the batch has ended; INVALID: no such jobs.
 * END        The batch is over; if it does not run and is CANCELLED, all of its jobs that have no record are,
 *            whatever the request counts. One that has ended may be LOST all the same. Completes with
 *            those that moved since: waiters that are now QUEUED, DELAYED or CANCELLED, and what waited
 *            for the cancelled ones; and with those that are damaged.
 * DUE        Delayed batches whose time has come are QUEUED: completes with them, those that are damaged, and
 *            the next begin_ms. `more`: ask again at once, behind the last that is damaged.
 * ABANDON    Forgets a batch that is not sealed, all of it. `more`: SWEEP.
 * DROP       Forgets a batch that has ended. STATE: it has not, or another waits for it. `more`: SWEEP.
 * RESET      At start: forgets what is not sealed; what was RUNNING and to be cancelled is, with what waited
 *            for it. `more`: SWEEP.
 * SWEEP      Deletes some of what batches had that were forgotten. `more`: ask again.
 * BARRIER    Nothing. It completes when all that was submitted before and may not be lost is on disk.
 * RESUME     Batches that are RUNNING, by number, as NEXT: at start, what ran in another life.
 * COUNTS     Batches QUEUED in each lane, the highest number there ever was, the earliest begin_ms.
 * NEXT       Queued batches of a lane by number, with their inline arguments; and those that are damaged.
 * LOAD       Argument blocks, beginning with the one that holds the job.
 * READ       Records, beginning with the one that holds the job, in order of jobs or of commit.
 * GAPS       Jobs of a sealed batch from one on that no record has; and how many have.
 * LIST       Batches by number. `more` with few or none: go on behind `next`.
 * FIND       One batch.
 * TALLY      How many batches there are in each state.
 *
 * On a batch that is not there all others fail with NOTFOUND. */
int store_submit(struct store *store, const struct store_request *request);

struct store_done {
    enum store_operation operation;
    uint64_t tag, batch;
    int code;                            /* 0, or why nothing was done */
    const char *text;                    /* of `code`; never NULL */
    bool passing;                        /* what is only read: why may be over when it is asked for again */
    enum store_state state;              /* ADD, SEAL, READ: what it is now; END: if it was not */
    const struct store_moved *moved;     /* END, DUE */
    const struct store_batch *batches;   /* NEXT, RESUME, LIST, FIND */
    const struct store_block *blocks;    /* LOAD */
    const struct store_record *records;  /* READ */
    const struct span *gaps;             /* GAPS */
    const struct store_waiting *waiting; /* COUNTS */
    const uint64_t *tally;               /* TALLY: by state */
    uint32_t count;                      /* of whichever of these; COPY: jobs */
    bool more;                           /* there is more behind it: */
    uint64_t next;                       /* what `from` is for that; RESULT: for READ by sequence behind it */
    uint64_t begin_ms;                   /* COUNTS, DUE: the earliest of what is delayed; 0: nothing is */
    uint64_t highest;                    /* COUNTS */
    uint64_t succeeded, failed;          /* GAPS: jobs that have a record */
    bool full;                           /* the limit is reached */
};

/* How many times the file was opened, 1 to PROTO_EPOCH_MAX and round again; 0: there is none. And a number
 * that no other file has, a copy of it neither. */
uint32_t store_epoch(const struct store *store);
uint64_t store_identity(const struct store *store);

/* Readable (poll) while there may be completions. */
int store_fd(const struct store *store);

/* The next completion, or NULL: then store_fd is no longer readable. */
struct store_done *store_take(struct store *store);

/* Takes NULL. */
void store_done_free(struct store_done *done);

#endif
