/* SPDX-License-Identifier: MIT
 *
 * The verbs of the command, a file each, and what they share. A verb gets the command line
 * from its own name on and returns the exit status; argv outlives everything.
 */
#ifndef MUSTER_CLI_VERBS_H
#define MUSTER_CLI_VERBS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Exit statuses besides the number of failed jobs, which is cut to STATUS_FAILED_MANY. */
enum {
    STATUS_FAILED_MANY = 101,
    STATUS_NOT_OVER = 102, /* results, wait: the batch runs on */
    STATUS_ERROR = 255,
    STATUS_SIGNAL = 128, /* plus the signal's number */
};

int verb_map(int argc, char **argv);
int verb_exec(int argc, char **argv);
int verb_compare(int argc, char **argv);
int verb_advise(int argc, char **argv);
int verb_lab(int argc, char **argv);
int verb_bench(int argc, char **argv);
int verb_functions(int argc, char **argv);
int verb_worker(int argc, char **argv);
int verb_coordinator(int argc, char **argv);
int verb_submit(int argc, char **argv);
int verb_key(int argc, char **argv);

/* Those that ask a coordinator (cli/ask.h). */
int verb_status(int argc, char **argv);
int verb_jobs(int argc, char **argv);
int verb_results(int argc, char **argv);
int verb_wait(int argc, char **argv);
int verb_cancel(int argc, char **argv);
int verb_retry(int argc, char **argv);
int verb_forget(int argc, char **argv);
int verb_workers(int argc, char **argv);
int verb_scale(int argc, char **argv);
int verb_drain(int argc, char **argv);
int verb_stop(int argc, char **argv);

/* The path of this very program, for starting it again as a worker; static. */
const char *program_path(void);

/* The place of `word`, which may be NULL, among `words`. When it is not there, MUSTER_EINVALID
 * with the nearest one, or all; `kind` says what they are: "lab". */
int word_find(const char *word, const char *const *words, size_t count, const char *kind, size_t *ret_place,
              struct muster_error *ret_error);

/* "12 of 1000 jobs"; "12 jobs" with a total of 0, when it is not known; "1 job". */
enum { JOBS_TEXT_BYTES = 64 };
void jobs_count(uint64_t count, uint64_t total, char *text, size_t size);

/* The number of the only batch of an embedded coordinator. */
enum { EMBEDDED_BATCH = 1 };

/* "12.3", the third job of batch 12; "3" where the batch has no number yet, which is 0 then. Returns `text`.
 */
enum { JOB_NAME_BYTES = 48 };
const char *job_name(uint64_t batch, uint64_t index, char text[JOB_NAME_BYTES]);

/* Prints the help of a verb, or with NULL that of the command; returns the exit status. */
int help_print(const char *verb);

/* Says what is wrong with a command line and where its help is; returns STATUS_ERROR. */
int usage_error(const char *verb, const struct muster_error *error);

/* Says what went wrong; returns STATUS_ERROR. That nobody reads standard output any more (`| head`) is not
 * said: the status is that of a filter that SIGPIPE ends. */
int plain_error(const struct muster_error *error);

/* The same, of what ended so; where that was by an interrupt, says what it leaves, as in "nothing was shown",
 * and returns the status that the signal gives. */
int unfinished_error(int code, const struct muster_error *error, const char *left);

#endif
