/* SPDX-License-Identifier: MIT
 *
 * --halt: when to stop before all commands have run, as GNU parallel 20221122 writes it.
 */
#ifndef MUSTER_CLI_EXEC_HALT_H
#define MUSTER_CLI_EXEC_HALT_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum exec_halt_cause { HALT_NEVER, HALT_FAIL, HALT_SUCCESS, HALT_DONE };

struct exec_halt {
    enum exec_halt_cause cause;
    bool now;         /* end what runs, too */
    uint64_t count;   /* so many of them; 0: a share */
    unsigned percent; /* of all jobs, 1 to 100 */
};

/* "never", "soon|now,fail|success|done=N|N%", and the older 0, 1, 2, -1, -2 and N%. 0 or
 * MUSTER_EINVALID. */
int exec_halt_parse(const char *text, struct exec_halt *ret_halt, struct muster_error *ret_error);

/* Whether it is time; `total` is 0 while it is not known, and no share of anything. */
bool exec_halt_due(const struct exec_halt *halt, uint64_t succeeded, uint64_t failed, uint64_t total);

/* The exit status of a run that so many failed in, GNU parallel's. */
int exec_halt_status(const struct exec_halt *halt, uint64_t succeeded, uint64_t failed, uint64_t total);

#endif
