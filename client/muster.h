/* SPDX-License-Identifier: MIT
 *
 * libmuster: map functions over arguments, under a chosen execution model.
 *
 *     struct muster_options options = {.model = MUSTER_PROCESSES};
 *     struct muster_batch batch = {.function = "is_prime", .source = muster_source_range(1, 1000),
 *                                  .on_result = print, .context = NULL};
 *     muster_open(&options, &m, &error);
 *     muster_map(m, &batch, &summary, &error);
 *     muster_close(m);
 *
 * Single jobs, with futures, callbacks and timers, are in client/future.h.
 *
 * One thread uses a `muster *` at a time. Callbacks of a batch run on that thread, inside
 * muster_map, and must not call into the same `muster *`.
 */
#ifndef MUSTER_H
#define MUSTER_H

#include "base/error.h"
#include "client/future.h"
#include "client/receipt.h"

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, word on the command line) */
#define MUSTER_MODEL_MAP(X) \
    X(INLINE, "inline")     \
    X(THREADS, "threads")   \
    X(GIL, "gil")           \
    X(LOOP, "loop")         \
    X(PROCESSES, "processes")

enum muster_model {
#define X(name, word) MUSTER_##name,
    MUSTER_MODEL_MAP(X)
#undef X
};

/* The word for a model; NULL for a number that is none. */
const char *muster_model_name(enum muster_model model);

/* 0, or MUSTER_EINVALID with the models there are. */
int muster_model_parse(const char *word, enum muster_model *ret_model, struct muster_error *ret_error);

/* The cores this process may run on, at least 1. */
unsigned muster_cores(void);

/* How `processes` makes its workers. */
enum muster_start {
    MUSTER_SPAWN, /* the muster command, started anew: fast, whatever the caller holds */
    /* A copy of the caller, made by a server that is forked off in muster_open: for functions
     * that live in the caller. Workers have its memory as it is then, and its open descriptors
     * but standard input and output. MUSTER_ESTATE once the caller has threads or a ZeroMQ
     * context, neither of which survives a fork. */
    MUSTER_FORK,
    MUSTER_FORK_CLEAN, /* such a copy, without the descriptors that are closed where a program is started */
};

/* What messages of `processes` travel over. */
enum muster_transport {
    MUSTER_IPC, /* a socket in a folder that is closed to other users */
    /* The others are for measuring. The same, with large values in messages, not in shared memory; */
    MUSTER_IPC_INLINE,
    MUSTER_IPC_ALONE, /* and without the shared memory in which single messages overtake ZeroMQ; */
    /* over loopback, plain and alone: any user of this host may connect, and run jobs as this
     * user. */
    MUSTER_TCP,
};

/* Jobs of `loop` at once, unless options say otherwise: 100 MB at most where they only wait. */
enum { MUSTER_LOOP_CONCURRENCY = 10000 };

/* The one that this user starts with `muster coordinator`. */
#define MUSTER_COORDINATOR_DEFAULT "default"

/* How long a coordinator that is gone is waited for where nothing else is said. */
#define MUSTER_AWAY_DEFAULT_S 60.0

/* What workers of `processes` are confined to, for good, before their first job; docs/SANDBOX.md says to
 * what. MUSTER_SANDBOX, with any of the others. */
enum muster_sandbox {
    MUSTER_SANDBOX = 1,
    MUSTER_SANDBOX_STRICT = 2, /* a layer that this host lacks is an error; else jobs run without it */
    MUSTER_SANDBOX_NET = 4,    /* they may use the network */
    MUSTER_SANDBOX_HOME = 8,   /* they may read the user's home folder */
    MUSTER_SANDBOX_LOCAL = 16, /* they may use sockets of this host */
};

struct muster_plugin; /* jobs/muster_job.h */

/* Zero means the default for every field. Strings and arrays are borrowed until
 * muster_close. */
struct muster_options {
    enum muster_model model;
    unsigned workers;           /* 0: muster_cores(); at most 16384; `inline` and `loop` have one */
    const char *const *plugins; /* files to load, plugin_count of them */
    unsigned plugin_count;
    /* Functions of the calling program; NULL: none. Under `processes` they need a copy of it. */
    const struct muster_plugin *functions;
    enum muster_start start;         /* processes */
    enum muster_transport transport; /* processes */
    /* processes: jobs that each worker runs at once, as coroutines; 0: 1. loop: at most so
     * many at once; 0: MUSTER_LOOP_CONCURRENCY. At most 20000. */
    unsigned concurrency;
    unsigned crash_limit; /* processes: worker deaths until a job is quarantined, 1000 at most; 0: 3 */
    /* processes: a worker silent for so long is killed, and a `coordinator` that takes so long to
     * answer when it is connected to is none; 0.001 to 2147483.647; 0: 5 s */
    double heartbeat_s;
    uint64_t memory_bytes; /* processes: data of a worker (RLIMIT_DATA), and its results in shared memory;
                            * each 64 MiB at least; 0: no limit */
    unsigned sandbox;      /* processes: enum muster_sandbox; large values go in messages then; 0: none */
    bool pin;              /* threads, gil, processes: worker k on the k-th core, round robin */
    bool warm;             /* muster_open returns when all workers are ready */
    /* processes: the path from / of a folder in which jobs may make one, of the path that muster_scratch says
     * and for this user alone, which muster_close removes with all that is in it, or the next muster when
     * this process was killed. NULL: nowhere */
    const char *scratch;
    /* processes: a coordinator that runs, "ipc://PATH", "tcp://127.0.0.1:PORT", or
     * MUSTER_COORDINATOR_DEFAULT; NULL: one of its own. Its workers are its business: workers, start,
     * functions, concurrency, memory_bytes, sandbox, pin and warm are 0. Functions are those that it has; for
     * muster_submit this process has to know the name, too, by a plug-in. When it ends, whatever is
     * under way fails with MUSTER_ELOST, but for batches that it keeps on disk. */
    const char *coordinator;
    /* processes: muster_map waits so long for a `coordinator` that is gone, if it has accepted the batch and
     * keeps it on disk, and goes on where it was; at most 2147483.647; 0: MUSTER_AWAY_DEFAULT_S;
     * below 0: not at all */
    double away_s;
    /* The muster command, which `processes` starts as its workers; NULL: the one that was
     * installed with the library, else the first in PATH, else MUSTER_EINVALID. Every model
     * first has it load each plug-in, so that a plug-in that crashes as it loads is an error
     * and no crash; the other models do without where there is no such command. */
    const char *worker_program;
};

/* Opens a model. On success *ret_muster is owned by the caller and closed with muster_close. */
int muster_open(const struct muster_options *options, muster **ret_muster, struct muster_error *ret_error);

/* How many workers there are: of the coordinator, where options name one. */
unsigned muster_workers(const muster *m);

/* The path of the folder that jobs may make, which is the muster's; NULL: none. */
const char *muster_scratch(const muster *m);

/* Ends the workers. Takes NULL. */
void muster_close(muster *m);

/* --- values that many jobs use
 *
 * An argument, or a part of one, that is shared once and used by any number of jobs: its large
 * strings and binaries (4 KiB and more) are in memory that all workers read, so that no job copies
 * or sends them. Numbers and containers around them are sent with each job: bytes are what is worth
 * sharing. Under the models without processes jobs get the same bytes, too. It is a value as any other
 * where there is no room (a gigabyte, or an eighth of memory if that is less), and under `processes` with a
 * coordinator, a sandbox or another transport than MUSTER_IPC. */

typedef struct muster_shared muster_shared;

/* Copies `value`. 0; MUSTER_EINVALID or MUSTER_ELIMIT when it cannot be an argument;
 * MUSTER_ESTATE; MUSTER_ENOMEM. */
int muster_share(muster *m, const msgpack_object *value, muster_shared **ret_shared,
                 struct muster_error *ret_error);

/* The copy: to be given as an argument of a job, or put into arguments. Valid until it is dropped;
 * jobs that were submitted before, and arguments that were taken from a source, keep what they
 * need. A source whose arguments hold it outlives its batch. */
const msgpack_object *muster_shared_value(const muster_shared *shared);

/* Its memory is free when the last job that uses it has ended, and its future was dropped. May be
 * called after muster_close. Takes NULL. */
void muster_shared_drop(muster_shared *shared);

/* Where arguments come from. */
enum muster_source_kind { MUSTER_SOURCE_RANGE, MUSTER_SOURCE_STREAM };

struct muster_source {
    enum muster_source_kind kind;
    int64_t first, last; /* RANGE: inclusive, first <= last; never expanded in memory */
    /* STREAM: the next argument, its memory in `zone` or outliving the batch. Returns 0,
     * MUSTER_EEND after the last, MUSTER_EAGAIN when none can be had without waiting (then
     * `fd` is polled for reading), or another error, which ends the batch after the
     * arguments so far. */
    int (*next)(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                struct muster_error *ret_error);
    void *context;
    int fd; /* -1 when next() never returns MUSTER_EAGAIN */
};

static inline struct muster_source muster_source_range(int64_t first, int64_t last)
{
    struct muster_source source; /* C++ before 20 has no designated initializers */

    source.kind = MUSTER_SOURCE_RANGE;
    source.first = first;
    source.last = last;
    source.next = NULL;
    source.context = NULL;
    source.fd = -1;
    return source;
}

/* How one job ended. Everything is borrowed and valid during the callback. */
struct muster_result {
    uint64_t index;                 /* from 1 */
    uint64_t batch;                 /* as muster_summary.batch; 0, too, while its arguments come */
    const msgpack_object *argument; /* NULL when it was not kept (want_arguments) */
    const msgpack_object *value;    /* NULL when the job failed; but what there is of a command that did */
    int code;                       /* 0, or why it failed */
    const char *text;               /* of `code`, one line; NULL when 0 */
    unsigned attempts;              /* executions, at least 1 */
    unsigned worker;                /* that ran the last one, from 1 */
    /* Of the last one; 0 unless want_timings: when it began (CLOCK_MONOTONIC), how long it
     * took, and the CPU time of its thread meanwhile, which under `loop` and `concurrency` is
     * its own alone. Of single jobs see muster_future_result. */
    uint64_t began_ns, wall_ns, cpu_ns;
    const struct muster_receipt *receipt; /* of the last attempt; NULL where times are 0 */
};

struct muster_progress {
    uint64_t total; /* 0 while not known */
    uint64_t succeeded, failed;
    uint64_t elapsed_ns;
    bool away;      /* the coordinator is gone, and waited for */
    bool undecided; /* interrupted, while the coordinator has not said whether it has accepted the batch */
};

/* A batch that another one waits for, by the number that the coordinator gave it. */
struct muster_after {
    uint64_t batch;
    bool any; /* until it has ended; false: all of its jobs have to succeed, else what waits is cancelled */
};

struct muster_batch {
    const char *function;
    struct muster_source source;
    unsigned chunk_jobs;   /* jobs handed out together; 0: automatic */
    double timeout_s;      /* of one job: 0.001 to 2147483.647; 0: none; processes only */
    unsigned retries;      /* further attempts of a job that failed or timed out, 1000 at most */
    double backoff_s;      /* before the first of them, doubled for each: 0.001 to 3600; processes only */
    int priority;          /* -1000..1000: batches of a higher one go first; for a coordinator of several */
    unsigned most_running; /* jobs at once; 0: as many as there is room for; processes only */
    unsigned cpus;         /* that a job takes, of as many as there are workers; 0: 1; processes only */
    /* For a `coordinator`; after, begin_ms and memory_bytes are refused without one. */
    const char *name;                 /* for people, 200 bytes at most; NULL: none */
    const struct muster_after *after; /* after_count batches, at most 64, that must have ended */
    unsigned after_count;
    uint64_t begin_ms;     /* no job starts before; milliseconds since 1970, UTC; 0: at once */
    uint64_t memory_bytes; /* that a job takes of its host's memory; 0: not said */
    /* Of the function `command`: members that the arguments of all jobs have, 192 KiB at most, sent and kept
     * once; what an argument says itself goes before. NULL: none. */
    const msgpack_object *common;
    uint64_t halt_failures; /* end early after so many failed jobs; 0: never */
    bool halt_now;          /* and end running jobs too */
    bool unordered;         /* on_result as jobs end, not in order of index */
    bool failures_only;     /* on_result only for jobs that failed, and without any value */
    bool want_arguments;    /* fill muster_result.argument for jobs that succeeded, too */
    bool want_timings;      /* measure every job (four clock readings a job) */
    /* Called once for every job that succeeded (not with failures_only) or failed, for none
     * that was cancelled. MUSTER_EEND: no further job begins, and those that run go on to their end.
     * Any other value but 0 ends the batch at once; muster_map returns it. */
    int (*on_result)(void *context, const struct muster_result *result);
    /* Before the model waits, and every 100 ms at least while it does, every second while a coordinator is
     * away: flush, show progress. Returns as on_result. */
    int (*on_tick)(void *context, const struct muster_progress *progress);
    void *context;
    /* Readable: end early, now, with MUSTER_ECANCELLED; -1 (or 0): none. While a coordinator is away this,
     * and an error of on_tick, end muster_map; the batch goes on when that returns. */
    int interrupt_fd;
    int wake_fd; /* readable: on_tick is called at once where the model waits; -1 (or 0): none */

    /* Of a coordinator that keeps batches (muster coordinator --state FILE), else MUSTER_ESTATE. What it has
     * accepted goes on there whatever becomes of this process: its number is in the summary.
     *
     * muster_map returns as soon as the batch is accepted; of the callbacks only on_tick is called. */
    bool detach;
    /* interrupt_fd ends muster_map, and not the batch, once that is accepted: summary.detached. */
    bool detach_on_interrupt;
    /* No new batch, but this one, whoever submitted it: all its results, and those to come. Of the other
     * fields above only `unordered`, `failures_only`, the callbacks and the descriptors mean something. */
    uint64_t attach;
};

struct muster_summary {
    uint64_t jobs; /* that ended: succeeded + failed + cancelled */
    uint64_t succeeded, failed, cancelled;
    uint64_t retried;             /* attempts beyond the first */
    uint64_t crashes;             /* workers that died while they held jobs of this batch */
    uint64_t late;                /* results dropped because their attempt was over */
    uint64_t chunks;              /* hand-outs to workers */
    uint64_t bytes_in, bytes_out; /* encoded, to and from workers; 0 in process */
    uint64_t wall_ns;             /* from the call to the last result */
    uint64_t cpu_ns;              /* of this process and its workers meanwhile */
    uint64_t execute_ns;          /* inside the function, added over the workers */
    uint64_t execute_cpu_ns;
    uint64_t voluntary_switches;   /* of this process and its workers: a thread waited, */
    uint64_t involuntary_switches; /* and a thread was made to */
    /* The longest that the caller's thread was kept from doing anything else: between two
     * moments at which it waited, or looked for an interrupt. */
    uint64_t stall_ns;
    unsigned workers;
    uint64_t batch; /* its number at a coordinator that keeps it, once it is accepted; else 0 */
    bool detached;  /* it goes on there; counts are those so far */
    bool in_memory; /* the same, and it is lost when that coordinator ends */
    struct muster_receipt receipt; /* of the workers' time: see client/receipt.h */
};

/* Maps a function over arguments and returns when every job has ended. 0 also when jobs
 * failed: the summary counts them. *ret_summary is filled whenever the batch was started,
 * even when this returns an error. Every job that it counts as succeeded or failed was offered
 * to on_result first, except after a callback failed or memory ran out. */
int muster_map(muster *m, const struct muster_batch *batch, struct muster_summary *ret_summary,
               struct muster_error *ret_error);

#ifdef __cplusplus
}
#endif

#endif
