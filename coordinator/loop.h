/* SPDX-License-Identifier: MIT
 *
 * A coordinator's parts, and the thread that has them once it runs. coordinator.c makes them and lets them
 * go; loop.c is the thread.
 */
#ifndef MUSTER_COORDINATOR_LOOP_H
#define MUSTER_COORDINATOR_LOOP_H

#include "base/spin.h"
#include "coordinator/coordinator.h"
#include "coordinator/nest.h"
#include "coordinator/outbox.h"
#include "coordinator/place.h"
#include "coordinator/withheld.h"
#include "proto/wire.h"

#include <pthread.h>

/* What the loop waits for. */
enum { MESSAGES, DEATHS, BELL, GUESTS, RECORDS, STOP, KNOCKS, KEYS, ITEMS };

struct coordinator {
    struct coordinator_options options;
    int listen_fd;       /* of its nest, until the router has it; -1: none */
    bool running;        /* there is a thread */
    struct wire *router; /* owned by the thread once it runs */
    struct post *post;   /* over it */
    struct spin spin;
    struct wire_poll items[ITEMS];
    uint64_t looked_ns; /* when they were last waited for */
    struct core *core;
    struct books *books; /* between clients and the core; owned; NULL: nothing is kept */
    struct supervisor *supervisor;
    struct guests *guests;
    struct hosts *hosts;                /* owned; NULL: no other host can join */
    struct gate *gate;                  /* borrowed; NULL: nobody comes with a key */
    uint64_t probe_ns;                  /* when those that did are looked after; CLOCK_NEVER: not */
    const struct journal *journal;      /* borrowed */
    int stop_fd;                        /* borrowed; -1: none */
    bool stopping;                      /* a client said so, and it does not wait for jobs */
    int code;                           /* why it ended by itself; 0: it did not */
    struct outbox outbox;               /* what the core decides */
    struct outbox spare;                /* empty but while `carry_out` empties it */
    struct mappings *mappings;          /* of workers whose results nobody took; owned */
    struct nest nest;                   /* its socket is "" where it listens in somebody else's */
    struct withheld withheld;           /* from jobs that are confined */
    char endpoint[WIRE_ENDPOINT_BYTES]; /* where workers connect */
    char folder[PLACE_FOLDER_BYTES];    /* of those that may outlive it */
    pthread_t thread;
};

/* Starts workers that are wanted from the beginning, while there is no thread yet. */
void loop_launch(struct coordinator *coordinator);

/* The thread, given its coordinator. Ends the parts that its caller has no use for any more:
 * supervisor, guests, post and router. */
void *loop_run(void *coordinator);

#endif
