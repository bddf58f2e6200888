/* SPDX-License-Identifier: MIT
 *
 * A command that did not succeed as a job that failed. See command_internal.h.
 */
#include "worker/command_internal.h"

#include <string.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 500 }; /* of standard error, in a text of 1000 */

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

int command_fail_job(muster_call *call, const msgpack_object *places)
{
    struct line line = last_line(&places[COMMAND_ERR]);
    int64_t signal = places[COMMAND_SIGNAL].via.i64, flags = places[COMMAND_FLAGS].via.i64;
    const char *colon = line.size > 0 ? ": " : "";

    for (int i = COMMAND_OUT; i <= COMMAND_ERR; i++)
        if (places[i].type == MSGPACK_OBJECT_STR)
            unlink(places[i].via.str.ptr); /* nobody will */
    if (flags & COMMAND_TIMED_OUT)
        return muster_call_fail(call, "ended after its time limit%s%.*s", colon, (int)line.size, line.bytes);
    if (signal)
        return muster_call_fail(call, "killed by signal %d (%s)%s%.*s", (int)signal, strsignal((int)signal),
                                colon, (int)line.size, line.bytes);
    return muster_call_fail(call, "exit status %d%s%.*s", (int)places[COMMAND_EXIT].via.i64, colon,
                            (int)line.size, line.bytes);
}
