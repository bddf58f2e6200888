/* SPDX-License-Identifier: MIT
 *
 * A run of `muster exec`, as its parts share it: the verb (exec.c), from rows to jobs (exec_job.c), and
 * from results to output (exec_show.c). All of them run on the main thread.
 */
#ifndef MUSTER_CLI_EXEC_RUN_H
#define MUSTER_CLI_EXEC_RUN_H

#include "cli/exec_ask.h"
#include "cli/exec_fill.h"
#include "cli/exec_folder.h"
#include "cli/exec_live.h"
#include "cli/exec_log.h"
#include "cli/exec_note.h"
#include "cli/exec_options.h"
#include "cli/exec_origin.h"
#include "cli/exec_pace.h"
#include "cli/exec_resume.h"
#include "cli/exec_store.h"
#include "cli/stats.h"

enum { EXEC_FAILURE_LINES = 20 /* failed jobs named on standard error; more are only counted */ };

struct exec {
    struct exec_options options;
    struct sources sources;
    struct exec_pipe pipe; /* instead, where it is open */
    struct template command, tag;
    struct exec_fill fill;                  /* rows to commands */
    struct exec_ask ask;                    /* whether to run them */
    msgpack_sbuffer title, tag_text, place; /* of the latest result */
    msgpack_sbuffer heading;                /* the same: what stands before its output in a file */
    struct exec_folder folder;
    struct exec_origin origin; /* that commands have with a coordinator */
    struct exec_log log;
    struct exec_resume resume;
    struct exec_store store;
    struct word logged; /* --retry-failed: the command that was read from the log */
    struct stats stats;
    struct progress progress;
    struct exec_pace pace;
    int interrupt_fd;
    int out_fd;
    int shared_out_fd;          /* the same, inherited by workers; -1: none */
    struct exec_live live;      /* --line-buffer; its fd -1 without */
    bool shares_terminal;       /* output appears where the progress line stands */
    uint64_t given;             /* rows so far, each with its number */
    uint64_t skipped;           /* of them, as they have been done before */
    struct row row;             /* of the next job, where it waits; borrowed from the sources */
    uint64_t sequence;          /* its number */
    bool row_waits;             /* there is one */
    uint64_t made;              /* jobs, the latest of which has this index */
    struct stats_commands used; /* by all of them */
    uint64_t succeeded, failed; /* by what became of their commands */
    int first_failure;          /* the status of the first that failed */
    bool halted;                /* by --halt */
    bool crashed;               /* some command did, and how to run it again was told */
    int stopped_by;             /* the signal that did; 0: none */
    bool away;                  /* the coordinator is, and that was said */
    struct muster_error error;  /* why a callback ended the batch */
};

/* The row of the next job, which waits in `exec` until that is made. 0, MUSTER_EEND, MUSTER_EAGAIN: it is not
 * there yet, or another error. */
int exec_await_job(struct exec *exec, struct muster_error *ret_error);

/* Makes the job whose row waits. */
int exec_next_job(struct exec *exec, msgpack_zone *zone, msgpack_object *ret_argument,
                  struct muster_error *ret_error);

/* What the arguments of all jobs have in common, in the zone. */
int exec_job_common(struct exec *exec, msgpack_zone *zone, msgpack_object *ret_common,
                    struct muster_error *ret_error);

/* The next row, as exec_fill_next. */
int exec_next_row(struct exec *exec, struct row *ret_row, struct muster_error *ret_error);

/* What to poll after MUSTER_EAGAIN; -1: nothing is waited for. */
int exec_input_fd(const struct exec *exec);

/* muster_batch.source.next: the next job, not before it is time to. */
int exec_next_paced(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                    struct muster_error *ret_error);

/* muster_batch.on_tick. */
int exec_on_tick(void *context, const struct muster_progress *progress);

/* muster_batch.on_result. */
int exec_on_result(void *context, const struct muster_result *result);

#endif
