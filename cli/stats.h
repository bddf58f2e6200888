/* SPDX-License-Identifier: MIT
 *
 * --stats FILE: one JSON object about a batch. The file is opened before anything runs, so
 * that a path that cannot be written is refused before work is done for it.
 */
#ifndef MUSTER_CLI_STATS_H
#define MUSTER_CLI_STATS_H

#include "client/muster.h"

/* What commands used, by wait4: all but the children that they left. */
struct stats_commands {
    uint64_t user_us, system_us; /* added up */
    uint64_t memory_kib;         /* the most that any of them had */
};

struct stats {
    const char *path;                      /* borrowed; NULL: no statistics are wanted */
    int fd;                                /* owned unless it is standard error */
    bool created;                          /* the file is ours to remove when it stays empty */
    const struct stats_commands *commands; /* borrowed; NULL: what ran were functions */
    unsigned layers;                       /* of a sandbox, as of sandbox_pack; 0: there was none */
};

/* `path` NULL: nothing is wanted; "-": standard error. An existing file keeps its content
 * until stats_write. 0 or MUSTER_ESYSTEM. */
int stats_open(struct stats *stats, const char *path, struct muster_error *ret_error);

/* Replaces the file's content. Nothing to do when nothing is wanted. */
int stats_write(struct stats *stats, enum muster_model model, const struct muster_summary *summary,
                struct muster_error *ret_error);

/* Closes the file, and removes it again when it was created and nothing was written. Takes an
 * object whose stats_open failed. */
void stats_close(struct stats *stats);

#endif
