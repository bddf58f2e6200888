/* SPDX-License-Identifier: MIT
 *
 * read: a file's bytes and lines, as wc counts them. It waits for the disk and computes next to
 * nothing (sha256 is the one that computes), so it shows what models do with such waits.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"
#include "jobs/file.h"
#include "jobs/result.h"

struct counts {
    uint64_t bytes, lines;
};

static void count(void *context, const uint8_t *bytes, size_t size)
{
    struct counts *counts = context;
    const uint8_t *place = bytes, *end = bytes + size;

    counts->bytes += size;
    while ((place = memchr(place, '\n', (size_t)(end - place)))) {
        counts->lines++;
        place++;
    }
}

static int read_file(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    struct counts counts = {0};
    char *path;
    int code;

    if (!argument_text(argument))
        return argument_refuse(call, &function_read, argument);
    path = argument_copy(call, argument);
    if (!path)
        return MUSTER_JOB_FAILED;
    code = file_read(call, path, count, &counts);
    if (code != 0)
        return code;
    return result_map(call,
                      (msgpack_object_kv[]){{result_text("bytes"), result_integer(counts.bytes)},
                                            {result_text("lines"), result_integer(counts.lines)}},
                      2, ret_result);
}

const muster_function function_read = {
    .name = "read",
    .summary = "reads a file and counts its bytes and lines",
    .argument = "the path of a file",
    .result = "{\"bytes\":N,\"lines\":N}: lines are newline characters, as wc counts them",
    .example = "\"/etc/hostname\"",
    .run = read_file,
};
