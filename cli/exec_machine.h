/* SPDX-License-Identifier: MIT
 *
 * What else this host does, as Linux tells it in /proc: for --load, --memfree, --memsuspend and --noswap.
 */
#ifndef MUSTER_CLI_EXEC_MACHINE_H
#define MUSTER_CLI_EXEC_MACHINE_H

#include "base/error.h"

#include <stdint.h>

struct exec_machine {
    uint64_t running;                 /* threads that run or could, but for the one that asks */
    uint64_t free_bytes;              /* memory that programs can have without swapping */
    uint64_t swapped_in, swapped_out; /* pages, ever */
};

/* 0, or MUSTER_ESYSTEM with what cannot be read. */
int exec_machine_look(struct exec_machine *ret_machine, struct muster_error *ret_error);

#endif
