/* SPDX-License-Identifier: MIT
 *
 * echo: returns its argument. What it takes beyond noop is what the value's way back costs.
 */
#include "jobs/builtin.h"

static int echo(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    *ret_result = *argument; /* a result may point into the argument */
    return 0;
}

const muster_function function_echo = {
    .name = "echo",
    .summary = "returns its argument: measures what a value's way costs",
    .argument = "anything",
    .result = "the argument",
    .example = "{\"a\":[1,2.5,null]}",
    .run = echo,
};
