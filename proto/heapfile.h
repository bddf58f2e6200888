/* SPDX-License-Identifier: MIT
 *
 * The file of a heap (reference.h): a sealed, sparse memfd. Its keeper makes it, and references name
 * the keeper's descriptor. That is the heap's owner himself, or the process that launched him and
 * keeps the file when he is dead, until all that he sent has been taken: so no result is lost with the
 * process that made it.
 */
#ifndef MUSTER_PROTO_HEAPFILE_H
#define MUSTER_PROTO_HEAPFILE_H

#include <stdbool.h>
#include <stddef.h>

struct heap_head;

/* How large a heap is to be: `wanted`, or, where that is 0, a fit part of this machine's memory. */
size_t heapfile_fit(size_t wanted);

/* Makes one of at most so many bytes, with its head. The caller is its keeper. 0; MUSTER_ELIMIT when
 * files may not be so large; MUSTER_ESYSTEM. */
int heapfile_create(size_t bytes, int *ret_fd);

/* The head of a file that was handed over. 0, or MUSTER_EPROTOCOL when it is no heap's. */
int heapfile_load(int fd, struct heap_head *ret_head);

/* Whether all references that its dead owner sent were taken, by whoever has it mapped from then on. */
bool heapfile_is_taken(int fd);

/* What of it is in memory. */
size_t heapfile_memory(int fd);

/* Nobody can open it any more, and who has it mapped may unmap it when he holds nothing of it. */
void heapfile_close(int fd);

#endif
