/* SPDX-License-Identifier: MIT
 *
 * Jobs that wait to be run in this process, for the models inline and threads: a run of jobs
 * is a few numbers for a range, and a part of a block of arguments for a stream.
 *
 * Blocks are counted references, taken and dropped by any thread; everything else belongs to
 * one thread at a time.
 */
#ifndef MUSTER_CLIENT_FEED_H
#define MUSTER_CLIENT_FEED_H

#include "client/muster.h"

#include <stdatomic.h>

enum {
    /* Arguments of one block: enough that what a block costs, under a microsecond, is a few
     * nanoseconds an argument. */
    FEED_BLOCK_JOBS = 512,
};

struct feed_block {
    atomic_uint references;
    uint32_t count;
    size_t bytes;              /* about what it takes in memory */
    uint64_t asked_ns;         /* when its first argument was asked for, */
    uint64_t ready_ns;         /* and when jobs were made of it */
    atomic_size_t *live_bytes; /* of all blocks of the feed; borrowed */
    msgpack_zone zone;
    msgpack_object arguments[FEED_BLOCK_JOBS];
};

/* Jobs with consecutive indexes. */
struct feed_jobs {
    uint64_t first; /* index of the first job, from 1 */
    uint64_t count;
    int64_t argument;         /* RANGE: of the first job; each further one is one more */
    struct feed_block *block; /* STREAM: a reference to what holds the arguments; else NULL */
    uint32_t offset;          /* STREAM: of the first job's in the block */
};

enum feed_state { FEED_READY, FEED_WAITING, FEED_ENDED };

/* The arguments of a streamed batch. */
struct feed {
    const struct muster_source *source; /* borrowed */
    enum feed_state state;
    uint64_t pulled;           /* arguments so far */
    int code;                  /* why it ended early; 0: it did not */
    struct muster_error error; /* of `code` */
    atomic_size_t live_bytes;  /* of blocks that something still refers to */
};

void feed_init(struct feed *feed, const struct muster_source *source);

/* Pulls the next argument into *block, which is made where it is NULL. Returns whether there
 * was one; if not, the feed's state says why. An argument that is no value, and the lack of
 * memory, end the feed like an error of the source. */
bool feed_pull(struct feed *feed, struct feed_block **block);

/* Whether a block should take no more arguments. */
bool feed_is_full(const struct feed_block *block);

/* Drops a block that was pulled into and not made jobs of; NULL stays NULL. */
void feed_block_drop(struct feed_block **block);

/* The jobs of a block; takes the reference over. The block's arguments are those that were
 * pulled last. */
struct feed_jobs feed_jobs_of_block(const struct feed *feed, struct feed_block *block);

/* Those of a range. */
struct feed_jobs feed_jobs_of_range(const struct muster_source *source);

/* Splits the first `count` jobs off. Both parts then hold a reference of their own, unless
 * one of them is empty, which holds none. */
struct feed_jobs feed_jobs_take(struct feed_jobs *jobs, uint64_t count);

/* Puts `rest`, which was taken off `jobs` last, in front of them again and empties it. */
void feed_jobs_return(struct feed_jobs *jobs, struct feed_jobs *rest);

/* Drops the reference and empties it. Not needed for jobs that are empty already. */
void feed_jobs_drop(struct feed_jobs *jobs);

/* The argument of the job at `position`, from 0. Borrowed from *ret_number or the block. */
static inline const msgpack_object *feed_argument(const struct feed_jobs *jobs, uint64_t position,
                                                  msgpack_object *ret_number)
{
    int64_t number;

    if (jobs->block)
        return &jobs->block->arguments[jobs->offset + position];
    number = (int64_t)((uint64_t)jobs->argument + position);
    ret_number->type = number < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_number->via.i64 = number;
    return ret_number;
}

#endif
