/* SPDX-License-Identifier: MIT
 *
 * A file in parts of whole records, for --pipepart: where each begins and how long it is. Of the file only
 * its header is read, and what lies around the cuts.
 */
#ifndef MUSTER_CLI_PARTS_H
#define MUSTER_CLI_PARTS_H

#include "cli/block_header.h"
#include "cli/separator.h"

#include <stdint.h>

struct parts {
    struct separator *separator; /* borrowed */
    int fd;                      /* owned; -1: closed */
    const char *path;            /* borrowed */
    uint64_t size;               /* of the file */
    uint64_t header_size;
    uint64_t part_bytes; /* at least 1: a part ends with the record in which it reaches so many */
    uint64_t at;         /* of the next part */
    char *window;        /* owned: what is read around a cut */
    size_t room;
};

struct part {
    uint64_t offset, size; /* without the header */
};

/* Opens the file, which can be sought in. `part_bytes` 0: parts of one `count`-th. 0; MUSTER_EINVALID when it
 * cannot be sought in; MUSTER_ESYSTEM; MUSTER_ENOMEM. parts_close in any case. */
int parts_open(struct parts *parts, const char *path, struct separator *separator,
               struct block_header *header, uint64_t part_bytes, uint64_t count,
               struct muster_error *ret_error);

/* Takes zeroed ones whose fd is -1, too. */
void parts_close(struct parts *parts);

/* The next part. 0; MUSTER_EEND; MUSTER_ELIMIT when no record ends within 256 MiB; MUSTER_ESYSTEM;
 * MUSTER_ENOMEM. */
int parts_next(struct parts *parts, struct part *ret_part, struct muster_error *ret_error);

#endif
