/* SPDX-License-Identifier: MIT
 *
 * The processes that descend from one, found in /proc: to end all that a command started, whatever
 * groups and sessions they are in. What says nothing else may be used by signal handlers. Where the
 * kernel does not list children (CONFIG_PROC_CHILDREN), a process seems to have none.
 */
#ifndef MUSTER_BASE_TREE_H
#define MUSTER_BASE_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Descendants seen at once: 16 KiB of stack. Who ends more looks again until none is left. */
enum { TREE_MAX = 4096 };

/* The children of all threads of a process, those that are dead but not reaped too. Returns how many
 * were written, at most `size`. */
size_t tree_children(pid_t pid, pid_t *ret_pids, size_t size);

/* Sends the signal (0: none) to all living descendants of `root`, but for the `spared_count` ones in
 * `spared` and what descends from those. Returns how many there were. SIGCONT goes to
 * those alone that are stopped, or about to be: others may have a handler. */
size_t tree_signal(pid_t root, const pid_t *spared, size_t spared_count, int signal);

/* SIGKILL to them until none lives. What dies leaves its children to `root`, if that is a subreaper, and
 * they are found there. Returns when it was done, or after two seconds: what is stuck in the kernel dies
 * when it leaves it. */
void tree_kill(pid_t root, const pid_t *spared, size_t spared_count);

/* SIGKILL to every process whose environment has `variable`, "NAME=VALUE", and to what descends from it,
 * until none lives, in a hundred rounds at most: for what descended from a process that is gone. Not for
 * signal handlers. */
void tree_kill_marked(const char *variable);

/* When a process started, in clock ticks since the host did: with its number, that tells it from every
 * other process since then. 0: there is none. Not for signal handlers. */
uint64_t tree_started(pid_t pid);

#endif
