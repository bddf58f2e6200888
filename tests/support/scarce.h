/* SPDX-License-Identifier: MIT
 *
 * Memory that runs out for a moment: one allocation of this process fails, whose ever it is but libzmq's,
 * which aborts without. Linked into a test, it takes the place of glibc's functions; sanitizers do so, too,
 * so it cannot be under one.
 */
#ifndef MUSTER_TESTS_SCARCE_H
#define MUSTER_TESTS_SCARCE_H

#include <stdbool.h>

/* The allocation `call`, from 1 on, fails, of those from here on. */
void scarce_begin(long call);

/* None fails any more. Whether one did. */
bool scarce_end(void);

#endif
