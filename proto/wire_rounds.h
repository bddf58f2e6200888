/* SPDX-License-Identifier: MIT
 *
 * Whose a message is. It tells the descriptor that it came by, which may be another connection's when it is
 * received. ZeroMQ's thread, which is one, hands on all that came by a connection before it closes the
 * descriptor, and tells of the next one that has it behind that. So when nothing was left to receive once,
 * behind that it was told, whatever is received by the descriptor is of who has it now. From one such moment
 * to the next is a round. The router's thread.
 */
#ifndef MUSTER_PROTO_WIRE_ROUNDS_H
#define MUSTER_PROTO_WIRE_ROUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zeros: nobody has come. */
struct rounds {
    uint64_t now;
    uint64_t
        *came; /* owned; by descriptor: the round in which who has it was told of; ROUNDS_NOBODY: none has */
    size_t count;
};

#define ROUNDS_NOBODY UINT64_MAX

void rounds_fini(struct rounds *rounds);

/* There is somebody new, or nobody any more. */
void rounds_came(struct rounds *rounds, int fd);
void rounds_ended(struct rounds *rounds, int fd);

/* When who has it was told of, or ROUNDS_NOBODY. */
uint64_t rounds_since(const struct rounds *rounds, int fd);

/* Whether what was received in that round is of who has it now; else nobody can tell. */
bool rounds_prove(const struct rounds *rounds, int fd, uint64_t round);

#endif
