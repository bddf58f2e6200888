/* SPDX-License-Identifier: MIT
 *
 * A test plug-in whose function leaves a line in a file whenever it starts, so that a test sees what was
 * started, how often and in which order.
 */
#include "muster_job.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The file is named by the environment, for the argument may be one of a range of numbers. */
static int note_start(unsigned long long number)
{
    const char *path = getenv("MUSTER_TEST_TRACE");
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    char line[32];
    int size = snprintf(line, sizeof line, "%llu\n", number), written;

    if (file < 0)
        return -1;
    written = (int)write(file, line, (size_t)size);
    close(file);
    return written == size ? 0 : -1;
}

static int traced(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    unsigned long long number;

    if (argument->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return muster_call_fail(call, "takes an integer >= 0");
    number = argument->via.u64;
    if (note_start(number) != 0)
        return muster_call_fail(call, "cannot write to MUSTER_TEST_TRACE");
    if (number % 17 == 0)
        return muster_call_fail(call, "17 divides %llu", number);
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = 3 * number + 1;
    return 0;
}

static const muster_function functions[] = {
    {.name = "traced",
     .summary =
         "adds the number as a line to the file MUSTER_TEST_TRACE, returns three times as much and one",
     .argument = "an integer >= 0; the multiples of 17 fail",
     .run = traced},
};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
