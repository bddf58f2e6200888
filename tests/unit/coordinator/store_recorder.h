/* SPDX-License-Identifier: MIT
 *
 * What SQLite writes to one database and its log, step by step, so that the files can be made as they would
 * be if the process had been killed, or the power had gone, after any of the steps.
 */
#ifndef MUSTER_TESTS_STORE_RECORDER_H
#define MUSTER_TESTS_STORE_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before anything is opened: from then on, all that is written to the file of this path is recorded. */
void recorder_begin(const char *path);

/* Until now; what is done with the file later is not recorded. */
void recorder_end(void);

/* How many there are by now. One is a write, a sync, a new length or a removal. */
size_t recorder_steps(void);

/* Whether the step is a write that begins in one page of the system and ends in another one, and is less than
 * one. */
bool recorder_tears(size_t step);

/* Makes the files at `path` what a process leaves that is killed when it has done so many steps; with `torn`,
 * and of the next one, if it is a write, what lies in the first page of the system: the kernel copies page by
 * page. */
void recorder_kill(size_t steps, bool torn, const char *path);

/* What is there when the power goes after so many steps: of each file what was synced, and any sectors of
 * what was written since, as `seed` has it. */
void recorder_cut(size_t steps, uint64_t seed, const char *path);

#endif
