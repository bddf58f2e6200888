/* SPDX-License-Identifier: MIT
 *
 * Where commands were submitted. See exec_origin.h.
 */
#include "cli/exec_origin.h"

#include "cli/open.h"
#include "proto/spool.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is not this process's to say: the worker's own, and the coordinator that this run goes through. A
 * command that waits for jobs there would hold a worker that they need. */
static const char *const left_out[] = {"MUSTER_WORKER", "PARALLEL_JOBSLOT", "PARALLEL_SEQ",
                                       PROTO_SPOOL_VARIABLE, COORDINATOR_VARIABLE};

/* Whether a variable has this name; exported functions of bash are BASH_FUNC_NAME%%. */
static bool is_named(const char *variable, const char *name)
{
    static const char function[] = "BASH_FUNC_";
    size_t size = strlen(name);

    if (strncmp(variable, name, size) == 0 && variable[size] == '=')
        return true;
    if (strncmp(variable, function, sizeof function - 1) != 0)
        return false;
    variable += sizeof function - 1;
    return strncmp(variable, name, size) == 0 && strncmp(variable + size, "%%=", 3) == 0;
}

static bool is_wanted(const char *variable, const char *const *names, size_t count)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (is_named(variable, left_out[i]))
            return false;
    if (!strchr(variable, '=') || variable[0] == '=')
        return false;
    for (size_t i = 0; i < count; i++)
        if (is_named(variable, names[i]) || strcmp(names[i], "_") == 0)
            return true;
    return count == 0 || is_named(variable, "PARALLEL_PID");
}

static int take_variables(struct exec_origin *origin, const char *const *names, size_t count,
                          struct muster_error *ret_error)
{
    size_t variables = 0, bytes = 0;

    while (environ[variables])
        variables++;
    origin->variables = calloc(variables + 1, sizeof *origin->variables);
    if (!origin->variables)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    for (size_t i = 0; i < variables; i++) {
        size_t size = strlen(environ[i]);

        if (!is_wanted(environ[i], names, count))
            continue;
        bytes += size;
        if (bytes > EXEC_ORIGIN_BYTES_MAX)
            return muster_error_set(ret_error, MUSTER_ELIMIT,
                                    "the environment has more than the %d KiB that may travel with "
                                    "a batch: --env NAME sends just what is named",
                                    EXEC_ORIGIN_BYTES_MAX >> 10);
        origin->variables[origin->variable_count++] = (msgpack_object){
            .type = MSGPACK_OBJECT_STR, .via.str = {.ptr = environ[i], .size = (uint32_t)size}};
    }
    origin->all = count == 0;
    for (size_t i = 0; i < count; i++)
        origin->all |= strcmp(names[i], "_") == 0;
    return 0;
}

static void take_limits(struct exec_origin *origin)
{
    int nice;

    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;

        origin->limits[i].type = MSGPACK_OBJECT_NIL;
        if (getrlimit((__rlimit_resource_t)i, &limit) != 0 || limit.rlim_cur > INT64_MAX)
            continue;
        origin->limits[i].type = MSGPACK_OBJECT_POSITIVE_INTEGER;
        origin->limits[i].via.u64 = limit.rlim_cur;
    }
    origin->umask = umask(0);
    umask((mode_t)origin->umask);
    nice = getpriority(PRIO_PROCESS, 0);
    origin->nice = nice > 0 ? (unsigned)nice : 0;
}

int exec_origin_take(struct exec_origin *origin, const char *folder, const char *const *names, size_t count,
                     struct muster_error *ret_error)
{
    origin->folder = realpath(folder ? folder : ".", NULL);
    if (!origin->folder)
        return muster_error_system(ret_error, errno, "cannot tell the working directory");
    take_limits(origin);
    return take_variables(origin, names, count, ret_error);
}

void exec_origin_fini(struct exec_origin *origin)
{
    free(origin->folder);
    free(origin->variables);
}
