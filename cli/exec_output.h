/* SPDX-License-Identifier: MIT
 *
 * What commands wrote, to standard output and standard error: each job's together, whatever its
 * size, with a tag before each line if one is wanted.
 */
#ifndef MUSTER_CLI_EXEC_OUTPUT_H
#define MUSTER_CLI_EXEC_OUTPUT_H

#include "cli/exec_result.h"
#include "cli/row.h"

#include <sys/types.h>

/* Appends bytes, or none, which msgpack_sbuffer_write does not do to an empty buffer. Whether it could. */
static inline bool exec_output_gather(msgpack_sbuffer *buffer, const char *bytes, size_t size)
{
    return size == 0 || msgpack_sbuffer_write(buffer, bytes, size) == 0;
}

/* What a job writes to one of its descriptors, piece by piece: a line that goes on from piece to piece has
 * its tag once. Zeroed but for the tag, and `lines` to be destroyed. */
struct exec_tagger {
    struct word tag; /* without bytes: none */
    msgpack_sbuffer lines;
    bool in_line;
};

/* Writes a piece, behind tags. 0, MUSTER_EOUTPUT or MUSTER_ENOMEM. */
int exec_output_piece(int fd, const char *name, struct exec_tagger *tagger, const char *bytes, size_t size,
                      struct muster_error *ret_error);

/* Whether it is worth trying again what write(2) did not do: after waiting, where `fd` takes nothing now. */
bool exec_output_again(int fd);

/* Whether `fd` is a pipe or a socket that nobody reads any more. */
bool exec_output_left(int fd);

/* Writes all that the job wrote to one of its descriptors to `fd`. `tag` without bytes: none. 0 or
 * MUSTER_EOUTPUT, with which of the two could not be read or written, `name` being that of `fd`. */
int exec_output_write(int fd, const char *name, const struct exec_written *written, struct word tag,
                      struct muster_error *ret_error);

/* Makes the file that what a job wrote is in, with such a mode, the file `name` in a folder. Whether that
 * could be done. */
bool exec_output_move(const struct exec_written *written, mode_t mode, int folder_fd, const char *name);

/* Writes these bytes to `fd`. 0 or MUSTER_EOUTPUT. */
int exec_output_bytes(int fd, const char *name, const char *bytes, size_t size,
                      struct muster_error *ret_error);

#endif
