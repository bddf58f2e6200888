/* SPDX-License-Identifier: MIT
 *
 * Every message that crosses a process boundary, as a struct. proto/PROTOCOL.md is the
 * normative description of the bytes; proto/codec.h turns one into the other.
 *
 * A message is a header (this struct) and, for the types that say so, a payload: the
 * encoded values of a run of jobs, one after another, which only the two ends look into.
 * Texts and arrays inside a decoded message are borrowed from the frame and the zone it was
 * decoded with. A message's cost, for grants and windows, is what proto_cost says. Indexes of
 * jobs count from 1. Durations are nanoseconds unless named.
 */
#ifndef MUSTER_PROTO_MESSAGES_H
#define MUSTER_PROTO_MESSAGES_H

#include "base/blob.h"

#include <stdbool.h>
#include <stdint.h>

/* X(name, number): who sends it; a host is a process that runs workers elsewhere. */
#define PROTO_TYPE_MAP(X)                                                                        \
    X(HELLO, 1)     /* client, worker: who I am */                                               \
    X(WELCOME, 2)   /* coordinator: you are known */                                             \
    X(ERROR, 3)     /* coordinator: what you sent was refused */                                 \
    X(SUBMIT, 4)    /* client: a new batch; payload */                                           \
    X(ACCEPTED, 5)  /* coordinator: its number */                                                \
    X(ARGUMENTS, 6) /* client: arguments of a batch; payload; coordinator: of one attached to */ \
    X(SEAL, 7)      /* client: a streamed batch has no more arguments */                         \
    X(GRANT, 8)     /* coordinator: how many argument bytes may be sent */                       \
    X(RESULTS, 9)   /* coordinator: jobs that ended; payload */                                  \
    X(CONSUMED, 10) /* client: how many result bytes it has taken */                             \
    X(ENDED, 11)    /* coordinator: the batch is over */                                         \
    X(CANCEL, 12)   /* client, coordinator: end jobs early */                                    \
    X(CHUNK, 13)    /* coordinator: jobs to run; payload when a list */                          \
    X(RESULT, 14)   /* worker: jobs of a chunk that ended; payload */                            \
    X(PING, 15)     /* coordinator: are you there? */                                            \
    X(PONG, 16)     /* worker: yes */                                                            \
    X(STOP, 17)     /* coordinator: finish; client: I leave */                                   \
    X(RETURNED, 18) /* worker: jobs that it gives back */                                        \
    X(ATTACH, 19)   /* client: tell me about a batch that is there */                            \
    X(ATTACHED, 20) /* coordinator: what it is; the rest follows */                              \
    X(DETACH, 21)   /* client: no more about that batch, which goes on */                        \
    X(REQUEST, 22)  /* client: a question, or something to be done */                            \
    X(ANSWER, 23)   /* coordinator: to that; payload */                                          \
    X(STANDING, 24) /* worker, to a coordinator that came back: a chunk that I hold */           \
    X(KEPT, 25)     /* coordinator: results that are recorded */                                 \
    X(JOIN, 26)     /* host: workers that it could run */                                        \
    X(JOINED, 27)   /* coordinator, to a host: it may */                                         \
    X(SPAWN, 28)    /* coordinator, to a host: start a worker */                                 \
    X(KILL, 29)     /* coordinator, to a host: end one at once */                                \
    X(EXITED, 30)   /* host: one has ended, or did not start */                                  \
    X(BEAT, 31)     /* host: I am there */

enum proto_type {
#define X(name, number) PROTO_##name = (number),
    PROTO_TYPE_MAP(X)
#undef X
};

struct proto_text {
    const char *bytes; /* not NUL-terminated; borrowed */
    uint32_t size;
};

enum proto_role { PROTO_CLIENT = 1, PROTO_WORKER = 2 };

struct proto_hello {
    uint32_t version; /* PROTO_VERSION */
    enum proto_role role;
    uint64_t pid;
    uint32_t credit;            /* worker: chunks it takes at once; client: 0 */
    uint32_t concurrency;       /* worker: jobs it runs at once; client: 0 */
    struct proto_text software; /* "muster 0.1.0", for people */
    struct proto_text user;     /* client: who submits, for sharing and for people; may be empty */
    uint32_t standing;          /* worker: STANDING messages that follow; else 0 */
};

/* Where a coordinator has the record of batches that are kept; NOTHING: it keeps none. */
enum proto_keeps { PROTO_KEEPS_NOTHING = 0, PROTO_KEEPS_IN_MEMORY = 1, PROTO_KEEPS_ON_DISK = 2 };

struct proto_welcome {
    uint32_t version;
    uint32_t workers; /* that the coordinator is set to run */
    uint64_t host; /* equal where processes can open each other's shared memory (proto/heap.h); 0: nowhere */
    enum proto_keeps keeps;
    uint32_t epoch; /* incarnation of the coordinator: one more each time that it starts; 0: it has but one */
};

struct proto_error {
    uint64_t ticket; /* 0: not about one batch */
    int32_t code;    /* enum muster_error_code */
    struct proto_text text;
};

enum proto_arguments { PROTO_RANGE = 1, PROTO_LIST = 2 };

/* What must become of the batch that another waits for; else that one is cancelled. */
enum proto_condition { PROTO_AFTER_OK = 1, PROTO_AFTER_ANY = 2 };

struct proto_after {
    uint64_t batch;
    enum proto_condition condition;
};

struct proto_submit { /* payload: `count` values */
    uint64_t ticket;  /* the client's own number for the batch, unique on its connection, not 0 */
    struct proto_text function;
    enum proto_arguments kind;
    int64_t first, last;   /* RANGE: the arguments, inclusive; LIST: 0, 0 */
    uint32_t chunk_jobs;   /* jobs of a chunk; 0: automatic */
    uint32_t timeout_ms;   /* of one job; 0: none */
    uint32_t retries;      /* of a job that failed or timed out */
    uint32_t crash_limit;  /* worker deaths until a job is quarantined, at least 1 */
    bool timings;          /* measure every job */
    bool shared;           /* the client reads results in shared memory: its host is the coordinator's */
    uint64_t window_bytes; /* result cost that may be sent and not yet consumed; !attach: says nothing */
    uint32_t count; /* LIST: values in the payload, and then they are all: no ARGUMENTS and no SEAL follow */
    bool keep;      /* the batch is recorded, and goes on when this client leaves or dies */
    bool hold;      /* kept: its record stays until it is forgotten; else until it has ended and this client
                       has consumed all of it */
    bool attach;    /* RESULTS and ENDED come under `ticket`; false, if kept: only ACCEPTED does */
    bool ordered;   /* RESULTS in the order of jobs, not as they end */
    struct proto_text name;          /* for people; may be empty */
    int32_t priority;                /* higher ones go first; -PROTO_PRIORITY_MAX..PROTO_PRIORITY_MAX */
    uint32_t most_running;           /* jobs of the batch at once; 0: as many as there is room for */
    uint32_t cpus;                   /* that each job takes, at least 1 */
    uint64_t memory_bytes;           /* that each job takes; 0: not said */
    uint64_t begin_ms;               /* not before: milliseconds since 1970, UTC; 0: at once */
    uint32_t backoff_ms;             /* before a failed job is tried again, doubled each time; 0: none */
    const struct proto_after *after; /* batches that must have ended first */
    uint32_t after_count;
    struct proto_text
        common; /* what all jobs have in common, for their function: one encoded value; size 0: nothing */
};

struct proto_accepted {
    uint64_t ticket, batch;
};

struct proto_arguments_block { /* payload: `count` values */
    uint64_t ticket;
    uint64_t first; /* index of the first job; a client's blocks follow each other without a gap */
    uint32_t count;
    uint64_t shared_bytes; /* of these values, in shared memory; 0: all of them are in the payload */
};

struct proto_seal {
    uint64_t ticket;
    uint64_t total; /* jobs of the batch */
};

struct proto_grant {
    uint64_t ticket;
    uint64_t bytes; /* ARGUMENTS may be sent while their total cost is below this */
};

struct proto_failure {
    uint64_t index;
    int32_t code; /* enum muster_error_code */
    struct proto_text text;
    bool valued; /* the payload has a value for it nonetheless: what there is of a command that failed */
};

/* How a run of jobs ended, shared by RESULT and RESULTS. The payload holds the values of
 * the jobs that are not among the failures, and of the failures that are valued, in order. */
struct proto_outcome {
    uint64_t first;   /* index of the first job */
    uint32_t count;   /* jobs, failed ones included */
    uint32_t attempt; /* that ended, counted from 1 */
    /* Where their time went, CLOCK_MONOTONIC where they ran: their chunk came (0: not known), about
     * when the first of them started, and they were reported. */
    uint64_t arrived_ns, began_ns, reported_ns;
    /* Of all of them together; decode and encode are 0, and in execute_ns, where jobs are too short
     * for reading a clock around each (`split` is false). */
    bool split;
    uint64_t decode_ns, execute_ns, encode_ns, cpu_ns;
    uint64_t shared_bytes;                /* of their results, in shared memory */
    const struct proto_failure *failures; /* ordered by index, each once */
    uint32_t failure_count;
    /* PROTO_TIMINGS for each job: nanoseconds from began_ns to its start, decode, execute, encode,
     * CPU; NULL: not measured. */
    const uint64_t *timings;
};

enum { PROTO_TIMINGS = 5 };

struct proto_results { /* payload */
    uint64_t ticket;
    uint32_t worker; /* slot of the worker that ran them, from 1; 0: none did */
    /* When the coordinator had the jobs' arguments, and sent their chunk, on its own clock; 0: not
     * known. */
    uint64_t queued_ns, assigned_ns;
    struct proto_outcome outcome;
};

struct proto_consumed {
    uint64_t ticket;
    uint64_t bytes; /* total cost of the RESULTS it is done with */
};

struct proto_ended {
    uint64_t ticket;
    int32_t code;                          /* 0: every job ended; else why the batch was given up */
    uint64_t succeeded, failed, cancelled; /* jobs; they add up to the batch */
    uint64_t retried;                      /* attempts beyond each job's first */
    uint64_t crashes;                      /* workers that died while they held jobs of this batch */
    uint64_t late;                         /* results dropped because their attempt was over */
    uint64_t chunks;                       /* CHUNK messages sent */
    uint64_t bytes_in, bytes_out;          /* payload bytes to and from workers */
    uint64_t execute_ns, cpu_ns;           /* inside the function, all workers */
    uint64_t process_cpu_ns;               /* of the worker processes while they had this batch, */
    uint64_t voluntary, involuntary;       /* and their context switches */
    struct proto_text text;                /* of `code` */
};

/* NOW ends running jobs too; SOON lets them finish and starts no more. RETURN, from the coordinator
 * only and with jobs: those that have not begun come back with RETURNED. */
enum proto_cancel_mode { PROTO_CANCEL_SOON = 1, PROTO_CANCEL_NOW = 2, PROTO_CANCEL_RETURN = 3 };

struct proto_cancel {
    uint64_t id; /* the client's ticket, or towards a worker the batch */
    enum proto_cancel_mode mode;
    uint64_t first, count; /* only these jobs; 0, 0: all of them, and no more to come */
};

struct proto_chunk { /* payload: `count` values when kind is LIST */
    uint64_t batch;
    uint64_t chunk; /* unique per assignment: what fences late results */
    struct proto_text function;
    uint64_t first;
    uint32_t count;
    uint32_t attempt;
    uint32_t timeout_ms;
    bool timings;
    uint64_t reader;       /* process that reads results in shared memory: the client's; 0: none does */
    uint64_t shared_bytes; /* of the arguments, in shared memory */
    enum proto_arguments kind;
    int64_t argument;         /* RANGE: the first job's argument; each further one is one more */
    struct proto_text common; /* as that of the SUBMIT */
};

struct proto_result { /* payload */
    uint64_t batch, chunk;
    uint64_t number;         /* of this message, from 1, kept by its worker until KEPT; 0: it keeps none */
    bool final;              /* the last message of this chunk: jobs not reported were not started */
    uint64_t process_cpu_ns; /* of the worker process since it started, */
    uint64_t process_voluntary, process_involuntary; /* and its context switches */
    struct proto_outcome outcome;
};

/* Jobs that had not begun, and were asked for with PROTO_CANCEL_RETURN; neighbours. */
struct proto_returned {
    uint64_t batch, chunk;
    uint64_t first;
    uint32_t count;
};

struct proto_ping {
    uint64_t nonce;
};

struct proto_attach {
    uint64_t ticket; /* the client's own number for what it is told, unique as a batch's */
    uint64_t batch;
    uint64_t first;        /* ordered: the first job that is wanted; else the first RESULTS, counted from 1 */
    bool ordered;          /* RESULTS in the order of jobs, not as they ended */
    bool follow;           /* until the batch is over; else only what is recorded by now */
    bool arguments;        /* ARGUMENTS of a list, each ahead of the RESULTS of its jobs */
    bool results;          /* false: only ATTACHED and ENDED come */
    uint64_t window_bytes; /* cost that may be sent and not yet consumed; 0 without results */
};

struct proto_attached {
    uint64_t ticket, batch;
    struct proto_text function;
    enum proto_arguments kind;
    int64_t first, last; /* as they were submitted */
    uint64_t total;      /* jobs known so far */
    bool sealed;         /* and there are no more */
};

struct proto_detach {
    uint64_t ticket;
};

/* X(name, number): what `batch`, `number` and `text` mean, and what is answered, is in PROTOCOL.md. */
#define PROTO_OPERATION_MAP(X) \
    X(STATUS, 1)               \
    X(BATCHES, 2)              \
    X(WORKERS, 3)              \
    X(CANCEL, 4)               \
    X(RETRY, 5)                \
    X(FORGET, 6)               \
    X(SCALE, 7)                \
    X(DRAIN, 8)                \
    X(STOP, 9)

enum proto_operation {
#define X(name, number) PROTO_REQUEST_##name = (number),
    PROTO_OPERATION_MAP(X)
#undef X
};

/* What the number of a STOP means. */
enum { PROTO_STOP_SOON = 1, PROTO_STOP_NOW = 2 };

struct proto_request {
    uint64_t ticket; /* the client's own number for it, unique as a batch's */
    enum proto_operation operation;
    uint64_t batch;
    uint64_t number;
    struct proto_text text;
};

struct proto_answer { /* payload: one value; nil: there is nothing to say */
    uint64_t ticket;
    int32_t code;           /* 0: done; else why not */
    bool more;              /* a further ANSWER follows */
    struct proto_text text; /* of `code` */
};

/* A chunk that a worker was assigned by an incarnation of its coordinator that is gone. */
struct proto_standing {
    uint64_t batch, chunk;
    uint64_t first;
    uint32_t count;
    uint32_t attempt;
};

struct proto_kept {
    uint64_t number; /* RESULT messages up to this one need not be sent again */
};

/* A plug-in by what is in its file. */
struct proto_plugin {
    struct proto_text name;   /* of the file, for people */
    struct proto_text digest; /* SHA-256 of its bytes, PROTO_DIGEST_DIGITS hexadecimal digits */
};

/* A worker that a host has from the connection before. */
struct proto_resident {
    uint32_t place;
    struct proto_text name;
};

struct proto_join {
    uint32_t version; /* PROTO_VERSION */
    uint64_t pid;
    uint64_t session;       /* not 0: the same for each connection over which the same workers are served */
    uint64_t state;         /* as the last JOINED of this session had it; 0: there was none */
    uint32_t epoch;         /* likewise */
    uint32_t connection;    /* which of its session, from 1 */
    uint32_t workers;       /* that it runs at most: their places are numbered from 1 */
    struct proto_text host; /* its name, for people */
    struct proto_text software; /* as in HELLO: whose functions its workers have */
    struct proto_text sandbox;  /* "on", or its words, where its workers are confined; else empty */
    const struct proto_plugin *plugins;
    uint32_t plugin_count;
    const struct proto_resident *residents; /* by their places */
    uint32_t resident_count;
};

struct proto_joined {
    uint32_t version;
    uint32_t beat_ms; /* between two BEAT; a connection is lost where the other was silent for PROTO_BEATS */
    uint64_t state;   /* whose jobs these are, not 0 */
    uint32_t epoch;   /* which life of it this is */
    uint32_t hold_ms; /* how long workers go on without a connection */
};

struct proto_spawn {
    uint32_t place;         /* where there is none */
    struct proto_text name; /* of the worker */
};

struct proto_kill {
    uint32_t place;
};

struct proto_exited {
    uint32_t place;
    bool killed;       /* by KILL */
    bool executing;    /* it was running the job `index` of `chunk` */
    bool timed_out;    /* it ended itself since that job had passed its time limit */
    uint32_t progress; /* of that job as it last said, in 1/1000 */
    uint64_t chunk, index;
    uint64_t batch;           /* of that job, and */
    uint32_t attempt;         /* which one of it this was; both 0: not known */
    struct proto_text reason; /* for people */
};

struct proto_beat {
    uint64_t nonce;    /* of the PING that it answers; 0: of none */
    uint64_t clock_ns; /* CLOCK_MONOTONIC of the host */
};

struct proto_message {
    enum proto_type type;
    union {
        struct proto_hello hello;
        struct proto_welcome welcome;
        struct proto_error error;
        struct proto_submit submit;
        struct proto_accepted accepted;
        struct proto_arguments_block arguments;
        struct proto_seal seal;
        struct proto_grant grant;
        struct proto_results results;
        struct proto_consumed consumed;
        struct proto_ended ended;
        struct proto_cancel cancel;
        struct proto_chunk chunk;
        struct proto_result result;
        struct proto_ping ping; /* PING and PONG */
        struct proto_returned returned;
        struct proto_attach attach;
        struct proto_attached attached;
        struct proto_detach detach;
        struct proto_request request;
        struct proto_answer answer;
        struct proto_standing standing;
        struct proto_kept kept;
        struct proto_join join;
        struct proto_joined joined;
        struct proto_spawn spawn;
        struct proto_kill kill;
        struct proto_exited exited;
        struct proto_beat beat;
    };
    struct slice payload; /* empty for types without one; the reference belongs to the holder */
};

#endif
