/* SPDX-License-Identifier: MIT
 *
 * What the core is made of; for the files that it names and core.c only, and for the tests of
 * its invariants.
 */
#ifndef MUSTER_COORDINATOR_STATE_H
#define MUSTER_COORDINATOR_STATE_H

#include "coordinator/batch.h"
#include "coordinator/core.h"
#include "coordinator/roster.h"
#include "coordinator/spans.h"
#include "proto/holdings.h"

#include <uthash.h>

/* Jobs that were assigned together, and have not all been reported. */
struct chunk {
    uint64_t id;
    struct batch *batch;
    struct worker *worker;     /* that has it */
    struct job_run run;        /* all of them, in state JOB_ASSIGNED, with the history they share */
    struct spans left;         /* what is not reported yet; never empty */
    bool adopted;              /* by another life of this coordinator: jobs of it may be recorded already */
    bool repeats;              /* its worker's host was away since it was made: likewise */
    bool doubted;              /* and since then its worker has not said that it has it */
    double each_ns;            /* what a job was taken to take, when its batch was served with it */
    uint64_t recalled;         /* its worker was asked for jobs from this one on; 0: for none */
    struct chunk *prev, *next; /* of the worker's list, oldest first */
    struct chunk *batch_prev, *batch_next; /* of the batch's, likewise */
    UT_hash_handle hh;                     /* by id */
};

enum worker_state {
    WORKER_ABSENT,   /* no process */
    WORKER_STARTING, /* spawned, has not said HELLO */
    WORKER_AWAY,     /* adopted, or its host is away: has not said HELLO since */
    WORKER_READY,
    WORKER_STOPPING, /* asked to end, with nothing in its hands */
    WORKER_DOOMED,   /* killed; its exit will be reported */
};

/* Why the core killed a worker: what its running job is told. */
enum doom { DOOM_NONE, DOOM_SILENT, DOOM_CANCELLED, DOOM_MALFORMED, DOOM_VERSION };

struct worker {
    unsigned slot; /* from 1 */
    char name[PROTO_PEER_NAME_MAX + 1];
    enum worker_state state;
    enum doom doom;
    bool crew;                               /* it shall run: it is given jobs */
    unsigned host;                           /* that it runs on, as in core_join; 0: the coordinator's */
    unsigned place;                          /* there, from 1 */
    char host_name[PROTO_HOST_NAME_MAX + 1]; /* for people; "" of the coordinator's */
    uint64_t pid;                            /* as it said; 0: not yet */
    uint32_t incarnation;
    unsigned credit;      /* chunks it takes; 0 until it said HELLO */
    unsigned concurrency; /* jobs it runs at once */
    unsigned holds;       /* chunks it has */
    uint64_t jobs;        /* that it has not reported, of all its chunks */
    uint64_t running;     /* places they take: those of a batch no more than hold_places */
    struct demand taken;  /* of the host, by its jobs */
    struct chunk *chunks; /* owned */
    struct chunk *chunks_by_id;
    struct holdings holdings; /* the same chunks, by their jobs */
    bool cut;                 /* its host is away */
    bool doubted;             /* its host was, and what it holds is not what is said here */
    bool expected;            /* its host is back, and it has not said what it holds */
    bool awaited;             /* adopted, and has not yet said what it holds */
    bool holds_up;            /* likewise, and nothing is assigned until then */
    uint32_t standing;     /* STANDING messages that it said it would send; it is given nothing until then */
    struct spans unwanted; /* chunks of another life that it was told to end, and has not */
    uint64_t unwanted_ns;  /* when it is killed if it does not */
    struct spans disowned; /* while it is doubted: chunks that it is to end if it has them still */
    uint64_t heard_ns;     /* last sign of life, or when it was spawned or got work after having none */
    uint64_t pinged_ns;    /* 0: not since it was last heard */
    uint64_t moved_ns;     /* when it last reported jobs, or got work after having none */
    uint64_t asked_ns;     /* when it was asked for jobs; 0: it answered, or reported some */
    bool slow;             /* it was asked for jobs, and has reported none since */
    uint64_t respawn_ns;   /* ABSENT: not before */
    uint64_t process_cpu_ns, voluntary, involuntary; /* as it last reported */
    struct roster_entry roster;
    UT_hash_handle hh; /* by name, while STARTING or READY or DOOMED */
};

struct client {
    char name[PROTO_PEER_NAME_MAX + 1];
    char user[PROTO_USER_MAX + 1]; /* as it said; "": it did not */
    bool welcomed;
    uint64_t pid;          /* as it said */
    struct batch *batches; /* that are open, by ticket */
    UT_hash_handle hh;     /* by name */
};

struct core {
    struct core_options options;
    struct worker *workers; /* as many as core_scale may ask for; owned */
    unsigned slots;         /* those that are looked at: no other has a process */
    unsigned crew;          /* so many shall run */
    unsigned own;           /* of them, on the coordinator's host */
    bool draining;          /* no job starts */
    bool finishing;         /* likewise, and when none runs the coordinator ends */
    struct roster roster;
    struct worker *workers_by_name;
    struct client *clients; /* owned */
    struct batch *batches;  /* in order of submission; owned */
    struct batch *batches_by_id;
    struct batch *changed;  /* of which something became since they were looked at */
    struct batch *over;     /* of which all has ended, and nobody was told yet */
    struct batch *recalled; /* that may have jobs that came back */
    struct timers timers;   /* of batches */
    struct schedule schedule;
    struct capacity capacity;
    unsigned demanding; /* batches whose jobs take more than a worker stands for; 0: nobody need count */
    uint64_t last_batch, last_chunk;
    unsigned awaited;   /* workers that hold up jobs, and hosts that may have some */
    struct load *loads; /* owned; of recall(), room for all workers */
    uint64_t recall_ns; /* when it may be time to take jobs back; CLOCK_NEVER */
    uint64_t looked_ns; /* when recall() last looked at all workers */
    bool recalled_wait; /* jobs that came back wait for a worker that has nothing */
    uint64_t late;
    unsigned failed_starts; /* workers that died or could not be spawned since one was ready */
    char start_error[MUSTER_ERROR_TEXT_BYTES]; /* of the last of them */
    bool stopped;
};

/* --- core.c */

/* Behind every event: what can be assigned is, and what is over ends. */
void core_settle(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* --- changes.c: batches by what has to be done about them */

/* A new batch of the client. 0 or MUSTER_ENOMEM. */
int changes_add(struct core *core, struct client *client, struct batch *batch);

/* The batch is about to be destroyed. */
void changes_remove(struct core *core, struct batch *batch);

/* The client leaves: its batches are nobody's. */
void changes_disown(struct client *client);

/* NULL: there is none of this number. */
struct batch *core_batch(const struct core *core, uint64_t id);

/* Ahead of what follows from an event: looks at the batches that changed. */
void changes_look(struct core *core, struct outbox *outbox);

/* What batches waited for is due. */
void changes_tick(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* --- client.c: what clients say */

/* WELCOME for a worker or a client. */
void client_greet(const struct core *core, const char *peer, struct outbox *outbox);

/* Tells a client that it is known; with `warm`, once all workers are there. */
void client_welcome(struct core *core, struct client *client, struct outbox *outbox);

/* Somebody new. Workers are known by the names they were spawned under; all others can only be clients. */
void client_begin(struct core *core, const char *peer, const struct proto_message *message,
                  struct outbox *outbox);

void client_message(struct core *core, uint64_t now_ns, struct client *client,
                    const struct proto_message *message, struct outbox *outbox);

/* A client leaves: its batches are cancelled, and nothing more is sent to it. */
void client_stop(struct core *core, uint64_t now_ns, struct client *client, struct outbox *outbox);

/* --- submit.c: new batches */

/* Tells a peer that what it sent was refused; about no batch: ticket 0. */
void core_refuse(struct outbox *outbox, const char *peer, uint64_t ticket, int code, const char *text);

/* The open batch of this ticket; NULL: the client has none. */
struct batch *core_find_batch(const struct client *client, uint64_t ticket);

/* A client submits a batch: it is accepted, or refused for a reason. */
void core_submit(struct core *core, uint64_t now_ns, struct client *client,
                 const struct proto_message *message, struct outbox *outbox);

/* --- hold.c: what workers hold */

/* How many jobs of the batch the worker runs at once. */
unsigned hold_places(const struct worker *worker, const struct batch *batch);

/* Gives the worker a chunk of these jobs, which the batch has assigned. NULL when out of memory. */
struct chunk *hold_add(struct worker *worker, struct batch *batch, uint64_t id, const struct job_run *run);

/* NULL when it holds none of that number. */
struct chunk *hold_find(const struct worker *worker, uint64_t id);

/* Jobs of the chunk that were reported, or come back. 0; MUSTER_ESTATE when they were before, or
 * are not of it, MUSTER_ENOMEM: then nothing has changed. */
int hold_take(struct worker *worker, struct chunk *chunk, uint64_t first, uint64_t count,
              struct job_run *ret_run);

/* Forgets the chunk, with the jobs that are left in it. */
void hold_drop(struct worker *worker, struct chunk *chunk);

/* --- dispatch.c: who gets what, and how many workers there are */

/* Assigns what can be assigned, and spawns workers that are needed for the rest. */
void dispatch(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* Kills a worker; its exit is reported later. */
void dispatch_doom(struct core *core, struct worker *worker, enum doom why, struct outbox *outbox);

/* Lets the client send more arguments, in steps that are worth a message. */
void dispatch_grant(struct batch *batch, struct outbox *outbox);

/* --- recall.c: taking jobs back that others could begin sooner */

/* What a worker has before it. */
struct load {
    struct worker *worker;
    double left_ns; /* INFINITY: it should have reported by now */
};

/* When nothing more can be assigned: asks workers for jobs that they have not begun, for those that
 * have none. Sets core->recall_ns. */
void recall(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* Asks the worker for all that it has not begun. */
void recall_unbegun(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox);

/* --- scale.c: how many workers shall run, and whether jobs start */

/* More of the host's CPUs may be taken together: it has so many workers. */
void scale_host(struct core *core, unsigned workers);

/* So many workers are the crew from now on: batches, and who waits for them, are told. */
void scale_told(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* The slots up to this one are looked at. */
void scale_widen(struct core *core, unsigned slots, struct outbox *outbox);

/* Workers that are too many stop, those that have nothing to do; and whether the core has finished. */
void scale_settle(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* Whether workers hold jobs, or may: there are some, or hosts, that have not said yet what they hold. */
bool scale_is_busy(const struct core *core);

/* --- cancel.c: ending jobs early */

/* Gives a batch up: what is queued is cancelled, workers are told; what they hold with NOW has a
 * short while to end. */
void cancel_batch(struct core *core, uint64_t now_ns, struct batch *batch, enum proto_cancel_mode mode,
                  struct outbox *outbox);

/* Cancels some jobs of a batch: those that are queued end now, workers are told of those that they
 * hold. PROTO_CHUNK_JOBS_MAX at most. */
void cancel_jobs(struct core *core, struct batch *batch, const struct proto_cancel *cancel,
                 struct outbox *outbox);

/* When workers that still run what is cancelled now with NOW are killed. */
uint64_t cancel_deadline(uint64_t now_ns);

/* A batch whose jobs should have let go by now: workers that do not are killed. */
void cancel_stubborn(struct core *core, uint64_t now_ns, struct batch *batch, struct outbox *outbox);

/* --- settle.c: what became of jobs */

/* A worker reported on a chunk. Returns false when the report is not possible: the worker
 * cannot be trusted. */
bool settle_result(struct core *core, uint64_t now_ns, struct worker *worker,
                   const struct proto_message *message, struct outbox *outbox);

/* A worker gives jobs back that it was asked for. Returns as settle_result does. */
bool settle_returned(struct worker *worker, const struct proto_returned *returned, struct outbox *outbox);

/* A result of a chunk that nobody holds any more: counted, and what it has in shared memory released. */
void settle_late(struct core *core, const struct proto_message *message, struct outbox *outbox);

/* Applies an event to jobs that were assigned. Running out of memory ends the coordinator rather
 * than a promise. */
void settle_jobs(struct batch *batch, struct job_run run, enum job_event event, struct outbox *outbox);

/* Jobs that come back without having been started: those that were cancelled end, `event` is for
 * the others. `worker` is where they were. */
void settle_return(struct batch *batch, const struct worker *worker, struct job_run run, enum job_event event,
                   struct outbox *outbox);

/* Tells the client that these jobs failed, all for one reason, and with no worker's report. */
void settle_failure(struct batch *batch, unsigned slot, const struct job_run *run, int code, const char *text,
                    struct outbox *outbox);

/* As settle_failure, for jobs that were cancelled one by one. */
void settle_cancelled(struct batch *batch, unsigned slot, const struct job_run *run, struct outbox *outbox);

/* What the failure of a job means for it. */
enum job_event settle_judge(const struct batch *batch, const struct job_run *run, int code);

/* A job that is tried again waits first, if its batch says so. */
void settle_delay(const struct batch *batch, uint64_t now_ns, enum job_event event, struct job_run *run);

/* Whether the client cancelled this job, which a worker holds. */
bool settle_is_cancelled(const struct batch *batch, uint64_t index);

/* Ends the batches that are over: tells their clients and forgets them. */
void settle_ended(struct core *core, struct outbox *outbox);

/* --- adopt.c: workers of another life of this coordinator */

/* As core_adopt. `holds_up`: no job is assigned until it has said what it holds. */
void adopt_worker(struct core *core, uint64_t now_ns, unsigned slot, const char *name, bool holds_up,
                  struct outbox *outbox);

/* The worker has said HELLO, and that so many STANDING follow. */
void adopt_greeted(struct core *core, uint64_t now_ns, struct worker *worker, uint32_t standing,
                   struct outbox *outbox);

/* Jobs wait no longer for what it holds. */
void adopt_unhold(struct core *core, struct worker *worker);

/* No more is to be expected of it. */
void adopt_settled(struct core *core, struct worker *worker);

/* The worker holds a chunk of another life: it has what of it is queued here from now on, and is told
 * of the rest. Returns false when it says what cannot be. */
bool adopt_standing(struct core *core, uint64_t now_ns, struct worker *worker,
                    const struct proto_standing *standing, struct outbox *outbox);

/* Jobs that the worker need not do: they are recorded, another one has them, or nobody wants them. */
void adopt_refuse(const struct worker *worker, uint64_t batch, const struct span *span,
                  struct outbox *outbox);

/* The worker was told to end all that is left of a chunk that it does not hold: it has a short while for it.
 */
void adopt_unwanted(uint64_t now_ns, struct worker *worker, uint64_t chunk, struct outbox *outbox);

/* The worker has ended a chunk that it does not hold: perhaps one that it was told to end. */
void adopt_ended(struct worker *worker, uint64_t chunk, struct outbox *outbox);

/* It should have by now: it is killed, unless it may still run what came before. */
void adopt_stubborn(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox);

/* The worker died before it could say so: gives it the job that it was executing, to be blamed. */
void adopt_last_words(struct core *core, uint64_t now_ns, struct worker *worker,
                      const struct worker_exit *exit, struct outbox *outbox);

/* Of a report on an adopted chunk, some jobs are over: it is late, and those that are not run again. */
void adopt_reported_again(struct core *core, struct worker *worker, struct chunk *chunk,
                          const struct proto_message *message, struct outbox *outbox);

/* --- rejoin.c: workers of a host that was away for a while */

/* The worker's host is away: what it holds of batches that are cancelled now is over here. It is told when it
 * is back. */
void rejoin_disown(struct core *core, struct worker *worker, struct outbox *outbox);

/* The worker holds a chunk: as adopt_standing. */
bool rejoin_standing(uint64_t now_ns, struct worker *worker, const struct proto_standing *standing,
                     struct outbox *outbox);

/* It has said all of them: what it does not hold goes back. */
void rejoin_settled(struct worker *worker, struct outbox *outbox);

/* --- bury.c: what a worker leaves */

/* A worker is gone, with all it held. */
void bury_worker(uint64_t now_ns, struct worker *worker, const struct worker_exit *exit,
                 struct outbox *outbox);

#endif
