/* SPDX-License-Identifier: MIT
 *
 * Limits of jobs. See exec_limits.h.
 */
#include "cli/exec_limits.h"

#include "base/size.h"
#include "cli/exec_values.h"
#include "cli/quantity.h"
#include "worker/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The standard files, and one by which a program finds its libraries. */
enum { OPEN_FILES_MIN = 4 };

int exec_limits_memory(const char *text, struct exec_limits *limits, struct muster_error *ret_error)
{
    uint64_t bytes;

    if (quantity_size(text, &bytes, ret_error))
        return MUSTER_EINVALID;
    if (bytes < COMMAND_MEMORY_MIN || bytes > INT64_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a size of at least %dM is expected",
                                COMMAND_MEMORY_MIN >> 20);
    limits->memory_bytes = bytes;
    return 0;
}

/* The kernel counts whole seconds. */
int exec_limits_cpu_time(const char *text, struct exec_limits *limits, struct muster_error *ret_error)
{
    double seconds;

    if (exec_value_duration(text, &seconds, ret_error))
        return MUSTER_EINVALID;
    limits->cpu_time_s = (uint64_t)seconds + ((double)(uint64_t)seconds < seconds);
    return 0;
}

int exec_limits_open_files(const char *text, struct exec_limits *limits, struct muster_error *ret_error)
{
    return quantity_integer(text, OPEN_FILES_MIN, INT32_MAX, &limits->open_files, ret_error);
}

/* " of 64 MiB"; nothing where it is not known. */
static void write_size(uint64_t bytes, char *text, size_t size)
{
    char of[SIZE_TEXT_BYTES];

    text[0] = '\0';
    if (bytes > 0)
        snprintf(text, size, " of %s", size_text(bytes, of));
}

/* How it ended, as its parent is told. */
static int write_status(const struct exec_result *result, char text[EXEC_REASON_BYTES])
{
    if (result->signal)
        return snprintf(text, EXEC_REASON_BYTES, "killed by signal %d (%s)", result->signal,
                        strsignal(result->signal));
    return snprintf(text, EXEC_REASON_BYTES, "exit status %d%s", result->exit,
                    result->flags & COMMAND_NOT_STARTED ? ": it could not be started" : "");
}

/* What ended it, or how it ended. */
static int write_end(const struct exec_result *result, const struct exec_limits *limits,
                     char text[EXEC_REASON_BYTES])
{
    char memory[40], file[40], cpu_time[40] = "";
    int used;

    if (limits->cpu_time_s > 0)
        snprintf(cpu_time, sizeof cpu_time, " of %" PRIu64 " s", limits->cpu_time_s);
    write_size(limits->memory_bytes, memory, sizeof memory);
    write_size(limits->file_bytes, file, sizeof file);
    if (result->flags & COMMAND_TIMED_OUT)
        return snprintf(text, EXEC_REASON_BYTES, "ended after its time limit");
    if (result->flags & COMMAND_MEMORY_LIMIT)
        return snprintf(text, EXEC_REASON_BYTES, "killed: over its memory limit%s (cgroup)", memory);
    if (result->flags & COMMAND_CPU_LIMIT)
        return snprintf(text, EXEC_REASON_BYTES, "killed: over its CPU time limit%s", cpu_time);
    if (result->flags & COMMAND_FILE_LIMIT)
        return snprintf(text, EXEC_REASON_BYTES, "killed: a file of it over its limit%s", file);
    used = write_status(result, text);
    if (result->flags & COMMAND_MEMORY_NEAR && used < EXEC_REASON_BYTES)
        used += snprintf(text + used, EXEC_REASON_BYTES - (size_t)used,
                         ", near its memory limit%s (RLIMIT_DATA)", memory);
    else if (result->flags & COMMAND_NO_ROOM && used < EXEC_REASON_BYTES)
        used += snprintf(text + used, EXEC_REASON_BYTES - (size_t)used,
                         "; no room is left for output, see --tmpdir");
    return used;
}

void exec_result_reason(const struct exec_result *result, const struct exec_limits *limits,
                        char ret_reason[EXEC_REASON_BYTES])
{
    int used = write_end(result, limits, ret_reason);
    size_t left = used < EXEC_REASON_BYTES ? (size_t)(EXEC_REASON_BYTES - used) : 0;

    if (result->lost == ESTALE)
        snprintf(
            ret_reason + used, left,
            "; its output is lost: a job has removed the file that it was in, or put something in its place");
    else if (result->lost)
        snprintf(ret_reason + used, left, "; its output is lost: %s: %s",
                 result->out.bytes && result->out.path[0] ? result->out.path : result->err.path,
                 strerror(result->lost));
}
