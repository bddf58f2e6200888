/* SPDX-License-Identifier: MIT
 *
 * Whose turn it is: batches of a higher priority go before all others; those of one priority are
 * first among users, then among the batches of a user, served so that each gets the same time of
 * workers (start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996). The tag of a user, or of a
 * batch, is the time that it was served. The lowest goes next; the highest that went is the virtual
 * time, at which a newcomer starts: it has nothing to catch up. Equal tags go in the order in which
 * they came to be equal. Turns are of a kind, for their users to choose: those of one can be passed over
 * together, however many they are. Pure; it knows nothing of workers.
 */
#ifndef MUSTER_COORDINATOR_SCHEDULE_H
#define MUSTER_COORDINATOR_SCHEDULE_H

#include "proto/limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

enum { SCHEDULE_KINDS = 2 };

/* A place in a list that is in order of tags. */
struct place {
    double tag_ns;
    struct place *prev, *next;
};

/* One for each batch; all zero while it takes no part. */
struct turn {
    struct place place;  /* in its user's list, while it waits; has to come first */
    struct sharer *user; /* borrowed */
    unsigned kind;
    bool waits;      /* it has something to be served; the others are parked */
    uint64_t placed; /* greater than of all that had this tag before: among those of another kind */
    uint64_t passed; /* the last pass in which it was passed over */
};

/* A user among the batches of one priority. */
struct sharer {
    struct place place; /* in its level's list of those that have a turn that waits, or else of idle ones */
    struct level *level;
    struct place *turns[SCHEDULE_KINDS]; /* that wait, in order */
    uint64_t placed;                     /* the last number given to one of them */
    double now_ns;                       /* virtual time among its turns */
    unsigned joined;                     /* turns, those that are parked included */
    bool idle; /* in level->idle: none has joined, and its tag is ahead of the others' */
    char name[PROTO_USER_MAX + 1];
    UT_hash_handle hh;
};

/* The batches of one priority. */
struct level {
    int priority;
    struct place *users, *idle;
    struct sharer *by_name; /* owned */
    double now_ns;          /* virtual time among its users */
    unsigned joined, idle_count;
    struct level *prev, *next;
};

struct schedule {
    struct level *levels; /* highest priority first; owned */
    uint64_t pass;
    bool over[SCHEDULE_KINDS]; /* in this pass none of these is picked any more */
};

/* Users that left while they were ahead of the others are remembered until these have caught up, so
 * that nobody gets more by coming again and again; of one priority so many, those furthest ahead. */
enum { SCHEDULE_IDLE_MAX = 1024 };

void schedule_fini(struct schedule *schedule);

/* A turn takes part, parked at first; of a kind below SCHEDULE_KINDS. The name is its user's, and cut at
 * PROTO_USER_MAX bytes. 0 or MUSTER_ENOMEM. */
int schedule_join(struct schedule *schedule, int priority, const char *name, unsigned kind,
                  struct turn *turn);

/* It takes no more part, and is all zero again. Nothing happens to one that is. */
void schedule_leave(struct schedule *schedule, struct turn *turn);

/* The turn has something to be served; or has not, until it is woken. */
void schedule_wake(struct turn *turn);
void schedule_park(struct turn *turn);

/* Begins a pass, in which every turn may be picked again. */
void schedule_begin(struct schedule *schedule);

/* None of this kind can be served in the pass that has begun. */
void schedule_pass_over_all(struct schedule *schedule, unsigned kind);

/* The first in order that waits and was not passed over in this pass; NULL: there is none. */
struct turn *schedule_pick(const struct schedule *schedule);

/* The turn cannot be served now, for a reason that lies outside of it. */
void schedule_pass_over(struct schedule *schedule, struct turn *turn);

/* The turn that was picked is served, for so long as far as is known. */
void schedule_serve(struct turn *turn, double expected_ns);

/* What it was served was so much more, or less, than was known. */
void schedule_correct(struct turn *turn, double more_ns);

#endif
