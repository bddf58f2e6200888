/* SPDX-License-Identifier: MIT
 *
 * What test_ledger_restarts.c knows of the batches that its clients submitted, while the coordinator dies and
 * comes back; restarts_clients.c says what they do and checks what they hear, restarts_file.c what the file
 * holds.
 */
#ifndef MUSTER_TESTS_UNIT_COORDINATOR_RESTARTS_H
#define MUSTER_TESTS_UNIT_COORDINATOR_RESTARTS_H

#include "jobs/random.h"
#include "tests/support/ledger_steps.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SUBMISSIONS_MAX = 400,
    JOBS_MAX = 48,
    READERS_MAX = 40, /* tickets of a client in a life */
};

#define SAY(condition, ...)                                                                     \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "seed %llu, life %u, event %llu: ", (unsigned long long)seed, life, \
                    (unsigned long long)w.events);                                              \
            fprintf(stderr, __VA_ARGS__);                                                       \
            fprintf(stderr, "\n");                                                              \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

/* What somebody submitted, and what all that take part know of it. */
struct submission {
    uint64_t number; /* that it has if it is there */
    uint64_t jobs;
    bool list, sealed;         /* its client said all of it */
    bool accepted;             /* told; from then on it is promised */
    bool refused;              /* told */
    bool cancelled, forgotten; /* somebody asked for it, */
    unsigned told_cancelled;   /* in which life it was answered that it is cancelled; 0: in none */
    bool told_forgotten;       /* and it was answered that it is done */
    bool hold;
    bool ended;     /* told */
    uint32_t after; /* which one it waits for; 0: none */
    bool after_ok;
    bool recorded[JOBS_MAX + 1]; /* in the file, or told */
};

/* What a client uses a ticket for. */
struct use {
    uint32_t submission; /* 0: the ticket is free */
    bool submits, reads, ordered, follows;
    bool asks_cancel, asks_forget;
    uint64_t sent; /* arguments */
    uint64_t next; /* ordered: the job that comes next */
    uint64_t count, failed, cost;
    bool told[JOBS_MAX + 1];
};

struct client {
    char name[PROTO_PEER_NAME_MAX + 1];
    struct use uses[READERS_MAX + 1]; /* by ticket */
    uint64_t tickets;
};

extern struct random chance;
extern uint64_t seed;
extern unsigned life;
extern struct submission submissions[SUBMISSIONS_MAX + 1]; /* from 1 */
extern uint32_t submission_count;

uint64_t below(uint64_t bound);
bool once_in(uint64_t times);

/* Whether the job fails wherever it runs. */
bool fails(uint64_t job);

/* The file, while nobody has it open. `over`: everything has to have ended. */
void look_at_file(const char *path, bool over);

void say_hello(struct client *client);

/* One thing that a client might do. */
void act(struct client *client);

/* Reads the submission, if there is a ticket left. */
void attach(struct client *client, uint32_t which);

/* Takes one message; most of the time says that it is done with it. */
bool listen_once(struct client *client);

#endif
