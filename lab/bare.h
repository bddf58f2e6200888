/* SPDX-License-Identifier: MIT
 *
 * What muster is held against: the same parts (ZeroMQ, msgpack-c, threads, a futex, processes) with nothing
 * of muster around them. No queue, no state, no faults, no accounts.
 *
 * The other ends run in the processes of a crew (lab/bench_crew.h). They prove that they belong to it by
 * a number that they were told, for anybody on this host may connect over tcp. Each of these ends
 * with an error, and not never, when its other end is gone.
 */
#ifndef MUSTER_LAB_BARE_H
#define MUSTER_LAB_BARE_H

#include "client/muster.h"
#include "jobs/muster_job.h"

#include <stddef.h>
#include <stdint.h>

/* One ROUTER, `workers` processes on DEALERs, integers in chunks, each result summed: the ceiling
 * for a dispatcher that does all that work. */
struct bare_loop {
    muster *crew; /* of so many workers at least */
    unsigned workers;
    enum muster_transport transport;
    unsigned chunk;
    unsigned ahead; /* chunks that a worker has been sent and has not answered */
};

/* A bench_block: so many jobs. */
int bare_loop_run(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error);

/* A message of so many bytes there and back between two processes, and how long each of `count` of
 * them took. */
enum { BARE_PING_BYTES = 64 };
int bare_ping(muster *crew, enum muster_transport transport, size_t count, uint64_t *ret_ns,
              struct muster_error *ret_error);

/* A number there and back through shared memory, each side sleeping in a futex. */
int bare_futex(muster *crew, size_t count, uint64_t *ret_ns, struct muster_error *ret_error);

/* Threads that take runs of jobs, `chunk` at most, from a ring under a mutex, and sum results. */
struct bare_pool {
    unsigned workers;
    unsigned chunk;
};

/* A bench_block: so many jobs; making the threads is not counted. */
int bare_pool_run(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error);

/* The work of so many jobs of the kernel, in as few parts as there are threads, each on a core of its own:
 * what the cores can do together. */
struct bare_kernel {
    unsigned workers;
    uint64_t iterations; /* of a job */
};

/* A bench_block: so many jobs. */
int bare_kernel_run(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error);

/* A bench_block: so many processes, of which each does nothing and `*context` (unsigned) run at once. */
#define BARE_SPAWN_PROGRAM "/bin/true"
int bare_spawn_run(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error);

/* The other ends. */
#define BARE_WORKER "bare_worker"
#define BARE_ECHO   "bare_echo"
#define BARE_FUTEX  "bare_futex"
muster_function_run bare_worker, bare_echo, bare_futex_echo;

#endif
