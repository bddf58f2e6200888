/* SPDX-License-Identifier: MIT
 *
 * noop: does nothing. What a batch of it takes is what muster itself costs.
 */
#include "jobs/builtin.h"

static int noop(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    (void)ret_result; /* nil already */
    return 0;
}

const muster_function function_noop = {
    .name = "noop",
    .summary = "does nothing: measures what a job costs",
    .argument = "anything",
    .result = "null",
    .example = "1",
    .run = noop,
};
