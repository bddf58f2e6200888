/* SPDX-License-Identifier: MIT
 *
 * request: stands in for a call of a slow network service. It waits, using no CPU, then
 * returns the square of its number. It shows what models do with jobs that wait.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"

#define NUMBER_MAX  INT64_C(3037000499) /* its square fits 63 bits */
#define SECONDS_MAX 86400.0             /* a day */

static int request(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    static const char *const names[] = {"number", "seconds"};
    const msgpack_object *members[2];
    double seconds = 1;
    int64_t number;
    int code;

    if (!argument_integer(argument, -NUMBER_MAX, NUMBER_MAX, &number) &&
        (!argument_members(argument, 2, names, members) || !members[0] ||
         !argument_integer(members[0], -NUMBER_MAX, NUMBER_MAX, &number) ||
         (members[1] && !argument_number(members[1], 0, SECONDS_MAX, &seconds))))
        return argument_refuse(call, &function_request, argument);
    code = muster_call_sleep(call, seconds);
    if (code != 0)
        return code;
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = (uint64_t)(number * number);
    return 0;
}

const muster_function function_request = {
    .name = "request",
    .summary = "waits a second, then returns the square: a stand-in for a slow service",
    .argument =
        "an integer from -3037000499 to 3037000499, or {\"number\":N,\"seconds\":S} with 0 to 86400 seconds",
    .result = "the square, an integer",
    .example = "{\"number\":7,\"seconds\":0.1}",
    .run = request,
};
