/* SPDX-License-Identifier: MIT
 *
 * --header with --pipe: what stands at the beginning of the input and goes before each block.
 */
#ifndef MUSTER_CLI_BLOCK_HEADER_H
#define MUSTER_CLI_BLOCK_HEADER_H

#include "cli/pattern.h"

#include <stdint.h>

struct block_header {
    uint64_t lines; /* so many; 0: what matches the pattern */
    struct pattern pattern;
};

/* ":" is a line, a number so many, anything else a pattern; NULL: there is none. 0, MUSTER_EINVALID with the
 * option and what is wrong with it, or MUSTER_ENOMEM. */
int block_header_init(struct block_header *header, const char *text, struct muster_error *ret_error);

/* Takes zeroed ones, too. */
void block_header_fini(struct block_header *header);

/* How many bytes at the beginning of the input are the header. Whether it is known: not while lines are
 * missing, nor before `whole`, as much as is ever looked at, for a pattern. */
bool block_header_find(struct block_header *header, struct word input, bool whole, size_t *ret_size);

#endif
