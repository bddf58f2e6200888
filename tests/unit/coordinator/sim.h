/* SPDX-License-Identifier: MIT
 *
 * A small world around the coordinator's core: workers that crash, stall, lie and answer late,
 * clients that stream, cancel and check what they get, and the mail between them, which is
 * encoded as it would be on a wire. All of it follows from one seed.
 *
 * The job `index` of the batch with ticket t has the argument sim_argument(t, index), which its
 * worker checks, and three times that as its value, which its client checks.
 */
#ifndef MUSTER_TESTS_SIM_H
#define MUSTER_TESTS_SIM_H

#include "coordinator/core_look.h"
#include "coordinator/state.h"
#include "jobs/random.h"

#include <criterion/criterion.h>

enum {
    SIM_WORKERS_MAX = 4,
    SIM_CLIENTS = 2,
    SIM_BATCHES = 3,
    SIM_JOBS_MAX = 24,
    SIM_GHOSTS = 8,
    SIM_MEMORY = 100
};

/* --- mail: an encoded message, and the order of those on their way between two peers */

struct sim_letter {
    void *bytes; /* owned */
    size_t size;
    struct slice payload; /* holds a reference */
    struct sim_letter *prev, *next;
};

struct sim_pipe {
    struct sim_letter *letters; /* oldest first; owned */
};

/* A letter that was opened; the message borrows from the rest. */
struct sim_opened {
    struct proto_message message;
    msgpack_zone zone;
    struct sim_letter *letter;
};

void sim_post(struct sim_pipe *pipe, const struct proto_message *message);
bool sim_open(struct sim_pipe *pipe, struct sim_opened *ret_opened); /* false: there is none */
void sim_close(struct sim_opened *opened);
void sim_drop(struct sim_pipe *pipe);

/* --- clients */

/* What became of a job, as the world saw it. */
struct sim_job {
    bool delivered, cancelled; /* by itself */
    unsigned failures;         /* executions that failed or timed out */
    unsigned blamed;           /* workers that died while they executed it, but for those killed for others */
};

struct sim_batch {
    char function[16]; /* names it */
    struct proto_submit settings;
    uint32_t total;
    uint64_t poison; /* a job that may kill each worker that executes it; 0: none */
    bool submitted, sealed, cancelled, ended;
    uint32_t sent; /* arguments */
    uint64_t granted_cost, sent_cost, received_cost, consumed_cost;
    uint64_t succeeded, failed; /* delivered */
    uint64_t asked;             /* of the failed, as cancelled, jobs that were cancelled by themselves */
    struct sim_job jobs[SIM_JOBS_MAX + 1];
};

struct sim_client {
    char name[16];
    struct sim_pipe to, from;
    struct sim_batch batches[SIM_BATCHES];
};

/* --- workers */

/* TOLD: the coordinator knows. RETURNED: it got the job back. */
enum sim_stage { SIM_WAITS, SIM_RUNS, SIM_ENDED, SIM_TOLD, SIM_RETURNED };

struct sim_task {
    struct proto_chunk chunk; /* its function's text is `function` */
    char function[16];
    struct slice arguments; /* holds a reference */
    bool skip, cancelled;   /* all of it */
    uint32_t started;       /* jobs, those that were given back before included */
    struct {
        enum sim_stage stage;
        bool dropped, asked; /* by a CANCEL of this job: not to start, to end */
        int32_t code;        /* 0: a value */
    } jobs[SIM_JOBS_MAX];
    struct sim_task *prev, *next;
};

enum sim_life { SIM_ABSENT, SIM_STARTING, SIM_ALIVE, SIM_DEAD };

struct sim_worker {
    unsigned slot;
    char name[PROTO_PEER_NAME_MAX + 1];
    enum sim_life life;
    bool stalled; /* neither works nor answers */
    bool lied;
    unsigned credit, concurrency;
    struct sim_pipe to, from;
    struct sim_task *tasks;  /* owned */
    unsigned running;        /* jobs of all of them */
    struct worker_exit exit; /* what its supervisor will find: the job that has the thread */
};

/* --- the world */

struct sim {
    uint64_t seed;
    unsigned step;
    struct random random;
    uint64_t now_ns;
    bool faults; /* until they are switched off, so that all can end */
    struct core *core;
    struct outbox outbox;
    unsigned worker_count;
    uint32_t places;    /* of all workers; 0: each has its own */
    bool host_is_given; /* else it has as many CPUs as ever workers were asked for */
    struct demand host; /* memory_bytes 0: not known */
    struct sim_worker workers[SIM_WORKERS_MAX];
    struct sim_client clients[SIM_CLIENTS];
    struct { /* what workers that are buried had sent before */
        char name[PROTO_PEER_NAME_MAX + 1];
        struct sim_pipe from;
    } ghosts[SIM_GHOSTS];
};

#define SIM_CHECK(sim, condition, format, ...) \
    cr_assert(condition, "seed %lu, step %u: " format, (unsigned long)(sim)->seed, (sim)->step, ##__VA_ARGS__)

/* Below `bound`, and whether something happens that does so once in `times`. */
uint64_t sim_below(struct sim *sim, uint64_t bound);
bool sim_once_in(struct sim *sim, unsigned times);
bool sim_fault(struct sim *sim, unsigned times); /* never, once faults are off */

int64_t sim_argument(uint64_t ticket, uint64_t index);

void sim_client_init(struct sim *sim, unsigned place);
void sim_client_receive(struct sim *sim, struct sim_client *client);
void sim_client_act(struct sim *sim, struct sim_client *client);
struct sim_batch *sim_find_batch(struct sim *sim, const char *function);
void sim_client_check_end(struct sim *sim, const struct sim_client *client);

void sim_worker_spawn(struct sim_worker *worker, const char *name);
void sim_worker_receive(struct sim *sim, struct sim_worker *worker);
void sim_worker_act(struct sim *sim, struct sim_worker *worker);
uint32_t sim_worker_runs(const struct sim_worker *worker, const char *function); /* jobs of it */
void sim_worker_die(struct sim_worker *worker, const char *reason);
void sim_worker_bury(struct sim *sim, struct sim_worker *worker);

#endif
