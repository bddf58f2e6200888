/* SPDX-License-Identifier: MIT
 *
 * What a store does with the requests that wait: all of a group in one transaction. When that fails, it is
 * undone, reads are done one by one, submissions are refused, and what must not be lost goes to `kept`, which
 * later comes first. While anything is kept nothing else is written.
 *
 * No thread and no clock: store.c has both, and the simulator (tests/sim/) others.
 */
#ifndef MUSTER_COORDINATOR_STORE_GROUP_H
#define MUSTER_COORDINATOR_STORE_GROUP_H

#include "coordinator/store_entry.h"

/* Entries, owned, oldest first. */
struct store_queue {
    struct store_entry *first, **last;
};

void store_queue_init(struct store_queue *queue);
void store_queue_append(struct store_queue *queue, struct store_entry *entry);
struct store_entry *store_queue_take(struct store_queue *queue); /* NULL: it is empty */

/* Moves all of `from` behind `to`. */
void store_queue_join(struct store_queue *to, struct store_queue *from);

/* Frees what is in it. */
void store_queue_destroy(struct store_queue *queue);

struct store_group {
    struct store_database database;
    struct store_queue kept;
    bool troubled, full;
    char why[MUSTER_ERROR_TEXT_BYTES / 2]; /* when troubled */
    uint64_t retry_ns;                     /* when something is kept: not before */
};

/* Around an open database, which it takes; and closes, with what is kept. */
void store_group_init(struct store_group *group, const struct store_database *database);
void store_group_fini(struct store_group *group);

/* What the next transaction is of. */
void store_group_take(struct store_queue *submitted, struct store_queue *ret_queue);

/* Does all of the queue, which is not empty, and leaves none in it: what is complete goes to `done`. */
void store_group_serve(struct store_group *group, uint64_t now_ns, struct store_queue *queue,
                       struct store_queue *done);

/* Tries what is kept. */
void store_group_retry(struct store_group *group, uint64_t now_ns, struct store_queue *done);

#endif
