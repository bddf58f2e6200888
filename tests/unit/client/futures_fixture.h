/* SPDX-License-Identifier: MIT
 *
 * What the tests of futures share: a muster with functions of the test, values, and callbacks
 * that note in which order they were called.
 */
#ifndef MUSTER_TESTS_CLIENT_FUTURES_FIXTURE_H
#define MUSTER_TESTS_CLIENT_FUTURES_FIXTURE_H

#include "client/muster.h"

#include "tests/support/check.h"

#include <stdatomic.h>

/* Functions: `twice` of an integer; `refuse`, which fails with "no: N"; `flaky`, which fails
 * until it was called three times; `hold`, which ends when it is cancelled, and not before. */
muster *futures_open(enum muster_model model, unsigned workers);

extern atomic_uint futures_calls;   /* of all functions */
extern atomic_uint futures_holding; /* calls of `hold` that have begun */

msgpack_object integer(int64_t number);

muster_future *submit(muster *m, const char *function, int64_t argument);

/* The value of a future that succeeded with an integer >= 0; UINT64_MAX for any other. */
uint64_t number_of(const muster_future *future);

/* Notes. Callbacks add a character, a step, too. */
struct notes {
    char text[256];
    size_t length;
};

void note(struct notes *notes, char character);

muster_callback note_success; /* S; context: struct notes */
muster_callback note_failure; /* F */
muster_step step_plus_one;    /* resolves with the value + 1; context: NULL or struct notes, notes + */
muster_step step_recover;     /* resolves with 1000; notes R */
muster_step step_fail;        /* returns MUSTER_EFAILED; notes X */

#endif
