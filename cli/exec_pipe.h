/* SPDX-License-Identifier: MIT
 *
 * --pipe and --pipepart: jobs whose standard input is a block of the input (cli/blocks.h), or a part of a
 * file (cli/parts.h), which the worker reads. Their commands have no arguments: {} is empty, and is not
 * appended; or, with --cat, the path of a file with the block.
 */
#ifndef MUSTER_CLI_EXEC_PIPE_H
#define MUSTER_CLI_EXEC_PIPE_H

#include "cli/blocks.h"
#include "cli/parts.h"

#define EXEC_PIPE_BLOCK_DEFAULT ((size_t)1 << 20)

struct exec_options;
struct sources_spec;

struct exec_pipe_options {
    bool wanted;               /* --pipe, or what implies it */
    bool parts;                /* --pipepart; wanted, too */
    bool as_file;              /* --cat, --fifo; wanted, too */
    size_t slot_parts;         /* --block -N: parts for each that runs at once; 0: by size */
    struct blocks_spec blocks; /* but for its header and block_bytes 0, the default */
    const char **words;        /* owned: the command with --cat; NULL: as it stands */
    size_t word_count;
    char *texts; /* owned: of these words */
};

struct exec_pipe {
    struct blocks blocks;
    bool open;          /* there is --pipe */
    int fd;             /* of the input; -1 with --pipepart */
    bool owned;         /* fd is a file's, not standard input's */
    struct word latest; /* the block of the job that is being made; bytes NULL: it is a part of a file */

    struct separator separator; /* of parts, as what follows */
    struct block_header header;
    const struct sources_spec *sources; /* borrowed */
    size_t files;                       /* begun */
    uint64_t part_bytes, part_count;
    struct parts parts;
    char *path;       /* owned: of the file, absolute */
    struct part part; /* of the job that is being made */
};

/* One of the options that ask for it. Returns 0. */
static inline int exec_pipe_want(struct exec_pipe_options *options, bool as_file, bool parts)
{
    options->wanted = true;
    options->as_file |= as_file;
    options->parts |= parts;
    return 0;
}

/* What of the other options has another meaning now, or none, which is an error. 0 or MUSTER_EINVALID. */
int exec_pipe_check(struct exec_options *options, struct muster_error *ret_error);

void exec_pipe_options_fini(struct exec_pipe_options *options);

/* 0, or an error that names the option or the file. exec_pipe_close in any case. */
int exec_pipe_open(struct exec_pipe *pipe, const struct exec_options *options,
                   struct muster_error *ret_error);
void exec_pipe_close(struct exec_pipe *pipe);

/* The next block, which is the latest now, and the row of its job. As blocks_next. */
int exec_pipe_next(struct exec_pipe *pipe, struct row *ret_row, struct muster_error *ret_error);

#endif
