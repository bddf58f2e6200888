/* SPDX-License-Identifier: MIT
 *
 * The threshold of shared memory. See calibrate.h. Either way the sender copies the bytes once,
 * into a block or into a message; a message then goes through the kernel, which copies it twice.
 */
#include "proto/calibrate.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a reference costs beside the copy: packed, resolved, released, and the lines of the table
 * that two processes share. More than it does: jobs with references to 1 KiB in and out were measured
 * to be as fast as jobs with the bytes in their messages. */
static const uint64_t REFERENCE_NS = CLOCK_NS_PER_US / 2;

static const uint64_t LIMIT_NS = CLOCK_NS_PER_MS;

/* Less than a socket's buffer, so that the writer never waits for the reader, who is itself. */
enum { PIECE_BYTES = 64 << 10, ROUNDS = 3 };

/* UINT64_MAX when the sockets fail. */
static uint64_t time_sockets(const int fds[2], uint8_t *message, const uint8_t *bytes, size_t size)
{
    uint64_t began_ns = clock_now_ns();

    memcpy(message, bytes, size);
    for (size_t sent = 0; sent < size; sent += PIECE_BYTES) {
        size_t piece = size - sent < PIECE_BYTES ? size - sent : PIECE_BYTES;

        if (send(fds[0], message + sent, piece, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)piece ||
            recv(fds[1], message + sent, piece, MSG_DONTWAIT) != (ssize_t)piece)
            return UINT64_MAX;
    }
    return clock_now_ns() - began_ns;
}

static uint64_t time_copy(void *memory, const uint8_t *bytes, size_t size)
{
    uint64_t began_ns = clock_now_ns();

    memcpy(memory, bytes, size);
    return clock_now_ns() - began_ns + REFERENCE_NS;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static size_t compare(const int fds[2], void *memory, uint8_t *message, const uint8_t *bytes, size_t size)
{
    uint64_t began_ns = clock_now_ns();

    for (; size < CALIBRATE_BYTES && clock_now_ns() - began_ns < LIMIT_NS; size *= 2) {
        uint64_t copy_ns = UINT64_MAX, sockets_ns = UINT64_MAX;

        for (int i = 0; i < ROUNDS; i++) {
            copy_ns = least(copy_ns, time_copy(memory, bytes, size));
            sockets_ns = least(sockets_ns, time_sockets(fds, message, bytes, size));
        }
        if (copy_ns < sockets_ns)
            break;
    }
    return size;
}

size_t calibrate(void *memory, size_t least_size)
{
    uint8_t *bytes = calloc(2, CALIBRATE_BYTES);
    size_t size = CALIBRATE_BYTES;
    int fds[2];

    if (bytes && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0) {
        size = compare(fds, memory, bytes + CALIBRATE_BYTES, bytes, least_size);
        close(fds[0]);
        close(fds[1]);
    }
    free(bytes);
    return size;
}
