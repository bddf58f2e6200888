/* SPDX-License-Identifier: MIT
 *
 * A world in which muster's coordinator (core, ledger, books, and the store's transactions: the shipped code)
 * meets clients, workers, a supervisor, a disk, a network and clocks that are simulated. All that happens
 * follows from one seed: it picks which faults there are and how often (a swarm of different worlds), and
 * then each of them. Time is virtual, and goes to whatever comes next.
 *
 *     client.c <-> mail.c <-> host.c (books, ledger, core) <-> mail.c <-> worker.c
 *                               |  |  \ supervisor: spawns, kills, finds, buries
 *                          disk.c  hosts.c <-> mail.c <-> outpost.c <-> mail.c <-> worker.c
 *
 * truth.c knows what was submitted and what became of it, whatever anybody believes; turns.c who had how
 * much, and memory.c what all of it takes. A job has the argument sim_argument(submission, index), which its
 * worker checks, and three times that as its value, which its client checks. There is one world at a time; it
 * has one thread.
 */
#ifndef MUSTER_TESTS_SIM_SIM_H
#define MUSTER_TESTS_SIM_SIM_H

#include "base/clock.h"
#include "coordinator/books.h"
#include "coordinator/capacity.h"
#include "coordinator/core_look.h"
#include "coordinator/hosts.h"
#include "coordinator/store_group.h"
#include "jobs/random.h"
#include "proto/codec.h"

#include <utlist.h>

enum {
    SIM_SLOTS_MAX = 6,
    SIM_CLIENTS_MAX = 4,
    SIM_SUBMISSIONS_MAX = 24,
    SIM_JOBS_MAX = 32,
    SIM_TICKETS_MAX = 40, /* of one connection */
    SIM_GHOSTS = 8,
    SIM_MEMORY = 100,
    SIM_OUTPOSTS_MAX = 3,
    SIM_PLACES_MAX = 3, /* of an outpost */
    SIM_NOTED_MAX = 32,
};

/* --- chance (world.c) */

uint64_t sim_below(uint64_t bound);
bool sim_once_in(uint64_t times);
bool sim_fault(unsigned times); /* once in so many; never when 0, or once the world is calm */
uint64_t sim_soon(uint64_t within_ns);

/* Says what happens, if the world is traced. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What must not be: names the seed and ends the process. */
void sim_violation(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#define SIM_CHECK(condition, ...)       \
    do {                                \
        if (!(condition))               \
            sim_violation(__VA_ARGS__); \
    } while (0)

/* How often each fault is: once in so many chances; 0: never. */
struct sim_faults {
    unsigned job_fails, job_ends_late, worker_crashes, worker_stalls, worker_ignores, worker_lies,
        spawn_fails;
    unsigned coordinator_dies, coordinator_stalls, coordinator_is_stopped;
    unsigned client_dies, client_leaves, connection_breaks, cancels, requests;
    unsigned disk_fails, disk_is_slow, reads_fail, wall_jumps, network_is_slow, partition;
    unsigned outpost_dies, outpost_leaves, outpost_stalls, outpost_lies, link_breaks, link_is_cut,
        link_mail_comes_late;
    bool poison; /* some jobs kill their workers */
};

/* --- mail (mail.c): an encoded message, and those on their way from one peer to another, in order */

struct sim_letter {
    void *bytes; /* owned */
    size_t size;
    struct slice payload;              /* holds a reference */
    char via[PROTO_PEER_NAME_MAX + 1]; /* the worker of an outpost that it is from, or for; "": none */
    uint64_t arrives_ns;
    struct sim_letter *prev, *next;
};

struct sim_line {
    struct sim_letter *letters; /* oldest first; owned */
    uint64_t last_ns;           /* when the youngest arrives */
    uint64_t held_ns;           /* nothing does before */
};

/* A letter that was opened; the message borrows from the rest. */
struct sim_opened {
    struct proto_message message;
    msgpack_zone zone;
    struct sim_letter *letter;
};

void sim_post(struct sim_line *line, const struct proto_message *message);
void sim_post_again(struct sim_line *line, const struct sim_letter *letter); /* a copy */
void sim_pass(struct sim_line *from, struct sim_line *to, const char *via);  /* the next goes on its way */
void sim_hold(struct sim_line *line, uint64_t until_ns);                     /* nothing arrives before */
uint64_t sim_arrival(const struct sim_line *line);                           /* of the next; CLOCK_NEVER */
void sim_open(struct sim_line *line, struct sim_opened *ret_opened);
void sim_close(struct sim_opened *opened);
void sim_drop(struct sim_line *line);
void sim_leave(struct sim_line *line, const char *name); /* it arrives when its sender is gone, or not */

/* The ticket, or the batch, that a message is about; 0: neither. For people. */
uint64_t sim_subject(const struct proto_message *message);

/* --- the truth (truth.c) */

struct sim_worker;
struct sim_task;

struct sim_job {
    unsigned running;  /* workers that do, now */
    unsigned failures; /* executions that failed or timed out */
    unsigned blamed;   /* workers that died while they executed it */
    unsigned suspect;  /* likewise those of other hosts, of which the coordinator may not hear, and that it
                          killed */
    bool cancelled;    /* by itself */
    bool recorded;     /* of a kept batch: its end is on disk, */
    bool succeeded;    /* and how it ended */
    uint32_t place;    /* its index in the submission that had it first */
};

struct sim_submission {
    unsigned serial;   /* from 1 */
    unsigned first;    /* of the submission that had its jobs first; its own, unless it tries those of another
                          again */
    uint64_t origin;   /* the number of which it tries jobs again; 0: it does not */
    char function[16]; /* by which it is known */
    bool commands;
    char common[16]; /* of commands: that name, encoded */
    struct proto_submit settings;
    struct proto_after after;
    uint32_t jobs, poison;
    uint64_t total;    /* jobs of its record: fewer, if it was cancelled before it had all */
    uint64_t number;   /* as the ledger, or the core, counts; 0: not known */
    bool sealed;       /* its client said all of it */
    bool accepted;     /* told; if it is kept, it is promised from then on */
    bool void_;        /* refused, or it ended with its client: nothing is promised */
    bool cancelled;    /* somebody asked for that */
    bool forgotten;    /* likewise, or nobody holds it */
    bool lost;         /* given up, since no worker starts */
    bool over;         /* its end is on disk; or was told, if it is not kept */
    unsigned life;     /* of the coordinator's, in which it was submitted */
    uint64_t waits_ns; /* since when it may run, and the core does not have it; 0: it has, or it may not */
    struct sim_job list[SIM_JOBS_MAX + 1];
};

int64_t sim_argument(const struct sim_submission *submission, uint64_t index);

/* Puts its function, and what its jobs have in common, among the settings. */
void sim_name(struct sim_submission *submission);
struct sim_submission *sim_find(const struct proto_chunk *chunk);
struct sim_submission *sim_find_number(uint64_t number); /* NULL */
void sim_job_begins(const struct sim_worker *worker, const struct sim_task *task, uint64_t index);
void sim_job_ends(struct sim_submission *submission, uint64_t index);
bool sim_may_fail(const struct sim_submission *submission, uint64_t index, int32_t code);

/* The values that came for these jobs are theirs. */
void sim_check_values(const struct sim_submission *submission, const struct proto_message *results);
void sim_recorded(const struct store_entry *entry);
void sim_lose_records(void);  /* which were in the memory of a coordinator that is gone */
void sim_check_world(void);   /* after every step */
void sim_check_records(void); /* when all is over */

/* --- nobody starves (turns.c): after every step; what is handed out is looked at as it is */

void sim_turns_check(void);

/* --- memory of the coordinator (memory.c) */

void sim_memory_own(void *bytes); /* which the simulation allocated: they are not the coordinator's */
void sim_memory_free(void *bytes);
void sim_memory_lend(const struct slice *payload); /* that the simulation has a reference on */
void sim_memory_take_back(const struct slice *payload);
void sim_memory_begin(void);      /* of a world */
void sim_memory_start(void);      /* a coordinator was made, and nobody has spoken to it */
void sim_memory_check(void);      /* after every step */
void sim_memory_check_rest(void); /* all has ended, and everybody has left */
void sim_memory_check_end(void);  /* of the world */

/* --- the disk (disk.c) */

struct sim_disk {
    struct store_group group;
    struct store_queue submitted, completed;
    uint64_t commit_ns;  /* when the group that is under way is done; CLOCK_NEVER */
    uint64_t deliver_ns; /* when the host sees what is completed; CLOCK_NEVER */
    uint64_t fails_until_ns;
};

void sim_disk_begin(void);
void sim_disk_end(void);
void sim_disk_crash(void);
void sim_disk_stop(void);
uint64_t sim_disk_next(void);
void sim_disk_act(void);
extern const struct books_store sim_disk_face;

/* Nothing is under way, and all batches have ended. */
bool sim_disk_is_quiet(void);

/* Does one request by itself, for who looks into the records. The caller frees it. */
struct store_done *sim_disk_ask(const struct store_request *request);

/* --- workers (worker.c) */

/* TOLD: it was reported. RETURNED: it was given back. */
enum sim_stage { SIM_WAITS, SIM_RUNS, SIM_ENDED, SIM_TOLD, SIM_RETURNED };

struct sim_task {
    struct proto_chunk chunk; /* its function's text is the submission's */
    struct sim_submission *submission;
    struct slice arguments; /* holds a reference */
    bool skip, cancelled;   /* all of it */
    bool strayed;           /* its outpost was given up since, or may have been: others may have its jobs */
    uint32_t started;
    struct {
        enum sim_stage stage;
        bool dropped, asked; /* by a CANCEL of this job: not to start, to end */
        int32_t code;        /* 0: a value */
    } jobs[SIM_JOBS_MAX];
    struct sim_task *prev, *next;
};

/* A RESULT that is not on disk, as far as its worker knows. */
struct sim_kept {
    uint64_t number;
    struct proto_standing jobs;
    struct sim_line letter; /* one */
    struct sim_kept *prev, *next;
};

struct sim_outpost;
enum sim_life { SIM_STARTING, SIM_ALIVE, SIM_DEAD };

struct sim_worker {
    struct sim_outpost *outpost; /* NULL: it runs on the coordinator's host */
    unsigned slot;               /* or its place at the outpost */
    char name[PROTO_PEER_NAME_MAX + 1];
    enum sim_life life;
    bool connected, welcomed;
    bool known; /* `known`: a coordinator that comes back finds it */
    bool lost;  /* nobody will bury it: it belongs to a life that did not find it */
    bool keeps; /* what it reported, until that is on disk */
    bool ended; /* of an outpost, which could not say so yet */
    bool lied;
    unsigned heard_life, unheard; /* the coordinator's that has heard all that it stands by, but so many */
    unsigned credit, concurrency, running;
    struct sim_line to, from;
    struct sim_task *tasks; /* owned */
    struct sim_kept *kept;  /* owned */
    uint64_t number;        /* of its last RESULT */
    uint64_t act_ns, connect_ns, orphan_ns, buried_ns;
    struct worker_exit exit; /* as its flight recorder has it */
    struct sim_worker *prev, *next;
};

void sim_worker_spawn(struct sim_outpost *outpost, unsigned slot, const char *name);
struct sim_worker *sim_worker_find(const char *name);
struct sim_worker *sim_worker_at(unsigned slot); /* that is not lost; NULL */
void sim_worker_die(struct sim_worker *worker, const char *reason);
void sim_worker_hello(struct sim_worker *worker); /* worker_hello.c */
void sim_worker_free(struct sim_worker *worker);
void sim_worker_lose_coordinator(struct sim_worker *worker);
void sim_worker_disconnect(struct sim_worker *worker); /* that of an outpost, until its outpost has joined */
void sim_worker_call(struct sim_worker *worker);       /* it may connect again */
uint64_t sim_worker_next(const struct sim_worker *worker);
void sim_worker_act(struct sim_worker *worker);

/* What it does with its chunks (worker_jobs.c). */
void sim_worker_say(struct sim_worker *worker, const struct proto_message *message);
void sim_worker_take(struct sim_worker *worker, const struct proto_message *message); /* a CHUNK */
void sim_worker_cancel(struct sim_worker *worker, const struct proto_cancel *cancel);
void sim_worker_run(struct sim_worker *worker); /* some of what it has */
bool sim_task_is_unwanted(const struct sim_task *task);
void sim_task_end(struct sim_worker *worker, struct sim_task *task);

/* --- clients (client.c) */

/* What a client knows of the results of a submission, whichever connection brought it. */
struct sim_reading {
    bool wanted, ordered, results;
    uint64_t next, pieces, succeeded, failed, asked;
    bool told[SIM_JOBS_MAX + 1];
};

struct sim_ticket {
    unsigned serial; /* 0: it is free */
    bool submits, reads, follow, answers, retries;
    bool names_jobs; /* said CANCEL of some of its jobs */
    uint32_t sent;   /* arguments */
    uint64_t sent_cost, granted_cost, window, received_cost, consumed_cost;
};

struct sim_client {
    unsigned place, incarnation;
    char name[PROTO_PEER_NAME_MAX + 1];
    bool connected, welcomed, leaving;
    char gone[PROTO_PEER_NAME_MAX + 1]; /* who is noticed to be gone at gone_ns */
    uint64_t gone_ns;
    struct sim_line to, from;
    unsigned tickets; /* used on this connection */
    struct sim_ticket list[SIM_TICKETS_MAX + 1];
    struct sim_reading readings[SIM_SUBMISSIONS_MAX + 1];
    uint64_t act_ns;
};

void sim_client_begin(struct sim_client *client, unsigned place);
void sim_client_disconnect(struct sim_client *client); /* it notices, and comes back */
uint64_t sim_client_next(const struct sim_client *client);
void sim_client_act(struct sim_client *client);
const char *sim_client_wish(const struct sim_client *client); /* what it waits for; NULL: nothing */
void sim_client_hear(struct sim_client *client, const struct proto_message *message); /* client_hear.c */

/* --- supervisors of other hosts (outpost.c), as coordinator/outpost.c */

struct sim_outpost {
    unsigned place, workers; /* `workers`: that it runs at most */
    bool runs, joined, joined_once;
    bool lied;                          /* all that it says may be wrong */
    char link[PROTO_PEER_NAME_MAX + 1]; /* what it connects under; "": it does not */
    unsigned links;                     /* that it had */
    bool severed;                       /* nothing crosses any more, */
    uint64_t severed_ns;                /* and it comes to know that */
    char gone[PROTO_PEER_NAME_MAX + 1]; /* a link that the coordinator notices is gone, at gone_ns */
    uint64_t gone_ns;
    struct sim_line to, from;
    uint64_t cut_ns;                           /* nothing crosses until then */
    uint64_t session, state, hold_ms, beat_ms; /* as it was joined last */
    uint32_t epoch;
    uint64_t start_ns, stalled_ns, heard_ns, beat_ns, retry_ns, pause_ns, hold_ns;
    uint64_t told_ns;    /* when the coordinator heard of this session last, */
    unsigned told_life;  /* and which life of it, */
    unsigned told_joins; /* that took it so often */
    bool outcast;        /* it was given up, or may have been */
};

void sim_outpost_begin(struct sim_outpost *outpost, unsigned place);
uint64_t sim_outpost_next(const struct sim_outpost *outpost);
void sim_outpost_act(struct sim_outpost *outpost);
void sim_outpost_lose_coordinator(struct sim_outpost *outpost, bool killed);
void sim_outpost_die(struct sim_outpost *outpost, const char *why); /* it comes again */
const char *sim_outpost_wish(const struct sim_outpost *outpost);    /* what it waits for; NULL: nothing */
void sim_outpost_lie(struct sim_outpost *outpost);                  /* outpost_lies.c */
void sim_outpost_lie_of_itself(struct sim_outpost *outpost);        /* as it joins */

/* Its workers (outpost_workers.c). */
struct sim_worker *sim_outpost_worker(const struct sim_outpost *outpost, unsigned place); /* NULL */
bool sim_outpost_has_processes(const struct sim_outpost *outpost);
void sim_outpost_call(struct sim_outpost *outpost);        /* it has joined */
void sim_outpost_hold(struct sim_outpost *outpost);        /* its connection is gone: they go on */
void sim_outpost_end_workers(struct sim_outpost *outpost); /* nobody wants to know how they end */
void sim_outpost_bury(struct sim_worker *worker);
void sim_outpost_spawn(struct sim_outpost *outpost, const struct proto_spawn *spawn);
void sim_outpost_kill(const struct sim_outpost *outpost, unsigned place);

/* --- what the coordinator has of them (hosts.c) */

void sim_hosts_begin(void);
void sim_hosts_listen(void);
bool sim_hosts_take(struct wire_frame *frame);       /* as hosts_take */
bool sim_hosts_send(const struct outbox_item *item); /* whether it was theirs */
void sim_hosts_kill(unsigned slot);                  /* it is to be killed: may it? */
void sim_hosts_end(bool killed);

/* Whether others may have the jobs of this worker, since its host was away for so long. */
bool sim_hosts_gave_up(const struct sim_worker *worker);

/* --- the coordinator and its host (host.c) */

struct sim_host {
    struct core *core;   /* NULL: it does not run */
    struct books *books; /* NULL: it keeps nothing */
    struct hosts *hosts; /* NULL: nobody can join */
    struct outbox outbox, spare;
    unsigned life;
    bool ready, died, stopping;
    uint64_t start_ns, stalled_ns;
    uint64_t listens_ns; /* since when others are heard */
};

struct core_options sim_core_options(void);
void sim_host_start(void);
void sim_host_deliver(const char *peer, struct sim_line *line);
void sim_host_completions(void);
void sim_host_bury(struct sim_worker *worker);
void sim_host_lose(const char *peer); /* a client, or an outpost */
uint64_t sim_host_deadline(void);
void sim_host_tick(void);
void sim_host_crash(void);
void sim_host_stop(void);       /* it is asked to end, and does */
void sim_host_check_rest(void); /* without work it does not wake up */

/* --- the world (world.c) */

struct sim {
    uint64_t seed, step;
    bool traced, calm;
    struct random random;
    uint64_t now_ns, slow_ns; /* `slow_ns`: what a letter takes at most */
    int64_t wall_ns;          /* what the clock on the wall is ahead of that */
    struct sim_faults faults;
    enum proto_keeps keeps;
    unsigned workers, workers_max, client_count, places;
    unsigned submission_count, submissions_max;
    unsigned retries; /* asked for, each of which may come to be a submission */
    unsigned starts_lost, idle_deaths;
    uint64_t pace_ns;  /* within which clients do something, and workers in proportion */
    uint64_t grace_ns; /* of orphans; 0: workers die with their coordinator */
    uint64_t host_grace_ns, heartbeat_ns;
    unsigned slots;    /* for workers, those of outposts included */
    bool ample;        /* they are enough for all that come */
    bool warm;         /* workers start before there are jobs */
    unsigned cpus;     /* that it was told of; 0: as many as there are workers */
    struct demand has; /* CPUs: else as many as ever workers were asked for */
    struct sim_host host;
    struct sim_disk disk;
    struct sim_worker *worker_list;
    struct { /* mail of workers that are buried */
        char name[PROTO_PEER_NAME_MAX + 1];
        struct sim_line from;
    } ghosts[SIM_GHOSTS];
    struct sim_client clients[SIM_CLIENTS_MAX];
    unsigned outpost_count;
    struct sim_outpost outposts[SIM_OUTPOSTS_MAX];
    uint64_t noted[SIM_NOTED_MAX]; /* sessions of hosts that a next life is to wait for; 0: none */
    struct sim_submission submissions[SIM_SUBMISSIONS_MAX + 1];
    struct { /* of what happened in all worlds */
        uint64_t steps, jobs, lives, commits, deaths, virtual_ns;
        uint64_t turns;                             /* times that one was served while another one waited */
        uint64_t joins, returns, takeovers, strays; /* of other hosts; jobs that ran at two places */
    } sum;
};
extern struct sim world;

void sim_run(uint64_t seed);

/* --- scale.c: prints what jobs cost the core, by workers and by jobs up to these */

void sim_scale(unsigned workers_max, uint64_t jobs_max);

#endif
