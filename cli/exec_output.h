/* SPDX-License-Identifier: MIT
 *
 * What commands wrote, to standard output and standard error: each job's together, whatever its
 * size, with a tag before each line if one is wanted.
 */
#ifndef MUSTER_CLI_EXEC_OUTPUT_H
#define MUSTER_CLI_EXEC_OUTPUT_H

#include "cli/exec_result.h"
#include "cli/row.h"

/* Writes all that the job wrote to one of its descriptors to `fd`. `tag` without bytes: none. 0 or
 * MUSTER_EOUTPUT, with which of the two could not be read or written, `name` being that of `fd`. */
int exec_output_write(int fd, const char *name, const struct exec_written *written, struct word tag,
                      struct muster_error *ret_error);

/* Writes these bytes to `fd`. 0 or MUSTER_EOUTPUT. */
int exec_output_bytes(int fd, const char *name, const char *bytes, size_t size,
                      struct muster_error *ret_error);

#endif
