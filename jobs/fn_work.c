/* SPDX-License-Identifier: MIT
 *
 * work: a job made to order. It computes, waits, takes data and returns data, each as much as it
 * is told: what a pipeline would do with jobs that do not exist yet.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"
#include "jobs/burn.h"

#include <string.h>

#define BYTES_MAX INT64_C(268435456) /* 256 MiB; values have hardly more (PROTO_VALUE_BYTES_MAX) */

/* A text of so many letters. 0, or the failure of the call. */
static int make_text(muster_call *call, size_t size, msgpack_object *ret_result)
{
    char *letters = muster_call_alloc(call, size > 0 ? size : 1);

    if (!letters)
        return muster_call_fail(call, "out of memory for %zu bytes", size);
    memset(letters, 'x', size);
    ret_result->type = MSGPACK_OBJECT_STR;
    ret_result->via.str.ptr = letters;
    ret_result->via.str.size = (uint32_t)size;
    return 0;
}

static int work(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    enum { COMPUTE, WAIT, BYTES, DATA, COUNT };
    static const char *const names[COUNT] = {"compute", "wait", "bytes", "data"};
    const msgpack_object *members[COUNT];
    double compute = 0, wait = 0;
    int64_t bytes = -1;
    int code = 0;

    if (!argument_members(argument, COUNT, names, members) || argument->via.map.size == 0 ||
        (members[COMPUTE] && !argument_number(members[COMPUTE], 0, BURN_SECONDS_MAX, &compute)) ||
        (members[WAIT] && !argument_number(members[WAIT], 0, BURN_SECONDS_MAX, &wait)) ||
        (members[BYTES] && !argument_integer(members[BYTES], 0, BYTES_MAX, &bytes)))
        return argument_refuse(call, &function_work, argument);
    if (compute > 0)
        code = burn_seconds(call, compute);
    if (code == 0 && wait > 0)
        code = muster_call_sleep(call, wait);
    return code == 0 && bytes >= 0 ? make_text(call, (size_t)bytes, ret_result) : code;
}

const muster_function function_work = {
    .name = "work",
    .summary = "computes, waits, takes and returns data as told: a job made to order",
    .argument =
        "{\"compute\":S,\"wait\":S,\"bytes\":N,\"data\":ANY}, each left out or 0 to 86400 seconds, 0 to "
        "268435456 bytes to return, anything to take",
    .result = "a text of so many bytes; null where none are asked for",
    .example = "{\"compute\":0.001,\"wait\":0.01,\"bytes\":12}",
    .run = work,
};
