/* SPDX-License-Identifier: MIT
 *
 * Jobs of the model `loop` that wait at a gate until it is raised, and how many do so. It has one thread:
 * plain counters.
 */
#ifndef MUSTER_TESTS_UNIT_CLIENT_LOOP_FIXTURE_H
#define MUSTER_TESTS_UNIT_CLIENT_LOOP_FIXTURE_H

#include "base/sanitize.h"
#include "fixture.h"

/* So many wait at once in a test of thousands. */
enum { MANY = SANITIZE_ADDRESS || SANITIZE_THREAD ? 1000 : 10000 };

extern int gate;
extern unsigned arrived, at_once, most_at_once; /* jobs that came to wait, that wait, and did at the most */

/* A gate that nobody has come to yet; and it lets all go on. */
void open_gate(void);
void raise_gate(void);

/* A fixture of one worker of `loop`, and a gate. */
void open_gated(struct fixture *f, int64_t jobs);
void close_gated(struct fixture *f);

/* Counts one more that waits, until it subtracts itself from at_once. */
void begin_wait(void);
int wait_at_gate(muster_call *call);

#endif
