/* SPDX-License-Identifier: MIT
 *
 * spin: burns CPU time of its thread, a job of known size.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"
#include "jobs/burn.h"

static int spin(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    double seconds;
    int code;

    if (!argument_number(argument, 0, BURN_SECONDS_MAX, &seconds))
        return argument_refuse(call, &function_spin, argument);
    code = burn_seconds(call, seconds);
    if (code == 0)
        *ret_result = *argument;
    return code;
}

const muster_function function_spin = {
    .name = "spin",
    .summary = "burns the given CPU time: a job of known size",
    .argument = "CPU seconds from 0 to 86400, such as 0.001",
    .result = "the argument",
    .example = "0.001",
    .run = spin,
};
