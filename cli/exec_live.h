/* SPDX-License-Identifier: MIT
 *
 * --line-buffer: what commands write, line by line as it comes, from pipes that workers make for each
 * of them (worker/command.h, "live"). A line of one job is never broken by another's: while a line
 * longer than EXEC_LIVE_LINE_BYTES is being written, and with --keep-order until it is its turn, what
 * others write waits, in memory up to so many bytes of each, the rest in a file. The main thread's.
 */
#ifndef MUSTER_CLI_EXEC_LIVE_H
#define MUSTER_CLI_EXEC_LIVE_H

#include "cli/exec_folder.h"
#include "cli/exec_output.h"
#include "cli/progress.h"

enum { EXEC_LIVE_LINE_BYTES = 64 << 10 };

struct live_job;

struct exec_live {
    int fd;                           /* readable: there is something for exec_live_pump; -1: not open */
    int worker_fd;                    /* which workers inherit */
    int socket;                       /* where the ends of pipes come from */
    bool ordered;                     /* a job after the other */
    bool tagged;                      /* a label is a tag */
    const struct exec_folder *folder; /* for what waits, made before the first job begins; borrowed */
    struct progress *progress;        /* to be hidden where output appears on its terminal; borrowed */
    bool on_terminal[2];
    struct live_job *jobs;       /* owned; in the order in which they began */
    uint64_t turn;               /* ordered: the job that writes, from 1 */
    struct live_stream *line[2]; /* whose line is being written on standard output and error */
    bool resumes;                /* what waited may be written now */
    uint64_t files;              /* made for what waits */
    char *block;                 /* owned: what was read, behind what waited for the end of its line */
};

/* Before there are workers. All that is borrowed must outlive it. 0, MUSTER_ESYSTEM or MUSTER_ENOMEM. */
int exec_live_open(struct exec_live *live, bool ordered, bool tagged, const struct exec_folder *folder,
                   struct progress *progress, struct muster_error *ret_error);

/* Takes what there is, a bounded amount of it, and writes what can be written. Does not wait for commands.
 * 0, MUSTER_EOUTPUT, MUSTER_ESYSTEM or MUSTER_ENOMEM. */
int exec_live_pump(struct exec_live *live, struct muster_error *ret_error);

/* The job has ended: what it wrote until now is written, or waits; what others write into its pipes later
 * is not looked at. *ret_bytes is how much it was, of both. Ordered, it is the next one's turn. As
 * exec_live_pump. */
int exec_live_end(struct exec_live *live, uint64_t number, uint64_t *ret_bytes,
                  struct muster_error *ret_error);

/* All jobs have ended, told of or not. As exec_live_pump. */
int exec_live_finish(struct exec_live *live, struct muster_error *ret_error);

/* Takes one that is not open, whose `fd` is -1. */
void exec_live_close(struct exec_live *live);

#endif
