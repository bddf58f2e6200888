/* SPDX-License-Identifier: MIT
 *
 * A plug-in of one function: how many steps the Collatz sequence of a number takes to 1.
 * Build it and use it:
 *
 *     cc -O2 -shared -fPIC -I jobs -o collatz.so docs/examples/collatz.c -lmsgpackc
 *     muster map collatz --plugin ./collatz.so ::: 1..20
 */
#include "muster_job.h"

static int collatz(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t number, steps;

    if (argument->type != MSGPACK_OBJECT_POSITIVE_INTEGER || argument->via.u64 == 0)
        return muster_call_fail(call, "collatz takes an integer from 1 on");
    number = argument->via.u64;
    for (steps = 0; number != 1; steps++) {
        if (number % 2 == 1 && number > UINT64_MAX / 3 - 1)
            return muster_call_fail(call, "the sequence of %llu leaves 64 bits after %llu steps",
                                    (unsigned long long)argument->via.u64, (unsigned long long)steps);
        number = number % 2 == 0 ? number / 2 : number * 3 + 1;
    }
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = steps;
    return 0;
}

static const muster_function functions[] = {
    {
        .name = "collatz",
        .summary = "how many steps the Collatz sequence of a number takes to 1",
        .argument = "an integer from 1 on",
        .result = "an integer",
        .example = "27",
        .run = collatz,
    },
};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
