/* SPDX-License-Identifier: MIT
 *
 * A command that did not succeed is a job that failed, and why. See command_internal.h.
 */
#include "worker/command_internal.h"

#include "jobs/call.h"

#include <stdio.h>
#include <string.h>

enum {
    LINE_BYTES_MAX = 500, /* of standard error, in a text of 1000 */
    HOW_BYTES = 120,
};

struct line {
    const char *bytes;
    size_t size;
};

/* The last line that has something in it. */
static struct line last_line(const msgpack_object *output)
{
    const char *bytes = output->via.bin.ptr;
    size_t size = output->type == MSGPACK_OBJECT_BIN ? output->via.bin.size : 0, first;

    while (size > 0 && strchr(" \n\r\t", bytes[size - 1]))
        size--;
    for (first = size; first > 0 && bytes[first - 1] != '\n'; first--) {
    }
    if (size - first > LINE_BYTES_MAX)
        first = size - LINE_BYTES_MAX;
    return (struct line){size > 0 ? bytes + first : "", size - first};
}

/* How it ended, in so many bytes. */
static void describe(const msgpack_object *places, char *text, size_t size)
{
    int64_t signal = places[COMMAND_SIGNAL].via.i64, flags = places[COMMAND_FLAGS].via.i64;

    if (flags & COMMAND_CUT)
        snprintf(text, size, "ended with its run");
    else if (flags & COMMAND_TIMED_OUT)
        snprintf(text, size, "ended after its time limit");
    else if (flags & COMMAND_MEMORY_LIMIT)
        snprintf(text, size, "killed: over its memory limit");
    else if (flags & COMMAND_CPU_LIMIT)
        snprintf(text, size, "killed: over its CPU time limit");
    else if (flags & COMMAND_FILE_LIMIT)
        snprintf(text, size, "killed: a file of it over its limit");
    else if (signal)
        snprintf(text, size, "killed by signal %d (%s)", (int)signal, strsignal((int)signal));
    else
        snprintf(text, size, "exit status %d%s%s", (int)places[COMMAND_EXIT].via.i64,
                 flags & COMMAND_MEMORY_NEAR ? ", near its memory limit" : "",
                 flags & COMMAND_NO_ROOM ? "; no room is left for output" : "");
}

int command_fail_job(muster_call *call, const msgpack_object *places)
{
    struct line line = last_line(&places[COMMAND_ERR]);
    char how[HOW_BYTES];

    describe(places, how, sizeof how);
    muster_call_fail(call, "%s%s%.*s", how, line.size > 0 ? ": " : "", (int)line.size, line.bytes);
    return CALL_FAILED_VALUED;
}
