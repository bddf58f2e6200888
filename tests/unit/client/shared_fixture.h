/* SPDX-License-Identifier: MIT
 *
 * What the tests of large values between a client and real workers share: an open muster, bytes, and
 * batches that send them there and back.
 */
#ifndef MUSTER_TESTS_SHARED_FIXTURE_H
#define MUSTER_TESTS_SHARED_FIXTURE_H

#include "client/muster.h"
#include "tests/support/check.h"
#include "tests/support/self.h"

#include <stdbool.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

extern struct muster *m;
extern struct muster_error error;
extern struct muster_summary summary;
extern char *bytes; /* of no particular pattern */

/* Makes `bytes`, so many. */
void fill_bytes(size_t size);

/* Opens `m` with these options; the program of the workers and the plug-in `faulty` are added. */
void open_with(struct muster_options options);
void open_model(enum muster_model model);
void open_processes(void); /* two */

msgpack_object bin_of(const void *at, size_t size);
bool is(const msgpack_object *value, const void *at, size_t size);

/* How many times heaps are mapped here: this process's, and of workers each with a table. */
unsigned mapped_heaps(void);

/* Sends it to the children of all threads: workers are the coordinator's. Returns the last one. */
pid_t signal_workers(int signal_number);

/* A batch whose jobs return their arguments: so many of `bytes`, or a shared value. */
struct echoes {
    size_t sizes[64];
    unsigned count, given, taken;
    bool kills;
    const muster_shared *shared;
};

/* All come back as they went. */
void map_echoes(struct echoes *echoes, bool unordered);

#endif
