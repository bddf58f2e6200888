/* SPDX-License-Identifier: MIT
 *
 * A plug-in of a function that crashes: it calls itself more often than the stack has room for where its
 * argument is large. The job is named, with the function and the line that it crashed in; the others end:
 *
 *     cc -g -shared -fPIC -I jobs -o ackermann.so docs/examples/ackermann.c -lmsgpackc
 *     muster map ackermann --plugin ./ackermann.so ::: '[2,3]' '[1,10000000]' '[3,3]'
 */
#include "muster_job.h"

static uint64_t compute(uint64_t m, uint64_t n)
{
    if (m == 0)
        return n + 1;
    return compute(m - 1, n == 0 ? 1 : compute(m, n - 1));
}

static int ackermann(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    const msgpack_object *pair = argument->via.array.ptr;

    if (argument->type != MSGPACK_OBJECT_ARRAY || argument->via.array.size != 2 ||
        pair[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER || pair[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return muster_call_fail(call, "ackermann takes two integers from 0 on, [m, n]");
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = compute(pair[0].via.u64, pair[1].via.u64);
    return 0;
}

static const muster_function functions[] = {
    {
        .name = "ackermann",
        .summary = "Ackermann's function of two integers, as it is defined",
        .argument = "[m, n], two integers from 0 on",
        .result = "an integer",
        .example = "[2,3]",
        .run = ackermann,
    },
};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
