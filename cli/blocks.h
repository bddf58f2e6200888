/* SPDX-License-Identifier: MIT
 *
 * A stream in blocks of whole records, for --pipe: as many records as fit (--block), or so many (-N).
 * Memory is a block, which grows for a record that does not fit, as GNU parallel has it; what was read is
 * handed out where it was read to, and only the piece of a record behind a block is ever moved.
 * Nothing is waited for: what cannot be had at once is MUSTER_EAGAIN.
 */
#ifndef MUSTER_CLI_BLOCKS_H
#define MUSTER_CLI_BLOCKS_H

#include "cli/block_header.h"
#include "cli/separator.h"

struct blocks_spec {
    struct separator_spec separator;
    const char *header; /* --header, borrowed; NULL: none */
    size_t block_bytes; /* at least 1 */
    size_t records;     /* -N; 0: as many as fit */
    size_t lines;       /* -L: so many of what the separator ends are a record; 0: one */
    bool remove;        /* --remove-rec-sep */
};

struct blocks {
    struct blocks_spec spec;
    struct separator separator;
    struct block_header header;
    char *header_bytes; /* owned */
    size_t header_size;
    bool header_known;

    int fd;           /* borrowed */
    const char *name; /* of it, for messages; borrowed */
    bool ended;       /* it has been read to its end */

    char *buffer;      /* owned; there is room for a header before `start` */
    size_t room;       /* allocated */
    size_t start, end; /* of what is there and not handed out */
    size_t limit;      /* how much of it in a block: grows */
    size_t searched;   /* where the next search begins */
    size_t counted;    /* ends of records or lines before that, in the block that begins at `start` */
    size_t cut;        /* behind the last one that may end a block; 0: none */
};

/* 0, MUSTER_EINVALID with the option and what is wrong with it, or MUSTER_ENOMEM; blocks_fini in either
 * case. */
int blocks_init(struct blocks *blocks, const struct blocks_spec *spec, int fd, const char *name,
                struct muster_error *ret_error);

/* Takes zeroed ones, too. */
void blocks_fini(struct blocks *blocks);

/* The next block, behind the header; valid until the next call. 0; MUSTER_EEND; MUSTER_EAGAIN (poll the
 * descriptor); MUSTER_ELIMIT when a record is larger than any block may be; MUSTER_ESYSTEM; MUSTER_ENOMEM. */
int blocks_next(struct blocks *blocks, struct word *ret_block, struct muster_error *ret_error);

#endif
