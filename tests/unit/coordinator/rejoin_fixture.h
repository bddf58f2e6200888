/* SPDX-License-Identifier: MIT
 *
 * A host that comes back to a core: what tests of that have in common.
 */
#ifndef MUSTER_TESTS_REJOIN_FIXTURE_H
#define MUSTER_TESTS_REJOIN_FIXTURE_H

#include "tests/support/core_harness.h"

enum { HOST = 7 };

#define AWAY_NS (10 * CLOCK_NS_PER_S)

extern const unsigned second[1]; /* the slot of its worker */

/* The worker connects again, with so many chunks; it runs so many jobs at once. */
void says_hello(unsigned slot, uint32_t standing);
void says_hello_of_several(unsigned slot, uint32_t standing, uint32_t concurrency);

/* It has so many jobs of the chunk, from its first on. */
void stands_by(unsigned slot, const struct proto_chunk *chunk, uint32_t count);

/* All of them, and the client hears of it. */
void finishes(unsigned slot, const struct proto_chunk *chunk);

void expect_cancel(unsigned slot, enum proto_cancel_mode mode, uint64_t first, uint64_t count);

#endif
