/* SPDX-License-Identifier: MIT
 *
 * command: the function that runs programs, as seen by those who submit it and by every process but a
 * worker, which has one of its own that runs them (worker/command.h). It is found, and is on no list:
 * its argument is made by `muster exec`.
 */
#include "jobs/builtin.h"

static int run_elsewhere(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    (void)ret_result;
    return muster_call_fail(call, "commands run in worker processes only (muster exec)");
}

const muster_function function_command = {
    .name = "command",
    .summary = "runs a program",
    .argument = "a map of its program and how to run it",
    .result = "an array of how it ended and what it wrote",
    .example = "{\"argv\":[\"true\"]}",
    .run = run_elsewhere,
};
