/* SPDX-License-Identifier: MIT
 *
 * The coordinator's decisions, and nothing else: each handler takes what happened and the
 * time, changes the core's state, and puts what is to be done into the outbox. No socket,
 * clock, process or file is touched here, so all of it runs under a test or a simulator.
 *
 * Each job of a batch ends exactly once. What is in flight is fenced by the number of its
 * chunk: a result for a chunk that its sender no longer holds is counted and dropped.
 */
#ifndef MUSTER_COORDINATOR_CORE_H
#define MUSTER_COORDINATOR_CORE_H

#include "base/error.h"
#include "coordinator/outbox.h"

struct core;

/* Chunk numbers are counted in each epoch from EPOCH << CHUNKS_OF_EPOCH_BITS; see PROTO_EPOCH_MAX. */
enum { CHUNKS_OF_EPOCH_BITS = 40 };

/* Batches that are not kept, of a coordinator that keeps others, have numbers from here on, which the store
 * gives to none, and 2^38 in each epoch (with the 24 bits of PROTO_EPOCH_MAX that makes 2^63): a worker
 * that comes back with a chunk of one finds no other batch under its number. */
#define CORE_UNKEPT_BATCHES (UINT64_C(1) << 62)
enum { BATCHES_OF_EPOCH_BITS = 38 };

/* What there is to submit. */
struct core_functions {
    /* 0, or MUSTER_ENOTFOUND with a reason when there is none of that name. Pure. */
    int (*require)(const void *context, const char *name, struct muster_error *ret_error);
    const void *context; /* borrowed */
};

struct core_options {
    unsigned workers;      /* 1..PROTO_WORKERS_MAX */
    unsigned workers_max;  /* that core_scale may ask for; 0: no more than these */
    uint64_t heartbeat_ns; /* a busy worker that is silent for so long is killed */
    uint64_t host;         /* heap_host(); 0: nothing is in shared memory */
    unsigned cpus;         /* that jobs may take together; 0: as many as there are workers */
    uint64_t memory_bytes; /* likewise; 0: not known, and not counted */
    bool warm;             /* spawn all workers at once; clients are welcomed when all are ready */
    unsigned ahead;        /* spawn so many at once, whether there are jobs or not; no more than `workers` */
    /* What becomes of batches when the coordinator dies, and which of its lives this is, from 1; 0: it has
     * but one. Chunks and workers have numbers and names of their epoch, so that none is used again. */
    enum proto_keeps keeps;
    uint32_t epoch;
    const char *owner; /* the client whose STOP ends the coordinator; NULL: nobody's. Borrowed */
    unsigned clients;  /* at most; 0: PROTO_CLIENTS_MAX */
    const struct core_functions *functions; /* that workers have; NULL: not known here. Borrowed */
};

/* How a worker process ended, as its supervisor found it. */
struct worker_exit {
    unsigned slot;
    char reason[768]; /* "killed by SIGSEGV (Segmentation fault)", for people */
    bool killed;      /* by its supervisor, which was told to */
    bool lost;        /* the connection to its host was: no job is to blame */
    bool executing;   /* it was running the job `index` of `chunk` */
    bool faulted;     /* by its own code: no process of a command is to blame */
    bool timed_out;   /* it ended itself because that job passed its time limit */
    uint64_t chunk, index;
    uint64_t batch;    /* of that job, and */
    uint32_t attempt;  /* which one of it this was; both 0: not known */
    unsigned progress; /* of that job as it last said, in 1/1000; 0: it did not */
};

/* 0 or MUSTER_ENOMEM. */
int core_create(const struct core_options *options, struct core **ret_core);
void core_destroy(struct core *core);

/* At the start: workers that are wanted from the beginning. Harmless when it was called before. */
void core_start(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* At the start: a worker of another life of this coordinator, living or dead, has the slot. When it has
 * said what it holds, it goes on; it is killed if it says nothing for ten seconds. No job is assigned
 * until all of them are heard of, or buried. What they say is to be handled, and the dead are to be
 * buried, behind the submission of the batches whose jobs they may have. */
void core_adopt(struct core *core, uint64_t now_ns, unsigned slot, const char *name, struct outbox *outbox);

/* They can be heard from now on: the ten seconds begin. */
void core_listen(struct core *core, uint64_t now_ns);

/* What an item OUTBOX_KEEP waited for is on disk. Names of workers that are gone are passed over. */
void core_committed(const struct core *core, const char *name, uint64_t number, struct outbox *outbox);

/* A peer sent a message. */
void core_message(struct core *core, uint64_t now_ns, const char *peer, const struct proto_message *message,
                  struct outbox *outbox);

/* A batch of a client that keeps books, under the number that its ticket is, with the jobs that had ended
 * before: an item of kind OUTBOX_CORE whose message is SUBMIT. It was accepted: what it asks for beyond what
 * the host has by now is cut, and it is refused only if its function is not there. */
void core_submit_known(struct core *core, uint64_t now_ns, const char *peer, const struct outbox_item *item,
                       struct outbox *outbox);

/* Whether a job of such a batch could ever run: 0, or MUSTER_ELIMIT with a reason. */
int core_check_demand(const struct core *core, const struct proto_submit *submit,
                      struct muster_error *ret_error);

/* A peer sent bytes that are no message. */
void core_malformed(struct core *core, uint64_t now_ns, const char *peer, const struct muster_error *error,
                    struct outbox *outbox);

/* A client is dead: its batches are cancelled. Names of others are passed over. */
void core_client_gone(struct core *core, uint64_t now_ns, const char *peer, struct outbox *outbox);

/* Names of workers, and of nobody else, begin so. */
#define CORE_WORKER_PREFIX "worker-"

/* What a client is told whose CANCEL names more than PROTO_CHUNK_JOBS_MAX jobs. */
#define CORE_CANCEL_LIMIT "too many jobs for one CANCEL: name them in several"

/* Whether a worker of that name is there. */
bool core_has_worker(const struct core *core, const char *peer);

/* Whether a client of that name has said HELLO and not left. */
bool core_has_client(const struct core *core, const char *peer);

/* Whether the client has an open batch under this ticket. */
bool core_has_ticket(const struct core *core, const char *peer, uint64_t ticket);

/* The worker of a slot is dead and buried. */
void core_worker_exited(struct core *core, uint64_t now_ns, const struct worker_exit *exit,
                        struct outbox *outbox);

/* A worker could not be spawned. */
void core_spawn_failed(struct core *core, uint64_t now_ns, unsigned slot, const struct muster_error *error,
                       struct outbox *outbox);

/* Does what is due. Call when core_deadline has come; calling early is harmless. */
void core_tick(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* When core_tick is due next; CLOCK_NEVER while all is idle. */
uint64_t core_deadline(const struct core *core);

/* So many workers shall run from now on, 1..workers_max. Those that are too many are asked to stop when
 * what they run is over; what they have not begun goes to others. */
void core_scale(struct core *core, uint64_t now_ns, unsigned workers, struct outbox *outbox);

/* A host, known by this number from now on, not 0, has so many places for workers, from 1; core_scale is
 * about others. Returns how many of them there is room for: some of the workers that are wanted will be
 * spawned there, in the last of them never. Jobs go there that take no more than a worker stands for, of any
 * function but commands, which are about files and programs of the coordinator's host. */
unsigned core_join(struct core *core, uint64_t now_ns, unsigned host, const char *name, unsigned places,
                   struct outbox *outbox);

/* As core_join, of a host with workers of another life, which are adopted. Jobs wait for what they say only
 * if it was expected; else they have what nobody else has by then. False where they cannot be: then it has
 * not joined. */
bool core_join_again(struct core *core, uint64_t now_ns, unsigned host, const char *name,
                     const struct proto_join *join, bool expected, unsigned *ret_places,
                     struct outbox *outbox);

/* What its workers say may take long to come through: none is silent. */
void core_heard(struct core *core, uint64_t now_ns, unsigned host);

/* The host cannot be reached for now. Its workers go on with what they have, and nobody else is given that.
 */
void core_away(struct core *core, uint64_t now_ns, unsigned host, struct outbox *outbox);

/* It can be again, and has these workers still: each is to say HELLO within ten seconds, and what it holds.
 * The others have ended, their jobs go to others. False: it never was given one of these. */
bool core_back(struct core *core, uint64_t now_ns, unsigned host, const struct proto_join *join,
               struct outbox *outbox);

/* At the start: a host may come back with workers of another life, which core_adopt is told of then; or it
 * does not. No job is assigned meanwhile. */
void core_await_host(struct core *core);
void core_await_host_no_more(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* The host is lost, with its workers, for this reason. Their jobs go to others; none is to blame. */
void core_part(struct core *core, uint64_t now_ns, unsigned host, const char *reason, struct outbox *outbox);

/* No further job starts, and what workers have not begun comes back; or jobs start again. */
void core_drain(struct core *core, uint64_t now_ns, bool drain, struct outbox *outbox);

/* As core_drain, for good: when no job runs any more, core_stopped is true. */
void core_finish(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* The coordinator cannot go on, for this reason: every client is told. */
void core_fail(struct core *core, int code, const char *reason, struct outbox *outbox);

/* The coordinator ends: idle workers are asked to finish, others are killed, and clients are
 * told. */
void core_stop(struct core *core, struct outbox *outbox);

/* The owner asked the coordinator to end, or it has finished. */
bool core_stopped(const struct core *core);

#endif
