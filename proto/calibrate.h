/* SPDX-License-Identifier: MIT
 *
 * From which size on bytes are better off in shared memory than in a message, on this machine.
 */
#ifndef MUSTER_PROTO_CALIBRATE_H
#define MUSTER_PROTO_CALIBRATE_H

#include <stddef.h>

enum { CALIBRATE_BYTES = 256 << 10 };

/* Compares copies into `memory`, CALIBRATE_BYTES of shared memory whose contents are overwritten,
 * with a way through a socket pair. Returns a power of two from `least` to CALIBRATE_BYTES. Takes
 * some 100 us, a millisecond at most. */
size_t calibrate(void *memory, size_t least);

#endif
