/* SPDX-License-Identifier: MIT
 *
 * muster, opened for the one batch of a command, and the signals that end that batch.
 */
#ifndef MUSTER_CLI_OPEN_H
#define MUSTER_CLI_OPEN_H

#include "client/muster.h"

/* The variable of the environment that names a coordinator. */
#define COORDINATOR_VARIABLE "MUSTER_COORDINATOR"

/* The coordinator whose workers run jobs: `asked`, or where that is NULL the one that the environment names,
 * or where that is nothing and one is `needed`, the default one. NULL where it is `none`, or nothing. */
const char *open_coordinator(const char *asked, bool needed);

/* Opens muster and calls interrupt_start, in the order that lets workers start soonest. Descriptors that
 * workers are to inherit have to be there before. Fills the worker program and the start method in. */
int open_muster(struct muster_options *options, muster **ret_muster, int *ret_interrupt_fd,
                struct muster_error *ret_error);

#endif
