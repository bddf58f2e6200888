/* SPDX-License-Identifier: MIT
 *
 * What the owner of a heap of shared memory (heap.h) and its readers (mappings.h) agree on: the
 * reference that stands in a message in place of bytes, and the first pages of the heap.
 *
 * A heap is a memfd, sealed against any change of its size, so that a reader cannot be made to
 * fault. It begins with struct heap_head, which its keeper writes once; then comes struct
 * heap_table, all that a reader ever writes; then blocks. Only bytes of strings and binaries are in
 * blocks, never anything that is parsed: whoever changes them changes a result, and no length.
 */
#ifndef MUSTER_PROTO_REFERENCE_H
#define MUSTER_PROTO_REFERENCE_H

#include "proto/limits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes in a heap. In a message: an ext of type PROTO_SHARED_EXT, which holds the fields in this
 * order, big-endian, in PROTO_SHARED_REFERENCE_BYTES. */
struct reference {
    uint8_t kind;     /* REFERENCE_x: what the bytes are */
    uint32_t pid, fd; /* the heap is /proc/PID/fd/FD */
    uint64_t heap;    /* its random number, not 0 */
    uint32_t block;   /* which block, and its how manyth use: see below */
    uint64_t offset;  /* of the bytes, from the heap's beginning */
    uint64_t size;    /* 1 to PROTO_VALUE_BYTES_MAX */
};

enum { REFERENCE_STR = 1, REFERENCE_BIN = 2 };

/* A block's number in a reference: its place in the table in the low bits, and above them a count
 * of its uses, so that nobody frees what it does not have any more. */
enum { HEAP_PLACE_BITS = 12, HEAP_BLOCKS_MAX = 1 << HEAP_PLACE_BITS };

static inline uint32_t reference_place(uint32_t block)
{
    return block & (HEAP_BLOCKS_MAX - 1);
}

/* The first page: written before the first reference leaves, and not changed. */
struct heap_head {
    uint64_t magic; /* HEAP_MAGIC */
    uint64_t heap;  /* the random number */
    uint64_t bytes; /* of the memfd */
    /* Who made it, and keeps it open: what references name. */
    uint32_t keeper_pid, keeper_fd;
};

#define HEAP_MAGIC UINT64_C(0x7061656872747375) /* "ustrheap" as it stands in memory */

/* The second page and those behind it. */
struct heap_table {
    /* References that were sent, counted by the owner ahead of the message; and those of them that
     * readers took, who have the heap mapped from then on. When the owner is dead the keeper closes
     * the file once they are equal, and says so: until then no reader forgets it. */
    _Atomic uint64_t sent, spare[7];
    _Atomic uint64_t taken, more[7];
    _Atomic uint32_t closed, rest[31];
    /* For each place: the block's number in the high half, and in the low half how many references
     * to it were released. A reader adds 1 if the high half is the number that it has. */
    _Atomic uint64_t released[HEAP_BLOCKS_MAX];
};

enum { HEAP_TABLE_OFFSET = 4096, HEAP_DATA_OFFSET = 65536 };

_Static_assert(HEAP_TABLE_OFFSET + sizeof(struct heap_table) <= HEAP_DATA_OFFSET,
               "the table ends before blocks");
_Static_assert(offsetof(struct heap_table, released) == 256, "the layout is part of the protocol");

/* What a reference's memfd is called in /proc/PID/fd. */
#define HEAP_NAME "muster-heap"

/* No heap is larger, so that a reader knows what to map. */
#define HEAP_BYTES_MAX ((size_t)1 << 30)

void reference_store(const struct reference *reference, uint8_t at[PROTO_SHARED_REFERENCE_BYTES]);

/* 0, or MUSTER_EPROTOCOL when it cannot be one. */
int reference_load(const void *at, size_t size, struct reference *ret_reference);

/* A number that is equal for processes which can open each other's heaps: those of one boot, pid
 * namespace and user whose memory others may look at. 0: nobody can open this process's. */
uint64_t heap_host(void);

#endif
