/* SPDX-License-Identifier: MIT
 *
 * Other systems, measured beside muster in the same run where they are installed: Python's pools,
 * joblib and Gearman by a script that is a part of this program (peers.py), xargs and GNU parallel
 * by themselves, OpenMP and bare processes in this one. Each gets as many workers as muster, is warm, and is
 * given its jobs in the way that suits it best.
 */
#ifndef MUSTER_LAB_PEERS_H
#define MUSTER_LAB_PEERS_H

#include "lab/bench.h"

enum peer_measure {
    PEER_BATCH,  /* jobs that do nothing, given together */
    PEER_SINGLE, /* given one by one, many under way */
    PEER_TRIP,   /* one after another */
    PEER_WORK,   /* jobs of some length, given together */
    PEER_BLOCK,  /* a block in and out */
};

enum { PEER_BLOCK_BYTES = 64 << 20 };

struct peer;

/* How many there are of a measure, and what they are called. */
size_t peers_count(enum peer_measure measure);
const char *peers_name(enum peer_measure measure, size_t place);

/* Starts the place-th; it is stopped with peer_stop. 0, MUSTER_ENOTFOUND where it is not installed, or
 * another error, which says what is wrong with it. */
int peer_start(const struct bench_spec *spec, enum peer_measure measure, size_t place, struct peer **ret_peer,
               struct muster_error *ret_error);

/* Of a peer of PEER_WORK: from now on jobs burn so much CPU time. */
void peer_set_work(struct peer *peer, uint64_t work_ns);

/* A bench_block: so many jobs, with a peer as its context. */
bench_block peer_run;

/* Ends its processes. Takes NULL. */
void peer_stop(struct peer *peer);

/* Every peer of a measure but PEER_WORK takes turns with `own`, whose figure is called `name`: adds
 * a figure for each, held against the rounds of `own` that were beside it. One that is not there, or
 * fails, is a figure that says so. Nothing without spec->peers. 0, MUSTER_ECANCELLED or MUSTER_ENOMEM. */
int peers_compare(const struct bench_spec *spec, enum peer_measure measure, const char *name,
                  const struct bench_turn *own, const struct bench_scale *scale, struct bench_report *report,
                  struct muster_error *ret_error);

#endif
