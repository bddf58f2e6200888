/* SPDX-License-Identifier: MIT
 *
 * Single jobs under the model `processes`, of the plug-in `faulty`, in real workers.
 */
#ifndef MUSTER_TESTS_UNIT_CLIENT_PROCESSES_FIXTURE_H
#define MUSTER_TESTS_UNIT_CLIENT_PROCESSES_FIXTURE_H

#include "bench.h"
#include "client/processes.h"

extern char folder[]; /* of the run, */
extern char gate[64]; /* and a file in it, for which `wait_file` waits */

void open_processes(struct bench *bench, unsigned workers);

/* The function of this name of the workers: the same address for the same name, by which kinds of tasks are
 * told apart. */
const muster_function *named(const char *name);

void open_gate(void);

/* check_all with the folder. */
int check_all_in_folder(const struct check *checks, size_t count);

#endif
