/* SPDX-License-Identifier: MIT
 *
 * Another program that is measured here: started in a process group of its own, asked in lines,
 * and never waited for without a limit. What it writes is not trusted: lines are bounded, and what
 * is no answer is an error with a word to say. It ends when its standard input is closed, and is
 * ended with its group where it does not.
 */
#ifndef MUSTER_LAB_CHILD_H
#define MUSTER_LAB_CHILD_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CHILD_LINE_BYTES = 256 };

struct child {
    const char *name; /* borrowed */
    pid_t pid;
    int pidfd, in, out, err;     /* in, out: -1 where it is not asked */
    char line[CHILD_LINE_BYTES]; /* that is not complete */
    size_t used;
    char said[CHILD_LINE_BYTES]; /* the last line on standard error */
    size_t said_used;
};

/* Starts argv[0], found as a shell would. Its standard input is `stdin_fd`, and what it writes is
 * thrown away; or, with -1, pipes for child_ask. 0, MUSTER_ENOTFOUND where there is no such program,
 * or MUSTER_ESYSTEM. */
int child_start(const char *const *argv, int stdin_fd, struct child *ret_child,
                struct muster_error *ret_error);

/* Sends a line (NULL: none) and waits for one, which comes without its newline. 0; MUSTER_ETIMEOUT
 * after the limit; MUSTER_ELOST when the program has ended; MUSTER_EPROTOCOL when the line is too
 * long; MUSTER_ECANCELLED when interrupt_fd became readable. */
int child_ask(struct child *child, const char *question, uint64_t limit_ns, int interrupt_fd,
              char ret_line[CHILD_LINE_BYTES], struct muster_error *ret_error);

/* Waits for its end. 0 when its status is 0; else as child_ask, which knows the reasons. */
int child_wait(struct child *child, uint64_t limit_ns, int interrupt_fd, struct muster_error *ret_error);

/* Closes its standard input, gives it so long to end (0: none), and asks what is left of its group to
 * end by SIGTERM. Who ignores that may tidy up (joblib: files in /dev/shm) for a second at most, or until
 * nobody has its standard error open; then the group is killed. */
void child_end(struct child *child, uint64_t limit_ns);

#endif
